"""The end of ``up`` when its store hangs: it isn't waited for, and what runs here is ended all the same."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from etcd_server import EtcdServer
from live_cluster import LiveCluster

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the process runtime needs Linux")

#: Half of what one answer of etcd is waited for: the end comes of the signal then, not of that time.
SOON = 5.0
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"app": "p"}},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "c", "image": "none", "command": ["sleep", "1000"]}],
    },
}


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    (tmp_path / "etcd").mkdir()
    with EtcdServer(tmp_path / "etcd") as found:
        yield found


@pytest.fixture
def live(tmp_path: Path, etcd: EtcdServer) -> Iterator[LiveCluster]:
    """With one pod that runs."""
    with ExitStack() as end:
        found = LiveCluster(tmp_path)
        end.callback(found.kill_all)
        found.manifests.write_text(yaml.safe_dump(POD))
        found.up("--store", etcd.url)
        found.wait_ready("p", 1)
        yield found


@pytest.mark.parametrize("waiting", [0.0, 4.0], ids=["at once", "while it waits for an answer"])
def test_ctrl_c_ends_it_soon_and_says_why_that_is_no_good_end(
    live: LiveCluster, etcd: EtcdServer, waiting: float
) -> None:
    etcd.signal(signal.SIGSTOP)
    try:
        time.sleep(waiting)
        started = time.monotonic()
        assert live.end() == 1
        assert time.monotonic() - started < SOON
    finally:
        etcd.signal(signal.SIGCONT)
    assert "the store does not answer, and is not waited for" in live.said()
    (last,) = live.said().splitlines()[-1:]
    assert last == "error: all has ended here, and the store could not be told: the next up starts it again"
    assert live.processes() == {}
