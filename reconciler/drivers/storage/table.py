"""What the storage drivers share: a table of volumes, the rules of ``records`` applied to it, room and topology."""

# ruff: noqa: D102 - the protocol says what each verb does

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from reconciler.drivers.storage import records
from reconciler.drivers.storage.base import Code, StorageError, Volume, VolumeRequest

_HOSTNAME = "kubernetes.io/hostname"


class VolumeTable(ABC):
    """A storage driver but for the volumes' contents.

    Args:
        name: the CSI driver's name.
        capacity_bytes: how much volumes may ask for; None refuses nothing.
        node_local: a volume is reachable only from the node it was created for.
    """

    def __init__(self, name: str, capacity_bytes: int | None, *, node_local: bool) -> None:
        self.name = name
        self._capacity_bytes = capacity_bytes
        self._node_local = node_local
        self._volumes: dict[str, Volume] = {}

    @abstractmethod
    def get_capacity(self, node: str = "") -> int:
        """What is left of the capacity."""

    @abstractmethod
    def _make(self, volume: Volume) -> None:
        """Makes an empty volume, complete or not at all, before it is in the table."""

    @abstractmethod
    def _remove(self, handle: str) -> None:
        """Removes a volume with its contents, from the table too."""

    @abstractmethod
    def _empty(self, handle: str) -> None:
        """Removes the contents of a volume."""

    def _guard(self, verb: str, handle: str) -> AbstractContextManager[None]:
        """Is around each call of a verb."""
        del verb, handle
        return nullcontext()

    def _store(self, volume: Volume) -> None:
        """Writes a changed record before anybody relies on it."""
        self._volumes[volume.handle] = volume

    def create_volume(self, request: VolumeRequest) -> Volume:
        with self._guard("create_volume", request.name):
            if request.name in self._volumes:
                return records.same_volume(self._volumes[request.name], request)
            topology = {_HOSTNAME: request.node} if self._node_local and request.node else {}
            volume = records.new_volume(request, topology)
            self._require_room(volume.handle, volume.capacity_bytes, request.node)
            self._make(volume)
            self._volumes[volume.handle] = volume
            return volume

    def delete_volume(self, handle: str) -> None:
        with self._guard("delete_volume", handle):
            if handle in self._volumes:
                records.require_unused(self._volumes[handle])
                self._remove(handle)

    def scrub_volume(self, handle: str) -> None:
        with self._guard("scrub_volume", handle):
            records.require_unpublished(self._get(handle))
            self._empty(handle)

    def expand_volume(self, handle: str, capacity_bytes: int) -> Volume:
        with self._guard("expand_volume", handle):
            volume = self._get(handle)
            self._require_room(handle, capacity_bytes - volume.capacity_bytes, volume.topology.get(_HOSTNAME, ""))
            return self._change(handle, lambda volume: records.expanded(volume, capacity_bytes))

    def controller_publish(self, handle: str, node: str, *, read_only: bool = False) -> None:
        with self._guard("controller_publish", handle):
            self._change(handle, lambda volume: records.attached(volume, node, read_only=read_only))

    def controller_unpublish(self, handle: str, node: str) -> None:
        with self._guard("controller_unpublish", handle):
            self._undo(handle, lambda volume: records.detached(volume, node))

    def node_stage(self, handle: str, node: str) -> None:
        with self._guard("node_stage", handle):
            self._change(handle, lambda volume: records.staged(volume, node))

    def node_unstage(self, handle: str, node: str) -> None:
        with self._guard("node_unstage", handle):
            self._undo(handle, lambda volume: records.unstaged(volume, node))

    def list_volumes(self) -> tuple[Volume, ...]:
        return tuple(self._volumes[handle] for handle in sorted(self._volumes))

    def _asked(self, node: str | None = None) -> int:
        """What all volumes together ask for, or those of a node."""
        volumes = self._volumes.values()
        return sum(it.capacity_bytes for it in volumes if node is None or it.topology.get(_HOSTNAME, "") == node)

    def _get(self, handle: str) -> Volume:
        try:
            return self._volumes[handle]
        except KeyError:
            raise StorageError(Code.NOT_FOUND, f"volume {handle} does not exist") from None

    def _change(self, handle: str, change: Callable[[Volume], Volume]) -> Volume:
        volume = self._get(handle)
        changed = change(volume)
        if changed is not volume:
            self._store(changed)
        return changed

    def _undo(self, handle: str, change: Callable[[Volume], Volume]) -> None:
        if handle in self._volumes:
            self._change(handle, change)

    def _require_room(self, handle: str, more_bytes: int, node: str) -> None:
        if self._capacity_bytes is not None and more_bytes > (left := self.get_capacity(node)):
            message = f"volume {handle}: {more_bytes} bytes are needed, {left} are left"
            raise StorageError(Code.RESOURCE_EXHAUSTED, message)
