"""An API server as a process of its own, and what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from api_client import Endpoint

_TICKS = os.sysconf("SC_CLK_TCK")
_SECONDS = 30


class Server:
    """``reconciler serve`` over TLS on a SQLite file in a folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self._log = (folder / "log").open("wb")
        command = [sys.executable, "-m", "reconciler", "serve", "--port", "0", "--kubeconfig", str(self.kubeconfig)]
        command += ["--store", f"sqlite:{folder / 'store.db'}", "--certificates", str(folder / "keys"), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self._log)
        deadline = time.monotonic() + _SECONDS
        while not self.kubeconfig.exists():
            assert self._process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.002)
        self.endpoint = Endpoint(self.kubeconfig)

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mib(self, *, peak: bool = False) -> int:
        """Resident memory now, or the most there ever was."""
        name = "VmHWM:" if peak else "VmRSS:"
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) // 1024

    def rest(self) -> None:
        """Waits until it has nothing more to do."""
        used, deadline = -1.0, time.monotonic() + _SECONDS
        while (now := self.cpu_seconds) - used > 0.02 and time.monotonic() < deadline:
            used = now
            time.sleep(0.25)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(_SECONDS)
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
