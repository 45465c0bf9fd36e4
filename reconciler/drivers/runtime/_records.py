"""The process runtime's memory: directories and small JSON files under one root, each written whole or not at all.

    ROOT/lock                      held by the driver that uses the root
    ROOT/sandboxes/<id>.json       a sandbox
    ROOT/containers/<id>/          a container: container.json, and what its shim writes and reads (see shim.py)

A name that begins with a dot or ends in .tmp is something half made or half removed; it is cleared away at the next
start.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reconciler.drivers.files import DirectoryLock, remove_tree, remove_unfinished
from reconciler.drivers.runtime.base import PodSandboxConfig, PodSandboxStatus, RuntimeDriverError
from reconciler.drivers.runtime.shim import read_file, write_file

#: Seconds to wait for a root that is in use.
LOCK_PATIENCE = 1.0


class Records:
    """What is stored under a root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sandboxes = root / "sandboxes"
        self._containers = root / "containers"
        for directory in (self._sandboxes, self._containers):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            # A moment's patience: a driver that was just killed may live on in a child about to exec.
            self._lock = DirectoryLock(root, patience=LOCK_PATIENCE)
        except BlockingIOError as error:
            raise RuntimeDriverError(f"{root} is in use by another process runtime") from error
        for directory in (self._sandboxes, self._containers):
            for leftover in sorted(directory.glob(".*")):
                remove_tree(leftover)
            remove_unfinished(directory)

    def close(self) -> None:
        """Lets another driver use the root."""
        self._lock.release()

    # -- sandboxes ---------------------------------------------------------------------------------------------------

    def save_sandbox(self, sandbox: PodSandboxStatus) -> None:
        """Stores a sandbox."""
        value = {"ready": sandbox.ready, "created_at": sandbox.created_at, "config": asdict(sandbox.config)}
        write_file(str(self._sandboxes / f"{sandbox.id}.json"), value)

    def delete_sandbox(self, sandbox_id: str) -> None:
        """Forgets a sandbox."""
        (self._sandboxes / f"{sandbox_id}.json").unlink(missing_ok=True)

    def sandboxes(self) -> Iterator[PodSandboxStatus]:
        """Every sandbox that is stored."""
        for path in sorted(self._sandboxes.glob("*.json")):
            value = read_file(str(path))
            if value is not None:
                config = PodSandboxConfig(**value["config"])
                yield PodSandboxStatus(path.stem, config, value["ready"], value["created_at"])

    # -- containers --------------------------------------------------------------------------------------------------

    def container(self, container_id: str) -> Path:
        """Where a container is kept."""
        return self._containers / container_id

    def new_container(self, container_id: str) -> Path:
        """An empty directory in which a container is to be made; ``keep_container`` makes it real."""
        directory = self._containers / f".{container_id}"
        if directory.exists():
            remove_tree(directory)
        directory.mkdir(mode=0o700)
        return directory

    def keep_container(self, container_id: str, value: dict[str, Any]) -> None:
        """Stores a container with its directory, at once."""
        directory = self._containers / f".{container_id}"
        write_file(str(directory / "container.json"), value)
        directory.rename(self.container(container_id))

    def delete_container(self, container_id: str) -> None:
        """Forgets a container and deletes its directory. What its links lead to stays."""
        gone = self._containers / f".{container_id}"
        with contextlib.suppress(FileNotFoundError):
            self.container(container_id).rename(gone)
            remove_tree(gone)

    def containers(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every container that is stored, by id."""
        for directory in sorted(self._containers.glob("[!.]*")):
            value = read_file(str(directory / "container.json"))
            if value is not None:
                yield directory.name, value
