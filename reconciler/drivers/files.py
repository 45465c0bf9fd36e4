"""Files that survive a kill at any moment, and directories that one process owns."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from pathlib import Path

#: Names that are one path component and nothing else: no separator, not hidden, not "..".
_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_UNFINISHED = ".tmp"


def is_component(text: str) -> bool:
    """Says whether a name that came from outside may be used as a file's name.

    Example:
        >>> is_component("pvc-0b1c"), is_component("../etc"), is_component(".."), is_component("a/b"), is_component("")
        (True, False, False, False, False)
    """
    return _COMPONENT.fullmatch(text) is not None and not text.endswith(_UNFINISHED)


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Writes the whole file or nothing: beside it, then renamed over it.

    ``durable`` also outlives a power cut (fsync of file and directory, about a millisecond); without it only the death
    of this process is survived.
    """
    unfinished = path.with_name(path.name + _UNFINISHED)
    with unfinished.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    unfinished.replace(path)
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(directory: Path) -> None:
    """Removes what ``write_atomic`` left in a directory when it was killed."""
    for path in directory.glob(f"*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def remove_tree(path: Path) -> None:
    """Removes a directory, if it is there, with everything in it, also what pods made unreadable. Follows no link."""
    if not path.exists():
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        path.chmod(0o700)
        for directory, names, _ in os.walk(path):
            for child in (Path(directory) / name for name in names):
                if not child.is_symlink():
                    child.chmod(0o700)
        shutil.rmtree(path)


class DirectoryLock:
    """Ownership of a directory by one process. The kernel ends it with the process, however that dies.

    A directory that somebody has is waited for, ``patience`` seconds.

    Raises:
        BlockingIOError: another process (or another owner in this one) has it; the message names the directory.
    """

    def __init__(self, directory: Path, patience: float = 0.0) -> None:
        end = time.monotonic() + patience
        self._descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() < end:
                    time.sleep(patience / 100)
                    continue
                os.close(self._descriptor)
                raise BlockingIOError(error.errno, "another process uses this directory", str(directory)) from error
            return

    def release(self) -> None:
        """Lets another process have it. Releasing twice is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
