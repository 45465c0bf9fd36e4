"""Validation refuses what the API server refuses, in its words, and takes what it takes."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.errors import Problem
from state.load import load
from state.objects import KINDS, CustomObject, ObjectMeta, Opaque, replace
from state.validation import validate, validate_update
from tests.state.recordings import creations, damaged, typed

CASES = json.loads((Path(__file__).parent / "data" / "validation.json").read_text())
CREATIONS = [exchange for exchange in creations() if "?" not in exchange.request["path"]]

#: Refused for what a single object cannot show: what else there is in the cluster, or how the server is set up.
BEYOND_THE_OBJECT = ("failed to allocate IP", "not configured on this cluster", "not configured for dual-stack")

REFUSED = [
    exchange
    for exchange in CREATIONS
    if exchange.response["code"] == 422 and not any(text in str(exchange.causes) for text in BEYOND_THE_OBJECT)
]
ACCEPTED = [exchange for exchange in CREATIONS if exchange.response["code"] == 201]
UNREADABLE = [exchange for exchange in CREATIONS if "quantities must match" in str(exchange.response.get("status"))]


def told(problems):
    return [{"reason": each.cause, "message": each.body, "field": each.path} for each in problems]


@pytest.mark.parametrize("exchange", REFUSED, ids=lambda exchange: exchange.name)
def test_an_object_is_refused_as_the_server_refused_it(exchange):
    """Every cause of the recorded answer is told, in the same words and order, and no other."""
    assert told(validate(typed(exchange.request["body"]), is_new=True)) == exchange.causes


@pytest.mark.parametrize("exchange", ACCEPTED, ids=lambda exchange: exchange.name)
def test_an_object_is_taken_that_the_server_took(exchange):
    """No false alarm."""
    assert not validate(typed(exchange.request["body"]), is_new=True)


@pytest.mark.parametrize("exchange", [each for each in ACCEPTED if "body" in each.response], ids=lambda each: each.name)
def test_the_server_s_own_objects_are_taken(exchange):
    """What the server stored is valid too, with all that it filled in."""
    text = json.dumps(exchange.response["body"]).replace('"<nodePort>"', "30000").replace("<clusterIP>", "10.96.0.10")
    text = re.sub(r"kube-api-access-<r>", "kube-api-access-abcde", text).replace("<#>", "abcde")
    stored = json.loads(text.replace("<uid>", "u-1").replace("{ns}", "ns"))
    stored["metadata"]["uid"] = "u-1"
    assert not validate(typed(stored))


@pytest.mark.parametrize("exchange", UNREADABLE, ids=lambda exchange: exchange.name)
def test_a_quantity_that_isn_t_one_is_told_with_its_path(exchange):
    """The server gives up at the first such quantity and doesn't say where; here it's a problem like others."""
    try:
        problems = validate(typed(exchange.request["body"]))
    except msgspec.ValidationError:
        return  # a boolean isn't even read as a quantity
    assert any(each.path.startswith("spec.containers[0].resources.requests[") for each in problems)
    assert all("quantities must match the regular expression" in each.message for each in problems)


def changed(base, changes):
    """A base object with values set by their paths, null to take one away."""
    body = json.loads(json.dumps(CASES["bases"][base]))
    for path, value in changes.items():
        *way, last = [int(key) if key.isdigit() else key for key in re.findall(r"[^.\[\]]+", path)]
        parent = body
        for key in way:
            parent = parent[key] if isinstance(parent, list) else parent.setdefault(key, {})
        if value is None:
            parent.pop(last, None)
        else:
            parent[last] = value
    return typed(body)


@pytest.mark.parametrize("case", CASES["objects"], ids=lambda case: case["name"])
def test_case(case):
    """Every problem of the object is told, and no other."""
    assert [str(each) for each in validate(changed(case["base"], case["set"]), is_new=True)] == case["problems"]


@pytest.mark.parametrize("case", CASES["updates"], ids=lambda case: case["name"])
def test_update_case(case):
    """Every change that cannot be made is told, and no other."""
    new, old = changed(case["base"], case["new"]), changed(case["base"], case["old"])
    assert [str(each) for each in validate_update(new, old)] == case["problems"]


@pytest.mark.parametrize("base", sorted(CASES["bases"]))
def test_an_update_that_changes_nothing_may_be_made(base):
    """An object may always be stored again as it is."""
    obj = changed(base, {})
    assert not validate_update(obj, obj)


def test_every_kind_has_a_case():
    """No typed kind goes untested."""
    assert {base["kind"] for base in CASES["bases"].values()} == set(KINDS)


def test_texts_and_lists_that_are_too_long():
    """Sizes have limits: of annotations, of configuration, of slices."""
    long = changed("configmap", {"metadata.annotations": {"a": "x" * 262144}, "data": {"a": "x" * 1048577}})
    assert [str(each) for each in validate(long)] == [
        "metadata.annotations: Too long: may not be more than 262144 bytes",
        "[]: Too long: may not be more than 1048576 bytes",
    ]
    many = changed("slice", {"endpoints": [{"addresses": ["10.0.0.1"]}] * 1001})
    assert [str(each) for each in validate(many)] == ["endpoints: Too many: 1001: must have at most 1000 items"]


def test_of_custom_objects_only_the_metadata_is_looked_at():
    """Kinds without a type may hold anything, under a name that can stand in a URL."""
    role = CustomObject(api_version="rbac.authorization.k8s.io/v1", kind="ClusterRole", body=Opaque({"rules": 5}))
    assert not validate(replace(role, metadata=ObjectMeta(name="system:node")))
    slashed = replace(role, metadata=ObjectMeta(name="a/b", labels={"k": "-"}))
    assert [each.path for each in validate(slashed)] == ["metadata.name", "metadata.labels"]


def test_an_update_is_of_one_kind():
    """Comparing a Pod with a Service is the caller's mistake."""
    with pytest.raises(TypeError, match="expected an update of v1 Pod, found v1 Service"):
        validate_update(changed("service", {}), changed("pod", {}))


def test_pods_with_one_specification_are_all_judged():
    """A specification found valid once isn't checked again; a pod's own name still is."""
    good = changed("pod", {})
    assert not validate(good)
    (problem,) = validate(replace(good, metadata=ObjectMeta(name="Bad")))
    assert problem.path == "metadata.name"


SAMPLES = [exchange.request["body"] for exchange in CREATIONS if exchange.response["code"] in {201, 422}]
ODD_VALUES = ["", "x", "-", 0, -1, 2**40, True, [], [""], [{}], {}, {"": ""}, "100m", "1e99", "{", "%", None]


@settings(max_examples=300)
@given(st.data())
def test_damaged_objects_are_judged_without_failing(data):
    """Whatever an object holds, validation tells problems and never fails, and tells the same ones twice."""
    body = data.draw(st.sampled_from(SAMPLES))
    try:
        obj = typed(damaged(data.draw, body, ODD_VALUES))
    except msgspec.ValidationError:
        return
    problems = validate(obj)
    assert all(isinstance(each, Problem) and str(each) for each in problems)
    assert validate(obj) == problems
    assert set(map(str, validate_update(obj, obj))) <= set(map(str, problems))  # of pods, some are told again
    assert all(map(str, (*validate_update(obj, typed(body)), *validate_update(typed(body), obj))))


MANIFESTS = Path(__file__).parents[3] / "shared" / "manifests"


def manifests():
    """Each readable object in the published manifests that are complete, with where it stands."""
    for entry in json.loads((MANIFESTS / "INDEX.json").read_text())["entries"]:
        if "incomplete" not in entry:
            text = (MANIFESTS / entry["file"]).read_text()
            loaded = load(text, validation="warn", origin=entry["file"])
            yield from zip(loaded.origins, loaded.objects, strict=True)


@pytest.mark.skipif(not MANIFESTS.is_dir(), reason="the folder of published manifests isn't beside this one")
def test_published_manifests_raise_no_false_alarm():
    """Of the complete objects that projects publish, only those are refused that the API server would refuse too."""
    known = json.loads((Path(__file__).parent / "data" / "refused-manifests.json").read_text())
    found = {origin: validate(obj) for origin, obj in manifests()}
    refused = {origin: sorted({each.path for each in problems}) for origin, problems in found.items() if problems}
    print(f"{len(found)} objects, {len(refused)} refused")
    assert refused == {origin: entry["paths"] for origin, entry in known.items()}
