"""Cluster IPs and node ports at the moment when a Service is stored: ``rules.services``, asked at once.

It works on a copy of all Services, kept up by watches of the store, so that nothing that was given away is given again.
Several servers on one store take turns: what is given away is stored only if nobody else has taken the turn meanwhile.

Each address has its IPAddress before the Service is stored, which is the record of it for others. The choice doesn't
go by those alone: node ports need the turns in any case, and have no such record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from reconciler.apiserver.locks import Lock
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import ApiError, unavailable
from reconciler.apiserver.storage import Storage
from reconciler.cycle import Cycle
from rules.address_objects import IP_ADDRESS, SERVICE_CIDR, ip_address
from rules.service_claims import addresses_of_service, numbers_of
from rules.services import CLUSTER_CIDR, NODE_PORTS, Services, unobtainable
from state.objects import AnyObject, CustomObject, Service, replace
from state.snapshot import Change, Key, Snapshot
from state.store.records import CompactedError, Entry, Event, Fence, FencedError, StoreUnavailableError

#: Later than any other Service: one that exists keeps what it has.
_YOUNGEST = "9999-12-31T23:59:59Z"
_REFUSED = "service-refused"
#: Attempts to store what was given away, while other servers take their turns.
_ATTEMPTS = 20
#: Seconds that are waited at most for others who are served, and for news.
_PATIENCE = 10.0
#: Seconds between two looks at how far the news has come.
_PAUSE = 0.002

ResultT = TypeVar("ResultT")
#: Stores an IPAddress.
Record = Callable[[CustomObject], object]


class _OutrunError(Exception):
    """An address that was free has been given away."""


class ServiceAllocator:
    """Gives out addresses and ports; one Service at a time, until it is stored."""

    def __init__(
        self,
        storage: Storage,
        resource: Resource,
        cidrs: Sequence[str] = (CLUSTER_CIDR,),
        node_ports: tuple[int, int] = NODE_PORTS,
    ) -> None:
        self._storage, self._resource = storage, resource
        records, ranges = (storage.registry.of_table(kind) for kind in (IP_ADDRESS, SERVICE_CIDR))
        assert records is not None
        assert ranges is not None
        self._observed = (resource, records, ranges)
        self._services = Services(cidrs, node_ports)
        self._lock = Lock()
        self._begin()

    def _begin(self) -> None:
        pages = [self._storage.page(each, "") for each in self._observed]
        objects = [
            self._storage.object_of(resource, entry)
            for resource, page in zip(self._observed, pages, strict=True)
            for entry in page.entries
        ]
        self._cycle = Cycle(Snapshot.of(objects), [self._services])
        self._watches = [
            (resource, self._storage.store.watch(resource.prefix, page.revision))
            for resource, page in zip(self._observed, pages, strict=True)
        ]

    def complete(
        self,
        service: Service,
        now: int,
        store: Callable[[Service, Fence | None], ResultT],
        record: Record | None,
    ) -> ResultT:
        """Has a Service stored with all that it is to have; nobody is given any of it before that is done.

        Args:
            service: what is wished for.
            now: the time, µs since the epoch.
            store: stores it, with a fence if there is one.
            record: stores the IPAddress of each of its addresses; None if nothing is stored, in a dry run.

        Raises:
            ApiError: it asks for what it can't have, or isn't stored.
        """
        for attempt in range(_ATTEMPTS):
            is_last = attempt == _ATTEMPTS - 1
            with self._turn() as fence, self._completed(service, now) as (before, complete):
                try:
                    with self._recorded(service, before, complete, record):
                        return store(complete, fence)
                except _OutrunError as error:
                    if is_last:
                        raise unavailable("others are given the same addresses; try again") from error
                except ApiError as error:
                    if not isinstance(error.__cause__, FencedError) or is_last:
                        raise
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _recorded(
        self, wished: Service, before: AnyObject | None, complete: Service, record: Record | None
    ) -> Iterator[None]:
        """The addresses of a Service have their IPAddresses while the block stores it, and keep them if it does; those
        that it gives up lose theirs.
        """
        if record is None:
            yield
            return
        key, had, has = Key.of(complete), addresses_of_service(before), addresses_of_service(complete)
        with ExitStack() as undo:
            for address in has:
                if address not in had:
                    _record(record, wished, ip_address(address, key))
                    undo.callback(self._storage.release, key, address)
            yield
            undo.pop_all()
        for address in had:
            if address not in has:
                self._storage.release(key, address)

    @contextmanager
    def _turn(self) -> Iterator[Fence | None]:
        """The turn of this request, with everything known that was given away in earlier ones."""
        if not self._lock.acquire(timeout=_PATIENCE):
            raise unavailable("the store takes too long to store other Services")
        try:
            fence = self._storage.turn(self._resource)
            self._catch_up(0 if fence is None else fence.revision)
            yield fence
        finally:
            self._lock.release()

    def _catch_up(self, revision: int) -> None:
        """Takes over what is new, at least up to a revision."""
        try:
            for resource, watch in self._watches:
                self._take_over(resource, watch.read(0))
                for _ in range(int(_PATIENCE / _PAUSE)):
                    if watch.revision >= revision:
                        break
                    self._take_over(resource, watch.read(_PAUSE))
                else:
                    raise unavailable(f"the store doesn't say what happened up to revision {revision}")
        except CompactedError:
            for _, watch in self._watches:
                watch.close()
            self._begin()
        except StoreUnavailableError as error:
            raise unavailable(str(error)) from error

    def _take_over(self, resource: Resource, events: Sequence[Event]) -> None:
        for event in events:
            key = Key(resource.table, *resource.place(event.key))
            new = None
            if event.value is not None:
                new = self._storage.object_of(resource, Entry(event.key, event.value, event.revision))
            self._cycle.observe([Change(key, self._cycle.ws.get(key), new)])

    @contextmanager
    def _completed(self, service: Service, now: int) -> Iterator[tuple[AnyObject | None, Service]]:
        """The Service as it was, and with all that it is to have, which is known as taken while the block lasts."""
        key = Key.of(service)
        before = self._cycle.ws.get(key)
        self._services.held = {key: numbers_of(before)}
        made = service.metadata.creation_timestamp
        try:
            candidate = replace(service, metadata=replace(service.metadata, creation_timestamp=_YOUNGEST))
            self._cycle.observe([Change(key, before, candidate)])
            self._cycle.ctx.start(now)
            self._cycle.settle(now)
            self._check(service, key)
            found = self._cycle.ws.find(Service, key.namespace, key.name)
            assert found is not None
            meta = replace(service.metadata, creation_timestamp=made)
            yield before, replace(found, metadata=meta)
        finally:
            self._cycle.observe([Change(key, self._cycle.ws.get(key), before)])

    def _check(self, service: Service, key: Key) -> None:
        note = self._cycle.ctx.notes.get((Services.name, key))
        if note is not None and note.rule == _REFUSED:
            raise _refusal(service, str(note.because["problem"]))


def _record(record: Record, wished: Service, address: CustomObject) -> None:
    """Has the IPAddress of a Service stored.

    Raises:
        ApiError: there is one already, and the Service wants just this.
        _OutrunError: there is one already, and the Service may have another.
    """
    name = address.metadata.name
    try:
        record(address)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        if name not in addresses_of_service(wished):
            raise _OutrunError(name) from error
        raise _refusal(wished, unobtainable(wished.spec, name, "provided IP is already allocated")) from error


def _refusal(service: Service, problem: str) -> ApiError:
    """The allocator's ``path: Invalid value: ...`` as a Status; what else is wrong is an internal error."""
    path, _, why = problem.partition(": ")
    if not why.startswith("Invalid value: "):
        fault = why if path.startswith("spec.") else problem
        return ApiError(500, "InternalError", f"Internal error occurred: {fault}", {"causes": [{"message": fault}]})
    name = service.metadata.name
    causes = [{"reason": "FieldValueInvalid", "message": why, "field": path}]
    details = {"name": name, "kind": "Service", "causes": causes}
    return ApiError(422, "Invalid", f'Service "{name}" is invalid: {problem}', details)
