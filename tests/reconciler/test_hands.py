"""A Reconciler that was given drivers runs what it plans."""

from __future__ import annotations

import sys
import time

import pytest

from reconciler import Reconciler
from reconciler.drivers.network.simulated import SimulatedNetwork
from reconciler.drivers.runtime.clock import VirtualClock
from reconciler.drivers.runtime.process import ProcessRuntime
from reconciler.drivers.runtime.simulated import SimulatedRuntime
from reconciler.drivers.storage.simulated import SimulatedStorage


def deployment(replicas, command=None):
    container = {"name": "main", "image": "app:1"} | ({"command": command} if command else {})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    }


def ready(loop):
    return sum(pod.status.phase == "Running" for pod in loop.snapshot.objects("Pod"))


def test_simulated_drivers_bring_pods_up_and_down_in_virtual_time():
    clock = VirtualClock(1_000_000)
    loop = Reconciler(
        deployment(3),
        nodes=2,
        runtime=SimulatedRuntime(clock),
        network=SimulatedNetwork(),
        storage=SimulatedStorage(),
        clock=clock,
    )
    loop.run()
    assert ready(loop) == 3
    loop.apply(deployment(1))
    loop.run()
    assert ready(loop) == len(loop.snapshot.objects("Pod")) == 1


def test_a_process_is_started_and_ends_with_its_pod(tmp_path):
    runtime = ProcessRuntime(tmp_path / "runtime")
    loop = Reconciler(
        deployment(1, [sys.executable, "-c", "import time; time.sleep(600)"]),
        nodes=1,
        runtime=runtime,
        directory=tmp_path,
    )
    try:
        deadline = time.monotonic() + 60
        loop.run(lambda it: ready(it) == 1 or time.monotonic() > deadline)
        assert ready(loop) == 1
        loop.delete("deployment/default/web")
        loop.run(lambda it: not it.snapshot.objects("Pod") or time.monotonic() > deadline)
        assert not loop.snapshot.objects("Pod")
        assert not runtime.list_containers()
    finally:
        loop.close()
        runtime.close()


def test_without_drivers_run_ends_when_nothing_is_due():
    loop = Reconciler(deployment(2), nodes=1)
    loop.run()
    assert len(loop.snapshot.objects("Pod")) == 2


@pytest.mark.parametrize("now", [0, "2026-01-01T00:00:00Z"])
def test_without_drivers_time_is_what_the_caller_says(now):
    loop = Reconciler(deployment(1), nodes=1, now=now)
    before = loop.now
    loop.step()
    assert loop.now == before
