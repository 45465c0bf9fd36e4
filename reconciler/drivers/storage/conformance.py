"""What every storage driver must do, as tests that any implementation can run. Needs pytest.

Use::

    class TestMyStorage(StorageConformance):
        @pytest.fixture
        def harness(self, tmp_path):
            ...yield a StorageHarness over a fresh driver of ``CAPACITY`` bytes, then close it
"""

# ruff: noqa: D102  (the name of a test states the behaviour)

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

from reconciler.drivers.storage.base import Code, StorageDriver, StorageError, Volume, VolumeRequest

_MIB = 2**20
#: How much room the harness' driver has.
CAPACITY = 100 * _MIB


class StorageHarness(Protocol):
    """A driver of ``CAPACITY`` bytes, and the means to use its volumes as a pod does."""

    driver: StorageDriver

    def write(self, path: str, file: str, data: bytes) -> None:
        """Writes a file into a published directory."""

    def read(self, path: str, file: str) -> bytes:
        """Reads one; FileNotFoundError if there is none."""

    def reopen(self) -> None:
        """Replaces ``driver`` by a new one over the same state, as after a restart of the program."""


class StorageConformance:
    """The tests. A subclass provides the ``harness`` fixture."""

    def test_a_created_volume_is_listed(self, harness: StorageHarness) -> None:
        volume = _create(harness, "b", parameters={"type": "fast"})
        other = _create(harness, "a")
        assert harness.driver.list_volumes() == (other, volume)
        assert (volume.capacity_bytes, volume.access_modes) == (_MIB, ("ReadWriteOnce",))
        assert volume.parameters == {"type": "fast"}

    def test_creating_twice_gives_the_same_volume(self, harness: StorageHarness) -> None:
        assert _create(harness, "a") == _create(harness, "a")
        assert len(harness.driver.list_volumes()) == 1

    def test_another_size_modes_or_parameters_under_the_same_name_is_refused(self, harness: StorageHarness) -> None:
        _create(harness, "a")
        _refused(Code.ALREADY_EXISTS, lambda: _create(harness, "a", size=2 * _MIB))
        _refused(Code.ALREADY_EXISTS, lambda: _create(harness, "a", modes=("ReadWriteMany",)))
        _refused(Code.ALREADY_EXISTS, lambda: _create(harness, "a", parameters={"type": "slow"}))

    @pytest.mark.parametrize(
        ("size", "modes"), [(0, ("ReadWriteOnce",)), (-1, ("ReadWriteOnce",)), (1, ()), (1, ("X",))]
    )
    def test_what_cannot_be_is_refused(self, harness: StorageHarness, size: int, modes: tuple[str, ...]) -> None:
        _refused(Code.INVALID_ARGUMENT, lambda: _create(harness, "a", size=size, modes=modes))
        assert harness.driver.list_volumes() == ()

    def test_capacity_shrinks_and_grows_with_the_volumes(self, harness: StorageHarness) -> None:
        assert harness.driver.get_capacity() == CAPACITY
        _create(harness, "a", size=60 * _MIB)
        assert harness.driver.get_capacity() == 40 * _MIB
        _refused(Code.RESOURCE_EXHAUSTED, lambda: _create(harness, "b", size=60 * _MIB))
        harness.driver.delete_volume("a")
        assert harness.driver.get_capacity() == CAPACITY

    def test_deleting_twice_or_an_unknown_volume_is_fine(self, harness: StorageHarness) -> None:
        _create(harness, "a")
        for handle in ("a", "a", "nobody"):
            harness.driver.delete_volume(handle)
        assert harness.driver.list_volumes() == ()

    def test_a_volume_grows_but_never_shrinks(self, harness: StorageHarness) -> None:
        _create(harness, "a")
        assert harness.driver.expand_volume("a", 5 * _MIB).capacity_bytes == 5 * _MIB
        assert harness.driver.expand_volume("a", 2 * _MIB).capacity_bytes == 5 * _MIB
        _refused(Code.RESOURCE_EXHAUSTED, lambda: harness.driver.expand_volume("a", 2 * CAPACITY))
        assert _volume(harness, "a").capacity_bytes == 5 * _MIB

    def test_verbs_on_an_unknown_volume_say_so_and_their_undo_does_nothing(self, harness: StorageHarness) -> None:
        driver = harness.driver
        _refused(Code.NOT_FOUND, lambda: driver.controller_publish("nobody", "node-1"))
        _refused(Code.NOT_FOUND, lambda: driver.node_stage("nobody", "node-1"))
        _refused(Code.NOT_FOUND, lambda: driver.node_publish("nobody", "node-1", "uid", "data"))
        _refused(Code.NOT_FOUND, lambda: driver.expand_volume("nobody", _MIB))
        _refused(Code.NOT_FOUND, lambda: driver.volume_stats("nobody"))
        driver.node_unpublish("nobody", "uid", "data")
        driver.node_unstage("nobody", "node-1")
        driver.controller_unpublish("nobody", "node-1")

    def test_each_step_needs_the_one_before(self, harness: StorageHarness) -> None:
        driver = harness.driver
        _create(harness, "a")
        _refused(Code.FAILED_PRECONDITION, lambda: driver.node_stage("a", "node-1"))
        driver.controller_publish("a", "node-1")
        _refused(Code.FAILED_PRECONDITION, lambda: driver.node_publish("a", "node-1", "uid-1", "data"))
        driver.node_stage("a", "node-1")
        driver.node_publish("a", "node-1", "uid-1", "data")

    def test_each_undo_needs_the_one_after(self, harness: StorageHarness) -> None:
        driver = harness.driver
        _create(harness, "a")
        _mount(harness, "a", "uid-1")
        for undo in (
            lambda: driver.node_unstage("a", "node-1"),
            lambda: driver.controller_unpublish("a", "node-1"),
            lambda: driver.delete_volume("a"),
            lambda: driver.scrub_volume("a"),
        ):
            _refused(Code.FAILED_PRECONDITION, undo)
        driver.node_unpublish("a", "uid-1", "data")
        driver.node_unstage("a", "node-1")
        _refused(Code.FAILED_PRECONDITION, lambda: driver.delete_volume("a"))
        driver.controller_unpublish("a", "node-1")
        driver.delete_volume("a")

    def test_every_step_twice_is_once(self, harness: StorageHarness) -> None:
        _create(harness, "a")
        assert _mount(harness, "a", "uid-1") == _mount(harness, "a", "uid-1")
        (publication,) = _volume(harness, "a").publications
        assert (publication.pod_uid, publication.name, publication.node) == ("uid-1", "data", "node-1")
        for _ in range(2):
            harness.driver.node_unpublish("a", "uid-1", "data")
        for _ in range(2):
            harness.driver.node_unstage("a", "node-1")
        for _ in range(2):
            harness.driver.controller_unpublish("a", "node-1")
        assert _volume(harness, "a") == _create(harness, "a")

    def test_one_node_at_a_time_for_ReadWriteOnce(self, harness: StorageHarness) -> None:  # noqa: N802  (the mode's name)
        _create(harness, "a")
        harness.driver.controller_publish("a", "node-1")
        _refused(Code.FAILED_PRECONDITION, lambda: harness.driver.controller_publish("a", "node-2"))
        harness.driver.controller_unpublish("a", "node-1")
        harness.driver.controller_publish("a", "node-2")

    def test_many_nodes_for_ReadWriteMany(self, harness: StorageHarness) -> None:  # noqa: N802  (the mode's name)
        _create(harness, "a", modes=("ReadWriteMany",))
        first = _mount(harness, "a", "uid-1", node="node-1")
        second = _mount(harness, "a", "uid-2", node="node-2")
        harness.write(first, "greeting", b"hello")
        assert harness.read(second, "greeting") == b"hello"

    def test_one_pod_at_a_time_for_ReadWriteOncePod(self, harness: StorageHarness) -> None:  # noqa: N802  (as above)
        _create(harness, "a", modes=("ReadWriteOncePod",))
        _mount(harness, "a", "uid-1")
        _refused(Code.FAILED_PRECONDITION, lambda: _mount(harness, "a", "uid-2"))
        harness.driver.node_unpublish("a", "uid-1", "data")
        _mount(harness, "a", "uid-2")

    def test_read_only_cannot_change_on_the_way(self, harness: StorageHarness) -> None:
        _create(harness, "a")
        _mount(harness, "a", "uid-1")
        publish = harness.driver.node_publish
        _refused(Code.ALREADY_EXISTS, lambda: publish("a", "node-1", "uid-1", "data", read_only=True))
        _refused(Code.ALREADY_EXISTS, lambda: harness.driver.controller_publish("a", "node-1", read_only=True))

    def test_data_outlives_the_pod(self, harness: StorageHarness) -> None:
        _create(harness, "a")
        harness.write(_mount(harness, "a", "uid-1"), "greeting", b"hello")
        harness.driver.node_unpublish("a", "uid-1", "data")
        assert harness.read(_mount(harness, "a", "uid-2"), "greeting") == b"hello"

    def test_everything_is_there_after_a_restart(self, harness: StorageHarness) -> None:
        _create(harness, "a")
        path = _mount(harness, "a", "uid-1")
        harness.write(path, "greeting", b"hello")
        before = harness.driver.list_volumes()
        harness.reopen()
        assert harness.driver.list_volumes() == before
        assert _mount(harness, "a", "uid-1") == path
        assert harness.read(path, "greeting") == b"hello"

    def test_a_deleted_volume_comes_back_empty(self, harness: StorageHarness) -> None:
        _create(harness, "a")
        harness.write(_mount(harness, "a", "uid-1"), "greeting", b"hello")
        _unmount(harness, "a", "uid-1")
        harness.driver.delete_volume("a")
        _create(harness, "a")
        path = _mount(harness, "a", "uid-1")
        with pytest.raises(FileNotFoundError):
            harness.read(path, "greeting")

    def test_scrubbing_empties_and_keeps_the_volume(self, harness: StorageHarness) -> None:
        _create(harness, "a")
        harness.write(_mount(harness, "a", "uid-1"), "greeting", b"hello")
        _unmount(harness, "a", "uid-1")
        harness.driver.scrub_volume("a")
        harness.driver.scrub_volume("a")
        path = _mount(harness, "a", "uid-2")
        with pytest.raises(FileNotFoundError):
            harness.read(path, "greeting")

    def test_usage_is_measured(self, harness: StorageHarness) -> None:
        _create(harness, "a")
        empty = harness.driver.volume_stats("a")
        assert empty.total_bytes == _MIB
        harness.write(_mount(harness, "a", "uid-1"), "greeting", b"x" * 100_000)
        full = harness.driver.volume_stats("a")
        assert full.used_bytes - empty.used_bytes >= 100_000
        assert full.used_inodes - empty.used_inodes == 1
        assert full.available_bytes == full.total_bytes - full.used_bytes

    def test_it_is_a_storage_driver(self, harness: StorageHarness) -> None:
        assert isinstance(harness.driver, StorageDriver)


def _create(
    harness: StorageHarness,
    name: str,
    *,
    size: int = _MIB,
    modes: tuple[str, ...] = ("ReadWriteOnce",),
    parameters: dict[str, str] | None = None,
) -> Volume:
    return harness.driver.create_volume(VolumeRequest(name, size, modes, parameters or {}))


def _mount(harness: StorageHarness, handle: str, pod_uid: str, *, node: str = "node-1") -> str:
    harness.driver.controller_publish(handle, node)
    harness.driver.node_stage(handle, node)
    return harness.driver.node_publish(handle, node, pod_uid, "data")


def _unmount(harness: StorageHarness, handle: str, pod_uid: str) -> None:
    harness.driver.node_unpublish(handle, pod_uid, "data")
    harness.driver.node_unstage(handle, "node-1")
    harness.driver.controller_unpublish(handle, "node-1")


def _volume(harness: StorageHarness, handle: str) -> Volume:
    (volume,) = (volume for volume in harness.driver.list_volumes() if volume.handle == handle)
    return volume


def _refused(code: Code, call: Callable[[], object]) -> None:
    with pytest.raises(StorageError) as caught:
        call()
    assert caught.value.code is code
