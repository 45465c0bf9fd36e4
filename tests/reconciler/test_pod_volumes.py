"""Volumes as directories: what the kubelet makes on disk."""

import os
import threading
from pathlib import Path

import pytest

from reconciler.volumes import DirectoryHost
from rules.kubelet.payload import File


@pytest.fixture
def host(tmp_path):
    return DirectoryHost(tmp_path / "volumes")


def contents(path):
    """The files that a container sees, links followed."""
    found = {}
    waiting = [Path(path)]
    while waiting:
        for entry in waiting.pop().iterdir():
            if entry.name.startswith(".."):
                continue
            if entry.is_dir():
                waiting.append(entry)
            else:
                found[str(entry.relative_to(path))] = entry.read_bytes()
    return found


def test_an_empty_dir_keeps_its_files_until_it_is_removed(host, tmp_path):
    path = host.empty_dir("u1", "work")
    (tmp_path / "volumes" / "u1" / "work" / "f").write_text("x")
    assert host.empty_dir("u1", "work") == path
    assert contents(path) == {"f": b"x"}
    assert host.pods() == ["u1"]
    for _ in range(2):
        host.remove("u1")
    assert host.pods() == []


def test_files_are_replaced_as_a_whole_and_old_ones_go(host):
    path = host.write("u1", "cfg", {"a": File(b"1"), "deep/b": File(b"2", 0o600)})
    assert contents(path) == {"a": b"1", "deep/b": b"2"}
    assert Path(path, "deep/b").stat().st_mode & 0o777 == 0o600
    assert host.write("u1", "cfg", {"a": File(b"3")}) == path
    assert contents(path) == {"a": b"3"}
    assert len(list(Path(path).glob("..*"))) == 2


def test_unchanged_files_are_not_touched(host):
    files = {"a": File(b"1")}
    path = host.write("u1", "cfg", files)
    before = Path(path, "a").stat().st_ino, Path(path).stat().st_mtime_ns
    host.write("u1", "cfg", dict(files))
    assert (Path(path, "a").stat().st_ino, Path(path).stat().st_mtime_ns) == before


def test_a_reader_never_sees_half_an_update(host):
    """Both files are always of the same version if they are read through ``..data``."""
    path = host.write("u1", "cfg", {"a": File(b"0"), "b": File(b"0")})
    data = Path(path, "..data")
    stop = threading.Event()
    seen = []

    def read_at(directory, name):
        descriptor = os.open(name, os.O_RDONLY, dir_fd=directory)
        try:
            return os.read(descriptor, 100)
        finally:
            os.close(descriptor)

    def read():
        while not stop.is_set():
            try:
                directory = os.open(data, os.O_RDONLY)
            except FileNotFoundError:
                if not data.is_symlink():
                    seen.append("the link was missing")
                continue  # what it led to was replaced on the way: a reader tries again
            try:
                values = [read_at(directory, name) for name in ("a", "b")]
            except FileNotFoundError:
                continue  # replaced since it was opened: a reader tries again
            finally:
                os.close(directory)
            if values[0] != values[1]:
                seen.append(values)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 200):
        host.write("u1", "cfg", {name: File(b"%d" % number) for name in ("a", "b")})
    stop.set()
    reader.join()
    assert seen == []


def test_no_files_make_an_empty_directory(host):
    assert contents(host.write("u1", "cfg", {})) == {}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_names_cannot_lead_elsewhere(host, name):
    with pytest.raises(OSError, match="can't be a directory's name"):
        host.empty_dir("u1", name)
    with pytest.raises(OSError, match="can't be a directory's name"):
        host.empty_dir(name, "v")


def test_a_host_path_is_checked_or_made(host, tmp_path):
    made = str(tmp_path / "made" / "dir")
    assert host.host_path(made, "DirectoryOrCreate") == made
    assert host.host_path(made, "Directory") == made
    assert host.host_path(str(tmp_path / "file"), "FileOrCreate")
    assert host.host_path("/no/such/path", "") == "/no/such/path"
    with pytest.raises(OSError, match="/no/such/path is not a directory"):
        host.host_path("/no/such/path", "Directory")
    with pytest.raises(OSError, match="is not a socket"):
        host.host_path(made, "Socket")


def test_a_sub_path_stays_in_its_volume(host, tmp_path):
    volume = host.empty_dir("u1", "work")
    assert host.subdirectory(volume, "a/b") == f"{volume}/a/b"
    assert Path(volume, "a/b").is_dir()
    Path(volume, "out").symlink_to(tmp_path)
    for path in ("../x", "a/../../x", "out/x"):
        with pytest.raises(OSError, match="leads out of the volume"):
            host.subdirectory(volume, path)
    assert not (tmp_path / "x").exists()
