"""Volumes, claims and what they are made from, in kubectl's columns."""

from __future__ import annotations

from reconciler.printers.cells import NONE, UNSET, access_modes, boolean, since, storage
from reconciler.printers.columns import columns
from state.objects import (
    CSIDriver,
    CSINode,
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


def _volume(obj: PersistentVolume, now: int) -> tuple[str, ...]:
    spec, claim = obj.spec, obj.spec.claim_ref
    return (
        obj.metadata.name,
        storage(spec.capacity),
        access_modes(spec.access_modes),
        spec.persistent_volume_reclaim_policy or "",
        _phase(obj.metadata, obj.status.phase),
        "" if claim is None else f"{claim.namespace or ''}/{claim.name or ''}",
        _class(obj.metadata, spec.storage_class_name),
        spec.volume_attributes_class_name or UNSET,
        obj.status.reason or "",
        since(obj.metadata.creation_timestamp, now),
        spec.volume_mode or UNSET,
    )


def _claim(obj: PersistentVolumeClaim, now: int) -> tuple[str, ...]:
    bound = bool(obj.spec.volume_name)
    return (
        obj.metadata.name,
        _phase(obj.metadata, obj.status.phase),
        obj.spec.volume_name or "",
        storage(obj.status.capacity) if bound else "",
        access_modes(obj.status.access_modes) if bound else "",
        _class(obj.metadata, obj.spec.storage_class_name),
        obj.spec.volume_attributes_class_name or UNSET,
        since(obj.metadata.creation_timestamp, now),
        obj.spec.volume_mode or UNSET,
    )


def _storage_class(obj: StorageClass, now: int) -> tuple[str, ...]:
    annotations = obj.metadata.annotations
    is_default = any(annotations.get(name) == "true" for name in _DEFAULT_CLASS_ANNOTATIONS)
    return (
        obj.metadata.name + (" (default)" if is_default else ""),
        obj.provisioner,
        obj.reclaim_policy or "Delete",
        obj.volume_binding_mode or "Immediate",
        boolean(obj.allow_volume_expansion, "false"),
        since(obj.metadata.creation_timestamp, now),
    )


def _attachment(obj: VolumeAttachment, now: int) -> tuple[str, ...]:
    return (
        obj.metadata.name,
        obj.spec.attacher,
        obj.spec.source.persistent_volume_name or "",
        obj.spec.node_name,
        boolean(obj.status.attached, "false"),
        since(obj.metadata.creation_timestamp, now),
    )


def _driver(obj: CSIDriver, now: int) -> tuple[str, ...]:
    spec = obj.spec
    return (
        obj.metadata.name,
        boolean(spec.attach_required, "true"),
        boolean(spec.pod_info_on_mount, "false"),
        boolean(spec.storage_capacity, "false"),
        ",".join(request.audience for request in spec.token_requests) or UNSET,
        boolean(spec.requires_republish, "false"),
        ",".join(spec.volume_lifecycle_modes) or NONE,
        since(obj.metadata.creation_timestamp, now),
    )


def _csi_node(obj: CSINode, now: int) -> tuple[str, ...]:
    return (obj.metadata.name, str(len(obj.spec.drivers)), since(obj.metadata.creation_timestamp, now))


def _capacity(obj: CSIStorageCapacity, _: int) -> tuple[str, ...]:
    capacity = UNSET if obj.capacity is None else canonical(obj.capacity)
    return (obj.metadata.name, obj.storage_class_name, capacity)


PRINTERS = {
    "CSIDriver": columns(
        "NAME,ATTACHREQUIRED,PODINFOONMOUNT,STORAGECAPACITY,TOKENREQUESTS,REQUIRESREPUBLISH,MODES,AGE", _driver
    ),
    "CSINode": columns("NAME,DRIVERS,AGE", _csi_node),
    "CSIStorageCapacity": columns("NAME,STORAGECLASSNAME,CAPACITY", _capacity),
    "PersistentVolume": columns(
        "NAME,CAPACITY,ACCESS MODES,RECLAIM POLICY,STATUS,CLAIM,STORAGECLASS,VOLUMEATTRIBUTESCLASS,REASON,AGE",
        _volume,
        wide="VOLUMEMODE",
        coloured="STATUS",
    ),
    "PersistentVolumeClaim": columns(
        "NAME,STATUS,VOLUME,CAPACITY,ACCESS MODES,STORAGECLASS,VOLUMEATTRIBUTESCLASS,AGE",
        _claim,
        wide="VOLUMEMODE",
        coloured="STATUS",
    ),
    "StorageClass": columns(
        "NAME,PROVISIONER,RECLAIMPOLICY,VOLUMEBINDINGMODE,ALLOWVOLUMEEXPANSION,AGE", _storage_class
    ),
    "VolumeAttachment": columns("NAME,ATTACHER,PV,NODE,ATTACHED,AGE", _attachment),
}
