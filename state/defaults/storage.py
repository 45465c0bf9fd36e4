"""Defaults of volumes, claims and storage.k8s.io/v1."""

from __future__ import annotations

from state.defaults._sharing import filled, given
from state.defaults.resources import canonical_quantity, resource_list
from state.defaults.volumes import claim_spec, persistent_volume_sources
from state.objects import (
    CSIDriver,
    CSIStorageCapacity,
    PersistentVolume,
    PersistentVolumeClaim,
    Quantity,
    StorageClass,
    VolumeAttachment,
)


def persistent_volume(obj: PersistentVolume) -> PersistentVolume:
    """PersistentVolume (v1)."""
    spec = persistent_volume_sources(obj.spec)
    return filled(
        obj,
        spec=filled(
            spec,
            capacity=resource_list(spec.capacity),
            persistent_volume_reclaim_policy=spec.persistent_volume_reclaim_policy or "Retain",
            volume_mode=given(spec.volume_mode, "Filesystem"),
        ),
        status=filled(obj.status, phase=obj.status.phase or "Pending"),
    )


def persistent_volume_claim(obj: PersistentVolumeClaim) -> PersistentVolumeClaim:
    """PersistentVolumeClaim (v1)."""
    status = obj.status
    return filled(
        obj,
        spec=claim_spec(obj.spec),
        status=filled(
            status,
            phase=status.phase or "Pending",
            capacity=resource_list(status.capacity),
            allocated_resources=resource_list(status.allocated_resources),
        ),
    )


def storage_class(obj: StorageClass) -> StorageClass:
    """StorageClass (storage.k8s.io/v1)."""
    return filled(
        obj,
        reclaim_policy=given(obj.reclaim_policy, "Delete"),
        volume_binding_mode=given(obj.volume_binding_mode, "Immediate"),
    )


def csi_driver(obj: CSIDriver) -> CSIDriver:
    """CSIDriver (storage.k8s.io/v1)."""
    spec = obj.spec
    return filled(
        obj,
        spec=filled(
            spec,
            attach_required=True if spec.attach_required is None else spec.attach_required,
            pod_info_on_mount=bool(spec.pod_info_on_mount),
            storage_capacity=bool(spec.storage_capacity),
            fs_group_policy=given(spec.fs_group_policy, "ReadWriteOnceWithFSType"),
            volume_lifecycle_modes=spec.volume_lifecycle_modes or ("Persistent",),
            requires_republish=bool(spec.requires_republish),
            se_linux_mount=bool(spec.se_linux_mount),
        ),
    )


def csi_storage_capacity(obj: CSIStorageCapacity) -> CSIStorageCapacity:
    """CSIStorageCapacity (storage.k8s.io/v1)."""
    return filled(obj, capacity=_canonical(obj.capacity), maximum_volume_size=_canonical(obj.maximum_volume_size))


def volume_attachment(obj: VolumeAttachment) -> VolumeAttachment:
    """VolumeAttachment (storage.k8s.io/v1): the defaults of a volume that is written out in it."""
    source = obj.spec.source
    if source.inline_volume_spec is None:
        return obj
    inline = persistent_volume_sources(source.inline_volume_spec)
    inline = filled(inline, capacity=resource_list(inline.capacity))
    return filled(obj, spec=filled(obj.spec, source=filled(source, inline_volume_spec=inline)))


def _canonical(quantity: Quantity | None) -> Quantity | None:
    if quantity is None:
        return None
    canonical = canonical_quantity(quantity)
    return quantity if canonical == quantity else canonical
