"""Cluster IPs and node ports at the moment when a Service is stored: ``rules.services``, asked at once.

It works on a copy of all Services, kept up by a watch of the store, so that nothing that was given away is given again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import ApiError, internal
from reconciler.apiserver.storage import Storage
from reconciler.cycle import Cycle
from rules.services import CLUSTER_CIDR, NODE_PORTS, Services
from state.objects import Service, replace
from state.snapshot import Change, Key, Snapshot
from state.store.records import Entry

#: Later than any other Service: one that exists keeps what it has.
_YOUNGEST = "9999-12-31T23:59:59Z"
_REFUSED = "service-refused"


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
        self._lock = Lock()
        page = storage.page(resource, "")
        services = [storage.object_of(resource, entry) for entry in page.entries]
        self._cycle = Cycle(Snapshot.of(services), [Services(cidrs, node_ports)])
        self._watch = storage.store.watch(resource.prefix, page.revision)

    @contextmanager
    def completed(self, service: Service, now: int) -> Iterator[Service]:
        """The Service with all that it is to have; nobody else is given any of it while the block lasts.

        Raises:
            ApiError: it asks for what it can't have.
        """
        with self._lock:
            self._catch_up()
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

    def _catch_up(self) -> None:
        for event in self._watch.read(0):
            namespace, name = self._resource.place(event.key)
            key = Key("Service", namespace, name)
            new = None
            if event.value is not None:
                new = self._storage.object_of(self._resource, Entry(event.key, event.value, event.revision))
            self._cycle.observe([Change(key, self._cycle.ws.get(key), new)])

    def _check(self, service: Service, key: Key) -> None:
        note = self._cycle.ctx.notes.get((Services.name, key))
        if note is not None and note.rule == _REFUSED:
            raise _refusal(service, str(note.because["problem"]))


def _refusal(service: Service, problem: str) -> ApiError:
    """The allocator's ``path: Invalid value: ...`` as a Status."""
    path, _, why = problem.partition(": ")
    if not why.startswith("Invalid value: "):
        return internal(problem)
    name = service.metadata.name
    causes = [{"reason": "FieldValueInvalid", "message": why, "field": path}]
    details = {"name": name, "kind": "Service", "causes": causes}
    return ApiError(422, "Invalid", f'Service "{name}" is invalid: {problem}', details)
