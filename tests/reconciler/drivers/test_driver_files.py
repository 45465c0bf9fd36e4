"""Files and directories that survive kills."""

import os
import signal
import subprocess
import sys

import pytest

from reconciler.drivers.files import DirectoryLock, is_component, remove_unfinished, write_atomic


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_written_whole_or_not_at_all(tmp_path, durable):
    """A write that fails leaves the old content and the next one works."""
    path = tmp_path / "record"
    write_atomic(path, b"old", durable=durable)
    with pytest.raises(TypeError):
        write_atomic(path, "no bytes", durable=durable)
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new", durable=durable)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"new", [path])


def test_what_a_kill_left_is_removed(tmp_path):
    """And nothing else."""
    for name in ("record", "record.tmp", "other.tmp"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "record"]


def test_a_directory_has_one_owner(tmp_path):
    """Until that releases it."""
    owner = DirectoryLock(tmp_path)
    with pytest.raises(BlockingIOError, match="another process uses this directory"):
        DirectoryLock(tmp_path)
    owner.release()
    owner.release()
    DirectoryLock(tmp_path).release()


def test_a_killed_owner_owns_nothing(tmp_path):
    """The kernel ends the lock with the process, and processes it started don't inherit it."""
    script = (
        "import os, signal, subprocess, sys, pathlib\n"
        "from reconciler.drivers.files import DirectoryLock\n"
        "lock = DirectoryLock(pathlib.Path(sys.argv[1]))\n"
        "child = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as owner:
        child = int(owner.stdout.readline())
    try:
        assert owner.returncode == -signal.SIGKILL
        DirectoryLock(tmp_path).release()
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("name", ["a", "pvc-0b1c", "A.b_c-1", "x" * 253])
def test_names_that_may_be_files(name):
    """One path component."""
    assert is_component(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "a/b", "/a", "a\0", "a b", "é", "-a", "x" * 254, "a.tmp", "a\n"])
def test_names_that_may_not(name):
    """They could lead elsewhere, or are ours."""
    assert not is_component(name)
