"""Admission for clusters that come as plain dicts: what an API server would have made of the objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rules.admission import SYSTEM_CLASSES
from rules.scheduling.cluster import NsName
from rules.scheduling.pods import FINISHED, scheduler_of
from state.defaults import default
from state.errors import StateError
from state.objects import KINDS as TYPED
from state.objects import (
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    Namespace,
    Node,
    Object,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodDisruptionBudget,
    PriorityClass,
    ReplicaSet,
    ReplicationController,
    Service,
    StatefulSet,
    StorageClass,
    VolumeAttachment,
    decode_hook,
    replace,
)
from state.validation import validate

#: The lists of a cluster and the type of their objects.
KINDS: dict[str, type[Object]] = {
    "nodes": Node,
    "pods": Pod,
    "namespaces": Namespace,
    "services": Service,
    "persistentVolumes": PersistentVolume,
    "persistentVolumeClaims": PersistentVolumeClaim,
    "replicaSets": ReplicaSet,
    "replicationControllers": ReplicationController,
    "statefulSets": StatefulSet,
    "storageClasses": StorageClass,
    "csiNodes": CSINode,
    "csiDrivers": CSIDriver,
    "csiStorageCapacities": CSIStorageCapacity,
    "volumeAttachments": VolumeAttachment,
    "podDisruptionBudgets": PodDisruptionBudget,
    "priorityClasses": PriorityClass,
}
_DEFAULT_NAMESPACE = "default"
#: What of a pod or node a decision depends on, and the faults there that leave no decision to be made.
_DECISIVE = ("affinity", "allocatable", "nodeSelector", "overhead", "resources", "tolerations", "topologySpread")
_FAULTS = ("Invalid", "NotSupported", "TypeInvalid")


class ClusterError(StateError):
    """A cluster that can't be read; ``path`` says where."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


class ClusterView:
    """The objects of a cluster by kind, namespace and name; pods also in the order given."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[NsName, object]] = {}
        self.pods: list[Pod] = []

    def table(self, kind: str) -> Mapping[NsName, object]:
        """All objects of a kind."""
        return self._tables.get(kind, {})

    def has(self, obj: Object) -> bool:
        """Whether there is an object of that kind and name."""
        return (obj.metadata.namespace, obj.metadata.name) in self.table(obj.kind)

    def add(self, obj: Object) -> None:
        """Stores an object in place of one with the same name."""
        key = (obj.metadata.namespace, obj.metadata.name)
        self._tables.setdefault(obj.kind, {})[key] = obj

    def pending(self, *scheduler_names: str) -> list[Pod]:
        """The pods that wait for schedulers of these names, in the order given."""
        return [
            pod
            for pod in self.pods
            if not pod.spec.node_name and pod.status.phase not in FINISHED and scheduler_of(pod) in scheduler_names
        ]


def admitted(cluster: Mapping[str, Sequence[Mapping[str, Any]]]) -> ClusterView:
    """Reads, defaults and admits the objects of a cluster.

    Raises:
        ClusterError: a list that isn't known, or an object that isn't valid.
    """
    view = ClusterView()
    unknown = sorted(set(cluster) - set(KINDS))
    if unknown:
        raise ClusterError(f"cluster.{unknown[0]}", f"unknown list; known are {', '.join(sorted(KINDS))}")
    for name, kind in KINDS.items():
        items = cluster.get(name)
        if items is not None and not isinstance(items, list | tuple):
            raise ClusterError(f"cluster.{name}", f"expected a list, found {type(items).__name__}")
        for position, raw in enumerate(items or ()):
            path = f"cluster.{name}[{position}]"
            obj = _read(raw, kind, path)
            if view.has(obj):
                raise ClusterError(f"{path}.metadata.name", f'Duplicate value: "{obj.metadata.name}"')
            view.add(obj)
            if isinstance(obj, Pod):
                view.pods.append(obj)
            if isinstance(obj, Node) or (isinstance(obj, Pod) and not obj.spec.node_name):
                _check(obj, path)
    view.pods = [_with_priority(view, pod) for pod in view.pods]
    for pod in view.pods:
        view.add(pod)
    return view


def check_all(view: ClusterView) -> None:
    """Checks the pods that ``admitted`` lets in as they are because they are on nodes already.

    Raises:
        ClusterError: one has a value that no decision can be made with; says which.
    """
    for position, pod in enumerate(view.pods):
        _check(pod, f"cluster.pods[{position}]")


def _check(obj: Node | Pod, path: str) -> None:
    """Refuses values that an API server refuses, where decisions depend on them; what is missing does no harm."""
    for problem in validate(obj):
        if problem.reason in _FAULTS and any(part in problem.path for part in _DECISIVE):
            raise ClusterError(f"{path}.{problem.path}", problem.body)


def _read(raw: Mapping[str, Any], kind: type[Object], path: str) -> Object:
    if not isinstance(raw, Mapping):
        raise ClusterError(path, f"expected an object, found {type(raw).__name__}")
    fields = {key: value for key, value in raw.items() if key not in ("kind", "apiVersion")}
    try:
        obj = msgspec.convert(fields, kind, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        raise ClusterError(path, str(error)) from error
    if not obj.metadata.name:
        raise ClusterError(f"{path}.metadata.name", "Required value")
    if TYPED[kind.kind].namespaced and not obj.metadata.namespace:
        obj = replace(obj, metadata=replace(obj.metadata, namespace=_DEFAULT_NAMESPACE))
    return default(obj)


def _with_priority(view: ClusterView, pod: Pod) -> Pod:
    """The pod with its class's priority and preemption policy, as the Priority admission plugin sets them."""
    if pod.spec.priority is not None:
        return pod
    found: PriorityClass | None = None
    if pod.spec.priority_class_name:
        named = view.table("PriorityClass").get(("", pod.spec.priority_class_name))
        found = named if isinstance(named, PriorityClass) else SYSTEM_CLASSES.get(pod.spec.priority_class_name)
    else:
        defaults = [
            c for c in view.table("PriorityClass").values() if isinstance(c, PriorityClass) and c.global_default
        ]
        found = min(defaults, key=lambda c: (c.value, c.metadata.name), default=None)
    if found is None:
        return pod
    policy = pod.spec.preemption_policy or found.preemption_policy
    return replace(pod, spec=replace(pod.spec, priority=found.value, preemption_policy=policy))
