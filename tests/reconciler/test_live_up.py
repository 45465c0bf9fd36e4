"""``reconciler up`` for real: it heals, rolls out, ends in order, and survives being killed itself."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from etcd_server import EtcdServer
from live_cluster import LiveCluster, is_ready, restarts

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the process runtime needs Linux")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LiveCluster]:
    """A cluster that is gone after the test."""
    made = LiveCluster(tmp_path)
    yield made
    made.kill_all()


def workload(name: str, replicas: int, command: list[str], **fields: object) -> dict:
    """A Deployment of pods with one container; ``fields`` are more of the container's."""
    volumes = fields.pop("volumes", [])
    strategy = fields.pop("strategy", {"type": "RollingUpdate"})
    container = {"name": "main", "image": "none", "command": command, **fields}
    spec = {"terminationGracePeriodSeconds": 2, "containers": [container], "volumes": volumes}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "strategy": strategy,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


def writer() -> list[dict]:
    """A claim, and a pod that adds a line to a file on it whenever it starts."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    command = ["sh", "-c", "echo $HOSTNAME >> /data/starts; exec sleep 1000"]
    deployment = workload(
        "writer",
        1,
        command,
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        strategy={"type": "Recreate"},
    )
    return [claim, deployment]


def write(cluster: LiveCluster, *documents: dict) -> None:
    """Has the manifests say this, all at once."""
    new = cluster.manifests.with_suffix(".new")
    new.write_text(yaml.safe_dump_all(documents))
    new.replace(cluster.manifests)


SLEEP = ["sleep", "1000"]


def test_what_was_running_when_up_was_killed_is_adopted_by_the_next_up(cluster: LiveCluster) -> None:
    """kill -9 of ``up``, then ``up``: the same pods, containers and processes, the same volume, and not one more."""
    write(cluster, workload("sleepy", 2, SLEEP), *writer())
    cluster.up()
    cluster.wait_ready("sleepy", 2)
    cluster.wait_ready("writer", 1)
    before, processes = cluster.pods(), cluster.processes()
    (volume,) = cluster.objects("PersistentVolume")
    cluster.end(signal.SIGKILL)

    assert cluster.processes() == processes
    left = cluster.run("get", "pods", "-o", "name")
    assert sorted(left.stdout.split()) == sorted(f"pod/{name}" for name in before)
    assert "no reconciler runs" in left.stderr

    cluster.up()
    cluster.wait_for("an answer", cluster.is_answering)
    cluster.wait_ready("sleepy", 2)
    cluster.wait_ready("writer", 1)
    after = cluster.pods()
    assert {name: pod["metadata"]["uid"] for name, pod in after.items()} == {
        name: pod["metadata"]["uid"] for name, pod in before.items()
    }
    assert {name: pod["status"]["containerStatuses"] for name, pod in after.items()} == {
        name: pod["status"]["containerStatuses"] for name, pod in before.items()
    }
    assert cluster.processes() == processes
    assert [pv["metadata"]["uid"] for pv in cluster.objects("PersistentVolume")] == [volume["metadata"]["uid"]]

    assert cluster.end() == 0
    assert cluster.processes() == {}
    (data,) = cluster.state.glob("storage/volumes/*/data/starts")
    assert data.read_text().splitlines() == [name for name in before if name.startswith("writer")]


def test_killing_up_again_and_again_neither_loses_nor_doubles_anything(cluster: LiveCluster) -> None:
    """Whenever it dies, from before the first decision on: in the end there is what the manifests say."""
    write(cluster, workload("sleepy", 3, SLEEP), *writer())
    chance = random.Random(7)
    for _ in range(4):
        cluster.up()
        time.sleep(chance.uniform(0.3, 1.2))
        cluster.end(signal.SIGKILL)
    cluster.up()
    pods = {**cluster.wait_ready("sleepy", 3), **cluster.wait_ready("writer", 1)}
    assert sorted(cluster.processes().values()) == sorted(pods)
    assert all(restarts(pod) == 0 for pod in pods.values())
    assert len(cluster.objects("PersistentVolume")) == 1
    assert cluster.end(signal.SIGTERM) == 0
    assert cluster.processes() == {}


def test_keep_leaves_the_pods_to_the_next_up_and_stopping_keeps_the_data(cluster: LiveCluster) -> None:
    """``--keep``, then ``up``: the same processes. Ctrl-C, then ``up``: new pods, the data of before."""
    write(cluster, *writer())
    cluster.up("--keep", "--until", "ready")
    assert cluster.process is not None
    assert cluster.process.wait(60) == 0, cluster.said()
    kept = cluster.processes()
    assert len(kept) == 1
    cluster.up()
    (first,) = cluster.wait_ready("writer", 1)
    assert cluster.processes() == kept
    assert cluster.end() == 0
    assert "pod/default/" in cluster.said().splitlines()[-1]
    assert cluster.processes() == {}

    cluster.up()
    (second,) = cluster.wait_ready("writer", 1)
    (data,) = cluster.state.glob("storage/volumes/*/data/starts")
    cluster.wait_for("the second start", lambda: len(data.read_text().splitlines()) == 2)
    assert data.read_text().splitlines() == [first, second]
    assert cluster.end() == 0


def test_a_second_ctrl_c_kills_what_does_not_end(cluster: LiveCluster) -> None:
    """A container that ignores SIGTERM has its grace period, or until somebody loses patience."""
    stubborn = workload("stubborn", 1, ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"])
    stubborn["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 600
    write(cluster, stubborn)
    cluster.up()
    cluster.wait_ready("stubborn", 1)
    assert cluster.process is not None
    cluster.process.send_signal(signal.SIGINT)
    cluster.wait_for("the announcement", lambda: "stopping" in cluster.said())
    assert cluster.process.poll() is None
    assert cluster.end() == 0
    assert cluster.processes() == {}


def test_with_its_state_in_memory_it_leaves_nothing(cluster: LiveCluster) -> None:
    """``--store memory:``; and when nothing runs there is nothing to be asked."""
    write(cluster, workload("sleepy", 1, SLEEP))
    cluster.up("--store", "memory:", "--until", "ready")
    assert cluster.process is not None
    assert cluster.process.wait(60) == 0, cluster.said()
    asked = cluster.run("get", "pods")
    assert (asked.returncode, "its state is in another store" in asked.stderr) == (1, True)
    assert cluster.processes() == {}


def test_with_its_state_in_etcd_the_next_up_takes_over(cluster: LiveCluster, tmp_path: Path) -> None:
    """After a kill -9 the same pods and processes, as soon as the lease of the one that is dead has run out."""
    write(cluster, workload("sleepy", 2, SLEEP))
    lease = ("--leader-elect-lease-duration", "3s", "--leader-elect-renew-deadline", "2s")
    with EtcdServer(tmp_path) as etcd:
        options = ("--store", etcd.url, *lease, "--leader-elect-retry-period", "500ms")
        cluster.up(*options)
        before = cluster.wait_ready("sleepy", 2)
        processes = cluster.processes()
        cluster.end(signal.SIGKILL)
        assert cluster.processes() == processes
        cluster.up(*options)
        after = cluster.wait_ready("sleepy", 2)
        assert {pod["metadata"]["uid"] for pod in after.values()} == {pod["metadata"]["uid"] for pod in before.values()}
        assert cluster.processes() == processes
        assert cluster.end() == 0
    assert cluster.processes() == {}


def test_manifests_that_are_refused_start_nothing(cluster: LiveCluster) -> None:
    """The exit status is 1, and every problem is told."""
    wrong = workload("sleepy", 1, SLEEP)
    wrong["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    write(cluster, wrong)
    cluster.up()
    assert cluster.process is not None
    assert cluster.process.wait(60) == 1
    assert "`selector` does not match template `labels`" in cluster.said()
    assert cluster.processes() == {}


def test_a_day_in_the_life(cluster: LiveCluster, tmp_path: Path) -> None:
    """One ``up``: a crash, a scale down, edits of the file, and what the other commands say about it."""
    sick = tmp_path / "sick"
    sick.mkdir()
    healthy = {"exec": {"command": ["sh", "-c", f"! test -e {sick}/$HOSTNAME"]}, "periodSeconds": 1}
    talk = ["sh", "-c", "echo hello from $HOSTNAME; exec sleep 1000"]
    web = workload("web", 3, talk, readinessProbe=healthy, env=[{"name": "VERSION", "value": "v1"}])
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "extra"}, "data": {"a": "b"}}
    write(cluster, web, config)
    cluster.up()
    pods = cluster.wait_ready("web", 3)

    _crash(cluster, min(pods))
    _scale(cluster, max(pods), sick)
    _ask(cluster, min(pods))
    _edit(cluster, web)

    assert cluster.end() == 0
    assert cluster.processes() == {}
    assert list(cluster.state.glob("network/pods/*")) == []
    assert list(cluster.state.glob("volumes/*")) == []


def _crash(cluster: LiveCluster, victim: str) -> None:
    """A container that is killed is started again in its pod."""
    (pid,) = [pid for pid, pod in cluster.processes().items() if pod == victim]
    os.kill(pid, signal.SIGKILL)
    cluster.wait_for("the restart", lambda: restarts(cluster.pods()[victim]) == 1 and is_ready(cluster.pods()[victim]))
    last = cluster.pods()[victim]["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (137, "Error")
    assert len(cluster.processes()) == 3


def _scale(cluster: LiveCluster, victim: str, sick: Path) -> None:
    """Scaling down takes the pod that isn't ready."""
    (sick / victim).touch()
    cluster.wait_for("the readiness probe to fail", lambda: not is_ready(cluster.pods()[victim]))
    assert cluster.output("scale", "deployment/web", "--replicas", "2") == "deployment.apps/web scaled\n"
    assert victim not in cluster.wait_ready("web", 2)
    cluster.wait_for("its process to be gone", lambda: victim not in cluster.processes().values())
    refused = cluster.run("scale", "configmap/extra", "--replicas", "2")
    assert refused.returncode == 1
    assert "can't be scaled" in refused.stderr


def _ask(cluster: LiveCluster, pod: str) -> None:
    """The other commands, and a client that talks nonsense."""
    table = cluster.output("get", "pods", "-o", "wide").splitlines()
    assert table[0].split()[:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert len(table) == 3
    assert f"hello from {pod}\n" == cluster.output("logs", pod)
    assert f"hello from {pod}\n" == cluster.output("logs", f"pod/{pod}", "--previous", "--tail", "1")
    stamped = cluster.output("logs", pod, "--timestamps")
    assert stamped.endswith(f"Z hello from {pod}\n")
    described = cluster.output("describe", f"pod/{pod}")
    assert f"Name:             {pod}\n" in described
    assert "Restart Count:  1\n" in described
    assert "Successfully assigned" in described
    assert "Started container main" in cluster.output("events", "--for", f"pod/{pod}")
    missing = cluster.run("get", "pod/nope")
    assert (missing.returncode, missing.stderr) == (1, 'error: pods "nope" not found\n')
    second = cluster.run("up", "-f", str(cluster.manifests))
    assert second.returncode == 1
    assert "another reconciler runs with this state directory" in second.stderr
    assert _said_to_nonsense(cluster, b"{]\n") == b'{"ok":false,"error":"expected a JSON object on a line of its own'
    assert _said_to_nonsense(cluster, b'{"verb":"dance"}\n').startswith(b'{"ok":false,"error":"unknown verb \'dance\'')


def _said_to_nonsense(cluster: LiveCluster, request: bytes) -> bytes:
    """The first line of the answer, up to the reason."""
    with socket.socket(socket.AF_UNIX) as client:
        descriptor = os.open(cluster.state, os.O_RDONLY)
        client.connect(f"/proc/self/fd/{descriptor}/socket")
        os.close(descriptor)
        client.sendall(request)
        return client.makefile("rb").readline().partition(b": unexpected")[0]


def _edit(cluster: LiveCluster, web: dict) -> None:
    """A broken file changes nothing; a changed one is rolled out; what is gone from it goes."""
    before = cluster.pods()
    cluster.manifests.write_text("kind: [broken\n")
    cluster.wait_for("the complaint", lambda: "not taken over" in cluster.said())
    assert cluster.pods().keys() == before.keys()
    web["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "v2"
    web["spec"]["replicas"] = 1
    write(cluster, web)

    def is_rolled_out() -> bool:
        found = cluster.pods("web")
        values = [pod["spec"]["containers"][0]["env"][0]["value"] for pod in found.values()]
        return values == ["v2"] and all(map(is_ready, found.values()))

    cluster.wait_for("the rollout", is_rolled_out)
    names = cluster.output("get", "configmaps,replicasets", "-o", "name").split()
    assert len(names) == 3, names  # two ReplicaSets, and no ConfigMap any more but the one that every namespace has
    assert names[0] == "configmap/kube-root-ca.crt"
