"""Volumes as directories of this machine: what pods write stays until the volume is deleted.

Under the root::

    volumes/<handle>/volume.json      the record: size, access modes, who has it
    volumes/<handle>/data/            what pods write
    published/<pod uid>/<name>        a symbolic link to the data, for as long as the pod has the volume
    deleted/                          what is being deleted; emptied at the next start too

What a directory can't do, and this driver doesn't pretend to: a size is recorded and usage measured, but writing more
than that is not prevented; ``read_only`` is recorded, but processes of the same user can write.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from reconciler.drivers.files import (
    DirectoryLock,
    is_component,
    remove_tree,
    remove_unfinished,
    sync_directory,
    write_atomic,
)
from reconciler.drivers.storage import records
from reconciler.drivers.storage.base import (
    Attachment,
    Code,
    Publication,
    StorageError,
    Volume,
    VolumeStats,
)
from reconciler.drivers.storage.table import VolumeTable

_RECORD = "volume.json"
_DATA = "data"
_NEW = ".new-"


class DirectoryStorage(VolumeTable):
    """A storage driver that keeps volumes under one root directory. One process at a time.

    Args:
        root: made if missing; belongs to this driver alone.
        name: the CSI driver's name.
        capacity_bytes: what all volumes together may ask for. None: whatever is free on the file system, which is told
            by ``get_capacity`` but refuses nothing, as sizes are not enforced anyway.
        node_local: volumes are reachable only from the node they were created for (as with local disks); otherwise from
            every node, since all nodes are this machine.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        name: str = "directory.reconciler",
        capacity_bytes: int | None = None,
        node_local: bool = False,
    ) -> None:
        super().__init__(name, capacity_bytes, node_local=node_local)
        self._root = Path(root).absolute()
        self._volumes_dir, self._published_dir, self._deleted_dir = (
            self._root / part for part in ("volumes", "published", "deleted")
        )
        for directory in (self._volumes_dir, self._published_dir, self._deleted_dir):
            directory.mkdir(parents=True, exist_ok=True)
        try:
            self._owner = DirectoryLock(self._root)
        except BlockingIOError as error:
            raise StorageError(Code.FAILED_PRECONDITION, f"storage: {error}") from error
        try:
            self._finish_interrupted()
            self._volumes = {path.name: _load(path) for path in sorted(self._volumes_dir.iterdir())}
        except BaseException:
            self._owner.release()
            raise

    def _make(self, volume: Volume) -> None:
        handle = _safe(volume.handle, "volume name")
        unfinished = self._volumes_dir / f"{_NEW}{handle}"
        with _disk_work(handle):
            remove_tree(unfinished)
            (unfinished / _DATA).mkdir(parents=True)
            write_atomic(unfinished / _RECORD, _encode(volume))
            unfinished.rename(self._volumes_dir / handle)
            sync_directory(self._volumes_dir)

    def _remove(self, handle: str) -> None:
        """Moves the directory away at once, then removes it with everything in it."""
        doomed = self._deleted_dir / handle
        with _disk_work(handle):
            remove_tree(doomed)
            (self._volumes_dir / handle).rename(doomed)
            sync_directory(self._volumes_dir)
            del self._volumes[handle]
            remove_tree(doomed)

    def _empty(self, handle: str) -> None:
        """Links in it are removed, never followed."""
        data = self._data(handle)
        with _disk_work(handle):
            for path in data.iterdir():
                if path.is_dir() and not path.is_symlink():
                    remove_tree(path)
                else:
                    path.unlink()

    def _store(self, volume: Volume) -> None:
        with _disk_work(volume.handle):
            write_atomic(self._volumes_dir / volume.handle / _RECORD, _encode(volume))
        super()._store(volume)

    def node_publish(self, handle: str, node: str, pod_uid: str, name: str, *, read_only: bool = False) -> str:
        """Links the pod's path to the data. Killed between record and link: publishing again makes the link."""
        link = self._link(pod_uid, name)
        wanted = Publication(node, pod_uid, name, str(link), read_only)
        self._change(handle, lambda volume: records.published(volume, wanted))
        target = str(self._data(handle))
        with _disk_work(handle):
            if not (link.is_symlink() and str(link.readlink()) == target):
                link.parent.mkdir(exist_ok=True)
                unfinished = link.with_name(link.name + ".tmp")
                unfinished.unlink(missing_ok=True)
                unfinished.symlink_to(target)
                unfinished.replace(link)
        return str(link)

    def node_unpublish(self, handle: str, pod_uid: str, name: str) -> None:
        """Removes the link, then the record of it."""
        link = self._link(pod_uid, name)
        volume = self._volumes.get(handle)
        if volume is None or volume == records.unpublished(volume, pod_uid, name):
            return
        with _disk_work(handle):
            link.unlink(missing_ok=True)
            if link.parent.exists() and not any(link.parent.iterdir()):
                link.parent.rmdir()
        self._change(handle, lambda volume: records.unpublished(volume, pod_uid, name))

    def get_capacity(self, node: str = "") -> int:
        """What is left of the capacity, or of the file system."""
        if self._capacity_bytes is None:
            return shutil.disk_usage(self._root).free
        return self._capacity_bytes - self._asked()

    def volume_stats(self, handle: str) -> VolumeStats:
        """Adds up the blocks of every file; takes as long as there are files."""
        total = self._get(handle).capacity_bytes
        data = self._data(handle)
        with _disk_work(handle):
            files = dict(_usage(data))
        return VolumeStats(total, sum(files.values()), len(files))

    def close(self) -> None:
        """Lets another process have the root."""
        self._owner.release()

    def _data(self, handle: str) -> Path:
        """The volume's data; never a link that somebody put in its place."""
        path = self._volumes_dir / handle / _DATA
        if path.is_symlink() or not path.is_dir():
            raise StorageError(Code.INTERNAL, f"volume {handle}: {path} is not a directory any more")
        return path

    def _link(self, pod_uid: str, name: str) -> Path:
        return self._published_dir / _safe(pod_uid, "pod uid") / _safe(name, "volume name")

    def _finish_interrupted(self) -> None:
        """Undoes what was being created and finishes what was being deleted when the last process was killed."""
        for path in self._volumes_dir.glob(f"{_NEW}*"):
            remove_tree(path)
        for path in self._deleted_dir.iterdir():
            remove_tree(path)
        for path in self._volumes_dir.iterdir():
            remove_unfinished(path)


def _safe(text: str, what: str) -> str:
    if not is_component(text):
        message = f'{what} "{text}" cannot be a file name: expected letters, digits, "-", "_", ".", at most 253'
        raise StorageError(Code.INVALID_ARGUMENT, message)
    return text


def _encode(volume: Volume) -> bytes:
    record = asdict(volume)
    del record["handle"]
    return json.dumps(record, indent=1, sort_keys=True).encode()


def _load(path: Path) -> Volume:
    try:
        record = json.loads((path / _RECORD).read_bytes())
        return Volume(
            handle=path.name,
            capacity_bytes=record["capacity_bytes"],
            access_modes=tuple(record["access_modes"]),
            parameters=record["parameters"],
            topology=record["topology"],
            attachments=tuple(Attachment(**entry) for entry in record["attachments"]),
            publications=tuple(Publication(**entry) for entry in record["publications"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(Code.INTERNAL, f"{path / _RECORD} is not a volume's record: {error!r}") from error


@contextmanager
def _disk_work(handle: str) -> Iterator[None]:
    """Says for which volume the file system failed."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        code = Code.RESOURCE_EXHAUSTED if full else Code.INTERNAL
        raise StorageError(code, f"volume {handle}: {error}") from error


def _usage(directory: Path) -> Iterator[tuple[tuple[int, int], int]]:
    """Every file below a directory as (device, inode) -> bytes on disk. Files that vanish meanwhile don't count."""
    directories = [directory]
    while directories:
        try:
            entries = list(os.scandir(directories.pop()))
        except FileNotFoundError:
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield (status.st_dev, status.st_ino), status.st_blocks * 512
            if entry.is_dir(follow_symlinks=False):
                directories.append(Path(entry.path))
