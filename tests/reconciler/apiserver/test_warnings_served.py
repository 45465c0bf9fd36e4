"""Warnings reach the client: with each new generation of a workload, not with labels and status."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.resources import Place
from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

MERGE = "application/merge-patch+json"
FIELD = "spec.template.spec.terminationGracePeriodSeconds"
SHORT = f"{FIELD}: must be >= 0; negative values are invalid and will be treated as 1"
TEMPLATE = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"terminationGracePeriodSeconds": -1, "containers": [{"name": "c", "image": "i"}]},
}
SPEC = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}

_Patch = Callable[..., tuple[str, ...]]


@pytest.fixture(scope="module")
def patched() -> _Patch:
    """Makes a Deployment; the function patches it, or a part of it, and gives the warnings."""
    cluster = Cluster()
    place = Place(cluster.api.registry.of_table("Deployment"), NAMESPACE)
    body = json.dumps({"metadata": {"name": "d"}, "spec": SPEC}).encode()
    assert cluster.api.create(place, body, WriteOptions()).warnings == (SHORT,)

    def patch(change: dict[str, Any], subresource: str = "") -> tuple[str, ...]:
        aim = place._replace(name="d", subresource=subresource)
        return cluster.api.patch(aim, json.dumps(change).encode(), MERGE, WriteOptions()).warnings

    return patch


@pytest.mark.parametrize(
    ("change", "subresource", "is_warned"),
    [
        ({"metadata": {"labels": {"x": "y"}}}, "", False),
        ({"spec": {"replicas": 1}}, "", True),
        ({"spec": {"replicas": 2}}, "scale", False),
        ({"status": {"replicas": 2}}, "status", False),
    ],
)
def test_what_a_change_is_warned_of(patched: _Patch, change: dict[str, Any], subresource: str, is_warned: bool) -> None:
    assert patched(change, subresource) == ((SHORT,) if is_warned else ())


@pytest.mark.parametrize(
    ("profile", "own", "is_warned"),
    [
        ("unconfined", {}, True),
        ("unconfined", {"appArmorProfile": {"type": "RuntimeDefault"}}, True),
        ("unconfined", {"appArmorProfile": {"type": "Unconfined"}}, False),
    ],
)
def test_annotations_that_have_become_fields(profile: str, own: dict[str, Any], is_warned: bool) -> None:
    """A new pod is warned of them all the same, unless it says as much in a field."""
    cluster = Cluster()
    key = "container.apparmor.security.beta.kubernetes.io/c"
    spec = {"securityContext": own, "containers": [{"name": "c", "image": "i"}]}
    body = json.dumps({"metadata": {"name": "p", "annotations": {key: profile}}, "spec": spec}).encode()
    answer = cluster.api.create(Place(cluster.api.registry.of_table("Pod"), NAMESPACE), body, WriteOptions())
    told = f'metadata.annotations[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'
    assert answer.warnings == ((told,) if is_warned else ())
