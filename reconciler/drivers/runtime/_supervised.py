"""One container of the process runtime, as its files and its supervisor tell: the driver's side of ``shim.py``."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.drivers.runtime import _procfs, shim
from reconciler.drivers.runtime.base import START_ERROR_CODE, UNKNOWN_EXIT_CODE, ContainerState, ContainerStatus

#: How much of a termination message is kept, as the kubelet does.
MAX_TERMINATION_MESSAGE = 4096
TERMINATION_LOG = "termination-log"
_POLL_SECONDS = 0.005
#: Shims of drivers that were closed. They are still children of this process, so it has to bury them.
_left: set[int] = set()


def bury() -> None:
    """Buries the shims of former drivers that have ended."""
    for child in sorted(_left):
        try:
            ended, _ = os.waitpid(child, os.WNOHANG)
        except ChildProcessError:  # somebody else did
            ended = child
        if ended:
            _left.discard(child)


class Supervised:
    """A container's directory and the last status read from it."""

    __slots__ = ("_child", "_directory", "status")

    def __init__(self, directory: Path, status: ContainerStatus) -> None:
        self._directory = directory
        self.status = status
        #: The shim that this driver started and has not reaped yet; 0 if none.
        self._child = 0

    @property
    def launch(self) -> dict[str, Any]:
        """What the shim was told: argv, env, cwd, ..."""
        container = shim.read_file(self._path("container.json"))
        assert container is not None, f"{self._directory} has no container.json"
        launch: dict[str, Any] = container["launch"]
        return launch

    @property
    def supervisor(self) -> int:
        """The shim's pid; 0 if there is none."""
        return _procfs.lock_holder(self._directory / "lock")

    def _path(self, name: str) -> str:
        return str(self._directory / name)

    def refresh(self) -> bool:
        """Reads the status anew; says whether it changed."""
        before = self.status
        if before.state is ContainerState.EXITED:
            if self._child:
                self.reap()
            return False
        self.status = self._read(before)
        return self.status is not before

    def _read(self, status: ContainerStatus) -> ContainerStatus:
        ended = shim.read_file(self._path("exit.json"))
        if ended is None:
            status = self._with_start(status)
            if self.supervisor:
                return status
            child_ended = self.reap()
            ended = shim.read_file(self._path("exit.json"))  # it may have been written while we looked
            if ended is None:
                ended = self._lost(status, child_ended=child_ended)
            if ended is None:
                return status
        status = self._with_start(status)
        return replace(
            status,
            state=ContainerState.EXITED,
            exit_code=ended["exit_code"],
            reason=ended["reason"],
            message=self._termination_message() or ended["message"],
            finished_at=ended["finished_at"],
            started_at=0 if ended["reason"] == "StartError" else status.started_at,
            pid=0,
            stopping=False,
        )

    def _with_start(self, status: ContainerStatus) -> ContainerStatus:
        if status.state is ContainerState.RUNNING:
            return status
        started = shim.read_file(self._path("started.json"))
        if started is None:
            return status
        return replace(status, state=ContainerState.RUNNING, started_at=started["started_at"], pid=started["pid"])

    def _lost(self, status: ContainerStatus, *, child_ended: bool) -> dict[str, Any] | None:
        """The exit record of a container whose shim ended without one; None if it was never started, or is about to
        be.
        """
        if status.state is ContainerState.RUNNING:
            _procfs.kill_marked(self._directory)
            return self.end(
                UNKNOWN_EXIT_CODE, "ContainerStatusUnknown", "The container's supervisor ended unexpectedly."
            )
        if child_ended:
            said = (self._directory / "shim.err").read_text(errors="replace").strip()
            return self.end(START_ERROR_CODE, "StartError", f"the container's supervisor failed: {said}")
        return None

    def _termination_message(self) -> str:
        file = self._directory / TERMINATION_LOG
        try:
            return file.read_bytes()[:MAX_TERMINATION_MESSAGE].decode(errors="replace")
        except FileNotFoundError:
            return ""

    def end(self, code: int, reason: str, message: str) -> dict[str, Any]:
        """Writes the exit record of a container that has no shim."""
        record = shim.record(code, reason, message)
        shim.write_file(self._path("exit.json"), record)
        return record

    def start(self) -> None:
        """Sends a shim on its way, once. Should one of a former driver be there already, the new one leaves at once."""
        if self._child:
            return
        errors = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._child = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", shim.__file__, str(self._directory)],
            {"LC_ALL": "C.UTF-8"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, self._path("shim.err"), errors, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    def stop(self, timeout: float) -> None:
        """Sets the time by which it must have ended, if that is earlier than before, and wakes the shim."""
        kill_at = time.monotonic() + timeout
        before = shim.read_file(self._path("stop.json"))
        if before is not None and before["kill_at"] <= kill_at:
            return
        shim.write_file(self._path("stop.json"), {"kill_at": kill_at})
        self.status = replace(self.status, stopping=True)
        self._ring()
        # The request is written before the lock is looked at, and a shim takes the lock before it looks for a request:
        # so either it sees the request, or we see it.
        if self.status.state is ContainerState.CREATED and not self._child and not self.supervisor:
            self.end(START_ERROR_CODE, "StartError", "stopped before it started")

    def _ring(self) -> None:
        try:
            bell = os.open(self._path("control"), os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody listens: no shim, or it will read the request when it comes
            return
        try:
            os.write(bell, b"!")
        finally:
            os.close(bell)

    def reap(self, *, wait: bool = False) -> bool:
        """Buries the shim if it ended (or when it does). True if there was one and it has ended."""
        if not self._child:
            return False
        try:
            pid, _ = os.waitpid(self._child, 0 if wait else os.WNOHANG)
        except ChildProcessError:  # somebody else reaped it
            pid = self._child
        if pid:
            self._child = 0
        return bool(pid)

    def wait(self) -> None:
        """Waits until it has exited and its shim is gone."""
        while self.status.state is not ContainerState.EXITED:
            self.refresh()
            time.sleep(_POLL_SECONDS)
        self.reap(wait=True)

    def leave(self) -> None:
        """Lets go of the shim, which goes on."""
        if self._child:
            _left.add(self._child)
            self._child = 0
