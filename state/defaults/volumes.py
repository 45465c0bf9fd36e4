"""Defaults of volumes: those of pods, and the sources that a PersistentVolume shares with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from state.defaults._sharing import each, filled, given
from state.defaults.images import pull_policy
from state.defaults.resources import canonical_quantity, resource_list
from state.objects import (
    AzureDiskVolumeSource,
    ConfigMapVolumeSource,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    DownwardAPIVolumeSource,
    EmptyDirVolumeSource,
    EphemeralVolumeSource,
    HostPathVolumeSource,
    ImageVolumeSource,
    ISCSIPersistentVolumeSource,
    ISCSIVolumeSource,
    ObjectFieldSelector,
    Opaque,
    PersistentVolumeClaimSpec,
    PersistentVolumeSpec,
    ProjectedVolumeSource,
    RBDPersistentVolumeSource,
    RBDVolumeSource,
    ResourceFieldSelector,
    SecretVolumeSource,
    Volume,
    VolumeProjection,
    VolumeResourceRequirements,
)

#: rw-r--r--: the mode of files made from ConfigMaps, Secrets and the downward API.
_FILE_MODE = 0o644
_TOKEN_LIFETIME_SECONDS = 3600

Iscsi = TypeVar("Iscsi", ISCSIVolumeSource, ISCSIPersistentVolumeSource)
Keyed = TypeVar("Keyed", ConfigMapVolumeSource, SecretVolumeSource)
Rbd = TypeVar("Rbd", RBDVolumeSource, RBDPersistentVolumeSource)


def field_selector(selector: ObjectFieldSelector) -> ObjectFieldSelector:
    """A reference to a field of the pod is to its v1 form."""
    return filled(selector, api_version=selector.api_version or "v1")


def resource_selector(selector: ResourceFieldSelector) -> ResourceFieldSelector:
    """A divisor that isn't given is written as "0", which means 1."""
    divisor = "0" if selector.divisor is None else canonical_quantity(selector.divisor)
    return filled(selector, divisor=selector.divisor if divisor == selector.divisor else divisor)


def volume(vol: Volume) -> Volume:
    """Defaults of a pod's volume, of each source that it has; one without a source is an emptyDir."""
    changes = {name: fill(source) for name, fill in _FILLED if (source := getattr(vol, name)) is not None}
    if changes:
        return filled(vol, **changes)
    if all(getattr(vol, name) is None for name in Volume.__struct_fields__ if name != "name"):
        return filled(vol, empty_dir=EmptyDirVolumeSource())
    return vol


def persistent_volume_sources(spec: PersistentVolumeSpec) -> PersistentVolumeSpec:
    """Defaults of the sources of a PersistentVolume."""
    return filled(
        spec,
        host_path=None if spec.host_path is None else _host_path(spec.host_path),
        iscsi=None if spec.iscsi is None else _iscsi(spec.iscsi),
        rbd=None if spec.rbd is None else _rbd(spec.rbd),
        azure_disk=None if spec.azure_disk is None else _azure_disk(spec.azure_disk),
        scale_io=None if spec.scale_io is None else _scale_io(spec.scale_io),
    )


def claim_spec(spec: PersistentVolumeClaimSpec) -> PersistentVolumeClaimSpec:
    """Defaults of a claim: a file system, and quantities in canonical form."""
    return filled(
        spec,
        volume_mode=given(spec.volume_mode, "Filesystem"),
        resources=None if spec.resources is None else _claim_resources(spec.resources),
    )


def _claim_resources(resources: VolumeResourceRequirements) -> VolumeResourceRequirements:
    return filled(resources, limits=resource_list(resources.limits), requests=resource_list(resources.requests))


def _keyed(source: Keyed) -> Keyed:
    return filled(source, default_mode=given(source.default_mode, _FILE_MODE))


def _empty_dir(source: EmptyDirVolumeSource) -> EmptyDirVolumeSource:
    if source.size_limit is None:
        return source
    limit = canonical_quantity(source.size_limit)
    return source if limit == source.size_limit else filled(source, size_limit=limit)


def _host_path(source: HostPathVolumeSource) -> HostPathVolumeSource:
    return filled(source, type=given(source.type, ""))


def _downward_api(source: DownwardAPIVolumeSource) -> DownwardAPIVolumeSource:
    return filled(
        source, default_mode=given(source.default_mode, _FILE_MODE), items=each(source.items, _downward_api_file)
    )


def _downward_api_file(file: DownwardAPIVolumeFile) -> DownwardAPIVolumeFile:
    return filled(
        file,
        field_ref=None if file.field_ref is None else field_selector(file.field_ref),
        resource_field_ref=None if file.resource_field_ref is None else resource_selector(file.resource_field_ref),
    )


def _projected(source: ProjectedVolumeSource) -> ProjectedVolumeSource:
    return filled(
        source, default_mode=given(source.default_mode, _FILE_MODE), sources=each(source.sources, _projection)
    )


def _projection(projection: VolumeProjection) -> VolumeProjection:
    token, files = projection.service_account_token, projection.downward_api
    if token is not None and token.expiration_seconds is None:
        token = filled(token, expiration_seconds=_TOKEN_LIFETIME_SECONDS)
    return filled(
        projection,
        service_account_token=token,
        downward_api=None if files is None else _projected_files(files),
    )


def _projected_files(files: DownwardAPIProjection) -> DownwardAPIProjection:
    return filled(files, items=each(files.items, _downward_api_file))


def _ephemeral(source: EphemeralVolumeSource) -> EphemeralVolumeSource:
    template = source.volume_claim_template
    if template is None:
        return source
    return filled(source, volume_claim_template=filled(template, spec=claim_spec(template.spec)))


def _image(source: ImageVolumeSource) -> ImageVolumeSource:
    return filled(source, pull_policy=source.pull_policy or pull_policy(source.reference))


def _iscsi(source: Iscsi) -> Iscsi:
    return filled(source, iscsi_interface=source.iscsi_interface or "default")


def _rbd(source: Rbd) -> Rbd:
    return filled(
        source,
        pool=source.pool or "rbd",
        user=source.user or "admin",
        keyring=source.keyring or "/etc/ceph/keyring",
    )


def _azure_disk(source: AzureDiskVolumeSource) -> AzureDiskVolumeSource:
    return filled(
        source,
        caching_mode=given(source.caching_mode, "ReadWrite"),
        kind=given(source.kind, "Shared"),
        fs_type=given(source.fs_type, "ext4"),
        read_only=bool(source.read_only),
    )


def _scale_io(source: Opaque) -> Opaque:
    given = source.value
    if not isinstance(given, dict):
        return source
    missing = {
        name: text for name, text in (("storageMode", "ThinProvisioned"), ("fsType", "xfs")) if not given.get(name)
    }
    return Opaque({**given, **missing}) if missing else source


#: Sources of a pod's volume that have defaults.
_FILLED: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("secret", _keyed),
    ("config_map", _keyed),
    ("empty_dir", _empty_dir),
    ("host_path", _host_path),
    ("projected", _projected),
    ("downward_api", _downward_api),
    ("ephemeral", _ephemeral),
    ("image", _image),
    ("iscsi", _iscsi),
    ("rbd", _rbd),
    ("azure_disk", _azure_disk),
    ("scale_io", _scale_io),
)
