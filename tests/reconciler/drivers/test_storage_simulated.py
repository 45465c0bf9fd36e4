"""The simulated storage: the conformance suite, topology and faults."""

import pytest

from reconciler.drivers.faults import Fault
from reconciler.drivers.storage.base import Code, StorageError, VolumeRequest
from reconciler.drivers.storage.conformance import CAPACITY, StorageConformance
from reconciler.drivers.storage.simulated import SimulatedStorage


class SimulatedHarness:
    def __init__(self):
        self.driver = SimulatedStorage(capacity_bytes=CAPACITY)

    def _files(self, path):
        (handle,) = (
            volume.handle
            for volume in self.driver.list_volumes()
            if path in [publication.path for publication in volume.publications]
        )
        return self.driver.files(handle)

    def write(self, path, file, data):
        self._files(path)[file] = data

    def read(self, path, file):
        try:
            return self._files(path)[file]
        except KeyError:
            raise FileNotFoundError(file) from None

    def reopen(self):
        self.driver.close()


class TestSimulatedStorage(StorageConformance):
    @pytest.fixture
    def harness(self):
        return SimulatedHarness()


def test_a_local_volume_is_reachable_from_its_node_only():
    """With ``node_local`` the node it was made for is its topology, and each node has its own room."""
    storage = SimulatedStorage(capacity_bytes=10, node_local=True)
    volume = storage.create_volume(VolumeRequest("a", 10, node="node-1"))
    assert volume.topology == {"kubernetes.io/hostname": "node-1"}
    with pytest.raises(StorageError) as caught:
        storage.controller_publish("a", "node-2")
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert (storage.get_capacity("node-1"), storage.get_capacity("node-2")) == (0, 10)
    storage.create_volume(VolumeRequest("b", 10, node="node-2"))


def test_a_lost_answer_leaves_the_volume_created():
    """Creating again finds it."""
    storage = SimulatedStorage()
    storage.faults.add(Fault("create_volume", "a", after=True, message="connection lost"))
    with pytest.raises(StorageError, match="Internal: create_volume a: connection lost"):
        storage.create_volume(VolumeRequest("a", 10))
    assert storage.create_volume(VolumeRequest("a", 10)) == storage.list_volumes()[0]
