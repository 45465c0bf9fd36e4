"""Volumes as directories: the conformance suite, safety against odd names and links, and survival of kills."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.drivers.storage.base import Code, StorageError, VolumeRequest
from reconciler.drivers.storage.conformance import CAPACITY, StorageConformance
from reconciler.drivers.storage.directory import DirectoryStorage


class DirectoryHarness:
    def __init__(self, root):
        self._root = root
        self.driver = DirectoryStorage(root, capacity_bytes=CAPACITY)

    def write(self, path, file, data):
        Path(path, file).write_bytes(data)

    def read(self, path, file):
        return Path(path, file).read_bytes()

    def reopen(self):
        self.driver.close()
        self.driver = DirectoryStorage(self._root, capacity_bytes=CAPACITY)


class TestDirectoryStorage(StorageConformance):
    @pytest.fixture
    def harness(self, tmp_path):
        harness = DirectoryHarness(tmp_path / "storage")
        yield harness
        harness.driver.close()


@pytest.fixture
def storage(tmp_path):
    driver = DirectoryStorage(tmp_path / "storage")
    yield driver
    driver.close()


def mount(storage, handle, pod_uid="uid-1"):
    storage.controller_publish(handle, "node-1")
    storage.node_stage(handle, "node-1")
    return Path(storage.node_publish(handle, "node-1", pod_uid, "data"))


def unmount(storage, handle, pod_uid="uid-1"):
    storage.node_unpublish(handle, pod_uid, "data")
    storage.node_unstage(handle, "node-1")
    storage.controller_unpublish(handle, "node-1")


@pytest.mark.parametrize("name", ["", ".", "..", "../etc", "a/b", "/etc", ".hidden", "a\0b", "x" * 300, "a.tmp"])
def test_a_name_that_is_no_file_name_is_refused(storage, name):
    """Nothing from outside can lead out of the root."""
    storage.create_volume(VolumeRequest("a", 1))
    storage.controller_publish("a", "node-1")
    storage.node_stage("a", "node-1")
    for call in (
        lambda: storage.create_volume(VolumeRequest(name, 1)),
        lambda: storage.node_publish("a", "node-1", name, "data"),
        lambda: storage.node_publish("a", "node-1", "uid-1", name),
        lambda: storage.node_unpublish("a", name, "data"),
    ):
        with pytest.raises(StorageError) as caught:
            call()
        assert caught.value.code is Code.INVALID_ARGUMENT


def test_links_in_a_volume_are_removed_but_not_followed(storage, tmp_path):
    """Scrubbing, measuring and deleting stay inside, whatever a pod put there."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "precious").write_bytes(b"x" * 1_000_000)
    storage.create_volume(VolumeRequest("a", 1))
    for undo in (storage.scrub_volume, storage.delete_volume):
        path = mount(storage, "a")
        (path / "folder").symlink_to(outside)
        (path / "nested").mkdir()
        (path / "nested" / "file").symlink_to(outside / "deep" / "precious")
        assert storage.volume_stats("a").used_bytes < 100_000
        unmount(storage, "a")
        undo("a")
        assert (outside / "deep" / "precious").exists()
    assert storage.list_volumes() == ()


def test_a_link_in_place_of_the_data_is_refused(storage, tmp_path):
    """Somebody who could replace the directory gets an error instead of another directory scrubbed."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    storage.create_volume(VolumeRequest("a", 1))
    data = tmp_path / "storage" / "volumes" / "a" / "data"
    data.rmdir()
    data.symlink_to(precious)
    with pytest.raises(StorageError, match="is not a directory any more"):
        storage.scrub_volume("a")
    assert (precious / "file").exists()


def test_hard_links_count_once_and_unreadable_directories_are_deleted(storage):
    """A pod may do as it likes with its files."""
    storage.create_volume(VolumeRequest("a", 1))
    path = mount(storage, "a")
    (path / "file").write_bytes(b"x" * 50_000)
    before = storage.volume_stats("a")
    (path / "same").hardlink_to(path / "file")
    assert storage.volume_stats("a") == before
    (path / "closed").mkdir()
    (path / "closed" / "file").touch()
    (path / "closed").chmod(0o000)
    unmount(storage, "a")
    storage.delete_volume("a")
    assert not list(path.parents[2].glob("deleted/*"))


def test_a_pods_path_goes_with_the_publication(storage):
    """What is left of a pod can't write into the volume any more."""
    storage.create_volume(VolumeRequest("a", 1))
    path = mount(storage, "a")
    assert path.is_dir()
    storage.node_unpublish("a", "uid-1", "data")
    assert not path.exists()
    assert not path.parent.exists()


def test_without_a_limit_the_capacity_is_what_the_file_system_has(storage, tmp_path):
    """And no size is refused, since sizes are not enforced."""
    assert storage.get_capacity() > 0
    assert storage.create_volume(VolumeRequest("a", 2**60)).capacity_bytes == 2**60


def test_two_drivers_on_one_root_are_refused(storage, tmp_path):
    """The root belongs to one process; the error names it."""
    with pytest.raises(StorageError, match=str(tmp_path / "storage")):
        DirectoryStorage(tmp_path / "storage")


def test_a_damaged_record_is_an_error_that_names_the_file(tmp_path):
    """Guessing would lose data."""
    root = tmp_path / "storage"
    driver = DirectoryStorage(root)
    driver.create_volume(VolumeRequest("a", 1))
    driver.close()
    (root / "volumes" / "a" / "volume.json").write_text('{"capacity_bytes": 1')
    for _ in range(2):
        with pytest.raises(StorageError, match=r"a/volume\.json is not a volume's record"):
            DirectoryStorage(root)


def test_what_was_half_done_is_finished_or_undone_at_the_next_start(tmp_path):
    """Half created: gone. Half deleted: gone. Record half written: the old one holds. Link missing: made again."""
    root = tmp_path / "storage"
    driver = DirectoryStorage(root)
    for handle in ("kept", "half-deleted"):
        driver.create_volume(VolumeRequest(handle, 1))
    path = mount(driver, "kept")
    before = driver.list_volumes()[1:]
    driver.close()
    (root / "volumes" / ".new-half-created" / "data").mkdir(parents=True)
    (root / "volumes" / "half-deleted").rename(root / "deleted" / "half-deleted")
    (root / "volumes" / "kept" / "volume.json.tmp").write_text('{"capa')
    path.unlink()
    driver = DirectoryStorage(root)
    try:
        assert driver.list_volumes() == before
        assert sorted(entry.name for entry in (root / "volumes").iterdir()) == ["kept"]
        assert list((root / "deleted").iterdir()) == []
        assert not (root / "volumes" / "kept" / "volume.json.tmp").exists()
        assert mount(driver, "kept").is_dir()
        driver.create_volume(VolumeRequest("half-created", 1))
    finally:
        driver.close()


WORKER = """
import sys
from reconciler.drivers.storage.base import VolumeRequest
from reconciler.drivers.storage.directory import DirectoryStorage

storage = DirectoryStorage(sys.argv[1])
for volume in storage.list_volumes():
    for publication in volume.publications:
        storage.node_unpublish(volume.handle, publication.pod_uid, publication.name)
    for attachment in volume.attachments:
        storage.node_unstage(volume.handle, attachment.node)
        storage.controller_unpublish(volume.handle, attachment.node)
print("ready", flush=True)
number = 0
while True:
    number += 1
    handle = f"v{number % 7}"
    storage.create_volume(VolumeRequest(handle, 1))
    storage.controller_publish(handle, "n")
    storage.node_stage(handle, "n")
    with open(storage.node_publish(handle, "n", "uid", "data") + "/file", "w") as file:
        file.write(handle)
    storage.node_unpublish(handle, "uid", "data")
    storage.node_unstage(handle, "n")
    storage.controller_unpublish(handle, "n")
    if number % 3 == 0:
        storage.delete_volume(handle)
"""


def test_killed_at_any_moment_it_finds_everything_whole(tmp_path):
    """kill -9 during work, several times: every volume found again has a whole record and its own data."""
    root = tmp_path / "storage"
    for attempt in range(4):
        worker = subprocess.Popen(
            [sys.executable, "-P", "-c", WORKER, str(root)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with worker:
            assert worker.stdout.readline() == b"ready\n"
            try:
                worker.wait(timeout=0.05 + 0.03 * attempt)
            except subprocess.TimeoutExpired:
                worker.send_signal(signal.SIGKILL)
        assert worker.returncode == -signal.SIGKILL
        driver = DirectoryStorage(root)
        try:
            for volume in driver.list_volumes():
                record = json.loads((root / "volumes" / volume.handle / "volume.json").read_bytes())
                assert record["capacity_bytes"] == volume.capacity_bytes == 1
                file = root / "volumes" / volume.handle / "data" / "file"
                assert not file.exists() or file.read_text() in {"", volume.handle}
        finally:
            driver.close()
