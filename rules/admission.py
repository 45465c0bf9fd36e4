"""What a cluster's default admission plug-ins add to a new object, beyond the static defaults of its type."""

from __future__ import annotations

from typing import Protocol, TypeVar

from state.objects import (
    AnyObject,
    ObjectMeta,
    PersistentVolumeClaim,
    Pod,
    PodSpec,
    PriorityClass,
    StorageClass,
    Toleration,
    replace,
)
from state.qos import qos_class

ObjectT = TypeVar("ObjectT", bound=AnyObject)

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_DEFAULT_CLASS_BETA = "storageclass.beta.kubernetes.io/is-default-class"
#: How long a pod stays on a node that is lost (DefaultTolerationSeconds).
_TOLERATION_SECONDS = 300
_NODE_TROUBLE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")

#: The classes that every cluster has.
_SYSTEM_CLASSES = {
    name: PriorityClass(metadata=ObjectMeta(name=name), value=value)
    for name, value in (("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000))
}


class Lookup(Protocol):
    """Where the plug-ins look things up: a workspace, or an API server's store."""

    def find(self, expected: type[ObjectT], namespace: str, name: str) -> ObjectT | None:
        """The object, or None."""

    def objects(self, expected: type[ObjectT]) -> list[ObjectT]:
        """All objects of a kind, sorted by namespace and name."""


def admit(ws: Lookup, obj: AnyObject) -> AnyObject:
    """The object as it would be stored.

    The plug-ins are Priority, ServiceAccount, DefaultTolerationSeconds and DefaultStorageClass. No token volume is
    added: no token is issued here.
    """
    if isinstance(obj, Pod):
        return admit_pod(ws, obj)
    if isinstance(obj, PersistentVolumeClaim) and obj.spec.storage_class_name is None:
        name = default_storage_class(ws)
        if name is not None:
            return replace(obj, spec=replace(obj.spec, storage_class_name=name))
    return obj


def admit_update(obj: AnyObject) -> AnyObject:
    """A changed object as it would be stored: a pod always has the tolerations of a lost node."""
    if not isinstance(obj, Pod):
        return obj
    missing = _missing_tolerations(obj.spec.tolerations)
    return replace(obj, spec=replace(obj.spec, tolerations=(*obj.spec.tolerations, *missing))) if missing else obj


def admit_pod(ws: Lookup, pod: Pod) -> Pod:
    """A new pod with priority, tolerations, service account, and the status that the API server starts it with."""
    spec = admit_pod_spec(ws, pod.spec)
    status = replace(pod.status, phase=pod.status.phase or "Pending", qos_class=pod.status.qos_class or qos_class(spec))
    return replace(pod, spec=spec, status=status)


def admit_pod_spec(ws: Lookup, spec: PodSpec) -> PodSpec:
    """The pod spec after admission; the very same object if nothing is to be added."""
    changes: dict[str, object] = {}
    if not spec.service_account_name:
        changes["service_account_name"] = changes["service_account"] = "default"
    tolerations = (*spec.tolerations, *_missing_tolerations(spec.tolerations))
    if len(tolerations) != len(spec.tolerations):
        changes["tolerations"] = tolerations
    if spec.priority is None:
        priority_class = _priority_class(ws, spec.priority_class_name)
        changes["priority"] = 0 if priority_class is None else priority_class.value
        policy = None if priority_class is None else priority_class.preemption_policy
        if spec.preemption_policy is None:
            changes["preemption_policy"] = policy or "PreemptLowerPriority"
        if priority_class is not None and not spec.priority_class_name:
            changes["priority_class_name"] = priority_class.metadata.name
    return replace(spec, **changes) if changes else spec


def _missing_tolerations(present: tuple[Toleration, ...]) -> tuple[Toleration, ...]:
    """The tolerations of a lost node that a pod doesn't already have, for five minutes each."""
    return tuple(
        Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=_TOLERATION_SECONDS)
        for key in _NODE_TROUBLE
        if not any(t.key in (key, None, "") and t.effect in ("NoExecute", None, "") for t in present)
    )


def _priority_class(ws: Lookup, name: str | None) -> PriorityClass | None:
    """The class named, or without a name the global default: of several the one with the lowest value."""
    if name:
        return _SYSTEM_CLASSES.get(name) or ws.find(PriorityClass, "", name)
    defaults = [item for item in ws.objects(PriorityClass) if item.global_default]
    return min(defaults, key=lambda item: item.value, default=None)


def default_storage_class(ws: Lookup) -> str | None:
    """The class of claims that name none: of several marked as default the newest, then the first by name."""
    marked = [
        item
        for item in ws.objects(StorageClass)
        if "true" in (item.metadata.annotations.get(_DEFAULT_CLASS), item.metadata.annotations.get(_DEFAULT_CLASS_BETA))
    ]
    newest = max((item.metadata.creation_timestamp or "" for item in marked), default="")
    names = [item.metadata.name for item in marked if (item.metadata.creation_timestamp or "") == newest]
    return min(names, default=None)
