"""Zero values that Kubernetes forgets: a field with ``omitempty`` that is no pointer in Go is the same absent and zero.

``paused: false`` comes back as nothing, ``automountServiceAccountToken: false`` as it was sent. Which fields are
pointers is Go's types' to say: of pod templates ``rules.template_schema`` knows it, the rest is listed here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from reconciler.apiserver.gotimes import MICRO_TIMES, TIMES, canonical_time
from rules.template_hash import go_structs

#: Optional scalars that are pointers in Go, by struct, where ``rules.template_schema`` doesn't know the struct.
_POINTERS: dict[str, str] = {
    "AzureDiskVolumeSource": "cachingMode fsType kind readOnly",
    "CSIDriverSpec": "attachRequired fsGroupPolicy nodeAllocatableUpdatePeriodSeconds podInfoOnMount requiresRepublish "
    "seLinuxMount storageCapacity",
    "CSIVolumeSource": "fsType readOnly",
    "ClientIPConfig": "timeoutSeconds",
    "ConfigMap": "immutable",
    "ContainerStatus": "started stopSignal",
    "CronJobSpec": "failedJobsHistoryLimit startingDeadlineSeconds successfulJobsHistoryLimit suspend timeZone",
    "DaemonSetSpec": "revisionHistoryLimit",
    "DaemonSetStatus": "collisionCount",
    "DeploymentSpec": "progressDeadlineSeconds replicas revisionHistoryLimit",
    "DeploymentStatus": "collisionCount terminatingReplicas",
    "Endpoint": "hostname nodeName zone",
    "EndpointAddress": "nodeName",
    "EndpointConditions": "ready serving terminating",
    "EndpointPort": "appProtocol",
    "EndpointSlicePort": "appProtocol name port protocol",
    "EphemeralContainer": "restartPolicy",
    "HostPathVolumeSource": "type",
    "ISCSIPersistentVolumeSource": "initiatorName",
    "JobSpec": "activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode completions managedBy "
    "manualSelector maxFailedIndexes parallelism podReplacementPolicy suspend ttlSecondsAfterFinished",
    "JobStatus": "failedIndexes ready terminating",
    "LeaseSpec": "holderIdentity leaseDurationSeconds leaseTransitions preferredHolder strategy",
    "LoadBalancerIngress": "ipMode",
    "LocalVolumeSource": "fsType",
    "ObjectMeta": "deletionGracePeriodSeconds",
    "OwnerReference": "blockOwnerDeletion controller",
    "PersistentVolumeClaimSpec": "storageClassName volumeAttributesClassName volumeMode",
    "PersistentVolumeClaimStatus": "currentVolumeAttributesClassName",
    "PersistentVolumeSpec": "volumeAttributesClassName volumeMode",
    "PodDisruptionBudgetSpec": "unhealthyPodEvictionPolicy",
    "PodFailurePolicyOnExitCodesRequirement": "containerName",
    "PodResourceClaimStatus": "resourceClaimName",
    "PortStatus": "error",
    "PriorityClass": "preemptionPolicy",
    "ReplicaSetSpec": "replicas",
    "ReplicaSetStatus": "terminatingReplicas",
    "ReplicationControllerSpec": "replicas",
    "RollingUpdateStatefulSetStrategy": "partition",
    "Secret": "immutable",
    "ServiceAccount": "automountServiceAccountToken",
    "ServicePort": "appProtocol",
    "ServiceSpec": "allocateLoadBalancerNodePorts internalTrafficPolicy ipFamilyPolicy loadBalancerClass "
    "trafficDistribution",
    "StatefulSetOrdinals": "start",
    "StatefulSetSpec": "replicas revisionHistoryLimit",
    "StatefulSetStatus": "collisionCount",
    "StorageClass": "allowVolumeExpansion reclaimPolicy volumeBindingMode",
    "SuccessPolicyRule": "succeededCount succeededIndexes",
    "TokenRequest": "expirationSeconds",
    "TypedLocalObjectReference": "apiGroup",
    "TypedObjectReference": "apiGroup namespace",
    "VolumeAttachmentSource": "persistentVolumeName",
    "VolumeError": "errorCode",
    "VolumeMountStatus": "recursiveReadOnly",
    "VolumeNodeResources": "count",
}
_MANAGED = "managedFields"
_Scalar = inspect.StrType | inspect.IntType | inspect.BoolType


@cache
def _go_pointers() -> dict[str, frozenset[str]]:
    known = {struct: frozenset(text.split()) for struct, text in _POINTERS.items()}
    for struct, fields in go_structs().items():
        pointers = frozenset(json for _, kind, json in fields if kind.startswith("*"))
        known[struct] = known.get(struct, frozenset()) | pointers
    return known


class _Shape:
    """Of one struct: fields that are forgotten when they are zero, those that hold structs, and those with times."""

    __slots__ = ("below", "forgotten", "times")

    def __init__(self, struct: type[msgspec.Struct]) -> None:
        pointers = _go_pointers().get(struct.__name__, frozenset())
        description = inspect.type_info(struct)
        assert isinstance(description, inspect.StructType)
        forgotten, below = set(), {}
        for field in description.fields:
            options = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
            kinds = [each for each in options if not isinstance(each, inspect.NoneType)]
            if len(kinds) < len(options) and len(kinds) == 1 and isinstance(kinds[0], _Scalar):
                if field.encode_name not in pointers:
                    forgotten.add(field.encode_name)
                continue
            inner = kinds[0].item_type if isinstance(kinds[0], inspect.VarTupleType) else kinds[0]
            if isinstance(inner, inspect.StructType):
                below[field.encode_name] = inner.cls
        names = {field.encode_name for field in description.fields}
        self.times = {name: name in MICRO_TIMES for name in names & (TIMES | MICRO_TIMES)}
        self.forgotten = frozenset(forgotten)
        self.below: dict[str, type[msgspec.Struct]] = below


@cache
def _shape(struct: type[msgspec.Struct]) -> _Shape:
    return _Shape(struct)


def without_zeros(document: dict[str, Any], struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The document without what Go would not write, and with times as it writes them; the same one if it is so."""
    shape = _shape(struct)
    changes: dict[str, Any] = {}
    gone: list[str] = []
    for name, value in document.items():
        if value in ("", 0, False) and not isinstance(value, float):
            if name in shape.forgotten:
                gone.append(name)
        elif name in shape.below:
            cleaned = _cleaned(value, shape.below[name])
            if cleaned is not value:
                changes[name] = cleaned
        elif name in shape.times or name == _MANAGED:
            written = _with_times(value) if name == _MANAGED else _written(value, is_micro=shape.times[name])
            if written != value:
                changes[name] = written
    if not changes and not gone:
        return document
    return {name: changes.get(name, value) for name, value in document.items() if name not in gone}


def _written(value: Any, *, is_micro: bool) -> Any:
    return canonical_time(value, is_micro=is_micro) if isinstance(value, str) else value


def _with_times(entries: Any) -> Any:
    """Entries of ``managedFields``, which have no struct."""
    if not isinstance(entries, list):
        return entries
    return [
        {**entry, "time": _written(entry["time"], is_micro=False)}
        if isinstance(entry, dict) and "time" in entry
        else entry
        for entry in entries
    ]


def _cleaned(value: Any, struct: type[msgspec.Struct]) -> Any:
    if isinstance(value, dict):
        return without_zeros(value, struct)
    if isinstance(value, list):
        items = [without_zeros(item, struct) if isinstance(item, dict) else item for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value
