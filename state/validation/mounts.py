"""Validation of where a container finds the volumes of its pod."""

from __future__ import annotations

from collections.abc import Mapping

from state.objects import Volume, VolumeDevice, VolumeMount
from state.validation import _checks as checks
from state.validation._report import Report

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIONS = ("Disabled", "Enabled", "IfPossible")


def volume_mounts(
    found: Report,
    path: str,
    mounts: tuple[VolumeMount, ...],
    volumes: Mapping[str, Volume],
    *,
    devices: tuple[VolumeDevice, ...],
    privileged: bool,
) -> None:
    """Mounts name volumes of the pod, each at a path of its own."""
    taken: set[str] = set()
    device_names, device_paths = {each.name for each in devices}, {each.device_path for each in devices}
    for index, mount in enumerate(mounts):
        own_path = f"{path}[{index}]"
        if not mount.name:
            found.required(f"{own_path}.name")
        if mount.name not in volumes:
            found.not_found(f"{own_path}.name", mount.name)
        if not mount.mount_path:
            found.required(f"{own_path}.mountPath")
        if mount.mount_path in taken:
            found.invalid(f"{own_path}.mountPath", mount.mount_path, "must be unique")
        taken.add(mount.mount_path)
        if mount.name in device_names:
            found.invalid(f"{own_path}.name", mount.name, "must not already exist in volumeDevices")
        if mount.mount_path in device_paths:
            message = "must not already exist as a path in volumeDevices"
            found.invalid(f"{own_path}.mountPath", mount.mount_path, message)
        _sub_path(found, path, own_path, mount, volumes.get(mount.name))
        _propagation(found, f"{path}.mountPropagation", mount, privileged=privileged)
        _recursion(found, f"{path}.recursiveReadOnly", mount)


def _sub_path(found: Report, path: str, own_path: str, mount: VolumeMount, volume: Volume | None) -> None:
    for name, given in (("subPath", mount.sub_path), ("subPathExpr", mount.sub_path_expr)):
        if given and volume is not None and volume.image is not None:
            found.invalid(f"{own_path}.{name}", given, "not allowed in image volume sources")
    if mount.sub_path:
        checks.descending_path(found, f"{path}.subPath", mount.sub_path)
    if mount.sub_path_expr:
        if mount.sub_path:
            message = "subPathExpr and subPath are mutually exclusive"
            found.invalid(f"{own_path}.subPathExpr", mount.sub_path_expr, message)
        checks.descending_path(found, f"{path}.subPathExpr", mount.sub_path_expr)


def _propagation(found: Report, path: str, mount: VolumeMount, *, privileged: bool) -> None:
    propagation = mount.mount_propagation
    if propagation is None:
        return
    if propagation not in _PROPAGATIONS:
        found.unsupported(path, propagation, _PROPAGATIONS)
    if propagation == "Bidirectional" and not privileged:
        found.forbidden(path, "Bidirectional mount propagation is available only to privileged containers")


def _recursion(found: Report, path: str, mount: VolumeMount) -> None:
    recursive = mount.recursive_read_only
    if recursive in {"Enabled", "IfPossible"}:
        if not mount.read_only:
            found.forbidden(path, "may only be specified when readOnly is true")
        if mount.mount_propagation not in {None, "None"}:
            found.forbidden(path, "may only be specified when mountPropagation is None or not specified")
    elif recursive not in {None, "Disabled"}:
        found.unsupported(path, recursive, _RECURSIONS)


def volume_devices(
    found: Report,
    path: str,
    devices: tuple[VolumeDevice, ...],
    volumes: Mapping[str, Volume],
    mounts: tuple[VolumeMount, ...],
) -> None:
    """Raw devices are claims of the pod, each at a path of its own."""
    names: set[str] = set()
    paths: set[str] = set()
    mount_names, mount_paths = {each.name for each in mounts}, {each.mount_path for each in mounts}
    for index, device in enumerate(devices):
        own_path = f"{path}[{index}]"
        volume = volumes.get(device.name)
        if not device.name:
            found.required(f"{own_path}.name")
        if device.name in names:
            found.invalid(f"{own_path}.name", device.name, "must be unique")
        if volume is None:
            found.not_found(f"{own_path}.name", device.name)
        elif volume.persistent_volume_claim is None and volume.ephemeral is None:
            message = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            found.invalid(f"{own_path}.name", device.name, message)
        if not device.device_path:
            found.required(f"{own_path}.devicePath")
        if device.device_path in paths:
            found.invalid(f"{own_path}.devicePath", device.device_path, "must be unique")
        if ".." in device.device_path.split("/"):
            found.invalid(f"{own_path}.devicePath", device.device_path, "can not contain backsteps ('..')")
        else:
            paths.add(device.device_path)
        if device.name in mount_names:
            found.invalid(f"{own_path}.name", device.name, "must not already exist in volumeMounts")
        if device.device_path in mount_paths:
            message = "must not already exist as a path in volumeMounts"
            found.invalid(f"{own_path}.devicePath", device.device_path, message)
        if device.name:
            names.add(device.name)
