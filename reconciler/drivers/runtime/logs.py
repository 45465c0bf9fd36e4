"""Container logs in CRI's format, as files: read whole, the last lines, or as they grow.

A line is ``2026-01-01T00:00:00.000000000Z stdout F text``; "P" instead of "F" marks a part of a line that goes on in
the next entry of its stream. Full files are renamed to ``.1``, ``.2``, the highest number being the oldest.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from reconciler.drivers.runtime.base import LogLine

_POLL_SECONDS = 0.05


class _Parser:
    """Puts parts of lines together. An entry in another form is given as text on stdout, as crictl does not drop it."""

    def __init__(self) -> None:
        self._parts: dict[str, bytes] = {}

    def parse(self, entry: bytes) -> LogLine | None:
        """The line that an entry completes, if it does."""
        words = entry.split(b" ", 3)
        if len(words) != 4 or words[1] not in (b"stdout", b"stderr"):
            return LogLine(0, "stdout", entry)
        stream: Literal["stdout", "stderr"] = "stdout" if words[1] == b"stdout" else "stderr"
        text = self._parts.pop(stream, b"") + words[3]
        if words[2].startswith(b"P"):
            self._parts[stream] = text
            return None
        return LogLine(_microseconds(words[0]), stream, text)


def _microseconds(stamp: bytes) -> int:
    moment, _, fraction = stamp.decode().rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0")[:6])


def files(path: Path) -> list[Path]:
    """The files of a log that exist, the oldest first."""
    rotated = [p for p in path.parent.glob(f"{path.name}.*") if p.suffix[1:].isdecimal()]
    rotated.sort(key=lambda p: -int(p.suffix[1:]))
    return [*rotated, path] if path.exists() else rotated


def remove(path: Path) -> None:
    """Removes a log, and the two directories above it (the container's and the pod's) if they are empty then."""
    for file in files(path):
        file.unlink(missing_ok=True)
    for directory in (path.parent, path.parent.parent):
        try:
            directory.rmdir()
        except OSError:  # not empty, or gone already
            return


def read(path: Path, tail: int | None = None) -> Iterator[LogLine]:
    """The lines that are there now, or the last ``tail`` of them. No file means no lines."""
    lines = _lines(path)
    return lines if tail is None else iter(deque(lines, maxlen=tail))


def _lines(path: Path) -> Iterator[LogLine]:
    parser = _Parser()
    for file in files(path):
        with file.open("rb") as entries:
            for entry in entries:
                line = parser.parse(entry.rstrip(b"\n"))
                if line is not None:
                    yield line


class Reader:
    """A log that is read as it grows; at first no more than the last ``tail`` lines of it."""

    def __init__(self, path: Path, tail: int | None = None) -> None:
        self._path = path
        self._tail = tail
        self._parser = _Parser()
        self._inode = self._position = 0
        self._rest = b""

    def read(self) -> list[LogLine]:
        """The lines since the last call. No file means no lines."""
        lines = []
        for inode, data, end in _unread(self._path, self._inode, self._position):
            self._inode, self._position = inode, end
            *complete, self._rest = (self._rest + data).split(b"\n")
            lines += [line for entry in complete if (line := self._parser.parse(entry)) is not None]
        tail, self._tail = self._tail, None
        return lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]


def follow(path: Path, ended: Callable[[], bool], tail: int | None = None) -> Iterator[LogLine]:
    """The lines that are there (or the last ``tail`` of them), then new ones as they come, until ``ended`` says so."""
    reader = Reader(path, tail)
    while True:
        over = ended()
        yield from reader.read()
        if over:
            return
        time.sleep(_POLL_SECONDS)


def _unread(path: Path, current: int, position: int) -> list[tuple[int, bytes, int]]:
    """What is in the file that was being read (wherever it was rotated to) after ``position``, and in the newer ones.

    Each part comes with its file's inode and the position after it.
    """
    while True:
        with contextlib.ExitStack() as opened:
            try:
                there = [(_inode(file), opened.enter_context(file.open("rb"))) for file in files(path)]
                if [inode for inode, _ in there] != [_inode(file) for file in files(path)]:
                    continue  # rotated while we looked
            except FileNotFoundError:
                continue
            inodes = [inode for inode, _ in there]
            parts = []
            for inode, file in there[inodes.index(current) if current in inodes else 0 :]:
                file.seek(position if inode == current else 0)
                data = file.read()
                parts.append((inode, data, file.tell()))
            return parts


def _inode(path: Path) -> int:
    return path.stat().st_ino
