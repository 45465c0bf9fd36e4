"""Volumes, claims and what they are made from, in kubectl's columns."""

from __future__ import annotations

from reconciler.printers.cells import NONE, UNSET, access_modes, storage
from reconciler.printers.columns import Cell, columns
from state.objects import (
    CSIDriver,
    CSIStorageCapacity,
    ObjectMeta,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
    VolumeAttachment,
)
from state.quantity import canonical

#: Older than the field, and stronger.
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_CLASS_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def _class(meta: ObjectMeta, name: str | None) -> str:
    return meta.annotations.get(_CLASS_ANNOTATION, name or "")


def _phase(meta: ObjectMeta, phase: str | None) -> str:
    return "Terminating" if meta.deletion_timestamp else phase or ""


def _volume(obj: PersistentVolume, _: int) -> tuple[Cell, ...]:
    spec, claim = obj.spec, obj.spec.claim_ref
    return (
        storage(spec.capacity),
        access_modes(spec.access_modes),
        spec.persistent_volume_reclaim_policy or "",
        _phase(obj.metadata, obj.status.phase),
        "" if claim is None else f"{claim.namespace or ''}/{claim.name or ''}",
        _class(obj.metadata, spec.storage_class_name),
        spec.volume_attributes_class_name or UNSET,
        obj.status.reason or "",
        spec.volume_mode or UNSET,
    )


def _claim(obj: PersistentVolumeClaim, _: int) -> tuple[Cell, ...]:
    bound = bool(obj.spec.volume_name)
    return (
        _phase(obj.metadata, obj.status.phase),
        obj.spec.volume_name or "",
        storage(obj.status.capacity) if bound else "",
        access_modes(obj.status.access_modes) if bound else "",
        _class(obj.metadata, obj.spec.storage_class_name),
        obj.spec.volume_attributes_class_name or UNSET,
        obj.spec.volume_mode or UNSET,
    )


def _storage_class(obj: StorageClass, _: int) -> tuple[Cell, ...]:
    return (
        obj.provisioner,
        obj.reclaim_policy or "Delete",
        obj.volume_binding_mode or "Immediate",
        bool(obj.allow_volume_expansion),
    )


def _class_name(obj: StorageClass) -> str:
    annotations = obj.metadata.annotations
    is_default = any(annotations.get(name) == "true" for name in _DEFAULT_CLASS_ANNOTATIONS)
    return obj.metadata.name + (" (default)" if is_default else "")


def _attachment(obj: VolumeAttachment, _: int) -> tuple[Cell, ...]:
    return (
        obj.spec.attacher,
        obj.spec.source.persistent_volume_name or "",
        obj.spec.node_name,
        bool(obj.status.attached),
    )


def _driver(obj: CSIDriver, _: int) -> tuple[Cell, ...]:
    spec = obj.spec
    return (
        spec.attach_required is not False,
        bool(spec.pod_info_on_mount),
        bool(spec.storage_capacity),
        ",".join(request.audience for request in spec.token_requests) or UNSET,
        bool(spec.requires_republish),
        ",".join(spec.volume_lifecycle_modes) or NONE,
    )


def _capacity(obj: CSIStorageCapacity, _: int) -> tuple[Cell, ...]:
    capacity = UNSET if obj.capacity is None else canonical(obj.capacity)
    return (obj.storage_class_name, capacity)


PRINTERS = {
    "CSIDriver": columns(
        "Name,AttachRequired:boolean,PodInfoOnMount:boolean,StorageCapacity:boolean,TokenRequests,"
        "RequiresRepublish:boolean,Modes,Age",
        _driver,
    ),
    "CSINode": columns("Name,Drivers:integer,Age", lambda obj, _: (len(obj.spec.drivers),)),
    "CSIStorageCapacity": columns("Name,StorageClassName,Capacity", _capacity),
    "PersistentVolume": columns(
        "Name,Capacity,Access Modes,Reclaim Policy,Status,Claim,StorageClass,VolumeAttributesClass,Reason,Age,"
        "+VolumeMode",
        _volume,
        coloured="Status",
    ),
    "PersistentVolumeClaim": columns(
        "Name,Status,Volume,Capacity,Access Modes,StorageClass,VolumeAttributesClass,Age,+VolumeMode",
        _claim,
        coloured="Status",
    ),
    "StorageClass": columns(
        "Name,Provisioner,ReclaimPolicy,VolumeBindingMode,AllowVolumeExpansion,Age", _storage_class, name=_class_name
    ),
    "VolumeAttachment": columns("Name,Attacher:name,PV,Node,Attached:boolean,Age", _attachment),
}
