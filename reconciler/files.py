"""Manifests on disk: the one place that opens files for ``state.load``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from state.convert import Validation
from state.errors import NO_VALUE, invalid
from state.load import Loaded, Refusal, load

#: What counts as a manifest within a directory, as kubectl has it.
SUFFIXES = frozenset({".json", ".yaml", ".yml"})


def manifest_files(path: Path) -> list[Path]:
    """The file itself, or every manifest below a directory, sorted by path. Links to directories are not followed."""
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for entry in sorted(path.iterdir()):
        if entry.is_dir():
            if not entry.is_symlink():
                found.extend(manifest_files(entry))
        elif entry.suffix in SUFFIXES:
            found.append(entry)
    return found


def load_files(paths: Iterable[str | Path], *, validation: Validation = "strict") -> Loaded:
    """All objects of files and directories (taken whole), in order.

    A file that can't be read is refused like a broken manifest, and the others still go through; so is a directory
    without manifests, for whoever names one expects some.
    """
    parts = []
    for path in map(Path, paths):
        try:
            files = manifest_files(path)
        except OSError as error:
            parts.append(_refused(path, error.strerror or str(error)))
            continue
        if not files:
            parts.append(_refused(path, f"the directory has no file that ends in {', '.join(sorted(SUFFIXES))}"))
        parts.extend(_load_file(file, validation) for file in files)
    return Loaded.joined(parts)


def _load_file(path: Path, validation: Validation) -> Loaded:
    try:
        content = path.read_bytes()
    except OSError as error:
        return _refused(path, error.strerror or str(error))
    return load(content, validation=validation, origin=str(path))


def _refused(path: Path, reason: str) -> Loaded:
    return Loaded(refused=(Refusal(str(path), None, (invalid("", NO_VALUE, reason),)),))
