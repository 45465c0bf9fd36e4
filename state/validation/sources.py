"""Validation of where a volume's data comes from: the sources that pods and PersistentVolumes have in common.

A volume has exactly one. Sources that Kubernetes no longer serves itself are still checked, since it still does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from state import names
from state.objects import (
    AWSElasticBlockStoreVolumeSource,
    AzureDiskVolumeSource,
    GCEPersistentDiskVolumeSource,
    HostPathVolumeSource,
    ISCSIPersistentVolumeSource,
    ISCSIVolumeSource,
    RBDPersistentVolumeSource,
    RBDVolumeSource,
)
from state.validation import _checks as checks
from state.validation._opaque import Fields
from state.validation._report import Report

#: A check of one source: the report, the source's path, the source.
Check = Callable[[Report, str, Any], None]

_ONE_SOURCE = "may not specify more than 1 volume type"
#: How the API server calls sources that are one too many, where it slips.
_SLIPS = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_CACHING_MODES = ("None", "ReadOnly", "ReadWrite")
_DISK_KINDS = ("Dedicated", "Managed", "Shared")
_INITIATORS = {
    "iqn": re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9.-]+)(:[^,;*&$|\s]+)$"),
    "eui": re.compile(r"^eui.[A-Za-z0-9]{16}$"),
    "naa": re.compile(r"^naa.[A-Za-z0-9]{32}$"),
}


def exactly_one(found: Report, path: str, given: Iterable[tuple[str, Any, Check]]) -> None:
    """One source only: the first of those given (name, source, check) is checked, any other is one too many."""
    count = 0
    for name, source, check in given:
        if source is None:
            continue
        count += 1
        if count == 1:
            check(found, f"{path}.{name}", source)
        else:
            found.forbidden(f"{path}.{_SLIPS.get(name, name)}", _ONE_SOURCE)
    if not count:
        found.required(path, "must specify a volume type")


def host_path(found: Report, path: str, source: HostPathVolumeSource) -> None:
    """A file or directory of the node."""
    if not source.path:
        found.required(f"{path}.path")
        return
    checks.no_backsteps(found, f"{path}.path", source.path)
    if source.type is not None and source.type not in _HOST_PATH_TYPES:
        found.unsupported(f"{path}.type", source.type, _HOST_PATH_TYPES)


def gce_persistent_disk(found: Report, path: str, source: GCEPersistentDiskVolumeSource) -> None:
    """A disk of Google Compute Engine."""
    path = path.replace("gcePersistentDisk", "persistentDisk")  # the API server's own slip
    if not source.pd_name:
        found.required(f"{path}.pdName")
    _partition(found, f"{path}.partition", source.partition)


def aws_block_store(found: Report, path: str, source: AWSElasticBlockStoreVolumeSource) -> None:
    """A disk of Amazon's Elastic Block Store."""
    if not source.volume_id:
        found.required(f"{path}.volumeID")
    _partition(found, f"{path}.partition", source.partition)


def _partition(found: Report, path: str, partition: int | None) -> None:
    if partition is not None and not 0 <= partition <= 255:
        found.invalid(path, partition, names.range_message(1, 255))


def azure_disk(found: Report, path: str, source: AzureDiskVolumeSource) -> None:
    """A disk of Azure; how it is addressed depends on its kind."""
    if not source.disk_name:
        found.required(f"{path}.diskName")
    if not source.disk_uri:
        found.required(f"{path}.diskURI")
    if source.caching_mode not in {None, *_CACHING_MODES}:
        found.unsupported(f"{path}.cachingMode", source.caching_mode, _CACHING_MODES)
    if source.kind is not None:
        if source.kind not in _DISK_KINDS:
            found.unsupported(f"{path}.kind", source.kind, _DISK_KINDS)
        managed = source.kind == "Managed"
        if not source.disk_uri.startswith("/subscriptions/" if managed else "https://"):
            form = (
                "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
                if managed
                else "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
            )
            found.unsupported(f"{path}.diskURI", source.disk_uri, (form,))


def iscsi(found: Report, path: str, source: ISCSIVolumeSource | ISCSIPersistentVolumeSource) -> None:
    """A disk reached over iSCSI."""
    if not source.target_portal:
        found.required(f"{path}.targetPortal")
    if not source.iqn:
        found.required(f"{path}.iqn")
    else:
        _initiator(found, f"{path}.iqn", source.iqn)
    if not 0 <= source.lun <= 255:
        found.invalid(f"{path}.lun", source.lun, names.range_message(0, 255))
    if (source.chap_auth_discovery or source.chap_auth_session) and source.secret_ref is None:
        found.required(f"{path}.secretRef")
    if isinstance(source, ISCSIPersistentVolumeSource) and source.secret_ref is not None and not source.secret_ref.name:
        found.required(f"{path}.secretRef.name")
    if source.initiator_name is not None:
        _initiator(found, f"{path}.initiatorname", source.initiator_name)


def _initiator(found: Report, path: str, name: str) -> None:
    pattern = _INITIATORS.get(name[:3])
    if pattern is None:
        found.invalid(path, name, "must be valid format starting with iqn, eui, or naa")
    elif not pattern.search(name):
        found.invalid(path, name, "must be valid format")


def rbd(found: Report, path: str, source: RBDVolumeSource | RBDPersistentVolumeSource) -> None:
    """A block device of Ceph."""
    if not source.monitors:
        found.required(f"{path}.monitors")
    if not source.image:
        found.required(f"{path}.image")


def csi_driver_name(found: Report, path: str, name: str) -> None:
    """The name of a CSI driver: a domain, in any case."""
    if not name:
        found.required(path)
    if len(name) > names.LABEL_LENGTH:
        found.too_long(path, names.LABEL_LENGTH)
    found.each_invalid(path, name, names.dns1123_subdomain(name.lower()))


def needing(*required: str) -> Check:
    """A check of a source without a type: these of its fields must be there."""

    def check(found: Report, path: str, source: object) -> None:
        fields = Fields(found, path, source)
        for name in required:
            if not (fields.items(name) if name == "monitors" else fields.text(name)):
                found.required(f"{path}.{name}")

    return check


def cinder(found: Report, path: str, source: object) -> None:
    """A volume of OpenStack's Cinder, as a pod names it."""
    _cinder(found, path, source, ("name",))


def persistent_cinder(found: Report, path: str, source: object) -> None:
    """A volume of OpenStack's Cinder, with its secret in a namespace."""
    _cinder(found, path, source, ("name", "namespace"))


def _cinder(found: Report, path: str, source: object, of_secret: tuple[str, ...]) -> None:
    needing("volumeID")(found, path, source)
    secret = Fields(found, path, source).section("secretRef")
    if secret is not None:
        _required(secret, found, of_secret)


def _required(fields: Fields, found: Report, names_of_fields: tuple[str, ...]) -> None:
    for name in names_of_fields:
        if not fields.text(name):
            found.required(f"{fields.path}.{name}")


def persistent_azure_file(found: Report, path: str, source: object) -> None:
    """A share of Azure Files, its secret perhaps in a namespace that is named."""
    needing("secretName", "shareName")(found, path, source)
    if Fields(found, path, source).text("secretNamespace") == "":
        found.required(f"{path}.secretNamespace")


def persistent_glusterfs(found: Report, path: str, source: object) -> None:
    """A volume of GlusterFS, its Endpoints perhaps in a namespace that is named."""
    needing("endpoints", "path")(found, path, source)
    own_path, namespace = f"{path}.endpointsNamespace", Fields(found, path, source).text("endpointsNamespace")
    if namespace == "":
        found.invalid(own_path, "", "if the endpointnamespace is set, it must be a valid namespace name")
    elif namespace is not None:
        checks.text(found, own_path, namespace, names.dns1123_label)


def nfs(found: Report, path: str, source: object) -> None:
    """A directory of an NFS server."""
    fields = Fields(found, path, source)
    if not fields.text("server"):
        found.required(f"{path}.server")
    exported = fields.text("path") or ""
    if not exported:
        found.required(f"{path}.path")
    if not exported.startswith("/"):
        found.invalid(f"{path}.path", exported, "must be an absolute path")


def fibre_channel(found: Report, path: str, source: object) -> None:
    """A disk on a Fibre Channel network, named in one of two ways."""
    fields = Fields(found, path, source)
    targets, wwids, lun = fields.texts("targetWWNs"), fields.texts("wwids"), fields.integer("lun")
    if not targets and not wwids:
        found.required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
    if targets and wwids:
        message = "targetWWNs and wwids can not be specified simultaneously"
        found.invalid(f"{path}.targetWWNs", targets, message)
    if targets and "lun" not in fields:
        found.required(f"{path}.lun", "lun is required if targetWWNs is specified")
    elif targets and lun is not None and not 0 <= lun <= 255:
        found.invalid(f"{path}.lun", lun, names.range_message(0, 255))


def flocker(found: Report, path: str, source: object) -> None:
    """A dataset of Flocker."""
    fields = Fields(found, path, source)
    name, uuid = fields.text("datasetName") or "", fields.text("datasetUUID") or ""
    if not name and not uuid:
        found.required(path, "one of datasetName and datasetUUID is required")
    if name and uuid:
        found.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in name:
        found.invalid(f"{path}.datasetName", name, "must not contain '/'")


def flex_volume(found: Report, path: str, source: object) -> None:
    """A volume of a FlexVolume driver; its options keep out of Kubernetes' domains."""
    fields = Fields(found, path, source)
    if not fields.text("driver"):
        found.required(f"{path}.driver")
    options = fields.section("options")
    for option in options.names() if options is not None else ():
        domain = "." + option.partition("/")[0].lower()
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            message = "kubernetes.io and k8s.io namespaces are reserved"
            found.invalid(f"{path}.options[{option}]", option, message)


def quobyte(found: Report, path: str, source: object) -> None:
    """A volume of Quobyte."""
    fields = Fields(found, path, source)
    registry, message = fields.text("registry") or "", "must be a host:port pair or multiple pairs separated by commas"
    if not registry:
        found.required(f"{path}.registry", message)
    elif len(fields.text("tenant") or "") > 64:
        found.required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters")
    else:
        for pair in registry.split(","):
            if not re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*):[^:\[\]]*", pair):
                found.invalid(f"{path}.registry", registry, message)
    if not fields.text("volume"):
        found.required(f"{path}.volume")


def storage_os(found: Report, path: str, source: object) -> None:
    """A volume of StorageOS, as a pod names it."""
    _storage_os(found, path, source, ("name",))


def persistent_storage_os(found: Report, path: str, source: object) -> None:
    """A volume of StorageOS, with its secret in a namespace."""
    _storage_os(found, path, source, ("name", "namespace"))


def _storage_os(found: Report, path: str, source: object, of_secret: tuple[str, ...]) -> None:
    fields = Fields(found, path, source)
    checks.named(found, f"{path}.volumeName", fields.text("volumeName"), names.dns1123_label)
    namespace, secret = fields.text("volumeNamespace"), fields.section("secretRef")
    if namespace:
        checks.text(found, f"{path}.volumeNamespace", namespace, names.dns1123_label)
    if secret is not None:
        _required(secret, found, of_secret)


def git_repo(found: Report, path: str, source: object) -> None:
    """A clone of a git repository."""
    fields = Fields(found, path, source)
    if not fields.text("repository"):
        found.required(f"{path}.repository")
    checks.descending_path(found, f"{path}.directory", fields.text("directory") or "")
