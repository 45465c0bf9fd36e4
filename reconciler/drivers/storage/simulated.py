"""Volumes in memory: capacity, topology and contents as told, with faults on order."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.drivers.faults import FaultPlan
from reconciler.drivers.storage import records
from reconciler.drivers.storage.base import Code, Publication, StorageError, Volume, VolumeRequest, VolumeStats

_TIB = 2**40


class SimulatedStorage:
    """A storage driver in memory.

    Args:
        name: the CSI driver's name.
        capacity_bytes: how much all volumes together may have; per node if ``node_local``.
        node_local: a volume is reachable only from the node it was created for.

    ``faults`` takes orders for every verb (target: the volume's handle). ``files(handle)`` is what a volume holds.
    """

    def __init__(
        self, *, name: str = "simulated.reconciler", capacity_bytes: int = 1024 * _TIB, node_local: bool = False
    ) -> None:
        self.name = name
        self.faults = FaultPlan(lambda fault, call: StorageError(Code.INTERNAL, f"{call}: {fault.message}"))
        self._capacity_bytes = capacity_bytes
        self._node_local = node_local
        self._volumes: dict[str, Volume] = {}
        self._files: dict[str, dict[str, bytes]] = {}

    def files(self, handle: str) -> dict[str, bytes]:
        """The contents of a volume, to be read and changed by a test. NOT_FOUND if there is none."""
        self._get(handle)
        return self._files[handle]

    def create_volume(self, request: VolumeRequest) -> Volume:
        """Creates the volume if the capacity allows it."""
        with self.faults.guard("create_volume", request.name):
            if request.name in self._volumes:
                return records.same_volume(self._volumes[request.name], request)
            topology = {"kubernetes.io/hostname": request.node} if self._node_local and request.node else {}
            volume = records.new_volume(request, topology)
            self._require_room(volume.handle, volume.capacity_bytes, request.node)
            self._volumes[volume.handle] = volume
            self._files[volume.handle] = {}
            return volume

    def delete_volume(self, handle: str) -> None:
        """Deletes the volume and its contents."""
        with self.faults.guard("delete_volume", handle):
            if handle in self._volumes:
                records.require_unused(self._volumes[handle])
                del self._volumes[handle], self._files[handle]

    def scrub_volume(self, handle: str) -> None:
        """Empties the volume."""
        with self.faults.guard("scrub_volume", handle):
            records.require_unpublished(self._get(handle))
            self._files[handle].clear()

    def expand_volume(self, handle: str, capacity_bytes: int) -> Volume:
        """Makes the volume larger if the capacity allows it."""
        with self.faults.guard("expand_volume", handle):
            volume = self._get(handle)
            node = volume.topology.get("kubernetes.io/hostname", "")
            self._require_room(handle, capacity_bytes - volume.capacity_bytes, node)
            return self._change(handle, lambda volume: records.expanded(volume, capacity_bytes))

    def controller_publish(self, handle: str, node: str, *, read_only: bool = False) -> None:
        """Attaches the volume."""
        with self.faults.guard("controller_publish", handle):
            self._change(handle, lambda volume: records.attached(volume, node, read_only=read_only))

    def controller_unpublish(self, handle: str, node: str) -> None:
        """Detaches the volume."""
        with self.faults.guard("controller_unpublish", handle):
            self._undo(handle, lambda volume: records.detached(volume, node))

    def node_stage(self, handle: str, node: str) -> None:
        """Notes that the volume is prepared."""
        with self.faults.guard("node_stage", handle):
            self._change(handle, lambda volume: records.staged(volume, node))

    def node_unstage(self, handle: str, node: str) -> None:
        """Notes that the volume is not prepared any more."""
        with self.faults.guard("node_unstage", handle):
            self._undo(handle, lambda volume: records.unstaged(volume, node))

    def node_publish(self, handle: str, node: str, pod_uid: str, name: str, *, read_only: bool = False) -> str:
        """Gives the volume to the pod, under a path that exists nowhere."""
        with self.faults.guard("node_publish", handle):
            path = f"/simulated/{pod_uid}/{name}"
            wanted = Publication(node, pod_uid, name, path, read_only)
            self._change(handle, lambda volume: records.published(volume, wanted))
            return path

    def node_unpublish(self, handle: str, pod_uid: str, name: str) -> None:
        """Takes the volume from the pod."""
        with self.faults.guard("node_unpublish", handle):
            self._undo(handle, lambda volume: records.unpublished(volume, pod_uid, name))

    def get_capacity(self, node: str = "") -> int:
        """What is left of the capacity."""
        with self.faults.guard("get_capacity", node):
            return self._capacity_bytes - sum(
                volume.capacity_bytes
                for volume in self._volumes.values()
                if not self._node_local or volume.topology.get("kubernetes.io/hostname", "") == node
            )

    def volume_stats(self, handle: str) -> VolumeStats:
        """Adds up the contents."""
        with self.faults.guard("volume_stats", handle):
            volume = self._get(handle)
            files = self._files[handle]
            return VolumeStats(volume.capacity_bytes, sum(map(len, files.values())), len(files))

    def list_volumes(self) -> tuple[Volume, ...]:
        """Every volume."""
        return tuple(self._volumes[handle] for handle in sorted(self._volumes))

    def close(self) -> None:
        """Nothing is held."""

    def _get(self, handle: str) -> Volume:
        try:
            return self._volumes[handle]
        except KeyError:
            raise StorageError(Code.NOT_FOUND, f"volume {handle} does not exist") from None

    def _change(self, handle: str, change: Callable[[Volume], Volume]) -> Volume:
        self._volumes[handle] = change(self._get(handle))
        return self._volumes[handle]

    def _undo(self, handle: str, change: Callable[[Volume], Volume]) -> None:
        if handle in self._volumes:
            self._change(handle, change)

    def _require_room(self, handle: str, more_bytes: int, node: str) -> None:
        left = self.get_capacity(node)
        if more_bytes > left:
            message = f"volume {handle}: {more_bytes} bytes are needed, {left} are left"
            raise StorageError(Code.RESOURCE_EXHAUSTED, message)
