"""Validation of PersistentVolumes (v1)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from functools import partial

from state import names
from state.objects import CSIPersistentVolumeSource, LocalVolumeSource, PersistentVolume, PersistentVolumeSpec, replace
from state.quantity import canonical
from state.validation import _checks as checks
from state.validation import sources
from state.validation._report import Report
from state.validation.claims import VOLUME_MODES, access_modes
from state.validation.differences import difference, internal
from state.validation.metadata import object_meta
from state.validation.scheduling import node_selector

_RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_NOT_INLINE = "may not be specified in the context of inline volumes"
#: Fields of a volume that say where its data is.
_SOURCES = (
    "aws_elastic_block_store",
    "azure_disk",
    "azure_file",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flex_volume",
    "flocker",
    "gce_persistent_disk",
    "glusterfs",
    "host_path",
    "iscsi",
    "local",
    "nfs",
    "photon_persistent_disk",
    "portworx_volume",
    "quobyte",
    "rbd",
    "scale_io",
    "storageos",
    "vsphere_volume",
)


def persistent_volume(found: Report, obj: PersistentVolume) -> None:
    """PersistentVolume (v1)."""
    object_meta(found, obj.metadata, namespaced=False)
    volume_spec(found, "spec", obj.spec, inline=False)


def volume_spec(found: Report, path: str, spec: PersistentVolumeSpec, *, inline: bool) -> None:
    """What a volume is; ``inline`` if it is written out in a VolumeAttachment and no object of its own."""
    if inline:
        _inline(found, path, spec)
    if not spec.access_modes:
        found.required(f"{path}.accessModes")
    access_modes(found, f"{path}.accessModes", spec.access_modes)
    if not inline:
        _capacity(found, f"{path}.capacity", spec)
        if spec.persistent_volume_reclaim_policy:
            policy_path = f"{path}.persistentVolumeReclaimPolicy"
            found.one_of(policy_path, spec.persistent_volume_reclaim_policy, _RECLAIM_POLICIES)
        _node_affinity(found, f"{path}.nodeAffinity", spec)
    sources.exactly_one(found, path, _sources(spec))
    mounts_root = spec.host_path is not None and posixpath.normpath(spec.host_path.path).lstrip("/") == ""
    if mounts_root and spec.persistent_volume_reclaim_policy == "Recycle":
        message = "may not be 'recycle' for a hostPath mount of '/'"
        found.forbidden(f"{path}.persistentVolumeReclaimPolicy", message)
    if spec.storage_class_name and not inline:
        checks.text(found, f"{path}.storageClassName", spec.storage_class_name, names.dns1123_subdomain)
    if spec.volume_mode is not None and not inline and spec.volume_mode not in VOLUME_MODES:
        found.unsupported(f"{path}.volumeMode", spec.volume_mode, VOLUME_MODES)
    if spec.volume_attributes_class_name is not None:
        own_path, name = f"{path}.volumeAttributesClassName", spec.volume_attributes_class_name
        if name:
            checks.text(found, own_path, name, names.dns1123_subdomain)
        else:
            found.required(own_path, "an empty string is disallowed")
        if spec.csi is None:
            found.required(f"{path}.csi", "has to be specified when using volumeAttributesClassName")


def _inline(found: Report, path: str, spec: PersistentVolumeSpec) -> None:
    for name, given in (
        ("claimRef", spec.claim_ref is not None),
        ("capacity", bool(spec.capacity)),
        ("nodeAffinity", spec.node_affinity is not None),
        ("storageClassName", bool(spec.storage_class_name)),
    ):
        if given:
            found.forbidden(f"{path}.{name}", _NOT_INLINE)
    if spec.csi is None:
        found.required(f"{path}.csi", "has to be specified in the context of inline volumes")
    if spec.persistent_volume_reclaim_policy not in {None, "", "Retain"}:
        message = "may only be Retain in the context of inline volumes"
        found.forbidden(f"{path}.persistentVolumeReclaimPolicy", message)
    if spec.volume_mode not in {None, "Filesystem"}:
        message = "may not specify volumeMode other than Filesystem in the context of inline volumes"
        found.forbidden(f"{path}.volumeMode", message)


def _capacity(found: Report, path: str, spec: PersistentVolumeSpec) -> None:
    if not spec.capacity:
        found.required(path)
    if set(spec.capacity) != {"storage"}:
        shown = {name: str(value) for name, value in sorted(spec.capacity.items())} or None
        found.unsupported(path, shown, ("storage",))
    for name, value in sorted(spec.capacity.items()):
        amount = checks.quantity(found, f"{path}[{name}]", value)
        if amount is not None and amount.value() < 0:
            found.invalid(f"{path}[{name}]", amount.value(), "must be a valid resource quantity")
        if amount is not None and amount.nanos <= 0:
            found.invalid(f"{path}[{name}]", canonical(value), checks.NOT_POSITIVE)


def _node_affinity(found: Report, path: str, spec: PersistentVolumeSpec) -> None:
    affinity = spec.node_affinity
    if affinity is not None and affinity.required is None:
        found.required(f"{path}.required", "must specify required node constraints")
    elif affinity is not None and affinity.required is not None:
        node_selector(found, f"{path}.required", affinity.required)


def _sources(spec: PersistentVolumeSpec) -> Iterable[tuple[str, object, sources.Check]]:
    """Every source that a volume can have, in the API server's order."""
    return (
        ("hostPath", spec.host_path, sources.host_path),
        ("gcePersistentDisk", spec.gce_persistent_disk, sources.gce_persistent_disk),
        ("awsElasticBlockStore", spec.aws_elastic_block_store, sources.aws_block_store),
        ("glusterfs", spec.glusterfs, sources.persistent_glusterfs),
        ("flocker", spec.flocker, sources.flocker),
        ("nfs", spec.nfs, sources.nfs),
        ("rbd", spec.rbd, sources.rbd),
        ("quobyte", spec.quobyte, sources.quobyte),
        ("cephfs", spec.cephfs, sources.needing("monitors")),
        ("iscsi", spec.iscsi, sources.iscsi),
        ("cinder", spec.cinder, sources.persistent_cinder),
        ("fc", spec.fc, sources.fibre_channel),
        ("flexVolume", spec.flex_volume, sources.flex_volume),
        ("azureFile", spec.azure_file, sources.persistent_azure_file),
        ("vsphereVolume", spec.vsphere_volume, sources.needing("volumePath")),
        ("photonPersistentDisk", spec.photon_persistent_disk, sources.needing("pdID")),
        ("portworxVolume", spec.portworx_volume, sources.needing("volumeID")),
        ("azureDisk", spec.azure_disk, sources.azure_disk),
        ("scaleIO", spec.scale_io, sources.needing("gateway", "system", "volumeName")),
        ("local", spec.local, partial(_local, spec)),
        ("storageos", spec.storageos, sources.persistent_storage_os),
        ("csi", spec.csi, _csi),
    )


def _local(spec: PersistentVolumeSpec, found: Report, path: str, source: LocalVolumeSource) -> None:
    if not source.path:
        found.required(f"{path}.path")
    else:
        checks.no_backsteps(found, f"{path}.path", source.path)
    if spec.node_affinity is None:
        found.required(f"{path.removesuffix('.local')}.nodeAffinity", "Local volume requires node affinity")


def _csi(found: Report, path: str, source: CSIPersistentVolumeSource) -> None:
    sources.csi_driver_name(found, f"{path}.driver", source.driver)
    if not source.volume_handle:
        found.required(f"{path}.volumeHandle")
    for name, secret in (
        ("controllerPublishSecretRef", source.controller_publish_secret_ref),
        ("controllerExpandSecretRef", source.controller_expand_secret_ref),
        ("nodePublishSecretRef", source.node_publish_secret_ref),
        ("nodeExpandSecretRef", source.node_expand_secret_ref),
    ):
        if secret is not None:
            checks.named(found, f"{path}.{name}.name", secret.name)
            checks.named(found, f"{path}.{name}.namespace", secret.namespace, names.dns1123_label)


def persistent_volume_update(found: Report, new: PersistentVolume, old: PersistentVolume) -> None:
    """A volume keeps where its data is; only a secret for growing it may be added."""
    spec, before = new.spec, old.spec
    if spec.csi is not None and before.csi is not None and before.csi.controller_expand_secret_ref is None:
        spec = replace(spec, csi=replace(spec.csi, controller_expand_secret_ref=None))
    if any(getattr(spec, name) != getattr(before, name) for name in _SOURCES):
        changed = difference("PersistentVolumeSource", before, spec)
        message = f"spec.persistentvolumesource is immutable after creation\n{changed}"
        found.forbidden("spec.persistentvolumesource", message)
    checks.immutable(found, "volumeMode", spec.volume_mode, before.volume_mode)
    if before.node_affinity is not None and spec.node_affinity not in {None, before.node_affinity}:
        message = f"{checks.IMMUTABLE}, except for updating from beta label to GA"
        found.invalid("nodeAffinity", internal("VolumeNodeAffinity", spec.node_affinity), message)
    if before.volume_attributes_class_name is not None and spec.volume_attributes_class_name is None:
        found.forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden")
