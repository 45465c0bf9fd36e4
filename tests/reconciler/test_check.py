"""Validation without a plan."""

from __future__ import annotations

from manifests_for_tests import config_map, custom, deployment

from reconciler.check import check


def test_good_manifests_have_no_problem():
    assert check([config_map(), custom(), deployment()]) == {
        "valid": True,
        "objects": 3,
        "problems": [],
        "carried": ["widget.example.com/thing"],
        "warnings": [],
    }


def test_every_problem_names_its_object_origin_and_path():
    unreadable = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": 5}}
    found = check([config_map(), deployment(replicas=-1), unreadable, 7])
    assert not found["valid"]
    assert found["objects"] == 4
    told = {(problem["object"], problem["origin"], problem["path"], problem["reason"]) for problem in found["problems"]}
    assert told == {
        ("deployment/default/web", "[1]", "spec.replicas", "Invalid"),
        ("pod/p", "[2]", "spec.containers", "TypeInvalid"),
        ("[3]", "[3]", "", "TypeInvalid"),
    }


def test_yaml_is_read_with_its_traps():
    found = check("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {answer: yes}\n")
    assert not found["valid"]
    assert found["problems"][0]["path"] == "data[answer]"
    assert "line 4" in found["problems"][0]["message"]
