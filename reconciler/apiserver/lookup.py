"""What admission looks up in a store. Every write does: so lists are at hand, kept up by the store's news, and cost a
look at a flag.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any, TypeVar

from reconciler.apiserver.resources import Resource
from reconciler.apiserver.storage import Storage
from state.objects import AnyObject, Object
from state.store.feed import Watch
from state.store.records import CompactedError, Entry, Event

ObjectT = TypeVar("ObjectT", bound=AnyObject)


class StoredObjects:
    """What admission looks up, as it is in the store now (a ``rules.admission.Lookup``)."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._informers: dict[type[Any], Informer] = {}

    def find(self, expected: type[ObjectT], namespace: str, name: str) -> ObjectT | None:
        """The object of a typed kind, or None."""
        stored = self._storage.get(self._resource(expected), namespace, name)
        obj = None if stored is None else stored.object
        assert obj is None or isinstance(obj, expected)
        return obj

    def objects(self, expected: type[ObjectT], namespace: str = "") -> list[ObjectT]:
        """All objects of a typed kind (in a namespace), sorted by namespace and name."""
        return [obj for obj in self._objects(expected, namespace) if isinstance(obj, expected)]

    def _objects(self, expected: type[Any], namespace: str) -> Iterable[AnyObject]:
        if self._storage.store.shared:  # its news takes a moment
            return (stored.object for stored in self._storage.all(self._resource(expected), namespace))
        informer = self._informers.get(expected)
        if informer is None:
            informer = self._informers.setdefault(expected, Informer(self._storage, self._resource(expected)))
        return informer.objects(namespace)

    def _resource(self, expected: type[Any]) -> Resource:
        assert issubclass(expected, Object)
        resource = self._storage.registry.of_kind(expected.api_version, expected.kind)
        assert resource is not None
        return resource


class Informer:
    """All objects of a resource, for a store that no other program shares: there the news of a write is out before the
    write is acknowledged, so that nothing in here is ever older than a list would be. Usable from any thread.
    """

    def __init__(self, storage: Storage, resource: Resource) -> None:
        self._storage, self._resource = storage, resource
        self._lock = Lock()
        self._watch: Watch | None = None
        #: Whether something was written that isn't known here.
        self._is_stale = True
        #: By namespace, sorted by name.
        self._objects: dict[str, tuple[AnyObject, ...]] = {}

    def objects(self, namespace: str = "") -> Sequence[AnyObject]:
        """The objects (of a namespace), sorted by namespace and name.

        Raises:
            StoreError: the store can't be read.
        """
        if self._is_stale:
            with self._lock:
                self._catch_up()
        if namespace:
            return self._objects.get(namespace, ())
        return [obj for _, found in sorted(self._objects.items()) for obj in found]

    def _catch_up(self) -> None:
        """Takes over what is new; after any failure everything is read anew the next time."""
        if not self._is_stale:
            return  # another thread was first
        self._is_stale = False
        try:
            if self._watch is None or not self._follow(self._watch):
                self._begin()
        except BaseException:
            self._end()
            raise

    def _follow(self, watch: Watch) -> bool:
        """Takes over the news; whether there was no gap in them."""
        try:
            self._take_over(watch.read(0))
        except CompactedError:
            self._end()
            return False
        return True

    def _begin(self) -> None:
        store = self._storage.store
        self._is_stale = False
        self._watch = store.watch(self._resource.prefix, store.revision(), on_ready=self._changed)
        self._watch.read(0)  # from now on it says when there is something
        found: dict[str, list[AnyObject]] = {}
        for stored in self._storage.all(self._resource):
            found.setdefault(stored.object.metadata.namespace, []).append(stored.object)
        self._objects = {namespace: tuple(objects) for namespace, objects in found.items()}

    def _end(self) -> None:
        watch, self._watch = self._watch, None
        self._is_stale = True
        if watch is not None:
            watch.close()

    def _changed(self) -> None:
        self._is_stale = True

    def _take_over(self, events: Sequence[Event]) -> None:
        """Puts what happened in place of what was known; who is just reading keeps what there was."""
        objects = dict(self._objects)
        for event in events:
            namespace, name = self._resource.place(event.key)
            found = {obj.metadata.name: obj for obj in objects.get(namespace, ())}
            found.pop(name, None)
            if event.value is not None:
                entry = Entry(event.key, event.value, event.revision)
                found[name] = self._storage.object_of(self._resource, entry)
            objects[namespace] = tuple(obj for _, obj in sorted(found.items()))
        self._objects = {namespace: found for namespace, found in objects.items() if found}
