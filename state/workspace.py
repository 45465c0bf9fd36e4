"""A snapshot being worked on: rules read it and change it object by object; ``commit`` gives the next snapshot.

The tables and indexes in here are caches of the snapshot. They stay warm from one cycle to the next, which is what
makes a cycle cost what changed and not what exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from state import selectors
from state.indexes import Indexes
from state.objects import AnyObject, ObjectMeta, Pod, controller_of, replace
from state.snapshot import Binding, Change, Delta, Key, NsName, Snapshot

ObjectT = TypeVar("ObjectT", bound=AnyObject)
Listener = Callable[[Change], None]


class Workspace:
    """The mutable view of a snapshot during a cycle.

    Every write is told to the listeners at once. Objects written get ``metadata.resourceVersion`` of the revision that
    ``commit`` will make. What ``table`` returns is not to be written to.
    """

    __slots__ = ("_before", "_listeners", "_tables", "indexes", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._tables: dict[str, dict[NsName, AnyObject]] = {kind: dict(snapshot.table(kind)) for kind in snapshot.kinds}
        self.indexes = Indexes.build(self._tables)
        #: What each object that was changed since the last commit was then.
        self._before: dict[Key, AnyObject | None] = {}
        self._listeners: list[Listener] = []

    @property
    def revision(self) -> int:
        """The revision that the next commit makes."""
        return self.snapshot.revision + 1

    @property
    def is_changed(self) -> bool:
        """Whether anything was written since the last commit."""
        return bool(self._before)

    @property
    def kinds(self) -> list[str]:
        """The kinds of which there is an object, sorted."""
        return sorted(kind for kind, table in self._tables.items() if table)

    def listen(self, listener: Listener) -> None:
        """Calls ``listener`` with every change from now on, in the order of writing."""
        self._listeners.append(listener)

    def table(self, kind: str) -> Mapping[NsName, AnyObject]:
        """All objects of a kind by namespace and name; empty if there is none. A live view."""
        return self._tables.setdefault(kind, {})

    def get(self, key: Key) -> AnyObject | None:
        """The object, or None."""
        table = self._tables.get(key[0])
        return None if table is None else table.get((key[1], key[2]))

    def find(self, expected: type[ObjectT], namespace: str, name: str) -> ObjectT | None:
        """The object of a typed kind, or None."""
        table = self._tables.get(expected.kind)
        found = None if table is None else table.get((namespace, name))
        assert found is None or isinstance(found, expected)
        return found

    def must(self, expected: type[ObjectT], key: Key) -> ObjectT:
        """The object of a typed kind that has to be there: a rule fired for it."""
        found = self.find(expected, key.namespace, key.name)
        assert found is not None, f"{key} isn't there"
        return found

    def objects(self, expected: type[ObjectT]) -> list[ObjectT]:
        """All objects of a typed kind, sorted by namespace and name."""
        table = self._tables.get(expected.kind, {})
        return [obj for ns_name in sorted(table) if isinstance(obj := table[ns_name], expected)]

    def owned(self, owner: AnyObject, expected: type[ObjectT]) -> list[ObjectT]:
        """The objects of a typed kind that name ``owner`` as their *controller*, sorted by name."""
        uid = owner.metadata.uid
        table = self._tables.get(expected.kind, {})
        found = (table[key.ns_name] for key in self.indexes.owned_by(uid, expected.kind))
        return [obj for obj in found if isinstance(obj, expected) and controller_uid(obj) == uid]

    def orphans(self, namespace: str, expected: type[ObjectT], labels: Mapping[str, str]) -> list[ObjectT]:
        """The objects of a typed kind (one of ``indexes.ADOPTABLE_KINDS``) without a controller, sorted by name.

        ``labels`` are those that the asker insists on; they narrow the search down, but not to the end.
        """
        table = self._tables.get(expected.kind, {})
        names = self.indexes.orphans(expected.kind, namespace, labels)
        return [obj for name in names if isinstance(obj := table[name], expected)]

    def pods_on(self, node: str) -> list[Pod]:
        """The pods bound to a node, sorted by namespace and name."""
        return self._pods(self.indexes.pods_on(node))

    def pods_matching(self, namespace: str, selector: selectors.Selector) -> list[Pod]:
        """The pods of a namespace that a selector matches, sorted by name."""
        return self._pods(self.indexes.pods_matching(namespace, selector, self.table("Pod")))

    def _pods(self, ns_names: Iterable[NsName]) -> list[Pod]:
        table = self.table("Pod")
        return [pod for ns_name in ns_names if isinstance(pod := table[ns_name], Pod)]

    def put(self, obj: ObjectT) -> ObjectT:
        """Stores an object, new or changed, and returns it as stored."""
        meta = self.stamped(obj.metadata)
        stored: ObjectT = obj if meta is obj.metadata else replace(obj, metadata=meta)
        self._write(Key.of(stored), stored)
        return stored

    def bind(self, pod: Pod, bound: Pod) -> None:
        """Stores a pod that has come to a node; it differs from ``pod`` by that, and what its status says of it."""
        key = Key("Pod", pod.metadata.namespace, pod.metadata.name)
        table = self._tables["Pod"]
        old = table.get(key[1:])
        if old is not pod or pod.spec.node_name:
            self._write(key, bound)
            return
        table[key[1:]] = bound
        self._before.setdefault(key, pod)
        self._tell(Binding(key, pod, bound))

    def stamped(self, meta: ObjectMeta) -> ObjectMeta:
        """The metadata as it is stored now: with the revision of the next commit."""
        version = str(self.revision)
        return meta if meta.resource_version == version else replace(meta, resource_version=version)

    def remove(self, key: Key) -> None:
        """Takes an object away; one that isn't there is no error."""
        if self.get(key) is not None:
            self._write(key, None)

    def observe(self, delta: Iterable[Change]) -> None:
        """Takes over changes that were made elsewhere, as they are."""
        for key, _, new in delta:
            self._write(key, new)

    def _write(self, key: Key, new: AnyObject | None) -> None:
        table = self._tables.setdefault(key[0], {})
        ns_name = (key[1], key[2])
        old = table.get(ns_name)
        if new is None:
            if old is None:
                return
            del table[ns_name]
        else:
            table[ns_name] = new
        self._before.setdefault(key, old)
        self._tell(Change(key, old, new))

    def _tell(self, change: Change) -> None:
        self.indexes.advance(change)
        for listener in self._listeners:
            listener(change)

    def changes(self) -> Delta:
        """What was changed since the last commit, sorted by key; what came and went is no change."""
        return tuple(
            Change(key, old, new) for key, old in sorted(self._before.items()) if old is not (new := self.get(key))
        )

    def commit(self) -> None:
        """Makes the next snapshot of all changes since the last one; without any, it and its revision stay."""
        changed: dict[str, list[NsName]] = {}
        for key, old in self._before.items():
            if old is not self.get(key):
                changed.setdefault(key[0], []).append((key[1], key[2]))
        self._before.clear()
        if changed:
            tables = ((kind, ns_names, self._tables[kind]) for kind, ns_names in changed.items())
            self.snapshot = self.snapshot.with_tables(tables, self.revision)


def controller_uid(obj: AnyObject) -> str | None:
    """The uid of the owner that manages the object, or None."""
    owner = controller_of(obj)
    return None if owner is None else owner.uid
