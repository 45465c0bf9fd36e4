"""Volumes in memory: capacity, topology and contents as told, with faults on order."""

from __future__ import annotations

from contextlib import AbstractContextManager

from reconciler.drivers.faults import FaultPlan
from reconciler.drivers.storage import records
from reconciler.drivers.storage.base import Code, Publication, StorageError, Volume, VolumeStats
from reconciler.drivers.storage.table import VolumeTable

_TIB = 2**40


class SimulatedStorage(VolumeTable):
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
        super().__init__(name, capacity_bytes, node_local=node_local)
        self.faults = FaultPlan(lambda fault, call: StorageError(Code.INTERNAL, f"{call}: {fault.message}"))
        self._files: dict[str, dict[str, bytes]] = {}

    def files(self, handle: str) -> dict[str, bytes]:
        """The contents of a volume, to be read and changed by a test. NOT_FOUND if there is none."""
        self._get(handle)
        return self._files[handle]

    def _guard(self, verb: str, handle: str) -> AbstractContextManager[None]:
        return self.faults.guard(verb, handle)

    def _make(self, volume: Volume) -> None:
        self._files[volume.handle] = {}

    def _remove(self, handle: str) -> None:
        del self._volumes[handle], self._files[handle]

    def _empty(self, handle: str) -> None:
        self._files[handle].clear()

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
            return (self._capacity_bytes or 0) - self._asked(node if self._node_local else None)

    def volume_stats(self, handle: str) -> VolumeStats:
        """Adds up the contents."""
        with self.faults.guard("volume_stats", handle):
            volume = self._get(handle)
            files = self._files[handle]
            return VolumeStats(volume.capacity_bytes, sum(map(len, files.values())), len(files))

    def close(self) -> None:
        """Nothing is held."""
