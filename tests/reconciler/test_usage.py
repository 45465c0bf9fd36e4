"""What pods use becomes PodMetrics and NodeMetrics, every 15 seconds, for as long as they run."""

from __future__ import annotations

from dataclasses import replace

from reconciler.drivers.runtime.base import ContainerState, ContainerStats, ContainerStatus, RuntimeDriver
from reconciler.executor import Executor
from reconciler.usage import PERIOD, UsageReporter
from state.load import from_dict
from state.objects import CustomObject
from state.snapshot import Key, Snapshot
from state.workspace import Workspace

NOW = 1_767_225_600_000_000
PODS, NODES = "PodMetrics.metrics.k8s.io", "NodeMetrics.metrics.k8s.io"


class Runtime:
    """A driver of which only usage is asked: one container for each pod, which spends 250m of CPU from the start."""

    def __init__(self, *pods: str) -> None:
        self.pods, self.now = list(pods), NOW

    def list_containers(self) -> tuple[ContainerStatus, ...]:
        usual = ContainerStatus(
            id="",
            sandbox_id="s",
            pod_uid="",
            name="c",
            attempt=0,
            image="i",
            image_ref="i",
            state=ContainerState.RUNNING,
            created_at=0,
        )
        return tuple(replace(usual, id=f"id-{pod}", pod_uid=f"uid-{pod}") for pod in self.pods)

    def container_stats(self) -> tuple[ContainerStats, ...]:
        spent = (self.now - NOW) * 250
        return tuple(ContainerStats(f"id-{pod}", self.now, spent, 3 << 20, 1) for pod in self.pods)


def workspace(*pods: str) -> Workspace:
    return Workspace(
        Snapshot.of(
            from_dict(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": pod, "namespace": "n", "uid": f"uid-{pod}", "labels": {"app": pod}},
                    "spec": {"nodeName": "here", "containers": [{"name": "c", "image": "i"}]},
                }
            )
            for pod in pods
        )
    )


def look(executor: Executor, runtime: Runtime, seconds: int) -> None:
    runtime.now = NOW + seconds * 1_000_000
    executor.sync(runtime.now)


def reporting(ws: Workspace, runtime: Runtime) -> Executor:
    driver: RuntimeDriver = runtime  # type: ignore[assignment] - it is asked for nothing else
    return Executor(ws, usage=UsageReporter(driver))


def test_usage_is_reported_from_the_second_look_on():
    """As a rate over the time in between; the sum of a node's pods is the node's."""
    ws, runtime = workspace("a", "b"), Runtime("a", "b")
    executor = reporting(ws, runtime)
    look(executor, runtime, 0)
    assert not ws.table(PODS)
    assert executor.next_due() == NOW + PERIOD
    look(executor, runtime, 15)
    found = ws.get(Key(PODS, "n", "a"))
    assert isinstance(found, CustomObject)
    assert found.metadata.labels == {"app": "a"}
    assert found.body.value == {
        "timestamp": "2026-01-01T00:00:15Z",
        "window": "15s",
        "containers": [{"name": "c", "usage": {"cpu": "250m", "memory": "3Mi"}}],
    }
    node = ws.get(Key(NODES, "", "here"))
    assert isinstance(node, CustomObject)
    assert node.body.value["usage"] == {"cpu": "500m", "memory": "6Mi"}


def test_nothing_is_looked_at_before_it_is_time():
    """However often the hands are called."""
    ws, runtime = workspace("a"), Runtime("a")
    executor = reporting(ws, runtime)
    look(executor, runtime, 0)
    look(executor, runtime, 14)
    assert not ws.table(PODS)


def test_what_no_longer_runs_is_reported_no_more():
    """Neither the pod nor a node without pods."""
    ws, runtime = workspace("a"), Runtime("a")
    executor = reporting(ws, runtime)
    look(executor, runtime, 0)
    look(executor, runtime, 15)
    assert len(ws.table(PODS)) == len(ws.table(NODES)) == 1
    runtime.pods.clear()
    look(executor, runtime, 30)
    assert not ws.table(PODS)
    assert not ws.table(NODES)
