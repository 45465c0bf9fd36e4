"""Kinds of storage.k8s.io/v1."""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from state.objects._base import Int32, Int64, Quantity, Struct
from state.objects.meta import LabelSelector, Object
from state.objects.volumes import PersistentVolumeSpec


class TopologySelectorLabelRequirement(Struct):
    key: str = field(default_factory=str)
    values: tuple[str, ...] = ()


class TopologySelectorTerm(Struct):
    match_label_expressions: tuple[TopologySelectorLabelRequirement, ...] = ()


class StorageClass(Object):
    api_version: ClassVar[str] = "storage.k8s.io/v1"

    allow_volume_expansion: bool | None = None
    allowed_topologies: tuple[TopologySelectorTerm, ...] = ()
    mount_options: tuple[str, ...] = ()
    parameters: dict[str, str] = {}
    provisioner: str = field(default_factory=str)
    reclaim_policy: str | None = None
    volume_binding_mode: str | None = None


class VolumeNodeResources(Struct):
    count: Int32 | None = None


class CSINodeDriver(Struct):
    allocatable: VolumeNodeResources | None = None
    name: str = field(default_factory=str)
    node_id: str = field(default_factory=str, name="nodeID")
    topology_keys: tuple[str, ...] = ()


class CSINodeSpec(Struct):
    drivers: tuple[CSINodeDriver, ...] = ()


class CSINode(Object):
    api_version: ClassVar[str] = "storage.k8s.io/v1"

    spec: CSINodeSpec = CSINodeSpec()


class TokenRequest(Struct):
    audience: str = field(default_factory=str)
    expiration_seconds: Int64 | None = None


class CSIDriverSpec(Struct):
    attach_required: bool | None = None
    fs_group_policy: str | None = None
    node_allocatable_update_period_seconds: Int64 | None = None
    pod_info_on_mount: bool | None = None
    requires_republish: bool | None = None
    se_linux_mount: bool | None = None
    storage_capacity: bool | None = None
    token_requests: tuple[TokenRequest, ...] = ()
    volume_lifecycle_modes: tuple[str, ...] = ()


class CSIDriver(Object):
    api_version: ClassVar[str] = "storage.k8s.io/v1"

    spec: CSIDriverSpec = CSIDriverSpec()


class CSIStorageCapacity(Object):
    api_version: ClassVar[str] = "storage.k8s.io/v1"

    capacity: Quantity | None = None
    maximum_volume_size: Quantity | None = None
    node_topology: LabelSelector | None = None
    storage_class_name: str = field(default_factory=str)


class VolumeAttachmentSource(Struct):
    inline_volume_spec: PersistentVolumeSpec | None = None
    persistent_volume_name: str | None = None


class VolumeAttachmentSpec(Struct):
    attacher: str = field(default_factory=str)
    node_name: str = field(default_factory=str)
    source: VolumeAttachmentSource = VolumeAttachmentSource()


class VolumeError(Struct):
    error_code: Int32 | None = None
    message: str | None = None
    time: str | None = None


class VolumeAttachmentStatus(Struct):
    attach_error: VolumeError | None = None
    attached: bool = field(default_factory=bool)
    attachment_metadata: dict[str, str] = {}
    detach_error: VolumeError | None = None


class VolumeAttachment(Object):
    api_version: ClassVar[str] = "storage.k8s.io/v1"

    spec: VolumeAttachmentSpec = VolumeAttachmentSpec()
    status: VolumeAttachmentStatus = VolumeAttachmentStatus()
