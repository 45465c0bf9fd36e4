"""HorizontalPodAutoscalers of autoscaling/v1 and v2 as one object."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.autoscaling import first_version, second_version
from state.load import load

PREFIX = "autoscaling.alpha.kubernetes.io/"
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def resource(name, **target):
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def old_resource(name, **fields):
    return {"type": "Resource", "resource": {"name": name, **fields}}


def metric(kind, source):
    return {"type": kind[:1].upper() + kind[1:], kind: source}


#: Metrics of v2, and the same as v1 has them in its annotation.
METRICS = [
    (resource("memory", type="AverageValue", averageValue="1Gi"), old_resource("memory", targetAverageValue="1Gi")),
    (
        metric("pods", {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "1k"}}),
        metric("pods", {"metricName": "hits", "targetAverageValue": "1k"}),
    ),
    (
        metric(
            "object",
            {
                "metric": {"name": "hits", "selector": {"matchLabels": {"a": "b"}}},
                "describedObject": TARGET,
                "target": {"type": "Value", "value": "10"},
            },
        ),
        metric(
            "object",
            {
                "target": TARGET,
                "metricName": "hits",
                "selector": {"matchLabels": {"a": "b"}},
                "targetValue": "10",
            },
        ),
    ),
    (
        metric("external", {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "5"}}),
        metric("external", {"metricName": "queue", "targetAverageValue": "5"}),
    ),
    (
        metric(
            "containerResource",
            {"name": "cpu", "container": "c", "target": {"type": "Utilization", "averageUtilization": 60}},
        ),
        metric("containerResource", {"name": "cpu", "container": "c", "targetAverageUtilization": 60}),
    ),
]


@pytest.mark.parametrize(("new", "old"), METRICS, ids=lambda metric: metric["type"])
def test_metrics_are_annotations_of_the_first_version(new, old):
    """In the first version's own form, and back without a loss."""
    first = first_version({"metadata": {"name": "h"}, "spec": {"metrics": [new]}})
    assert json.loads(first["metadata"]["annotations"][f"{PREFIX}metrics"]) == [old]
    assert second_version(first)["spec"]["metrics"] == [new]


def test_the_utilization_of_cpu_is_a_field_of_the_first_version():
    """Both as it is wanted and as it was measured."""
    measured = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 40}}}
    wanted = resource("cpu", type="Utilization", averageUtilization=70)
    document = {"metadata": {}, "spec": {"metrics": [wanted]}, "status": {"currentMetrics": [measured]}}
    first = first_version(document)
    assert first["spec"] == {"targetCPUUtilizationPercentage": 70}
    assert first["status"]["currentCPUUtilizationPercentage"] == 40
    second = second_version(first)
    assert (second["spec"]["metrics"], second["status"]["currentMetrics"]) == ([wanted], [measured])


def test_behavior_is_an_annotation_in_go_s_names():
    """As kube-apiserver writes it."""
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 4}]}}
    first = first_version({"metadata": {}, "spec": {"behavior": behavior}})
    assert first["metadata"]["annotations"][f"{PREFIX}behavior"] == (
        '{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":null,"Policies":[{"Type":"Pods","Value":4}],'
        '"Tolerance":null},"ScaleDown":null}'
    )
    assert second_version(first)["spec"]["behavior"] == behavior


def test_conditions_are_an_annotation_in_go_s_order():
    """The order of the struct's fields, not of the alphabet."""
    condition = {"lastTransitionTime": "t", "message": "m", "reason": "r", "status": "True", "type": "AbleToScale"}
    first = first_version({"metadata": {}, "status": {"conditions": [condition]}})
    assert first["metadata"]["annotations"][f"{PREFIX}conditions"] == (
        '[{"type":"AbleToScale","status":"True","lastTransitionTime":"t","reason":"r","message":"m"}]'
    )


def test_a_manifest_of_the_first_version_is_read_as_the_second():
    """Without a remark: both are served."""
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 3, "targetCPUUtilizationPercentage": 70}
    manifest = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": spec,
    }
    loaded = load([manifest])
    (found,) = loaded.objects
    assert (found.api_version, found.body.value["spec"]["metrics"]) == (
        "autoscaling/v2",
        [resource("cpu", type="Utilization", averageUtilization=70)],
    )
    assert loaded.warnings == ()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from(["metrics", "behavior", "currentMetrics", "targetCPUUtilizationPercentage", "annotations"])
_NOTES = st.dictionaries(st.sampled_from([f"{PREFIX}{name}" for name in ("metrics", "behavior")]), _JSON, max_size=2)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "metadata": _JSON | st.fixed_dictionaries({"annotations": _NOTES}),
            "spec": _JSON | st.dictionaries(_NAMES, _JSON, max_size=4),
            "status": _JSON | st.dictionaries(_NAMES, _JSON, max_size=4),
        },
    )
)
def test_what_is_not_understood_is_left_to_others(document):
    """Whatever a manifest holds, it is converted without an error, and itself not changed."""
    before = json.dumps(document)
    second_version(document)
    assert json.dumps(document) == before
