"""What the verbs do to a volume's record, and when they are refused. Pure, and shared by the drivers.

Each function takes a ``Volume`` and gives the changed one, or the same one when there is nothing to do.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.drivers.storage.base import Attachment, Code, Publication, StorageError, Volume, VolumeRequest

#: Access mode -> may several nodes have it at a time?
_ACCESS_MODES = {"ReadWriteOnce": False, "ReadWriteOncePod": False, "ReadOnlyMany": True, "ReadWriteMany": True}
_ONE_POD = "ReadWriteOncePod"


def new_volume(request: VolumeRequest, topology: dict[str, str]) -> Volume:
    """The record of a volume that nobody has yet."""
    for mode in request.access_modes:
        if mode not in _ACCESS_MODES:
            known = ", ".join(_ACCESS_MODES)
            raise StorageError(Code.INVALID_ARGUMENT, f'volume {request.name}: access mode "{mode}" is none of {known}')
    if not request.access_modes:
        raise StorageError(Code.INVALID_ARGUMENT, f"volume {request.name}: at least one access mode is required")
    if request.capacity_bytes <= 0:
        message = f"volume {request.name}: capacity is {request.capacity_bytes} bytes, must be greater than zero"
        raise StorageError(Code.INVALID_ARGUMENT, message)
    modes = tuple(sorted(set(request.access_modes)))
    return Volume(request.name, request.capacity_bytes, modes, dict(request.parameters), topology)


def same_volume(volume: Volume, request: VolumeRequest) -> Volume:
    """The volume that exists, if it is what is asked for (it may have grown since)."""
    wanted = new_volume(request, {})
    if volume.capacity_bytes < wanted.capacity_bytes:
        difference = f"{volume.capacity_bytes} bytes, not {wanted.capacity_bytes}"
    elif volume.access_modes != wanted.access_modes:
        difference = f"access modes {', '.join(volume.access_modes)}, not {', '.join(wanted.access_modes)}"
    elif volume.parameters != wanted.parameters:
        difference = f"parameters {dict(volume.parameters)}, not {dict(wanted.parameters)}"
    else:
        return volume
    raise StorageError(Code.ALREADY_EXISTS, f"volume {volume.handle} exists with {difference}")


def require_unused(volume: Volume) -> None:
    """Refuses while a pod has it or a node holds it."""
    require_unpublished(volume)
    if volume.attachments:
        nodes = ", ".join(attachment.node for attachment in volume.attachments)
        raise StorageError(Code.FAILED_PRECONDITION, f"volume {volume.handle} is attached to {nodes}")


def require_unpublished(volume: Volume, node: str | None = None) -> None:
    """Refuses while a pod (on that node) has it."""
    pods = sorted({entry.pod_uid for entry in volume.publications if node in {None, entry.node}})
    if pods:
        raise StorageError(Code.FAILED_PRECONDITION, f"volume {volume.handle} is used by pod {', '.join(pods)}")


def expanded(volume: Volume, capacity_bytes: int) -> Volume:
    """At least that large."""
    return volume if capacity_bytes <= volume.capacity_bytes else replace(volume, capacity_bytes=capacity_bytes)


def attached(volume: Volume, node: str, *, read_only: bool) -> Volume:
    """On that node too, if the access modes and the topology allow it."""
    present = _attachment(volume, node)
    if present is not None:
        if present.read_only != read_only:
            message = f"volume {volume.handle} is attached to {node} with read-only={present.read_only}"
            raise StorageError(Code.ALREADY_EXISTS, message)
        return volume
    reachable = volume.topology.get("kubernetes.io/hostname", node)
    if reachable != node:
        message = f"volume {volume.handle} is reachable from node {reachable} only, not from {node}"
        raise StorageError(Code.FAILED_PRECONDITION, message)
    if volume.attachments and not any(_ACCESS_MODES[mode] for mode in volume.access_modes):
        holder = volume.attachments[0].node
        message = (
            f"volume {volume.handle} is attached to {holder}, and {', '.join(volume.access_modes)} allows one node"
        )
        raise StorageError(Code.FAILED_PRECONDITION, message)
    return replace(volume, attachments=tuple(sorted((*volume.attachments, Attachment(node, read_only)))))


def detached(volume: Volume, node: str) -> Volume:
    """Not on that node any more."""
    require_unpublished(volume, node)
    if _attachment(volume, node) is None:
        return volume
    return replace(volume, attachments=tuple(entry for entry in volume.attachments if entry.node != node))


def staged(volume: Volume, node: str) -> Volume:
    """Prepared on that node."""
    present = _attachment(volume, node)
    if present is None:
        raise StorageError(Code.FAILED_PRECONDITION, f"volume {volume.handle} is not attached to {node}")
    return _with_attachment(volume, replace(present, staged=True))


def unstaged(volume: Volume, node: str) -> Volume:
    """Not prepared on that node any more."""
    require_unpublished(volume, node)
    present = _attachment(volume, node)
    return volume if present is None else _with_attachment(volume, replace(present, staged=False))


def published(volume: Volume, wanted: Publication) -> Volume:
    """Given to a pod."""
    for entry in volume.publications:
        if (entry.pod_uid, entry.name) == (wanted.pod_uid, wanted.name):
            if entry != wanted:
                message = f"volume {volume.handle} is already given to pod {entry.pod_uid} as {entry}"
                raise StorageError(Code.ALREADY_EXISTS, message)
            return volume
    present = _attachment(volume, wanted.node)
    if present is None or not present.staged:
        raise StorageError(Code.FAILED_PRECONDITION, f"volume {volume.handle} is not staged on {wanted.node}")
    others = sorted({entry.pod_uid for entry in volume.publications} - {wanted.pod_uid})
    if others and _ONE_POD in volume.access_modes:
        message = f"volume {volume.handle} is {_ONE_POD}, and pod {others[0]} has it"
        raise StorageError(Code.FAILED_PRECONDITION, message)
    return replace(volume, publications=tuple(sorted((*volume.publications, wanted))))


def unpublished(volume: Volume, pod_uid: str, name: str) -> Volume:
    """Taken from a pod."""
    kept = tuple(entry for entry in volume.publications if (entry.pod_uid, entry.name) != (pod_uid, name))
    return volume if len(kept) == len(volume.publications) else replace(volume, publications=kept)


def _attachment(volume: Volume, node: str) -> Attachment | None:
    return next((entry for entry in volume.attachments if entry.node == node), None)


def _with_attachment(volume: Volume, changed: Attachment) -> Volume:
    entries = tuple(changed if entry.node == changed.node else entry for entry in volume.attachments)
    return volume if entries == volume.attachments else replace(volume, attachments=entries)
