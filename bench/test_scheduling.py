"""Pending pods to bound ones: kube-scheduler's workloads, its figures beside ours, and how cost grows."""

from __future__ import annotations

import pytest
from scheduling_workloads import WORKLOADS, View, filling, nodes

from rules.scheduling import Scheduler

BASIC = WORKLOADS[0]


def run(benchmark, workload, node_count, pod_count, rounds=1):
    """Schedules the workload's pods on a fresh scheduler; records pods a second."""
    fresh = nodes(node_count)
    running = filling(node_count) if workload.full else []
    pods = [workload.make(number) for number in range(pod_count)]

    def setup():
        return (Scheduler(View(fresh, running)),), {}

    def schedule(scheduler):
        return scheduler.schedule(pods, now=0)

    decisions = benchmark.pedantic(schedule, setup=setup, rounds=rounds)
    placed = sum(decision.node is not None for decision in decisions)
    assert placed == (0 if workload.full else pod_count)
    speed = round(pod_count / benchmark.stats.stats.median)
    benchmark.extra_info.update(nodes=node_count, pods=pod_count, pods_per_second=speed)
    return speed


@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
def test_schedule(benchmark, sizes, workload):
    """One core, looking at all nodes, from a fresh scheduler."""
    rounds = 1 if workload.pods > 100_000 else 3
    run(benchmark, workload, sizes(workload.nodes), sizes(workload.pods), rounds)
    benchmark.extra_info.update(target=workload.target, kube_scheduler=workload.kube_scheduler)


@pytest.mark.parametrize("count", [500, 1_000, 2_000, 5_000, 10_000, 20_000])
def test_schedule_growth_over_nodes(benchmark, sizes, count):
    """10,000 basic pods on more and more nodes (fewer where they don't fit)."""
    run(benchmark, BASIC, sizes(count), sizes(min(10_000, count * 30)))


@pytest.mark.parametrize("count", [1_000, 5_000, 20_000, 100_000])
def test_schedule_growth_over_pods(benchmark, sizes, count):
    """More and more basic pods on 5,000 nodes."""
    run(benchmark, BASIC, sizes(5_000), sizes(count))
