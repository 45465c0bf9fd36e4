"""Small manifests that tests of the loop begin with."""

from __future__ import annotations

from typing import Any

NOW = "2026-01-01T00:00:00Z"


def labels(name: str) -> dict[str, str]:
    """The labels of an app's pods."""
    return {"app": name}


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    """A pod with one container; ``spec`` adds to its spec or replaces parts of it."""
    containers = [{"name": "main", "image": "app:1"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def template(name: str, **spec: Any) -> dict[str, Any]:
    """The template of an app's pods."""
    return {"metadata": {"labels": labels(name)}, "spec": pod(**spec)["spec"]}


def deployment(name: str = "web", replicas: int | None = 2, **spec: Any) -> dict[str, Any]:
    """A Deployment; ``spec`` adds to its spec or replaces parts of it."""
    size = {} if replicas is None else {"replicas": replicas}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {**size, "selector": {"matchLabels": labels(name)}, "template": template(name), **spec},
    }


def replica_set(name: str = "web", replicas: int = 2, **spec: Any) -> dict[str, Any]:
    """A ReplicaSet; ``spec`` adds to its spec or replaces parts of it."""
    return {**deployment(name, replicas, **spec), "kind": "ReplicaSet"}


def service(name: str = "web", of_type: str = "ClusterIP", *ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A Service over an app's pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": of_type, "selector": labels(name), "ports": list(ports) or [{"port": 80}], **spec},
    }


def config_map(name: str = "settings", namespace: str | None = None, **data: str) -> dict[str, Any]:
    """A ConfigMap."""
    meta = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def custom(name: str = "thing", **body: Any) -> dict[str, Any]:
    """An object of a kind that nothing here knows."""
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, **body}


def definition(schema: dict[str, Any], **version: Any) -> dict[str, Any]:
    """What defines the kind of ``custom``."""
    made = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [made],
        },
    }
