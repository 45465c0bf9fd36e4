"""From kubectl's apply on the client's side to that on the server's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"


def manifest(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data}


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    applied = manifest(a="1", b="1")
    annotated = {**applied, "metadata": {"name": "m", "annotations": {ANNOTATION: json.dumps(applied)}}}
    made.must("POST", f"{MAPS}?fieldManager=kubectl-client-side-apply", annotated)
    return made


def apply(cluster: Cluster, manager: str, **data: str) -> tuple[int, Any]:
    return cluster.call("PATCH", f"{MAPS}/m?fieldManager={manager}", manifest(**data), APPLY)


def test_kubectl_takes_over_what_it_applied_last(cluster):
    """Nobody has changed it since; the annotation follows."""
    code, answer = apply(cluster, "kubectl", a="2", b="1")
    assert (code, answer["data"]) == (200, {"a": "2", "b": "1"})
    assert answer["metadata"]["annotations"][ANNOTATION] == (
        '{"apiVersion":"v1","data":{"a":"2","b":"1"},"kind":"ConfigMap","metadata":{"name":"m"}}\n'
    )


def test_what_others_changed_since_is_a_conflict(cluster):
    """And what another manager applies is one in any case."""
    assert apply(cluster, "other", a="2")[0] == 409
    cluster.must("PATCH", f"{MAPS}/m?fieldManager=edit", {"data": {"a": "9"}}, MERGE)
    code, answer = apply(cluster, "kubectl", a="2", b="2")
    assert code == 409
    assert [each["field"] for each in answer["details"]["causes"]] == [".data.a"]


def test_an_object_without_the_annotation_gets_none(cluster):
    """Only kubectl's own apply on the client's side begins it."""
    cluster.must("PATCH", f"{MAPS}/m", {"metadata": {"annotations": None}}, MERGE)
    assert apply(cluster, "kubectl", a="2")[0] == 409
    code, answer = cluster.call("PATCH", f"{MAPS}/m?fieldManager=kubectl&force=true", manifest(a="2"), APPLY)
    assert code == 200
    assert "annotations" not in answer["metadata"]
