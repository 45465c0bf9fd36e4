"""How long a server is away that was killed: from its new start until kubectl has an answer, with many objects."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest
from api_client import running
from api_server import Server
from full_store import fill, name_of

from state.store import open_store

KUBECTL = shutil.which("kubectl")
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
@pytest.mark.parametrize("size", [0, 100_000])
def test_start_again(benchmark, smoke, sizes, tmp_path, size):
    """After a SIGKILL right after a write; ``to_ready_s`` is when the kubeconfig is there, which is written last."""
    size, servers, ready = sizes(size) if size else 0, [], []
    with open_store(f"sqlite:{tmp_path / 'store.db'}") as store:
        fill(store, max(size, 100))

    def kill():
        for server in servers:
            with running() as run:
                run(create(server, f"made-{len(ready)}"))
            server.kill()
            server.stop()
        (tmp_path / "kubeconfig").unlink(missing_ok=True)

    def start():
        began = time.monotonic()
        server = Server(tmp_path)
        ready.append(time.monotonic() - began)
        servers[:] = [server]
        command = [KUBECTL, "--kubeconfig", server.kubeconfig, "get", "configmap", name_of(7), "-o", "name"]
        assert name_of(7) in subprocess.run(command, check=True, capture_output=True, text=True).stdout

    benchmark.pedantic(start, setup=kill, rounds=2 if smoke else 5)
    (server,) = servers
    benchmark.extra_info |= {"to_ready_s": round(min(ready), 2), "mib_at_start": server.memory_mib(), "target": "1 s"}
    began = time.monotonic()
    server.rest()
    benchmark.extra_info["controllers_after_s"] = round(time.monotonic() - began, 1)
    benchmark.extra_info["mib"] = server.memory_mib()
    server.stop()


async def create(server, name):
    """Stores a ConfigMap."""
    connection = await server.endpoint.connect()
    await connection.call("POST", MAPS, {"metadata": {"name": name}})
    connection.abort()
