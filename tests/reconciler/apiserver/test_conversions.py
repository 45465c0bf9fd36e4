"""What Kubernetes doesn't accept because its own form of an object is another one than the API's."""

import pytest
from manifests_for_tests import deployment

from reconciler import ApiError, Cluster
from reconciler.apiserver.gonumbers import int_fault, uint_fault

ROLLBACK, GENERATION = "deprecated.deployment.rollback.to", "deprecated.daemonset.template.generation"
FAILED = f"failed to parse annotation[{ROLLBACK}]"


@pytest.fixture
def cluster():
    with Cluster(now="2026-01-01T00:00:00Z") as found:
        yield found


def workload(kind, annotations):
    made = deployment("w", 1)
    if kind == "DaemonSet":
        del made["spec"]["replicas"]
    return made | {"kind": kind, "metadata": {**made["metadata"], "annotations": annotations}}


def autoscaler(**behavior):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"}
    spec = {"scaleTargetRef": target, "maxReplicas": 3, "behavior": behavior}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h", "namespace": "default"},
        "spec": spec,
    }


@pytest.mark.parametrize(
    ("kind", "name", "text", "why"),
    [
        (
            "Deployment",
            ROLLBACK,
            "one",
            f'{FAILED}=one as int64: {{}} "one": invalid syntax',
        ),
        (
            "Deployment",
            ROLLBACK,
            "9223372036854775808",
            f'{FAILED}=9223372036854775808 as int64: {{}} "9223372036854775808": value out of range',
        ),
        ("DaemonSet", GENERATION, "1.5", '{} "1.5": invalid syntax'),
        ("DaemonSet", GENERATION, "", '{} "": invalid syntax'),
    ],
)
def test_annotations_that_were_fields_have_to_be_numbers(cluster, kind, name, text, why):
    with pytest.raises(ApiError) as refused:
        cluster.create(workload(kind, {name: text}))
    why = why.format("strconv.ParseInt: parsing")
    assert (refused.value.code, refused.value.reason) == (400, "BadRequest")
    assert refused.value.message == f'{kind} in version "v1" cannot be handled as a {kind}: {why}'


@pytest.mark.parametrize(
    ("kind", "annotations"),
    [
        ("Deployment", {ROLLBACK: "0"}),
        ("Deployment", {ROLLBACK: ""}),
        ("Deployment", {GENERATION: "none"}),
        ("DaemonSet", {GENERATION: "+7"}),
        ("DaemonSet", {ROLLBACK: "none"}),
    ],
)
def test_those_that_are_numbers_or_another_kinds_are_accepted(cluster, kind, annotations):
    assert cluster.create(workload(kind, annotations))["kind"] == kind


@pytest.mark.parametrize("direction", ["scaleUp", "scaleDown"])
def test_an_empty_list_of_policies_is_not_none(cluster, direction):
    """Without a list there is a usual one, and as null, too; one with nothing in it lets nothing scale."""
    with pytest.raises(ApiError) as refused:
        cluster.create(autoscaler(**{direction: {"policies": []}}))
    (cause,) = refused.value.details["causes"]
    assert (cause["field"], cause["reason"]) == (f"spec.behavior.{direction}.policies", "FieldValueRequired")
    assert cause["message"] == "Required value: must specify at least one Policy"
    made = cluster.create(autoscaler(**{direction: {"policies": None}}))
    assert made["spec"]["behavior"][direction]["policies"]


@pytest.mark.parametrize(
    ("text", "signed", "unsigned"),
    [
        ("-9223372036854775808", "", "invalid syntax"),
        ("-9223372036854775809", "value out of range", "invalid syntax"),
        ("18446744073709551615", "value out of range", ""),
        ("18446744073709551616", "value out of range", "value out of range"),
        ("0" * 5000 + "1", "", ""),
        ("1" * 5000, "value out of range", "value out of range"),
        ("+1", "", "invalid syntax"),
        ("1_000", "invalid syntax", "invalid syntax"),
        ("\u0661", "invalid syntax", "invalid syntax"),
    ],
)
def test_numbers_are_those_of_go(text, signed, unsigned):
    """64 bits, and digits of ASCII alone."""
    for fault, why in ((int_fault(text), signed), (uint_fault(text), unsigned)):
        assert fault.rpartition(": ")[2] == why
