"""The manifests that ``up`` was given, and when they change."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from reconciler.files import load_files, manifest_files
from state.load import Loaded, load

#: How often the files are looked at.
POLL_SECONDS = 0.25
STDIN = "-"

#: What tells one state of the files from another: path, time of change, size and inode of each.
_Stamp = tuple[tuple[str, int, int, int], ...]


class Sources:
    """Files, directories and standard input (which is read once)."""

    def __init__(self, names: Sequence[str]) -> None:
        self._paths = [Path(name) for name in names if name != STDIN]
        self._stdin = load(sys.stdin.buffer.read(), origin="standard input") if STDIN in names else Loaded()
        self._taken: _Stamp | None = None
        self._seen: _Stamp | None = None

    def changed(self) -> bool:
        """Whether they are other than what ``load`` gave last, and at rest: the same at two looks.

        An editor may replace a file in several steps; in the middle of them nothing is to be pruned.
        """
        before, self._seen = self._seen, self._stamp()
        return self._seen != self._taken and self._seen == before

    def load(self) -> Loaded:
        """All their objects now."""
        self._taken = self._seen = self._stamp()
        return Loaded.joined((self._stdin, load_files(self._paths)))

    def files(self) -> list[Path]:
        """The files that are there now."""
        return [Path(name) for name, _, _, _ in self._stamp()]

    def _stamp(self) -> _Stamp:
        stamp = []
        for path in self._paths:
            try:
                for file in manifest_files(path):
                    status = file.stat()
                    stamp.append((str(file), status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError:  # gone while we looked, or never there; ``load`` says so
                stamp.append((str(path), 0, 0, 0))
        return tuple(stamp)
