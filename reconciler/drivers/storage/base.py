"""What a storage driver does, and the records it takes and gives. It follows CSI, verb by verb.

A volume goes through *create* (it exists), *controller publish* (attached to a node), *node stage* (prepared on that
node, once) and *node publish* (given to a pod, as a path on the host); each has its undo. What volumes hold is never
touched but by ``delete_volume`` and ``scrub_volume``.

Every verb is idempotent: doing it twice is doing it once, and undoing what isn't there is no error. A driver that was
killed half-way is asked what exists (``list_volumes``) and is told the rest again. One thread at a time calls a driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Code(StrEnum):
    """Why a verb failed: the gRPC codes that CSI uses."""

    INVALID_ARGUMENT = "InvalidArgument"
    NOT_FOUND = "NotFound"
    ALREADY_EXISTS = "AlreadyExists"
    RESOURCE_EXHAUSTED = "ResourceExhausted"
    FAILED_PRECONDITION = "FailedPrecondition"
    OUT_OF_RANGE = "OutOfRange"
    INTERNAL = "Internal"


class StorageError(Exception):
    """A verb could not be carried out; ``code`` says whether trying again can help, the message names the volume."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __str__(self) -> str:
        return f"{self.code.value}: {self.args[0]}"


@dataclass(frozen=True, slots=True)
class VolumeRequest:
    """A volume to create.

    Shapes and units: ``capacity_bytes`` is the least size; ``access_modes`` are the API's (ReadWriteOnce, ...);
    ``parameters`` are the StorageClass's; ``node`` is where the first pod will run, "" if that is not known.
    """

    name: str
    capacity_bytes: int
    access_modes: tuple[str, ...] = ("ReadWriteOnce",)
    parameters: Mapping[str, str] = field(default_factory=dict)
    node: str = ""


@dataclass(frozen=True, order=True, slots=True)
class Attachment:
    """A volume on a node. ``staged`` after ``node_stage``."""

    node: str
    read_only: bool = False
    staged: bool = False


@dataclass(frozen=True, order=True, slots=True)
class Publication:
    """A volume given to a pod: ``name`` is the volume's name in the pod, ``path`` where the host has it."""

    node: str
    pod_uid: str
    name: str
    path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume that exists. ``topology``: labels a node must have to reach it; empty if every node does."""

    handle: str
    capacity_bytes: int
    access_modes: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    topology: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    publications: tuple[Publication, ...] = ()


@dataclass(frozen=True, slots=True)
class VolumeStats:
    """How full a volume is, in bytes and in files (inodes)."""

    total_bytes: int
    used_bytes: int
    used_inodes: int = 0

    @property
    def available_bytes(self) -> int:
        """What is left; never below zero, though a size that is not enforced can be exceeded."""
        return max(0, self.total_bytes - self.used_bytes)


@runtime_checkable
class StorageDriver(Protocol):
    """Volumes, from creation to a pod's directory."""

    @property
    def name(self) -> str:
        """The CSI driver's name, as in ``spec.csi.driver`` and a StorageClass's ``provisioner``."""

    def create_volume(self, request: VolumeRequest) -> Volume:
        """Creates a volume. The same name again gives the same volume.

        Raises:
            StorageError: ALREADY_EXISTS if it exists smaller, or with other modes or parameters; RESOURCE_EXHAUSTED if
                there is no room; INVALID_ARGUMENT for a name, size or mode that can't be.
        """

    def delete_volume(self, handle: str) -> None:
        """Deletes the volume *and its data*. FAILED_PRECONDITION while a pod has it or a node holds it."""

    def scrub_volume(self, handle: str) -> None:
        """Empties the volume but keeps it (reclaim policy Recycle). FAILED_PRECONDITION while a pod has it."""

    def expand_volume(self, handle: str, capacity_bytes: int) -> Volume:
        """Makes it at least that large; a smaller size changes nothing, as in CSI."""

    def controller_publish(self, handle: str, node: str, *, read_only: bool = False) -> None:
        """Attaches it to a node.

        Raises:
            StorageError: FAILED_PRECONDITION if its access modes allow one node and another one has it, or the node
                can't reach it; ALREADY_EXISTS if it is attached there, but not with that ``read_only``.
        """

    def controller_unpublish(self, handle: str, node: str) -> None:
        """Detaches it from the node. FAILED_PRECONDITION while a pod there has it."""

    def node_stage(self, handle: str, node: str) -> None:
        """Prepares it on the node, once for all pods. FAILED_PRECONDITION if it isn't attached there."""

    def node_unstage(self, handle: str, node: str) -> None:
        """Undoes ``node_stage``. FAILED_PRECONDITION while a pod there has it."""

    def node_publish(self, handle: str, node: str, pod_uid: str, name: str, *, read_only: bool = False) -> str:
        """Gives it to a pod under the name of the pod's volume; returns the directory on the host.

        Raises:
            StorageError: FAILED_PRECONDITION if it isn't staged there, or is ReadWriteOncePod and another pod has it;
                ALREADY_EXISTS if the pod has it under that name, but not with that ``read_only``.
        """

    def node_unpublish(self, handle: str, pod_uid: str, name: str) -> None:
        """Takes it from the pod. Data stays. Unknown volume or publication is no error."""

    def get_capacity(self, node: str = "") -> int:
        """Bytes left for new volumes (reachable from that node)."""

    def volume_stats(self, handle: str) -> VolumeStats:
        """Measures it. NOT_FOUND if there is none."""

    def list_volumes(self) -> tuple[Volume, ...]:
        """Every volume, sorted by handle, with who has it: what the driver observes."""

    def close(self) -> None:
        """Gives up what the process holds (locks). Volumes, data and publications stay for the next driver."""
