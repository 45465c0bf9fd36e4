"""MutatingAdmissionPolicies: objects changed by expressions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

Json = dict[str, Any]
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
POLICIES, BINDINGS = f"{ADMISSION}/mutatingadmissionpolicies", f"{ADMISSION}/mutatingadmissionpolicybindings"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
MERGE = "application/merge-patch+json"


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def apply(expression: str) -> Json:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patch(expression: str) -> Json:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def configure(cluster: Cluster, name: str, *mutations: Json, **spec: Any) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    whole = {
        "matchConstraints": {"resourceRules": [rule]},
        "mutations": list(mutations),
        "reinvocationPolicy": "Never",
        **spec,
    }
    cluster.must("POST", POLICIES, {"metadata": {"name": name}, "spec": whole})
    cluster.must("POST", BINDINGS, {"metadata": {"name": name}, "spec": {"policyName": name}})


def create(cluster: Cluster, name: str = "p", **meta: Any) -> tuple[int, Json]:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    return cluster.call("POST", PODS, {"metadata": {"name": name, **meta}, "spec": spec})


SIDECAR = 'Object{spec: Object.spec{initContainers: [Object.spec.initContainers{name: "mesh", image: "m:1"}]}}'


def test_an_applied_configuration_is_merged(cluster):
    """Lists by their keys: what is there stays."""
    configure(cluster, "p", apply(SIDECAR), apply('Object{metadata: Object.metadata{labels: {"by": "policy"}}}'))
    code, pod = create(cluster, labels={"own": "1"})
    assert code == 201
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["mesh"]
    assert [each["name"] for each in pod["spec"]["containers"]] == ["c"]
    assert pod["metadata"]["labels"] == {"own": "1", "by": "policy"}
    assert pod["spec"]["initContainers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_a_json_patch(cluster):
    """With a key escaped, and a value that is an object."""
    key = 'jsonpatch.escapeKey("example.com/by")'
    configure(
        cluster,
        "p",
        patch(
            '[JSONPatch{op: "add", path: "/metadata/labels", value: {"a": "1"}}, '
            f'JSONPatch{{op: "add", path: "/metadata/labels/" + {key}, value: object.metadata.name}}]'
        ),
    )
    assert create(cluster)[1]["metadata"]["labels"] == {"a": "1", "example.com/by": "p"}


def test_conditions_variables_and_failures(cluster):
    """What has no value refuses, unless failures are ignored."""
    configure(
        cluster,
        "p",
        patch('[JSONPatch{op: "add", path: "/metadata/labels", value: {"a": variables.name}}]'),
        variables=[{"name": "name", "expression": "object.metadata.annotations.name"}],
        matchConditions=[{"name": "c", "expression": "object.metadata.name != 'free'"}],
    )
    assert create(cluster, "free")[0] == 201
    code, answer = create(cluster)
    assert (code, answer["reason"]) == (403, "Forbidden")
    assert answer["message"].startswith("policy 'p' with binding 'p' denied request: expression '[JSONPatch{")
    assert answer["message"].endswith("no such key: annotations")
    assert create(cluster, annotations={"name": "x"})[1]["metadata"]["labels"] == {"a": "x"}
    cluster.must("PATCH", f"{POLICIES}/p", {"spec": {"failurePolicy": "Ignore"}}, MERGE)
    assert create(cluster, "q")[0] == 201


def test_one_that_wants_to_is_asked_again(cluster):
    """If a later one changed the object."""
    label = 'Object{{metadata: Object.metadata{{labels: {{"{}": "{}"}}}}}}'
    configure(
        cluster,
        "a",
        apply(
            f"has(object.metadata.labels) ? {label.format('again', 'yes')} : Object{{metadata: Object.metadata{{}}}}"
        ),
        reinvocationPolicy="IfNeeded",
    )
    configure(cluster, "b", apply(label.format("b", "1")))
    assert create(cluster)[1]["metadata"]["labels"] == {"again": "yes", "b": "1"}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"mutations": []}, "spec.mutations"),
        ({"mutations": [{"patchType": "Other"}]}, "spec.mutations[0].patchType"),
        ({"mutations": [patch("nope")]}, "spec.mutations[0].jsonPatch.expression"),
        ({"mutations": [{"patchType": "ApplyConfiguration"}]}, "spec.mutations[0].applyConfiguration.expression"),
        ({"reinvocationPolicy": "Often"}, "spec.reinvocationPolicy"),
    ],
)
def test_what_is_no_policy(cluster, change, path):
    """As for validating ones."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "mutations": [patch("[]")],
        "reinvocationPolicy": "Never",
        **change,
    }
    code, answer = cluster.call("POST", POLICIES, {"metadata": {"name": "p"}, "spec": spec})
    assert code == 422
    assert path in [each["field"] for each in answer["details"]["causes"]]
