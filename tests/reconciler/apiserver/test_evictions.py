"""Evictions that come one right after the other."""

from __future__ import annotations

import pytest

from reconciler import Cluster
from reconciler.apiserver.status import ApiError

PODS = "/api/v1/namespaces/default/pods"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
RUNNING = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


@pytest.fixture
def cluster():
    """Three ready pods, of which two have to stay."""
    with Cluster(nodes=1, now="2026-01-01T00:00:00Z", kubelet=False) as cluster:
        for name in ("p0", "p1", "p2"):
            meta, spec = {"name": name, "labels": {"app": "a"}}, {"containers": [{"name": "c", "image": "i"}]}
            cluster.request("POST", PODS, {"metadata": meta, "spec": spec})
        cluster.settle()
        for name in ("p0", "p1", "p2"):
            cluster.request("PATCH", f"{PODS}/{name}/status", {"status": RUNNING}, "application/merge-patch+json")
        spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "a"}}}
        cluster.request("POST", BUDGETS, {"metadata": {"name": "b"}, "spec": spec})
        cluster.settle()
        yield cluster


def evict(cluster, name):
    cluster.request("POST", f"{PODS}/{name}/eviction", {"metadata": {"name": name}})


def test_who_is_refused_is_told_of_those_just_evicted(cluster):
    """Whether or not the controller has seen them go: the same is said before and after."""
    evict(cluster, "p0")
    for _ in range(2):
        with pytest.raises(ApiError) as refusal:
            evict(cluster, "p1")
        [cause] = refusal.value.details["causes"]
        assert cause["message"] == "The disruption budget b needs 2 healthy pods and has 2 currently"
        cluster.settle()
