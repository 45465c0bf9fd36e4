"""What the API server says of an update, in its order and as often as it says it.

It looks at some things twice: what all kinds have in common first, then what the strategy of the kind asks for, which
may check the new object and then, as a part of the update, again. Messages say each fault once, but
``status.details.causes`` has them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from state.defaults import default
from state.errors import Problem, invalid, required
from state.objects import AnyObject, CustomObject, Job, ObjectMeta
from state.validation import changes_of, fields_of, validate
from state.validation._checks import IMMUTABLE
from state.validation._report import EnoughError, Report
from state.validation.metadata import custom_meta, kubernetes_finalizer, meta_update, path_segment, repeated_by_update

#: By kind, what its strategy looks at: the metadata (M), its changes (U), the fields (F), what may not change (C).
_STEPS = {
    "CertificateSigningRequest": "MFCU",
    "ClusterRole": "MFMFU",
    "ClusterRoleBinding": "MFMFUC",
    "ConfigMap": "UCMF",
    "ControllerRevision": "UMFC",
    "CronJob": "UF",
    "CSIDriver": "UCF",
    "CSINode": "MFMFC",
    "CSIStorageCapacity": "MFUC",
    "DaemonSet": "MFUFC",
    "Deployment": "UFC",
    "DeviceClass": "MUF",
    "Endpoints": "UF",
    "EndpointSlice": "MFC",
    "Event": "F",
    "FlowSchema": "MF",
    "HorizontalPodAutoscaler": "UF",
    "Ingress": "UMF",
    "IngressClass": "UCMF",
    "Job": "MFUFC",
    "Lease": "UF",
    "LimitRange": "MF",
    "MutatingWebhookConfiguration": "MF",
    "Namespace": "MFU",
    "NetworkPolicy": "MFUF",
    "Node": "MFUC",
    "PersistentVolume": "MFMFC",
    "PersistentVolumeClaim": "MFUMFC",
    "Pod": "UMFC",
    "PodDisruptionBudget": "F",
    "PodTemplate": "UF",
    "PriorityClass": "UC",
    "PriorityLevelConfiguration": "MF",
    "ReplicaSet": "MFUFC",
    "ReplicationController": "MFUF",
    "ResourceClaim": "MUC",
    "ResourceClaimTemplate": "UC",
    "ResourceQuota": "MFUFC",
    "ResourceSlice": "UFC",
    "Role": "MFMFU",
    "RoleBinding": "MFMFUC",
    "RuntimeClass": "MFUC",
    "Secret": "UCMF",
    "Service": "UCF",
    "ServiceAccount": "UMF",
    "StatefulSet": "UFC",
    "StorageClass": "MFUC",
    "MutatingAdmissionPolicy": "MF",
    "MutatingAdmissionPolicyBinding": "MF",
    "ValidatingAdmissionPolicy": "MF",
    "ValidatingAdmissionPolicyBinding": "MF",
    "ValidatingWebhookConfiguration": "MF",
    "VolumeAttachment": "MFMFC",
    "VolumeAttributesClass": "MFUC",
}
_OTHERS = "MFUC"
#: Kinds whose finalizers may have any well-formed name.
FREE_FINALIZERS = frozenset(
    {
        "Lease",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "RuntimeClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)


class Parts(NamedTuple):
    """The faults of a changed object's own fields, and of their changes."""

    fields: Sequence[Problem] = ()
    changes: Sequence[Problem] = ()


def told_of_update(new: AnyObject, old: AnyObject, plain: Parts) -> tuple[Problem, ...]:
    """Every fault of an update of a built-in kind as the API server tells it; ``plain`` are those of the fields of a
    kind without a type.
    """
    fields: Sequence[Problem]
    changes: Sequence[Problem]
    if isinstance(new, CustomObject) or isinstance(old, CustomObject):
        metadata = [*validate(new), *finalizer_problems(new)]
        fields, changes = plain
    else:
        metadata, fields = fields_of(new)
        changes = changes_of(default(new), default(old))
    if isinstance(new, Job) and new.spec.selector is None:  # it is made with the Job, but not again
        changes = [required("spec.selector"), *changes, invalid("spec.selector", None, IMMUTABLE)]
    update = _of_metadata_update(new.metadata, old.metadata)
    steps = {"M": metadata, "F": fields, "C": changes, "U": [*update, *finalizer_problems(new)]}
    found = [*_in_common(new.metadata), *update]
    for step in _STEPS.get(new.kind, _OTHERS):
        found += steps[step]
    return tuple(found)


def told_of_custom_update(new: CustomObject, old: AnyObject) -> tuple[Problem, ...]:
    """Every fault of the metadata of a changed custom resource, as often as it is told: its values are for others."""
    found = _of_metadata_update(new.metadata, old.metadata)
    return (*found, *found)


def _of_metadata_update(new: ObjectMeta, old: ObjectMeta) -> list[Problem]:
    found = Report()
    with suppress(EnoughError):
        meta_update(found, new, old)
        repeated_by_update(found, new)
    return found.problems


def finalizer_problems(obj: AnyObject) -> list[Problem]:
    """Faults of finalizers that only some kinds look for: names without a domain are Kubernetes' own."""
    found = Report()
    for index, name in enumerate(() if obj.kind in FREE_FINALIZERS else obj.metadata.finalizers):
        kubernetes_finalizer(found, f"metadata.finalizers[{index}]", name)
    return found.problems


def _in_common(meta: ObjectMeta) -> list[Problem]:
    """Faults of the metadata that all kinds have in common."""
    found = Report()
    with suppress(EnoughError):
        custom_meta(found, meta, path_segment)
    return found.problems
