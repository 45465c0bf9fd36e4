"""``reconciler up`` as a process of its own, and what tests do to it and ask about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconciler.live.client import Client
from reconciler.live.directory import StateDirectory
from state.dump import dump
from state.errors import StateError

#: How long anything may take on a loaded machine, in seconds.
PATIENCE = 60.0
_ROOT = Path(__file__).parents[1]


class LiveCluster:
    """A state directory, manifests, and the reconciler that runs on them, if one does."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.manifests = directory / "manifests.yaml"
        self._log = directory / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    def up(self, *options: str) -> None:
        """Starts ``up``."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*_command("up"), "-f", str(self.manifests), "--state-dir", str(self.state), *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=_ROOT,
            )

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ends it by a signal; returns its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command on the same state directory."""
        command = [*_command(*words), "--state-dir", str(self.state)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=_ROOT, check=False)

    def output(self, *words: str) -> str:
        """What a command says; it has to succeed."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stderr}\n{self.said()}"
        return done.stdout

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind, asked for over the socket, which is quicker than a command."""
        with Client(StateDirectory(self.state)) as client:
            return [dump(obj) for obj in client.state((kind,)).objects(kind)]

    def pods(self, app: str = "") -> dict[str, dict[str, Any]]:
        """The pods (of an app) that are not on their way out, by name."""
        return {
            pod["metadata"]["name"]: pod
            for pod in self.objects("Pod")
            if "deletionTimestamp" not in pod["metadata"] and app in ("", pod["metadata"]["labels"]["app"])
        }

    def said(self) -> str:
        """What ``up`` wrote so far."""
        return self._log.read_text() if self._log.exists() else ""

    def wait_for(self, what: str, is_so: Callable[[], Any]) -> Any:
        """Waits until it is so; returns what made it so."""
        end = time.monotonic() + PATIENCE
        while not (found := is_so()):
            assert time.monotonic() < end, f"{what} did not happen; up said:\n{self.said()}"
            assert self.process is None or self.process.poll() is None, f"up ended; it said:\n{self.said()}"
            time.sleep(0.1)
        return found

    def wait_ready(self, app: str, count: int) -> dict[str, dict[str, Any]]:
        """Waits until an app has so many pods, all of them ready; returns them."""

        def pods() -> dict[str, dict[str, Any]]:
            found = self.pods(app) if self.is_answering() else {}
            return found if len(found) == count and all(map(is_ready, found.values())) else {}

        return self.wait_for(f"{count} ready pods of {app}", pods)

    def is_answering(self) -> bool:
        """Whether ``up`` has begun to answer."""
        try:
            with Client(StateDirectory(self.state)) as client:
                client.state(())
        except (StateError, FileNotFoundError):  # a child of one that was killed may have its socket a moment longer
            return False
        return True

    def processes(self) -> dict[int, str]:
        """The processes of containers, with the pod they are of: those that were told where this directory is."""
        mine = str(self.state).encode()
        found = {}
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                environment = (directory / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            variables = dict(entry.partition(b"=")[::2] for entry in environment)
            if variables.get(b"HOME", b"").startswith(mine):
                found[int(directory.name)] = variables[b"HOSTNAME"].decode()
        return found

    def kill_all(self) -> None:
        """Whatever a failed test left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        while left := self.processes():
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod is ready."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def restarts(pod: dict[str, Any]) -> int:
    """How often its first container was started again."""
    return pod["status"]["containerStatuses"][0]["restartCount"]


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "reconciler", *words]
