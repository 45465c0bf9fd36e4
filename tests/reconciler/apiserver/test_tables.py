"""Tables as the API server sends them to kubectl."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.apiserver.resources import Registry
from reconciler.apiserver.status import ApiError
from reconciler.apiserver.tables import built_in_layout, included, table
from reconciler.printers import printer_of
from state.load import from_dict
from state.objects import (
    Container,
    ContainerState,
    ContainerStateWaiting,
    ContainerStatus,
    CustomObject,
    Deployment,
    DeploymentSpec,
    DeploymentStatus,
    ObjectMeta,
    Opaque,
    Pod,
    PodSpec,
    PodStatus,
    kind_key,
)

NOW = 1_767_225_600_000_000
CASES = yaml.safe_load((Path(__file__).parent / "data" / "tables.yaml").read_text())
META = ObjectMeta(name="a", namespace="ns", creation_timestamp="2025-12-31T23:59:00Z", resource_version="7")


def _table(kind: str, *objects: Any, **options: Any) -> Any:
    return table(built_in_layout(kind), objects, {"resourceVersion": "9"}, now=NOW, **options)


def _columns(document: Any) -> list[tuple[str, str, int]]:
    return [(each["name"], each["type"], each["priority"]) for each in document["columnDefinitions"]]


def test_the_columns_of_pods_are_those_of_kubernetes() -> None:
    """Names, types and which are for ``-o wide``; the row has the pod's metadata."""
    status = ContainerStatus(name="c", state=ContainerState(waiting=ContainerStateWaiting(reason="ErrImagePull")))
    pod = Pod(
        metadata=META,
        spec=PodSpec(containers=(Container(name="c"),)),
        status=PodStatus(phase="Pending", container_statuses=(status,)),
    )
    document = _table("Pod", pod)
    assert _columns(document) == [
        ("Name", "string", 0),
        ("Ready", "string", 0),
        ("Status", "string", 0),
        ("Restarts", "string", 0),
        ("Age", "string", 0),
        ("IP", "string", 1),
        ("Node", "string", 1),
        ("Nominated Node", "string", 1),
        ("Readiness Gates", "string", 1),
    ]
    row = document["rows"][0]
    assert row["cells"][:5] == ["a", "0/1", "ErrImagePull", "0", "60s"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["resourceVersion"] == "7"


def test_numbers_are_numbers() -> None:
    """A Deployment's counts are integers, but for the one that says how many of how many."""
    deployment = Deployment(
        metadata=META, spec=DeploymentSpec(replicas=3), status=DeploymentStatus(ready_replicas=1, updated_replicas=2)
    )
    assert _table("Deployment", deployment)["rows"][0]["cells"][:5] == ["a", "1/3", 2, 0, "60s"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["shows"])
def test_cells_are_kubernetes(case: Any) -> None:
    """Text, numbers and booleans as kube-apiserver's printers fill them (``data/tables.yaml``)."""
    meta = {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z", **case["object"].get("metadata", {})}
    obj = from_dict({**case["object"], "metadata": meta})
    layout = built_in_layout(kind_key(obj))
    names = [each["name"] for each in layout.definitions]
    row = dict(zip(names, layout.cells(obj, NOW + 3_600_000_000), strict=True))
    found = {name: row[name] for name in case["cells"]}
    assert [(each, type(each)) for each in found.values()] == [(each, type(each)) for each in case["cells"].values()]


def test_pods_that_ended_say_so() -> None:
    """The row of a finished pod carries a condition; others have none."""
    pod = Pod(metadata=META, spec=PodSpec(containers=(Container(name="c"),)), status=PodStatus(phase="Failed"))
    row = _table("Pod", pod)["rows"][0]
    assert row["conditions"] == [
        {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."}
    ]
    assert "conditions" not in _table("Pod", Pod(metadata=META))["rows"][0]


def test_flows_are_listed_in_the_order_in_which_they_are_tried() -> None:
    """By precedence first."""
    schemas = [
        CustomObject(
            api_version="flowcontrol.apiserver.k8s.io/v1",
            kind="FlowSchema",
            metadata=ObjectMeta(name=name),
            body=Opaque({"spec": {"matchingPrecedence": precedence}}),
        )
        for name, precedence in (("a", 9), ("c", 1), ("b", 1))
    ]
    rows = _table("FlowSchema.flowcontrol.apiserver.k8s.io", *schemas)["rows"]
    assert [row["cells"][0] for row in rows] == ["b", "c", "a"]


def test_what_comes_with_a_row() -> None:
    """The object, its metadata, or nothing."""
    pod = Pod(metadata=META, spec=PodSpec(containers=(Container(name="c"),)))
    assert _table("Pod", pod, include="None")["rows"][0]["object"] is None
    assert _table("Pod", pod, include="Object")["rows"][0]["object"]["spec"]["containers"][0]["name"] == "c"
    assert _table("Pod", pod, headers=False)["columnDefinitions"] is None
    assert included({}) == "Metadata"
    with pytest.raises(ApiError, match="includeObject"):
        included({"includeObject": ["Everything"]})


@pytest.mark.parametrize("resource", Registry().resources, ids=lambda each: each.plural)
def test_every_resource_has_columns(resource: Any) -> None:
    """As many as its cells; a bare object of it makes a row."""
    layout = built_in_layout(resource.table)
    if resource.type is not None:
        obj = resource.type(metadata=META)
    else:
        obj = CustomObject(api_version=resource.api_version, kind=resource.kind, metadata=META)
    assert len(list(layout.cells(obj, NOW))) == len(layout.definitions)
    names = [each["name"] for each in layout.definitions]
    assert [name.upper() for name in names] == list(printer_of(resource.table).headers)
    assert not any(name.isupper() and len(name) > 2 for name in names)


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [1], {"a": []}, [{}]])
def test_printers_of_untyped_kinds_bear_anything(value: Any) -> None:
    """Nobody has checked what such an object holds."""
    for resource in Registry().resources:
        if resource.type is None:
            body = {
                "spec": {"rules": value, "podSelector": value, "metrics": value},
                "subjects": value,
                "roleRef": value,
            }
            for obj_body in (body, {"spec": value, "status": value}):
                obj = CustomObject(
                    api_version=resource.api_version, kind=resource.kind, metadata=META, body=Opaque(obj_body)
                )
                assert built_in_layout(resource.table).cells(obj, NOW)
