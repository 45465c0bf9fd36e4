"""Strategic merge patches that make no sense, in kube-apiserver's words (played against a real one)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    made = Cluster()
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    made.must("POST", DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec})
    return made


def patched(cluster: Cluster, patch: Any) -> tuple[int, str]:
    code, answer = cluster.call("PATCH", f"{DEPLOYMENTS}/d", patch, STRATEGIC)
    return code, answer.get("message", "")


def pod(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        ({"spec": {"replicas": "x"}}, "unrecognized type: int32"),
        ({"spec": {"replicas": 1.5}}, "cannot convert float64 to int32"),
        ({"spec": {"paused": "yes"}}, "unrecognized type: bool"),
        ({"spec": "a"}, "cannot restore struct from: string"),
        ({"metadata": {"labels": "a"}}, "cannot restore map from string"),
        ({"metadata": {"labels": {"a": 1}}}, "cannot convert int64 to string"),
        (pod(containers="x"), "cannot restore slice from string"),
        ({"metadata": {"creationTimestamp": 5}}, "json: cannot unmarshal number into Go value of type string"),
        (
            {"spec": {"strategy": {"rollingUpdate": {"maxSurge": True}}}},
            "json: cannot unmarshal bool into Go value of type int32",
        ),
    ],
)
def test_values_of_a_wrong_type(cluster, patch, told):
    """The patch itself is shown, as Go prints a map."""
    code, message = patched(cluster, patch)
    assert code == 422
    assert message.startswith(' "" is invalid: patch: Invalid value: "map[')
    assert message.endswith(f'": {told}')


def test_a_patch_is_shown_as_go_prints_it(cluster):
    """Maps by their keys, lists without commas."""
    _, message = patched(cluster, {"spec": {"replicas": "x", "paused": True, "b": [1, "a b", None]}})
    assert "map[spec:map[b:[1 a b <nil>] paused:true replicas:x]]" in message


@pytest.mark.parametrize(
    ("patch", "code", "told"),
    [
        (pod(**{"$patch": "nope"}), 500, "unknown patch type: nope in map: map[$patch:nope]"),
        (
            pod(containers=[{"$patch": "merge", "name": "c"}]),
            500,
            "merging lists cannot yet be specified in the patch",
        ),
        (
            pod(containers=[{"$patch": "delete"}]),
            500,
            "map: map[$patch:delete] does not contain declared merge key: name",
        ),
        (pod(**{"$retainKeys": "a"}), 400, "invalid patch format of retainKeys"),
        (
            pod(**{"$setElementOrder/containers": "z", "containers": []}),
            500,
            "expected a []interface {}, but received a string",
        ),
        (
            pod(**{"$setElementOrder/containers": [{"name": "z"}], "containers": [{"name": "y", "image": "i"}]}),
            500,
            "The order in patch list:\n[map[image:i name:y]]\n doesn't match $setElementOrder list:\n[map[name:z]]\n",
        ),
        ("nonsense", 400, "invalid character 'o' in literal null (expecting 'u')"),
        ([1], 400, "json: cannot unmarshal array into Go value of type map[string]interface {}"),
    ],
)
def test_directives_that_make_no_sense(cluster, patch, code, told):
    """Some are the client's fault by code, too."""
    assert patched(cluster, patch) == (code, told)


def test_lists_that_hold_something_else(cluster):
    """Both lists are shown."""
    code, message = patched(cluster, pod(containers=[5]))
    assert code == 500
    assert message.startswith("list element types are not identical: [[map[")
    assert message.endswith("]] [5]]")
