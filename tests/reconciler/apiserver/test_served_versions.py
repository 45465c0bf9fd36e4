"""Kinds that are served in a version that isn't stored."""

import pytest

from reconciler.apiserver.crd_kind import defined
from reconciler.apiserver.versions import CONVERSIONS
from state.objects import CustomObject, ObjectMeta, Opaque
from tests.reconciler.apiserver.recorded_requests import NAMESPACE, Cluster

EVENT = CONVERSIONS["events.k8s.io/v1", "Event"]
V1 = f"/apis/autoscaling/v1/namespaces/{NAMESPACE}/horizontalpodautoscalers"
V2 = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster()


def test_both_versions_show_one_object(cluster):
    """Written and patched as v1, read as v2; a list has it as it was asked for."""
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 3, "targetCPUUtilizationPercentage": 70}
    made = cluster.must("POST", V1, {"metadata": {"name": "h"}, "spec": spec})
    assert (made["apiVersion"], made["spec"]["metrics"][0]["resource"]["name"]) == ("autoscaling/v2", "cpu")
    cluster.must("PATCH", f"{V1}/h", {"spec": {"targetCPUUtilizationPercentage": 50}}, "application/merge-patch+json")
    found = cluster.must("GET", f"{V2}/h")["spec"]["metrics"][0]["resource"]["target"]
    assert found == {"type": "Utilization", "averageUtilization": 50}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"spec": {"maxReplicas": "x"}}, "HorizontalPodAutoscalerSpec.spec.maxReplicas of type int32"),
        ({"metadata": []}, "Go struct field HorizontalPodAutoscaler.metadata of type v1.ObjectMeta"),
        ({"spec": {"maxReplica": 3}}, 'unknown field "spec.maxReplica"'),
    ],
)
def test_mistakes_are_told(cluster, body, message):
    """In the words of the version that was asked for."""
    code, status = cluster.call("POST", f"{V1}?fieldValidation=Strict", {"metadata": {"name": "wrong"}, **body})
    assert (code, message in status["message"]) == (400, True), status["message"]


def test_events_have_other_names_in_their_own_group():
    """Nothing is lost on the way there and back."""
    core = {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p"},
        "message": "m",
        "count": 2,
        "reportingComponent": "r",
    }
    own = EVENT.read(core)
    assert {"regarding", "note", "deprecatedCount", "reportingController"} <= set(own)
    assert EVENT.written(own) == core
    assert EVENT.selector("regarding.name=p,reportingController!=x") == "involvedObject.name=p,reportingComponent!=x"


@pytest.mark.parametrize(
    ("told", "expected"),
    [({}, "example.com/v1beta1 Boat is deprecated"), ({"deprecationWarning": "Use v1."}, "Use v1.")],
)
def test_a_version_that_is_out_of_date_says_so(told, expected):
    """As its definition has it; the one that is stored says nothing."""
    schema = {"openAPIV3Schema": {"type": "object"}}
    versions = [
        {"name": "v1", "served": True, "storage": True, "schema": schema},
        {"name": "v1beta1", "served": True, "storage": False, "schema": schema, "deprecated": True, **told},
    ]
    names = {"plural": "boats", "singular": "boat", "kind": "Boat"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions}
    definition = CustomObject(
        api_version="apiextensions.k8s.io/v1",
        kind="CustomResourceDefinition",
        metadata=ObjectMeta(name="boats.example.com"),
        body=Opaque({"spec": spec}),
    )
    assert [resource.warnings for resource in defined(definition)] == [(), (expected,)]


def test_items_of_a_list_do_not_repeat_what_they_are():
    """Of no built-in kind, be it typed here or not."""
    cluster = Cluster()
    cluster.must("POST", V2, {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": TARGET, "maxReplicas": 3}})
    found = cluster.must("GET", V2)
    assert (found["kind"], found["apiVersion"]) == ("HorizontalPodAutoscalerList", "autoscaling/v2")
    (item,) = found["items"]
    assert item["metadata"]["name"] == "h"
    assert not {"kind", "apiVersion"} & item.keys()
