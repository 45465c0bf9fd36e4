"""Tables derived from the objects, for the questions that rules ask: who owns, who runs where, who selects whom.

Caches only: whatever they answer can be had from the objects alone, and one that was moved forward change by change
answers as a fresh one does. Answers come sorted, so that history can't show in a result.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from state import selectors
from state.objects import AnyObject, LabelSelector, ObjectMeta, Pod, Service, controller_of
from state.snapshot import Binding, Change, Key, NsName, Table

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V", bound=Hashable)
_Bucket = dict[NsName, None]
_Keys = dict[Key, None]

#: Kinds whose selector picks pods.
SELECTING_KINDS = (
    "DaemonSet",
    "Job",
    "PodDisruptionBudget",
    "ReplicaSet",
    "ReplicationController",
    "Service",
    "StatefulSet",
)

#: Kinds that a controller takes over when its selector matches.
ADOPTABLE_KINDS = ("ControllerRevision", "Pod", "ReplicaSet")


def pod_selector(obj: AnyObject) -> selectors.Selector | None:
    """The selector over pods that an object of ``SELECTING_KINDS`` has; None if it selects nothing."""
    selector: LabelSelector | dict[str, str] | None = getattr(getattr(obj, "spec", None), "selector", None)
    if isinstance(selector, LabelSelector):
        return selectors.from_object(selector)
    if not selector or (isinstance(obj, Service) and obj.spec.type == "ExternalName"):
        return None
    return selectors.from_object(LabelSelector(match_labels=selector))


class Indexes:
    """Derived tables over one workspace's objects; ``advance`` moves them forward by one change."""

    __slots__ = ("_labelled", "_orphans", "_owned", "_pods_by_namespace", "_pods_on", "_selecting", "_selectors")

    def __init__(self) -> None:
        self._owned: dict[str, _Keys] = {}
        #: Objects without a controller under kind and namespace, and under each of their labels, too.
        self._orphans: dict[tuple[str, ...], _Bucket] = {}
        #: By node; those on none under "".
        self._pods_on: dict[str, _Bucket] = {}
        self._pods_by_namespace: dict[str, _Bucket] = {}
        self._labelled: dict[tuple[str, str, str], _Bucket] = {}
        #: Selecting objects under one label that they insist on, or under the namespace alone.
        self._selecting: dict[tuple[str, str, str] | str, _Keys] = {}
        self._selectors: dict[Key, selectors.Selector] = {}

    @classmethod
    def build(cls, tables: Mapping[str, Table]) -> Indexes:
        """The indexes of these objects, from nothing."""
        indexes = cls()
        for kind, table in tables.items():
            for ns_name, obj in table.items():
                indexes.advance(Change(Key(kind, *ns_name), None, obj))
        return indexes

    def advance(self, change: Change) -> None:
        """Moves all tables forward by one change."""
        key, old, new = change
        if type(change) is Binding:
            assert isinstance(new, Pod)
            self._bind(key.ns_name, new.spec.node_name or "")
            return
        self._advance_owners(key, old, new)
        if key.kind in ADOPTABLE_KINDS:
            self._advance_orphans(key, old, new)
        if key.kind == "Pod":
            assert old is None or isinstance(old, Pod)
            assert new is None or isinstance(new, Pod)
            self._advance_pod(key.ns_name, old, new)
        elif key.kind in SELECTING_KINDS:
            self._advance_selecting(key, old, new)

    def _advance_owners(self, key: Key, old: AnyObject | None, new: AnyObject | None) -> None:
        before = () if old is None else old.metadata.owner_references
        after = () if new is None else new.metadata.owner_references
        if before is after or before == after:
            return
        for uid in {owner.uid for owner in before}:
            _drop(self._owned, uid, key)
        for owner in after:
            self._owned.setdefault(owner.uid, {})[key] = None

    def _advance_orphans(self, key: Key, old: AnyObject | None, new: AnyObject | None) -> None:
        if old is not None and new is not None and _is_found_alike(old.metadata, new.metadata):
            return
        before, after = _orphan_handles(key, old), _orphan_handles(key, new)
        if before == after:
            return
        for handle in before:
            _drop(self._orphans, handle, key.ns_name)
        for handle in after:
            self._orphans.setdefault(handle, {})[key.ns_name] = None

    def _bind(self, ns_name: NsName, node: str) -> None:
        _drop(self._pods_on, "", ns_name)
        self._pods_on.setdefault(node, {})[ns_name] = None

    def _advance_pod(self, ns_name: NsName, old: Pod | None, new: Pod | None) -> None:
        node_before = None if old is None else old.spec.node_name
        node_after = None if new is None else new.spec.node_name
        if node_before != node_after or old is None or new is None:
            if old is not None:
                _drop(self._pods_on, node_before or "", ns_name)
            if new is not None:
                self._pods_on.setdefault(node_after or "", {})[ns_name] = None
        if old is None or new is None:
            if new is None:
                _drop(self._pods_by_namespace, ns_name[0], ns_name)
            else:
                self._pods_by_namespace.setdefault(ns_name[0], {})[ns_name] = None
        labels_before = {} if old is None else old.metadata.labels
        labels_after = {} if new is None else new.metadata.labels
        if labels_before is labels_after or labels_before == labels_after:
            return
        for name, value in labels_before.items():
            _drop(self._labelled, (ns_name[0], name, value), ns_name)
        for name, value in labels_after.items():
            self._labelled.setdefault((ns_name[0], name, value), {})[ns_name] = None

    def _advance_selecting(self, key: Key, old: AnyObject | None, new: AnyObject | None) -> None:
        if old is not None and key in self._selectors:
            _drop(self._selecting, _handle(key.namespace, self._selectors.pop(key)), key)
        selector = None if new is None else pod_selector(new)
        if selector is not None:
            self._selectors[key] = selector
            self._selecting.setdefault(_handle(key.namespace, selector), {})[key] = None

    def owned_by(self, uid: str, kind: str | None = None) -> list[Key]:
        """The objects with an owner reference to this uid, of one kind or of all."""
        return sorted(key for key in self._owned.get(uid, ()) if kind is None or key.kind == kind)

    def has_dependents(self, uid: str) -> bool:
        """Whether any object names this uid as an owner."""
        return uid in self._owned

    def orphans(self, kind: str, namespace: str, labels: Mapping[str, str]) -> list[NsName]:
        """The objects of one of ``ADOPTABLE_KINDS`` that no controller manages and that have at least one of the
        labels given; of none given, all.
        """
        buckets = [self._orphans.get((kind, namespace, *label), {}) for label in labels.items()]
        return sorted(min(buckets, key=len) if buckets else self._orphans.get((kind, namespace), ()))

    def pods_on(self, node: str) -> list[NsName]:
        """The pods bound to a node."""
        return sorted(self._pods_on.get(node, ()))

    def unassigned_pods(self) -> list[NsName]:
        """The pods that are bound to no node."""
        return sorted(self._pods_on.get("", ()))

    def pods_matching(self, namespace: str, selector: selectors.Selector, pods: Table) -> list[NsName]:
        """The pods of a namespace that a selector matches."""
        buckets = [self._labelled.get((namespace, name, value), {}) for name, value in selector.equalities().items()]
        candidates = min(buckets, key=len) if buckets else self._pods_by_namespace.get(namespace, {})
        return sorted(ns_name for ns_name in candidates if selector.matches(pods[ns_name].metadata.labels))

    def selecting(self, namespace: str, labels: Mapping[str, str], kinds: Iterable[str] | None = None) -> list[Key]:
        """The objects (Services, ReplicaSets, …) of a namespace whose selector matches a pod with these labels."""
        found = list(self._selecting.get(namespace, ()))
        for name, value in labels.items():
            found.extend(self._selecting.get((namespace, name, value), ()))
        if not found:
            return found
        return sorted(
            key for key in found if (kinds is None or key.kind in kinds) and self._selectors[key].matches(labels)
        )


def _is_found_alike(old: ObjectMeta, new: ObjectMeta) -> bool:
    """Whether labels and owners are the very same; others may still be equal."""
    return old.labels is new.labels and old.owner_references is new.owner_references


def _orphan_handles(key: Key, obj: AnyObject | None) -> list[tuple[str, ...]]:
    """Where an object without a controller is kept."""
    if obj is None or controller_of(obj) is not None:
        return []
    place = (key.kind, key.namespace)
    return [place, *((*place, *label) for label in obj.metadata.labels.items())]


def _handle(namespace: str, selector: selectors.Selector) -> tuple[str, str, str] | str:
    """Where a selecting object is kept: under the first label that it insists on, else under its namespace."""
    equalities = selector.equalities()
    if not equalities:
        return namespace
    name = min(equalities)
    return (namespace, name, equalities[name])


def _drop(table: dict[_K, dict[_V, None]], key: _K, item: _V) -> None:
    """Removes an item from a bucket, and the bucket with its last item."""
    bucket = table[key]
    del bucket[item]
    if not bucket:
        del table[key]
