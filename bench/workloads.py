"""What the benchmarks work on: made-up clusters of any size, the same every time."""

from __future__ import annotations

import resource
from typing import Any

from reconciler import Reconciler

Manifest = dict[str, Any]


def memory_mib() -> int:
    """The most memory that this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def deployment(number: int, replicas: int) -> Manifest:
    """One Deployment of small pods, with labels of its own."""
    labels = {"app": f"app-{number:05d}"}
    container = {
        "name": "main",
        "image": "registry.example/app:1",
        "ports": [{"containerPort": 8080}],
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"app-{number:05d}", "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service(number: int) -> Manifest:
    """The Service in front of a Deployment."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"app-{number:05d}"},
        "spec": {"selector": {"app": f"app-{number:05d}"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def manifests(deployments: int, replicas: int) -> list[Manifest]:
    """Deployments, each with its Service."""
    return [item for number in range(deployments) for item in (deployment(number, replicas), service(number))]


def settled(deployments: int, replicas: int, nodes: int) -> Reconciler:
    """A warm loop on a cluster in which everything is as desired."""
    loop = Reconciler(manifests(deployments, replicas), nodes=f"{nodes}x8cpu,32Gi,3zones")
    loop.step()
    return loop
