"""Volumes: what pods mount, PersistentVolume and PersistentVolumeClaim (v1)."""

from __future__ import annotations

from msgspec import field

from state.objects._base import Int32, Int64, Opaque, Quantity, Struct
from state.objects.meta import (
    BareCondition,
    LabelSelector,
    LocalObjectReference,
    NodeSelector,
    Object,
    ObjectMeta,
    ObjectReference,
    SecretReference,
    TypedLocalObjectReference,
    TypedObjectReference,
)


class ObjectFieldSelector(Struct):
    api_version: str | None = None
    field_path: str = field(default_factory=str)


class ResourceFieldSelector(Struct):
    container_name: str | None = None
    divisor: Quantity | None = None
    resource: str = field(default_factory=str)


class AWSElasticBlockStoreVolumeSource(Struct):
    fs_type: str | None = None
    partition: Int32 | None = None
    read_only: bool | None = None
    volume_id: str = field(default_factory=str, name="volumeID")


class AzureDiskVolumeSource(Struct):
    caching_mode: str | None = None
    disk_name: str = field(default_factory=str)
    disk_uri: str = field(default_factory=str, name="diskURI")
    fs_type: str | None = None
    kind: str | None = None
    read_only: bool | None = None


class KeyToPath(Struct):
    key: str = field(default_factory=str)
    mode: Int32 | None = None
    path: str = field(default_factory=str)


class ConfigMapVolumeSource(Struct):
    default_mode: Int32 | None = None
    items: tuple[KeyToPath, ...] = ()
    name: str | None = None
    optional: bool | None = None


class CSIVolumeSource(Struct):
    driver: str = field(default_factory=str)
    fs_type: str | None = None
    node_publish_secret_ref: LocalObjectReference | None = None
    read_only: bool | None = None
    volume_attributes: dict[str, str] = {}


class DownwardAPIVolumeFile(Struct):
    field_ref: ObjectFieldSelector | None = None
    mode: Int32 | None = None
    path: str = field(default_factory=str)
    resource_field_ref: ResourceFieldSelector | None = None


class DownwardAPIVolumeSource(Struct):
    default_mode: Int32 | None = None
    items: tuple[DownwardAPIVolumeFile, ...] = ()


class EmptyDirVolumeSource(Struct):
    medium: str | None = None
    size_limit: Quantity | None = None


class VolumeResourceRequirements(Struct):
    limits: dict[str, Quantity] = {}
    requests: dict[str, Quantity] = {}


class PersistentVolumeClaimSpec(Struct):
    access_modes: tuple[str, ...] = ()
    data_source: TypedLocalObjectReference | None = None
    data_source_ref: TypedObjectReference | None = None
    resources: VolumeResourceRequirements | None = None
    selector: LabelSelector | None = None
    storage_class_name: str | None = None
    volume_attributes_class_name: str | None = None
    volume_mode: str | None = None
    volume_name: str | None = None


class PersistentVolumeClaimTemplate(Struct):
    metadata: ObjectMeta | None = None
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()


class EphemeralVolumeSource(Struct):
    volume_claim_template: PersistentVolumeClaimTemplate | None = None


class GCEPersistentDiskVolumeSource(Struct):
    fs_type: str | None = None
    partition: Int32 | None = None
    pd_name: str = field(default_factory=str)
    read_only: bool | None = None


class HostPathVolumeSource(Struct):
    path: str = field(default_factory=str)
    type: str | None = None


class ImageVolumeSource(Struct):
    pull_policy: str | None = None
    reference: str | None = None


class ISCSISource(Struct):
    chap_auth_discovery: bool | None = None
    chap_auth_session: bool | None = None
    fs_type: str | None = None
    initiator_name: str | None = None
    iqn: str = field(default_factory=str)
    iscsi_interface: str | None = None
    lun: Int32 = field(default_factory=int)
    portals: tuple[str, ...] = ()
    read_only: bool | None = None
    target_portal: str = field(default_factory=str)


class ISCSIVolumeSource(ISCSISource):
    secret_ref: LocalObjectReference | None = None


class PersistentVolumeClaimVolumeSource(Struct):
    claim_name: str = field(default_factory=str)
    read_only: bool | None = None


class ClusterTrustBundleProjection(Struct):
    label_selector: LabelSelector | None = None
    name: str | None = None
    optional: bool | None = None
    path: str = field(default_factory=str)
    signer_name: str | None = None


class ConfigMapProjection(Struct):
    items: tuple[KeyToPath, ...] = ()
    name: str | None = None
    optional: bool | None = None


class DownwardAPIProjection(Struct):
    items: tuple[DownwardAPIVolumeFile, ...] = ()


class PodCertificateProjection(Struct):
    certificate_chain_path: str | None = None
    credential_bundle_path: str | None = None
    key_path: str | None = None
    key_type: str = field(default_factory=str)
    max_expiration_seconds: Int32 | None = None
    signer_name: str = field(default_factory=str)


class SecretProjection(Struct):
    items: tuple[KeyToPath, ...] = ()
    name: str | None = None
    optional: bool | None = None


class ServiceAccountTokenProjection(Struct):
    audience: str | None = None
    expiration_seconds: Int64 | None = None
    path: str = field(default_factory=str)


class VolumeProjection(Struct):
    cluster_trust_bundle: ClusterTrustBundleProjection | None = None
    config_map: ConfigMapProjection | None = None
    downward_api: DownwardAPIProjection | None = field(default=None, name="downwardAPI")
    pod_certificate: PodCertificateProjection | None = None
    secret: SecretProjection | None = None
    service_account_token: ServiceAccountTokenProjection | None = None


class ProjectedVolumeSource(Struct):
    default_mode: Int32 | None = None
    sources: tuple[VolumeProjection, ...] = ()


class RBDSource(Struct):
    fs_type: str | None = None
    image: str = field(default_factory=str)
    keyring: str | None = None
    monitors: tuple[str, ...] = ()
    pool: str | None = None
    read_only: bool | None = None
    user: str | None = None


class RBDVolumeSource(RBDSource):
    secret_ref: LocalObjectReference | None = None


class SecretVolumeSource(Struct):
    default_mode: Int32 | None = None
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None
    secret_name: str | None = None


class InTreeSources(Struct):
    """The sources that are the same in a pod's volume and in a PersistentVolume."""

    aws_elastic_block_store: AWSElasticBlockStoreVolumeSource | None = None
    azure_disk: AzureDiskVolumeSource | None = None
    azure_file: Opaque | None = None
    cephfs: Opaque | None = None
    cinder: Opaque | None = None
    fc: Opaque | None = None
    flex_volume: Opaque | None = None
    flocker: Opaque | None = None
    gce_persistent_disk: GCEPersistentDiskVolumeSource | None = None
    glusterfs: Opaque | None = None
    host_path: HostPathVolumeSource | None = None
    nfs: Opaque | None = None
    photon_persistent_disk: Opaque | None = None
    portworx_volume: Opaque | None = None
    quobyte: Opaque | None = None
    scale_io: Opaque | None = field(default=None, name="scaleIO")
    storageos: Opaque | None = None
    vsphere_volume: Opaque | None = None


class Volume(InTreeSources):
    config_map: ConfigMapVolumeSource | None = None
    csi: CSIVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = field(default=None, name="downwardAPI")
    empty_dir: EmptyDirVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
    git_repo: Opaque | None = None
    image: ImageVolumeSource | None = None
    iscsi: ISCSIVolumeSource | None = None
    name: str = field(default_factory=str)
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    rbd: RBDVolumeSource | None = None
    secret: SecretVolumeSource | None = None


class CSIPersistentVolumeSource(Struct):
    controller_expand_secret_ref: SecretReference | None = None
    controller_publish_secret_ref: SecretReference | None = None
    driver: str = field(default_factory=str)
    fs_type: str | None = None
    node_expand_secret_ref: SecretReference | None = None
    node_publish_secret_ref: SecretReference | None = None
    node_stage_secret_ref: SecretReference | None = None
    read_only: bool | None = None
    volume_attributes: dict[str, str] = {}
    volume_handle: str = field(default_factory=str)


class ISCSIPersistentVolumeSource(ISCSISource):
    secret_ref: SecretReference | None = None


class LocalVolumeSource(Struct):
    fs_type: str | None = None
    path: str = field(default_factory=str)


class VolumeNodeAffinity(Struct):
    required: NodeSelector | None = None


class RBDPersistentVolumeSource(RBDSource):
    secret_ref: SecretReference | None = None


class PersistentVolumeSpec(InTreeSources):
    access_modes: tuple[str, ...] = ()
    capacity: dict[str, Quantity] = {}
    claim_ref: ObjectReference | None = None
    csi: CSIPersistentVolumeSource | None = None
    iscsi: ISCSIPersistentVolumeSource | None = None
    local: LocalVolumeSource | None = None
    mount_options: tuple[str, ...] = ()
    node_affinity: VolumeNodeAffinity | None = None
    persistent_volume_reclaim_policy: str | None = None
    rbd: RBDPersistentVolumeSource | None = None
    storage_class_name: str | None = None
    volume_attributes_class_name: str | None = None
    volume_mode: str | None = None


class PersistentVolumeStatus(Struct):
    last_phase_transition_time: str | None = None
    message: str | None = None
    phase: str | None = None
    reason: str | None = None


class PersistentVolume(Object):
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()


class PersistentVolumeClaimCondition(BareCondition):
    last_probe_time: str | None = None


class ModifyVolumeStatus(Struct):
    status: str = field(default_factory=str)
    target_volume_attributes_class_name: str | None = None


class PersistentVolumeClaimStatus(Struct):
    access_modes: tuple[str, ...] = ()
    allocated_resource_statuses: dict[str, str] = {}
    allocated_resources: dict[str, Quantity] = {}
    capacity: dict[str, Quantity] = {}
    conditions: tuple[PersistentVolumeClaimCondition, ...] = ()
    current_volume_attributes_class_name: str | None = None
    modify_volume_status: ModifyVolumeStatus | None = None
    phase: str | None = None


class PersistentVolumeClaim(Object):
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()
