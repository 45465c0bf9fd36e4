"""Cluster IPs and node ports at the moment when a Service is stored: ``rules.services``, asked at once.

It works on a copy of all Services, kept up by a watch of the store, so that nothing that was given away is given again.
Several servers on one store take turns: what is given away is stored only if nobody else has taken the turn meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from reconciler.apiserver.locks import Lock
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import ApiError, unavailable
from reconciler.apiserver.storage import Storage
from reconciler.cycle import Cycle
from rules.services import CLUSTER_CIDR, NODE_PORTS, Services
from state.objects import Service, replace
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
        self._cidrs, self._node_ports = cidrs, node_ports
        self._lock = Lock()
        self._begin()

    def _begin(self) -> None:
        page = self._storage.page(self._resource, "")
        services = [self._storage.object_of(self._resource, entry) for entry in page.entries]
        self._cycle = Cycle(Snapshot.of(services), [Services(self._cidrs, self._node_ports)])
        self._watch = self._storage.store.watch(self._resource.prefix, page.revision)

    def complete(self, service: Service, now: int, store: Callable[[Service, Fence | None], ResultT]) -> ResultT:
        """Has a Service stored with all that it is to have; nobody is given any of it before that is done.

        Args:
            service: what is wished for.
            now: the time, µs since the epoch.
            store: stores it, with a fence if there is one.

        Raises:
            ApiError: it asks for what it can't have, or isn't stored.
        """
        for attempt in range(_ATTEMPTS):
            with self._turn() as fence, self._completed(service, now) as complete:
                try:
                    return store(complete, fence)
                except ApiError as error:
                    if not isinstance(error.__cause__, FencedError) or attempt == _ATTEMPTS - 1:
                        raise
        raise AssertionError("the last attempt returns or raises")

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
            self._take_over(self._watch.read(0))
            for _ in range(int(_PATIENCE / _PAUSE)):
                if self._watch.revision >= revision:
                    return
                self._take_over(self._watch.read(_PAUSE))
        except CompactedError:
            self._watch.close()
            self._begin()
        except StoreUnavailableError as error:
            raise unavailable(str(error)) from error
        else:
            raise unavailable(f"the store doesn't say what happened up to revision {revision}")

    def _take_over(self, events: Sequence[Event]) -> None:
        for event in events:
            namespace, name = self._resource.place(event.key)
            key = Key("Service", namespace, name)
            new = None
            if event.value is not None:
                new = self._storage.object_of(self._resource, Entry(event.key, event.value, event.revision))
            self._cycle.observe([Change(key, self._cycle.ws.get(key), new)])

    @contextmanager
    def _completed(self, service: Service, now: int) -> Iterator[Service]:
        """The Service with all that it is to have, which is known as taken while the block lasts."""
        key = Key.of(service)
        before = self._cycle.ws.get(key)
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
            yield replace(found, metadata=meta)
        finally:
            self._cycle.observe([Change(key, self._cycle.ws.get(key), before)])

    def _check(self, service: Service, key: Key) -> None:
        note = self._cycle.ctx.notes.get((Services.name, key))
        if note is not None and note.rule == _REFUSED:
            raise _refusal(service, str(note.because["problem"]))


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
