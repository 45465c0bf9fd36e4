"""Several ``up``s on one etcd are the nodes of one cluster: each runs what is bound to it, and one of them decides."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from etcd_server import EtcdServer
from live_cluster import LiveCluster

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the process runtime needs Linux")

LEASE = ("--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms")
#: Answers every connection with the pod's name.
ANSWER = """
import os, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(os.environ["HOSTNAME"].encode())
socketserver.TCPServer((os.environ["IP"], 8080), Handler).serve_forever()
"""


def daemon_set(name: str) -> dict:
    """One pod on each node, which answers."""
    own_address = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    container = {"name": "main", "image": "none", "command": ["python3", "-c", ANSWER], "env": [own_address]}
    container["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
        },
    }


def stateful_set(name: str, node: str) -> dict:
    """One pod that keeps its data, on a node."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    command = ["sh", "-c", "echo $HOSTNAME >> /data/starts; exec sleep 1000"]
    container = {
        "name": "main",
        "image": "none",
        "command": command,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "nodeSelector": {"kubernetes.io/hostname": node},
                    "containers": [container],
                },
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
        },
    }


def service(name: str) -> dict:
    """In front of a workload."""
    spec = {"selector": {"app": name}, "ports": [{"port": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


class Nodes:
    """Two nodes, each with manifests of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.one, self.two = (self._node(folder / name) for name in ("one", "two"))
        self.write(self.one, daemon_set("web"), service("web"))
        self.write(self.two, stateful_set("keeper", "two"))

    def _node(self, folder: Path) -> LiveCluster:
        folder.mkdir()
        return LiveCluster(folder)

    def write(self, node: LiveCluster, *objects: dict) -> None:
        """The manifests of a node."""
        node.manifests.write_text(yaml.safe_dump_all(objects))

    def up(self, node: LiveCluster, name: str = "") -> None:
        """Starts it."""
        node.up("--store", self.url, "--node-name", name or node.state.parent.name, *LEASE)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """They are gone after the test."""
    with ExitStack() as end:
        (tmp_path / "etcd").mkdir()
        found = Nodes(tmp_path, end.enter_context(EtcdServer(tmp_path / "etcd")).url)
        end.callback(found.one.kill_all)
        end.callback(found.two.kill_all)
        yield found


def placed(pods: dict[str, dict]) -> dict[str, str]:
    """The nodes of pods."""
    return {name: pod["spec"]["nodeName"] for name, pod in pods.items()}


def running(node: LiveCluster) -> set[str]:
    """The pods of which something runs."""
    return set(node.processes().values())


def answers(address: str) -> set[str]:
    """Who answers at an address, of several tries."""
    found = set()
    for _ in range(40):
        with socket.create_connection((address, 8080), timeout=5) as connection:
            found.add(connection.recv(100).decode())
    return found


def test_each_runs_what_is_bound_to_it_and_the_death_of_one_is_the_others_chance(nodes: Nodes) -> None:
    one, two = nodes.one, nodes.two
    nodes.up(one)
    one.wait_ready("web", 1)
    nodes.up(two)
    web = placed(one.wait_ready("web", 2))
    keeper = placed(two.wait_ready("keeper", 1))
    assert sorted(web.values()) == ["one", "two"]
    here, there = sorted(web, key=web.__getitem__)
    assert (running(one), running(two)) == ({here}, {there, *keeper})
    (address,) = [each["spec"]["clusterIP"] for each in two.objects("Service") if each["metadata"]["name"] == "web"]
    two.wait_for("both pods answering", lambda: answers(address) == {here, there})
    assert list(two.state.glob("**/starts"))
    assert not list(one.state.glob("**/starts"))

    one.end(signal.SIGKILL)
    nodes.write(two, stateful_set("keeper", "two"), stateful_set("more", "two"))
    two.wait_ready("more", 1)  # who was second decides now
    assert running(one) == {here}
    nodes.up(one)
    assert placed(one.wait_ready("web", 2)) == web

    assert two.end() == 0
    assert (running(two), running(one)) == (set(), {here})
    one.wait_ready("web", 2 - 1)
    (gone,) = [each for each in one.objects("Node") if each["metadata"]["name"] == "two"]
    ready = next(each["status"] for each in gone["status"]["conditions"] if each["type"] == "Ready")
    assert ready in ("False", "Unknown")
    nodes.up(two)
    one.wait_ready("web", 2)
    two.wait_ready("keeper", 1)
    (starts,) = [path for path in two.state.glob("storage/**/starts") if "keeper" in path.read_text()]
    assert starts.read_text() == "keeper-0\nkeeper-0\n"
    assert (one.end(), two.end()) == (0, 0)


def test_a_name_that_another_has_is_refused(nodes: Nodes) -> None:
    nodes.up(nodes.one)
    nodes.one.wait_ready("web", 1)
    nodes.up(nodes.two, "one")
    assert nodes.two.process is not None
    assert nodes.two.process.wait(60) == 1
    assert "choose another name with --node-name" in nodes.two.said()
    assert len(running(nodes.one)) == 1
