"""What is: an immutable snapshot of all objects, and the deltas that lead from one to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from pyrsistent import PMap, pmap

from state.errors import StateError
from state.objects import KINDS, AnyObject, find_kind, kind_key

#: Namespace and name; the namespace of a cluster-scoped object is "".
NsName = tuple[str, str]
Table = Mapping[NsName, AnyObject]

#: A table of which more than one object in this many changed is built anew: cheaper than one ``PMap.set`` each.
_REBUILD_SHARE = 8
#: Digits of the largest revision (an unsigned integer of 64 bits); a longer ``resourceVersion`` is none of ours.
_REVISION_DIGITS = 20


class Key(NamedTuple):
    """The identity of an object for as long as it lives: kind, namespace ("" if cluster-scoped), name."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, obj: AnyObject) -> Key:
        """The key under which a snapshot keeps the object."""
        meta = obj.metadata
        return cls(kind_key(obj), meta.namespace, meta.name)

    @classmethod
    def parse(cls, text: str, namespace: str = "default") -> Key:
        """Reads ``pod/default/web-0``, ``pod/web-0`` (in ``namespace``) or ``node/n1``; short names work, too.

        Raises:
            StateError: the text has another form.
        """
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(parts):
            msg = f"{text!r} names no object: expected KIND/NAME or KIND/NAMESPACE/NAME, as in pod/default/web-0"
            raise StateError(msg)
        kind = find_kind(parts[0])
        if kind is not None and not kind.namespaced:
            if len(parts) == 3:
                raise StateError(f"{text!r} names no object: a {kind.name} has no namespace; expected {parts[0]}/NAME")
            return cls(kind.name, "", parts[1])
        name = kind.name if kind is not None else parts[0]
        return cls(name, parts[1] if len(parts) == 3 else namespace, parts[-1])

    @property
    def ns_name(self) -> NsName:
        """The key within the table of the kind."""
        return (self.namespace, self.name)

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind.lower(), self.namespace, self.name) if part)


class Objects(Protocol):
    """What can be asked for an object: a snapshot, a workspace."""

    @property
    def kinds(self) -> list[str]:
        """The kinds of which there is an object, sorted."""

    def get(self, key: Key) -> AnyObject | None:
        """The object, or None."""


def find_key(text: str, objects: Objects, namespace: str = "default") -> Key:
    """The key that a text means among these objects: what ``Key.parse`` reads, and kinds without a type, too.

    How the name of such a kind is written (``rollout``, ``rollouts.argoproj.io``), and whether it has namespaces, only
    the objects themselves can tell.

    Raises:
        StateError: the text names no object.
    """
    key = Key.parse(text, namespace)
    if key.kind in KINDS or objects.get(key) is not None:
        return key
    word, _, group = key.kind.lower().partition(".")
    for kind in objects.kinds:
        name, _, its_group = kind.lower().partition(".")
        if kind in KINDS or word not in (name, name + "s") or group not in ("", its_group):
            continue
        for place in (key.namespace,) if text.count("/") > 1 else (key.namespace, ""):
            found = Key(kind, place, key.name)
            if objects.get(found) is not None:
                return found
    return key


class Change(NamedTuple):
    """One object before and after; ``None`` where it doesn't exist."""

    key: Key
    old: AnyObject | None
    new: AnyObject | None


class Binding(Change):
    """A change that assigns a pod to a node and does nothing else: new are its node and what its status says of that.

    There is one for each pod that is placed; who looks at nothing of it may pass it over.
    """

    __slots__ = ()


Delta = tuple[Change, ...]


def is_namespaced(obj: AnyObject) -> bool:
    """Whether the object's kind has a namespace; of a kind that isn't typed, whether this object names one."""
    kind = KINDS.get(kind_key(obj))
    return kind.namespaced if kind is not None else bool(obj.metadata.namespace)


class Snapshot:
    """All objects at one revision. Never changes; a changed copy shares what stayed.

    ``revision`` grows with every change, as etcd's does; ``metadata.resourceVersion`` of an object is the revision of
    its last change.
    """

    __slots__ = ("_tables", "revision")

    def __init__(self, tables: PMap[str, PMap[NsName, AnyObject]] | None = None, revision: int = 0) -> None:
        self._tables: PMap[str, PMap[NsName, AnyObject]] = pmap() if tables is None else tables
        self.revision = revision

    @classmethod
    def of(cls, objects: Iterable[AnyObject], revision: int | None = None) -> Snapshot:
        """A snapshot of these objects; the last one of a key wins.

        ``revision`` defaults to the highest ``resourceVersion`` that is a number.
        """
        tables: dict[str, dict[NsName, AnyObject]] = {}
        highest = 0
        for obj in objects:
            meta = obj.metadata
            tables.setdefault(kind_key(obj), {})[meta.namespace, meta.name] = obj
            version = meta.resource_version
            if version is not None and version.isdecimal() and len(version) <= _REVISION_DIGITS:
                highest = max(highest, int(version))
        persistent: dict[str, PMap[NsName, AnyObject]] = {kind: pmap(table) for kind, table in tables.items()}
        return cls(pmap(persistent), highest if revision is None else revision)

    @property
    def kinds(self) -> list[str]:
        """The kinds of which there is an object, sorted."""
        return sorted(kind for kind, table in self._tables.items() if table)

    def table(self, kind: str) -> Table:
        """All objects of a kind by namespace and name."""
        return self._tables.get(kind, pmap())

    def get(self, key: Key) -> AnyObject | None:
        """The object, or None."""
        return self.table(key.kind).get((key.namespace, key.name))

    def objects(self, kind: str) -> list[AnyObject]:
        """All objects of a kind, sorted by namespace and name."""
        table = self.table(kind)
        return [table[ns_name] for ns_name in sorted(table)]

    def __iter__(self) -> Iterator[AnyObject]:
        """All objects, sorted by kind, namespace and name."""
        for kind in self.kinds:
            yield from self.objects(kind)

    def __len__(self) -> int:
        return sum(len(table) for table in self._tables.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self.revision == other.revision and not self.diff(other)

    def __hash__(self) -> int:
        return hash((self.revision, len(self)))

    def __repr__(self) -> str:
        counts = ", ".join(f"{kind} {len(self.table(kind))}" for kind in self.kinds)
        return f"<Snapshot at {self.revision}: {counts or 'empty'}>"

    def diff(self, newer: Snapshot) -> Delta:
        """What leads from this snapshot to ``newer``, sorted by key. Shared tables cost nothing."""
        changes = []
        for kind in sorted({*self._tables, *newer._tables}):
            before, after = self.table(kind), newer.table(kind)
            if before is after:
                continue
            for ns_name in sorted({*before, *after}):
                old, new = before.get(ns_name), after.get(ns_name)
                if old is not new and old != new:
                    changes.append(Change(Key(kind, *ns_name), old, new))
        return tuple(changes)

    def apply(self, delta: Iterable[Change], revision: int | None = None) -> Snapshot:
        """The snapshot after a delta. ``revision`` defaults to the next one."""
        by_kind: dict[str, list[Change]] = {}
        for change in delta:
            by_kind.setdefault(change.key.kind, []).append(change)
        tables = self._tables
        for kind, changes in sorted(by_kind.items()):
            tables = tables.set(kind, _changed(tables.get(kind, pmap()), changes))
        return Snapshot(tables, self.revision + 1 if revision is None else revision)

    def with_tables(
        self, changed: Iterable[tuple[str, list[NsName], dict[NsName, AnyObject]]], revision: int
    ) -> Snapshot:
        """The snapshot with some kinds' tables as they are now: kind, what changed in it, and the whole table."""
        tables = self._tables
        table: PMap[NsName, AnyObject]
        for kind, ns_names, now in changed:
            if len(ns_names) * _REBUILD_SHARE > len(now):
                table = pmap(now)
            else:
                table = _each_set(tables.get(kind, pmap()), ((ns_name, now.get(ns_name)) for ns_name in ns_names))
            tables = tables.set(kind, table)
        return Snapshot(tables, revision)


def _changed(table: PMap[NsName, AnyObject], changes: list[Change]) -> PMap[NsName, AnyObject]:
    """The table with the changes made, by whichever way is cheaper."""
    if len(changes) * _REBUILD_SHARE > len(table):
        plain = dict(table)
        for key, _, new in changes:
            if new is None:
                plain.pop(key.ns_name, None)
            else:
                plain[key.ns_name] = new
        return pmap(plain)
    return _each_set(table, ((key.ns_name, new) for key, _, new in changes))


def _each_set(
    table: PMap[NsName, AnyObject], items: Iterable[tuple[NsName, AnyObject | None]]
) -> PMap[NsName, AnyObject]:
    """The table with each item set, or gone where it is None."""
    for ns_name, obj in items:
        table = table.discard(ns_name) if obj is None else table.set(ns_name, obj)
    return table
