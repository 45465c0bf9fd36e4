"""The state directory: everything that outlives a reconciler, and the lock that keeps a second one out.

lock           held by the reconciler that runs
about.json     the node's name and the block of addresses; written once
state.db       the objects, if they are nowhere else (``--store``)
serve.db       those of ``serve``, which runs nothing here and needs no lock
certificates/  the keys of the API's server, if there is one
socket         where a running reconciler answers
logs/          NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log, in CRI's format
volumes/       what the kubelet makes: emptyDir, ConfigMaps, Secrets
storage/       the data of claims
runtime/ network/  the drivers' own records
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from reconciler.drivers.files import DirectoryLock, write_atomic
from reconciler.live.machine import Block, BlockLock, node_name, take_block
from state.errors import StateError

DEFAULT = ".reconciler"
_ABOUT = "about.json"
#: Where older versions kept the objects.
_JOURNAL = "journal"


class InUseError(StateError):
    """Another reconciler runs with the state directory."""


class StateDirectory:
    """The places in a state directory. Nothing is made or locked by looking at it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.store = self.path / "state.db"
        self.served = self.path / "serve.db"
        self.certificates = self.path / "certificates"
        self.logs = self.path / "logs"
        self.volumes = self.path / "volumes"
        self.storage = self.path / "storage"
        self.runtime = self.path / "runtime"
        self.network = self.path / "network"

    def exists(self) -> bool:
        """Whether a reconciler ever ran with it."""
        return (self.path / _ABOUT).exists()

    @contextlib.contextmanager
    def socket_address(self) -> Iterator[str]:
        """The socket's path in a form that is short enough for the kernel, however long the directory's own path is."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}/socket"
        finally:
            os.close(descriptor)


class OwnedDirectory(StateDirectory):
    """A state directory that belongs to this process until ``release``; with it a node, of the machine's name unless
    another one is given.

    Raises:
        InUseError: another process has it.
        AddressesTakenError: another one has the addresses that its pods and services have.
        StateError: it isn't a state directory of this program, or another node's.
    """

    def __init__(self, path: str | Path, node: str = "") -> None:
        super().__init__(path)
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._lock = DirectoryLock(self.path)
        except BlockingIOError as error:
            raise InUseError(f"{self.path} is in use: another reconciler runs with this state directory") from error
        try:
            self.node, self.block, self._addresses = self._about(node)
        except BaseException:
            self._lock.release()
            raise

    def _about(self, wanted: str) -> tuple[str, Block, BlockLock]:
        if (self.path / _JOURNAL).exists():
            msg = (
                f"{self.path / _JOURNAL} was written by an older version of this program, which kept its state in "
                "another form; stop what it runs with that version, or use another --state-dir"
            )
            raise StateError(msg)
        about = self.path / _ABOUT
        if about.exists():
            try:
                record = json.loads(about.read_bytes())
                node, block = str(record["node"]), Block(int(record["block"]))
            except (ValueError, KeyError, TypeError) as error:
                raise StateError(f"{about} is not a record of this program: {error!r}") from error
            if wanted not in ("", node):
                msg = f"{self.path} belongs to the node {node}; expected {wanted}, which needs a --state-dir of its own"
                raise StateError(msg)
            return node, block, BlockLock(block)
        # Two directories rarely prefer the same block, so that pods that were kept are not in the way of others.
        block, lock = take_block(zlib.crc32(os.fsencode(self.path)))
        node = wanted or node_name()
        write_atomic(about, json.dumps({"node": node, "block": block.number}).encode())
        return node, block, lock

    def release(self) -> None:
        """Lets another process have it."""
        self._addresses.release()
        self._lock.release()
