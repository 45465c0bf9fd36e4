"""Pending pods to bound ones: kube-scheduler's workloads, its figures beside ours, and how cost grows.

``test_loop`` goes through the whole loop: facts, rules, decisions, bindings as actions, the next snapshot.
``test_schedule`` is the scheduler alone.
"""

from __future__ import annotations

import pytest
from scheduling_workloads import WORKLOADS, View, filling, nodes
from workloads import memory_mib

from reconciler import Reconciler
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


def run_loop(benchmark, workload, node_count, pod_count, rounds):
    """Has a loop place the workload's pods, which are applied before; records pods a second."""
    observed = [*nodes(node_count), *(filling(node_count) if workload.full else ())]
    pods = [workload.make(number) for number in range(pod_count)]

    def setup():
        loop = Reconciler(observed=observed)
        loop.step()
        loop.apply(pods)
        return (loop,), {}

    plan = benchmark.pedantic(lambda loop: loop.step(), setup=setup, rounds=rounds)
    bound = sum(action.verb == "bind" for action in plan.actions)
    assert bound == (0 if workload.full else pod_count)
    speed = round(pod_count / benchmark.stats.stats.median)
    benchmark.extra_info.update(nodes=node_count, pods=pod_count, pods_per_second=speed, memory_mib=memory_mib())


def rounds_of(workload):
    """How often a workload is measured."""
    return 1 if workload.pods > 100_000 else 3


@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
def test_loop(benchmark, sizes, workload):
    """One core, looking at all nodes, rules engine included: from pending pods to the plan that binds them."""
    run_loop(benchmark, workload, sizes(workload.nodes), sizes(workload.pods), rounds_of(workload))
    benchmark.extra_info.update(target=workload.target, kube_scheduler=workload.kube_scheduler)


@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
def test_schedule(benchmark, sizes, workload):
    """One core, looking at all nodes, from a fresh scheduler, which decides and does nothing else."""
    run(benchmark, workload, sizes(workload.nodes), sizes(workload.pods), rounds_of(workload))
    benchmark.extra_info.update(target=workload.target, kube_scheduler=workload.kube_scheduler)


@pytest.mark.parametrize("count", [500, 1_000, 2_000, 5_000, 10_000, 20_000])
def test_schedule_growth_over_nodes(benchmark, sizes, count):
    """10,000 basic pods on more and more nodes (fewer where they don't fit)."""
    run(benchmark, BASIC, sizes(count), sizes(min(10_000, count * 30)), rounds=3)


@pytest.mark.parametrize("count", [1_000, 5_000, 20_000, 100_000])
def test_schedule_growth_over_pods(benchmark, sizes, count):
    """More and more basic pods on 5,000 nodes."""
    run(benchmark, BASIC, sizes(5_000), sizes(count), rounds=3)
