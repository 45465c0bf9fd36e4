"""Validation of the volumes of a pod."""

from __future__ import annotations

from collections.abc import Iterable

from state import names
from state.objects import (
    ClusterTrustBundleProjection,
    ConfigMapVolumeSource,
    CSIVolumeSource,
    DownwardAPIVolumeFile,
    DownwardAPIVolumeSource,
    EmptyDirVolumeSource,
    EphemeralVolumeSource,
    ImageVolumeSource,
    KeyToPath,
    PersistentVolumeClaimVolumeSource,
    ProjectedVolumeSource,
    SecretVolumeSource,
    Volume,
    VolumeProjection,
)
from state.validation import _checks as checks
from state.validation import sources
from state.validation._report import Report
from state.validation.claims import claim_spec
from state.validation.env import FILE_FIELDS, field_reference, resource_reference
from state.validation.metadata import claim_template_meta

_WRONG_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")


def volumes(found: Report, path: str, given: tuple[Volume, ...], pod_name: str = "") -> dict[str, Volume]:
    """Checks a pod's volumes and returns the good ones by name; ``pod_name`` is "" in a template."""
    known: dict[str, Volume] = {}
    made = {f"{pod_name}-{volume.name}" for volume in given if volume.ephemeral is not None} if pod_name else set()
    for index, volume in enumerate(given):
        own_path, before = f"{path}[{index}]", len(found.problems)
        _source(found, own_path, volume, pod_name)
        checks.named(found, f"{own_path}.name", volume.name, names.dns1123_label)
        if volume.name in known:
            found.duplicate(f"{own_path}.name", volume.name)
        if len(found.problems) == before:
            known[volume.name] = volume
        claim = volume.persistent_volume_claim
        if claim is not None and claim.claim_name in made:
            message = "must not reference a PVC that gets created for an ephemeral volume"
            found.invalid(f"{own_path}.persistentVolumeClaim.claimName", claim.claim_name, message)
    return known


def _source(found: Report, path: str, volume: Volume, pod_name: str) -> None:
    before = len(found.problems)
    sources.exactly_one(found, path, _sources(volume))
    iscsi = volume.iscsi
    if iscsi is not None and iscsi.initiator_name is not None and len(f"{volume.name}:{iscsi.target_portal}") > 64:
        limit = "must be under 64 characters if iscsi.initiatorName is specified."
        message = f"Total length of <volume name>:<iscsi.targetPortal> {limit}"
        found.invalid(f"{path}.name", volume.name, message)
    if volume.ephemeral is not None and pod_name and volume.name and len(found.problems) == before:
        claim = f"{pod_name}-{volume.name}"
        for message in names.dns1123_subdomain(claim):
            found.invalid(f"{path}.name", volume.name, f'PVC name "{claim}": {message}')


def _sources(volume: Volume) -> Iterable[tuple[str, object, sources.Check]]:
    """Every source that a volume of a pod can have, in the API server's order."""
    return (
        ("emptyDir", volume.empty_dir, _empty_dir),
        ("hostPath", volume.host_path, sources.host_path),
        ("gitRepo", volume.git_repo, sources.git_repo),
        ("gcePersistentDisk", volume.gce_persistent_disk, sources.gce_persistent_disk),
        ("awsElasticBlockStore", volume.aws_elastic_block_store, sources.aws_block_store),
        ("secret", volume.secret, _secret),
        ("nfs", volume.nfs, sources.nfs),
        ("iscsi", volume.iscsi, sources.iscsi),
        ("glusterfs", volume.glusterfs, sources.needing("endpoints", "path")),
        ("flocker", volume.flocker, sources.flocker),
        ("persistentVolumeClaim", volume.persistent_volume_claim, _claim),
        ("rbd", volume.rbd, sources.rbd),
        ("cinder", volume.cinder, sources.cinder),
        ("cephfs", volume.cephfs, sources.needing("monitors")),
        ("quobyte", volume.quobyte, sources.quobyte),
        ("downwardAPI", volume.downward_api, _downward_api),
        ("fc", volume.fc, sources.fibre_channel),
        ("flexVolume", volume.flex_volume, sources.flex_volume),
        ("configMap", volume.config_map, _config_map),
        ("azureFile", volume.azure_file, sources.needing("secretName", "shareName")),
        ("vsphereVolume", volume.vsphere_volume, sources.needing("volumePath")),
        ("photonPersistentDisk", volume.photon_persistent_disk, sources.needing("pdID")),
        ("portworxVolume", volume.portworx_volume, sources.needing("volumeID")),
        ("azureDisk", volume.azure_disk, sources.azure_disk),
        ("storageos", volume.storageos, sources.storage_os),
        ("projected", volume.projected, _projected),
        ("scaleIO", volume.scale_io, sources.needing("gateway", "system", "volumeName")),
        ("csi", volume.csi, _csi),
        ("ephemeral", volume.ephemeral, _ephemeral),
        ("image", volume.image, _image),
    )


def _empty_dir(found: Report, path: str, source: EmptyDirVolumeSource) -> None:
    if source.size_limit is not None:
        amount = checks.quantity(found, f"{path}.sizeLimit", source.size_limit)
        if amount is not None and amount.nanos < 0:
            found.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _secret(found: Report, path: str, source: SecretVolumeSource) -> None:
    if not source.secret_name:
        found.required(f"{path}.secretName")
    _mode(found, f"{path}.defaultMode", source.default_mode)
    _items(found, f"{path}.items", source.items)


def _config_map(found: Report, path: str, source: ConfigMapVolumeSource) -> None:
    if not source.name:
        found.required(f"{path}.name")
    _mode(found, f"{path}.defaultMode", source.default_mode)
    _items(found, f"{path}.items", source.items)


def _items(found: Report, path: str, items: tuple[KeyToPath, ...]) -> None:
    for index, item in enumerate(items):
        own_path = f"{path}[{index}]"
        if not item.key:
            found.required(f"{own_path}.key")
        if not item.path:
            found.required(f"{own_path}.path")
        checks.local_path(found, f"{own_path}.path", item.path)
        _mode(found, f"{own_path}.mode", item.mode)


def _mode(found: Report, path: str, mode: int | None) -> None:
    if mode is not None and not 0 <= mode <= 0o777:
        found.invalid(path, mode, _WRONG_MODE)


def _claim(found: Report, path: str, source: PersistentVolumeClaimVolumeSource) -> None:
    if not source.claim_name:
        found.required(f"{path}.claimName")


def _downward_api(found: Report, path: str, source: DownwardAPIVolumeSource) -> None:
    _mode(found, f"{path}.defaultMode", source.default_mode)
    for file in source.items:
        _downward_api_file(found, path, file)


def _downward_api_file(found: Report, path: str, file: DownwardAPIVolumeFile) -> None:
    if not file.path:
        found.required(f"{path}.path")
    checks.local_path(found, f"{path}.path", file.path)
    if file.field_ref is not None:
        field_reference(found, f"{path}.fieldRef", file.field_ref, FILE_FIELDS)
        if file.resource_field_ref is not None:
            message = "fieldRef and resourceFieldRef can not be specified simultaneously"
            found.invalid(path, "resource", message)
    elif file.resource_field_ref is not None:
        resource_reference(found, f"{path}.resourceFieldRef", file.resource_field_ref, in_volume=True)
    else:
        found.required(path, "one of fieldRef and resourceFieldRef is required")
    _mode(found, f"{path}.mode", file.mode)


def _projected(found: Report, path: str, source: ProjectedVolumeSource) -> None:
    _mode(found, f"{path}.defaultMode", source.default_mode)
    taken: set[str] = set()
    for index, projection in enumerate(source.sources):
        own_path = f"{path}.sources[{index}]"
        for file, shown in _projection(found, path, own_path, projection):
            if file in taken:
                found.invalid(path, shown, "conflicting duplicate paths")
            taken.add(file)
        if sum(getattr(projection, name) is not None for name in VolumeProjection.__struct_fields__) > 1:
            found.forbidden(own_path, "may not specify more than 1 volume type per source")


def _projection(
    found: Report, volume_path: str, path: str, projection: VolumeProjection
) -> Iterable[tuple[str, str | None]]:
    """Checks one source and yields the files that it makes, each with what to show if two make the same."""
    for kind, keys in (("secret", projection.secret), ("configMap", projection.config_map)):
        if keys is not None:
            if not keys.name:
                found.required(f"{path}.{kind}.name")
            _items(found, f"{path}.{kind}.items", keys.items)
            yield from ((item.path, keys.name) for item in keys.items if item.path)
    if projection.downward_api is not None:
        for file in projection.downward_api.items:
            _downward_api_file(found, f"{path}.downwardAPI", file)
            yield file.path, file.path
    token = projection.service_account_token
    if token is not None:
        seconds = token.expiration_seconds or 0
        if seconds < 600:
            message = "may not specify a duration less than 10 minutes"
            found.invalid(f"{path}.serviceAccountToken.expirationSeconds", seconds, message)
        if seconds > 2**32:
            message = "may not specify a duration larger than 2^32 seconds"
            found.invalid(f"{path}.serviceAccountToken.expirationSeconds", seconds, message)
        if not token.path:
            found.required(f"{volume_path}.path")
        else:
            checks.local_path(found, f"{volume_path}.path", token.path)
    if projection.cluster_trust_bundle is not None:
        _trust_bundle(found, f"{path}.clusterTrustBundle", projection.cluster_trust_bundle)
        yield projection.cluster_trust_bundle.path, projection.cluster_trust_bundle.path


def _trust_bundle(found: Report, path: str, bundle: ClusterTrustBundleProjection) -> None:
    if bundle.name is not None and bundle.signer_name is not None:
        found.invalid(path, bundle, "only one of name and signerName may be used")
    elif bundle.name is not None:
        if not bundle.name:
            found.required(f"{path}.name", "must be a valid object name")
        if bundle.label_selector is not None:
            message = "labelSelector must be unset if name is specified"
            found.invalid(f"{path}.labelSelector", checks.selector_value(bundle.label_selector), message)
    elif bundle.signer_name is not None:
        if not bundle.signer_name:
            found.required(f"{path}.signerName", "must be a valid signer name")
        checks.label_selector(found, f"{path}.labelSelector", bundle.label_selector)
    else:
        found.required(path, "either name or signerName must be specified")
    if not bundle.path:
        found.required(f"{path}.path")
    checks.local_path(found, f"{path}.path", bundle.path)


def _csi(found: Report, path: str, source: CSIVolumeSource) -> None:
    sources.csi_driver_name(found, f"{path}.driver", source.driver)
    if source.node_publish_secret_ref is not None:
        name = source.node_publish_secret_ref.name
        if name:
            checks.text(found, f"{path}.name", name, names.dns1123_subdomain)  # the API server's own slip
        else:
            found.required(f"{path}.nodePublishSecretRef.name")


def _ephemeral(found: Report, path: str, source: EphemeralVolumeSource) -> None:
    template = source.volume_claim_template
    if template is None:
        found.required(f"{path}.volumeClaimTemplate")
        return
    if template.metadata is not None:
        claim_template_meta(found, f"{path}.volumeClaimTemplate.metadata", template.metadata)
    claim_spec(found, f"{path}.volumeClaimTemplate.spec", template.spec)


def _image(found: Report, path: str, source: ImageVolumeSource) -> None:
    reference = source.reference or ""
    if not reference:
        found.required(f"{path}.reference")
    elif reference != reference.strip():
        found.invalid(f"{path}.reference", reference, "must not have leading or trailing whitespace")
    found.one_of(f"{path}.pullPolicy", source.pull_policy, _PULL_POLICIES)
