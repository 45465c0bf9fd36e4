"""What kube-apiserver 1.36 says of claims for devices, and of devices themselves."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from state.validation.plain import plain_changes, plain_problems

TABLE = yaml.safe_load((Path(__file__).parent / "data" / "devices.yaml").read_text())


def changed(case):
    body = deepcopy(TABLE["bases"][case["kind"]])
    *way, last = [int(key) if key.isdigit() else key for key in case["path"].split(".")]
    parent = body["spec"]
    for key in way:
        parent = parent[key]
    parent[last] = case["value"]
    return body


@pytest.mark.parametrize("kind", TABLE["bases"])
def test_what_the_changes_are_made_to_is_right(kind):
    """And may be stored again as it is."""
    body = TABLE["bases"][kind]
    assert plain_problems(kind, body) == ()
    assert plain_changes(kind, body, body) == ()


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: f"{case['kind']}-{case['path']}")
def test_case(case):
    """Every problem is told, in the server's words and order."""
    assert [str(each) for each in plain_problems(case["kind"], changed(case))] == case["problems"]


def test_claims_stay_what_they_are():
    """The driver and the pool of a slice do, too; its devices come and go."""
    claim = TABLE["bases"]["ResourceClaim"]
    (problem,) = plain_changes("ResourceClaim", {"spec": {}}, claim)
    assert str(problem) == "spec: Invalid value: {}: field is immutable"
    slice_ = TABLE["bases"]["ResourceSlice"]
    other = {"spec": {**slice_["spec"], "driver": "d", "devices": []}}
    told = [str(each) for each in plain_changes("ResourceSlice", other, slice_)]
    assert told == ['spec.driver: Invalid value: "d": field is immutable']


def test_lists_have_a_most():
    """Nothing else is said of one that is too long."""
    body = deepcopy(TABLE["bases"]["DeviceClass"])
    body["spec"]["selectors"] = [{}] * 33
    assert [str(each) for each in plain_problems("DeviceClass", body)] == [
        "spec.selectors: Too many: 33: must have at most 32 items"
    ]
