"""etcd as a process of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import ExitStack, contextmanager

import pytest


@contextmanager
def etcd(directory):
    """A server of its own, and its URL."""
    if shutil.which("etcd") is None:
        pytest.skip("etcd is not installed")
    pytest.importorskip("aetcd")
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        client, peer = (f"127.0.0.1:{sock.getsockname()[1]}" for sock in sockets)
    options = {
        "data-dir": directory / "etcd",
        "listen-client-urls": f"http://{client}",
        "advertise-client-urls": f"http://{client}",
        "listen-peer-urls": f"http://{peer}",
        "initial-advertise-peer-urls": f"http://{peer}",
        "initial-cluster": f"default=http://{peer}",
    }
    command = ["etcd", *(f"--{name}={value}" for name, value in options.items())]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"etcd://{client}"
        finally:
            process.kill()
