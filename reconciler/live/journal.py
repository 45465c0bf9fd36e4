"""The state on disk: a journal of what changed, so that a reconciler that was killed goes on where it was.

One file of lines, each ``CRC32 JSON``. The first says that it is a journal; every other one holds the objects that were
stored and the keys of those that went, at a revision. A line is written before anybody acts on what it says. When the
journal has grown, a new one with just the objects that there are is written beside it and renamed over it.

Only the last line can be torn, by a death in the middle of writing; it is dropped, for nobody acted on it. Damage
anywhere else is an error: going on would start pods twice.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from reconciler.drivers.files import sync_directory
from state.convert import snapshot_kind
from state.dump import dump
from state.errors import StateError
from state.load import load
from state.objects import AnyObject
from state.snapshot import Key, Snapshot

_FORMAT = {"journal": "reconciler", "format": 1}
#: A journal smaller than this is never written anew.
_LEAST_BYTES = 1 << 20
#: It is written anew once it is this many times as long as it was after the last time.
_GROWTH = 4
#: Objects in one line of a new journal.
_OBJECTS_PER_LINE = 500


class JournalError(StateError):
    """The state on disk can't be read or written."""


class Journal:
    """The journal of one state directory; ``snapshot`` is what it holds. One owner at a time (the caller sees to it).

    ``dropped_bytes`` says how much of a torn line was cut off when it was opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.snapshot = Snapshot()
        self.dropped_bytes = 0
        if path.exists():
            data = path.read_bytes()
            self.snapshot, whole = _replay(path, data)
            self.dropped_bytes = len(data) - whole
        self._file = -1
        self._write_anew()

    def save(self, snapshot: Snapshot) -> None:
        """Has the disk hold this snapshot, even after a power cut. Costs what changed.

        Raises:
            JournalError: it couldn't be written; the last snapshot that was is still there.
        """
        if snapshot is self.snapshot:
            return
        delta = self.snapshot.diff(snapshot)
        record = {
            "revision": snapshot.revision,
            "put": [dump(change.new) for change in delta if change.new is not None],
            "gone": [list(change.key) for change in delta if change.new is None],
        }
        line = _line(record)
        try:
            os.ftruncate(self._file, self._length)  # a failed attempt may have left something
            _write_all(self._file, line, self._length)
            os.fdatasync(self._file)
        except OSError as error:
            raise self._error(error) from error
        self._length += len(line)
        self.snapshot = snapshot
        if self._length > max(_LEAST_BYTES, _GROWTH * self._base):
            self._write_anew()

    def _write_anew(self) -> None:
        """Replaces the file by one that holds nothing but the snapshot."""
        unfinished = self._path.with_name(self._path.name + ".tmp")
        try:
            with unfinished.open("wb") as file:
                for record in _records(self.snapshot):
                    file.write(_line(record))
                file.flush()
                os.fsync(file.fileno())
                length = file.tell()
            unfinished.replace(self._path)
            sync_directory(self._path.parent)
            self.close()
            self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._error(error) from error
        self._length = self._base = length

    def _error(self, error: OSError) -> JournalError:
        return JournalError(f"cannot write {self._path}: {error.strerror or error}")

    def close(self) -> None:
        """Gives the file up."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read(path: Path) -> Snapshot:
    """What a journal holds, without changing anything; somebody may be writing to it.

    Raises:
        JournalError: there is no such journal, or it is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise JournalError(msg) from error
    return _replay(path, data)[0]


def _records(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    yield _FORMAT
    objects = list(snapshot)
    for start in range(0, len(objects), _OBJECTS_PER_LINE):
        part = objects[start : start + _OBJECTS_PER_LINE]
        yield {"revision": snapshot.revision, "put": [dump(obj) for obj in part], "gone": []}
    if not objects:
        yield {"revision": snapshot.revision, "put": [], "gone": []}


def _line(record: dict[str, Any]) -> bytes:
    text = orjson.dumps(record)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _write_all(file: int, data: bytes, position: int) -> None:
    """Writes at a position, all of it."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, position)
        view, position = view[written:], position + written


def _replay(path: Path, data: bytes) -> tuple[Snapshot, int]:
    """The snapshot that a journal's text leads to, and the length of the part that is whole."""
    records, length = _whole_records(path, data)
    if not records or records[0] != _FORMAT:
        msg = f"{path} is not a journal of this program's format {_FORMAT['format']}"
        raise JournalError(msg)
    manifests: dict[Key, dict[str, Any]] = {}
    revision = 0
    for record in records[1:]:
        revision = record["revision"]
        for manifest in record["put"]:
            meta = manifest["metadata"]
            kind = snapshot_kind(manifest["apiVersion"], manifest["kind"])
            manifests[Key(kind, meta.get("namespace", ""), meta["name"])] = manifest
        for key in record["gone"]:
            manifests.pop(Key(*key), None)
    return Snapshot.of(_objects(path, manifests.values()), revision), length


def _objects(path: Path, manifests: Iterable[dict[str, Any]]) -> tuple[AnyObject, ...]:
    loaded = load(manifests, origin=str(path))
    if loaded.refused:
        msg = f"{path} holds objects that can't be read: {'; '.join(map(str, loaded.refused))}"
        raise JournalError(msg)
    return loaded.objects


def _whole_records(path: Path, data: bytes) -> tuple[list[dict[str, Any]], int]:
    """All lines, and where the last whole one ends; only what has no end of line may be torn."""
    records: list[dict[str, Any]] = []
    position = 0
    while position < len(data):
        end = data.find(b"\n", position)
        if end < 0:
            break
        record = _parse(data[position:end])
        if record is None:
            if not records:
                break
            msg = f"{path} is damaged at byte {position}"
            raise JournalError(msg)
        records.append(record)
        position = end + 1
    return records, position


def _parse(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None if it isn't what was written."""
    crc, _, text = line.partition(b" ")
    if len(crc) != 8 or b"%08x" % zlib.crc32(text) != crc:
        return None
    record: dict[str, Any] = orjson.loads(text)
    return record
