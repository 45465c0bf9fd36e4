"""Manifests in and out: microseconds per pod, for dicts, JSON and YAML."""

from __future__ import annotations

import pytest

from state.dump import dump_json, dump_yaml
from state.load import load, load_strictly

TEMPLATES = 1_500
NODES = 5_000


def pods(count):
    """Bound pods of as many templates as a large cluster has Deployments, as an API server lists them."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"web-{index}",
                "namespace": "default",
                "labels": {"app": f"web-{index % TEMPLATES}", "pod-template-hash": "5b9c7d8f4"},
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "ReplicaSet",
                        "name": f"web-{index % TEMPLATES}-5b9c7d8f4",
                        "uid": f"{index % TEMPLATES}",
                        "controller": True,
                    }
                ],
            },
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": f"web:{index % TEMPLATES}",
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                    }
                ],
                "nodeName": f"node-{index % NODES}",
                "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
            },
            "status": {"phase": "Running"},
        }
        for index in range(count)
    ]


def text_of(form, documents):
    """The pods as text."""
    objects = load_strictly(documents)
    return dump_json(objects) if form == "json" else dump_yaml(objects)


@pytest.mark.parametrize(("form", "size"), [("dicts", 150_000), ("json", 150_000), ("yaml", 5_000)])
def test_load(benchmark, sizes, form, size):
    """Reading a cluster's pods."""
    documents = pods(sizes(size))
    source = documents if form == "dicts" else text_of(form, documents)
    loaded = benchmark.pedantic(load, (source,), rounds=3)
    assert len(loaded.objects) == len(documents)
    benchmark.extra_info["us_per_pod"] = benchmark.stats.stats.min / len(documents) * 1e6


@pytest.mark.parametrize(("form", "size"), [("json", 150_000), ("yaml", 5_000)])
def test_dump(benchmark, sizes, form, size):
    """Writing them."""
    objects = load_strictly(pods(sizes(size)))
    text = benchmark.pedantic(dump_json if form == "json" else dump_yaml, (objects,), rounds=3)
    assert text
    benchmark.extra_info["us_per_pod"] = benchmark.stats.stats.min / len(objects) * 1e6


def test_load_what_needs_care(benchmark, sizes):
    """Pods with a null among their labels, which the fast way leaves to the thorough one."""
    documents = [{**pod, "metadata": {**pod["metadata"], "annotations": None}} for pod in pods(sizes(5_000))]
    loaded = benchmark.pedantic(load, (documents,), rounds=3)
    assert len(loaded.objects) == len(documents)
    benchmark.extra_info["us_per_pod"] = benchmark.stats.stats.min / len(documents) * 1e6
