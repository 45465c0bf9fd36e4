"""Reconcile cycles: cold ones over cluster sizes, and warm ones in which little changes."""

from __future__ import annotations

import itertools

import pytest
from workloads import deployment, manifests, memory_mib, settled

from reconciler import reconcile
from state.snapshot import Change, Key


def test_calibration(benchmark):
    """The yardstick: a million steps of plain Python. Every other figure is also given as a multiple of it."""
    benchmark(lambda: sum(number & 7 for number in range(1_000_000)))


@pytest.mark.parametrize(("deployments", "nodes"), [(100, 1_000), (1_500, 5_000)])
def test_cold(benchmark, sizes, deployments, nodes):
    """Everything from nothing: Deployments of 100 pods with their Services."""
    desired = manifests(sizes(deployments), 100)
    plan = benchmark.pedantic(
        lambda: reconcile(desired, nodes=f"{sizes(nodes)}x8cpu,32Gi,3zones"), rounds=1 if deployments > 100 else 3
    )
    pods = plan.snapshot.objects("Pod")
    assert len(pods) == sizes(deployments) * 100
    assert all(pod.spec.node_name for pod in pods)
    benchmark.extra_info.update(pods=len(pods), actions=len(plan.actions), memory_mib=memory_mib())


@pytest.fixture(scope="module")
def large(sizes):
    """1,500 Deployments of 100 pods on 5,000 nodes, as desired."""
    return settled(sizes(1_500), 100, sizes(5_000))


def test_idle(benchmark, large):
    """A cycle in which nothing changed."""
    assert not benchmark(large.step).actions


def test_scale_by_one(benchmark, large):
    """A Deployment gets one replica more."""
    replicas = itertools.count(101)

    def scale():
        large.apply([deployment(0, next(replicas))])
        return large.step()

    plan = benchmark.pedantic(scale, rounds=10, warmup_rounds=1)
    assert [a.verb for a in plan.actions if a.target.kind == "Pod"] == ["create", "bind"]


def lose_node(loop, name):
    """Takes a node away, as one that broke down and was deleted."""
    key = Key("Node", "", name)
    loop.observe((Change(key, loop.snapshot.get(key), None),))
    return loop.step()


def test_node_lost(benchmark, large):
    """A node is gone: its pods are deleted, made anew, and placed elsewhere."""
    names = iter([node.metadata.name for node in large.snapshot.objects("Node")])
    plan = benchmark.pedantic(lambda: lose_node(large, next(names)), rounds=10, warmup_rounds=1)
    assert all(pod.spec.node_name for pod in plan.snapshot.objects("Pod"))
    benchmark.extra_info["pods_moved"] = sum(action.verb == "bind" for action in plan.actions)


@pytest.mark.parametrize("deployments", [15, 150, 1_500])
def test_constant_change(benchmark, sizes, deployments):
    """The cost of one replica more over the size of the cluster: what it should not depend on."""
    loop = settled(sizes(deployments), 100, max(sizes(deployments) * 10 // 3, 5))
    replicas = itertools.count(101)

    def scale():
        loop.apply([deployment(0, next(replicas))])
        return loop.step()

    benchmark.pedantic(scale, rounds=10, warmup_rounds=2)
    benchmark.extra_info["pods"] = sizes(deployments) * 100
