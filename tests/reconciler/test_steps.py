"""The steps of the batch operation ``simulate``: apply, patch, delete, status, advance, settle."""

from __future__ import annotations

import orjson
import pytest
from manifests_for_tests import NOW, config_map, custom, deployment, pod, replica_set

from reconciler import InvalidObject
from reconciler.batch import respond
from reconciler.simulation import Simulation
from reconciler.steps import StepError, run_steps


def ask(*steps, desired=(), **more):
    request = {"id": 1, "op": "simulate", "desired": [*desired], "steps": [*steps], "nodes": 2, "now": NOW, **more}
    answer = orjson.loads(orjson.dumps(respond(orjson.dumps(request))))
    assert answer["ok"], answer
    return answer


def of_kind(answer, kind):
    return [obj for obj in answer["objects"] if obj["kind"] == kind]


def test_after_every_step_the_objects_and_events_are_told():
    answer = ask({"apply": [replica_set(replicas=1)]}, {"apply": [replica_set(replicas=3)]}, {"settle": True})
    first, second, third = answer["steps"]
    assert [len(of_kind(step, "Pod")) for step in (first, second, third)] == [1, 3, 3]
    assert first["actions"][0]["action"] == "create"
    assert "SuccessfulCreate" in {event["reason"] for event in first["events"]}
    assert (third["now"], third["settled"]) == (NOW, True)
    assert answer["objects"] == third["objects"]
    assert {"now", "settled", "objects", "notes", "actions", "events"} == first.keys()


def test_the_objects_can_be_left_out():
    answer = ask({"apply": [config_map()]}, **{"return": "actions"})
    assert "objects" not in answer
    assert "objects" not in answer["steps"][0]
    assert answer["steps"][0]["actions"]


def test_the_clock_is_advanced():
    answer = ask({"advance": "30s"}, {"advance": "1h0m30s"}, {"advance": "0s"})
    assert [step["now"] for step in answer["steps"]] == [
        "2026-01-01T00:00:30Z",
        "2026-01-01T01:01:00Z",
        "2026-01-01T01:01:00Z",
    ]


@pytest.mark.parametrize("until", ["settled", "5m", "2026-01-01T00:05:00Z"])
def test_the_rest_of_the_time_passes_after_the_steps(until):
    answer = ask({"apply": [deployment(minReadySeconds=60)]}, until=until)
    (obj,) = of_kind(answer, "Deployment")
    assert obj["status"]["availableReplicas"] == 2
    assert answer["now"] == ("2026-01-01T00:01:00Z" if until == "settled" else "2026-01-01T00:05:00Z")


PATCH = {"spec": {"replicas": 4}}


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "Deployment", "namespace": "default", "name": "web", "patch": PATCH},
        {"kind": "Deployment", "name": "web", "patch": PATCH},
        {"kind": "deploy", "name": "web", "patch": PATCH},
        {"target": "deployment/default/web", "patch": PATCH},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, **PATCH},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "patch": PATCH},
    ],
    ids=["key", "default namespace", "short name", "target", "manifest", "metadata"],
)
def test_an_object_is_patched(step):
    answer = ask({"patch": step}, {"settle": True}, desired=[deployment()])
    assert len(of_kind(answer, "Pod")) == 4
    assert answer["steps"][0]["actions"][0]["rule"] == "patch"


@pytest.mark.parametrize(
    "step",
    [
        "pod/p",
        "pod/default/p",
        {"target": "pod/p"},
        {"kind": "Pod", "name": "p", "gracePeriodSeconds": 0},
        {"kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "propagationPolicy": "Foreground"},
    ],
)
def test_an_object_is_deleted(step):
    answer = ask({"settle": True}, {"delete": step}, {"settle": True}, desired=[pod()])
    assert of_kind(answer, "Pod") == []
    assert "delete" in {action["rule"] for action in answer["steps"][1]["actions"]}


def test_a_custom_object_is_found_by_its_name():
    answer = ask({"delete": "widget/thing"}, desired=[custom(), custom("other")])
    assert [obj["metadata"]["name"] for obj in of_kind(answer, "Widget")] == ["other"]


@pytest.mark.parametrize(
    "target", [{"kind": "Pod", "name": "p"}, {"target": "pod/p"}, {"kind": "Pod", "metadata": {"name": "p"}}]
)
def test_with_reports_of_a_kubelet_the_simulated_one_stays_out_of_it(target):
    ready = [{"type": "Ready", "status": "True", "lastTransitionTime": NOW}]
    answer = ask(
        {"advance": "5m"}, {"status": {**target, "status": {"phase": "Running", "conditions": ready}}}, desired=[pod()]
    )
    before, after = (of_kind(step, "Pod")[0]["status"] for step in answer["steps"])
    assert before["phase"] == "Pending"
    assert (after["phase"], after["conditions"]) == ("Running", ready)


def test_kubelets_can_be_chosen():
    assert of_kind(ask({"settle": True}, desired=[pod()], kubelet="none"), "Pod")[0]["status"]["phase"] == "Pending"
    assert of_kind(ask({"settle": True}, desired=[pod()]), "Pod")[0]["status"]["phase"] == "Running"


REFUSED = [
    (5, "steps[0]"),
    ({}, "steps[0]"),
    ({"sleep": 5}, "steps[0]"),
    ({"apply": [], "settle": True}, "steps[0]"),
    ({"apply": 5}, "steps[0].apply"),
    ({"apply": "kind: Pod"}, "steps[0].apply"),
    ({"advance": 5}, "steps[0].advance"),
    ({"advance": "soon"}, "steps[0].advance"),
    ({"advance": "-1s"}, "steps[0].advance"),
    ({"settle": False}, "steps[0].settle"),
    ({"delete": 5}, "steps[0].delete"),
    ({"delete": "p"}, "steps[0].delete"),
    ({"delete": "pod/q"}, "steps[0].delete"),
    ({"delete": {"kind": "Pod"}}, "steps[0].delete"),
    ({"delete": {"kind": 5, "name": "p"}}, "steps[0].delete"),
    ({"delete": {"kind": "Pod", "name": ["p"]}}, "steps[0].delete"),
    ({"delete": {"target": 5}}, "steps[0].delete"),
    ({"delete": {"target": "pod/p", "grace": 5}}, "steps[0].delete.grace"),
    ({"delete": {"target": "pod/p", "gracePeriodSeconds": "5"}}, "steps[0].delete.gracePeriodSeconds"),
    ({"delete": {"target": "pod/p", "gracePeriodSeconds": True}}, "steps[0].delete.gracePeriodSeconds"),
    ({"delete": {"target": "pod/p", "propagationPolicy": ["Orphan"]}}, "steps[0].delete.propagationPolicy"),
    ({"delete": {"target": "pod/p", "propagationPolicy": "orphan"}}, "steps[0].delete"),
    ({"delete": {"target": "pod/p", "preconditions": []}}, "steps[0].delete.preconditions"),
    ({"delete": {"target": "pod/p", "preconditions": {"name": "p"}}}, "steps[0].delete"),
    ({"delete": {"target": "pod/p", "preconditions": {"uid": 5}}}, "steps[0].delete"),
    ({"delete": {"target": "pod/p", "preconditions": {"uid": "another"}}}, "steps[0].delete"),
    ({"delete": {"target": "pod/p", "preconditions": {"resourceVersion": "77"}}}, "steps[0].delete"),
    ({"patch": "pod/p"}, "steps[0].patch.patch"),
    ({"patch": {"target": "pod/p", "patch": []}}, "steps[0].patch.patch"),
    ({"patch": {"target": "pod/p", "patch": {}, "type": "json"}}, "steps[0].patch.patch"),
    ({"patch": {"target": "pod/p", "patch": [], "type": "strategic"}}, "steps[0].patch.patch"),
    ({"patch": {"target": "pod/p", "patch": {}, "type": "yaml"}}, "steps[0].patch.type"),
    ({"patch": {"target": "pod/p", "patch": {}, "type": []}}, "steps[0].patch.type"),
    (
        {"patch": {"target": "pod/p", "patch": [{"op": "test", "path": "/kind", "value": 1}], "type": "json"}},
        "steps[0].patch",
    ),
    ({"patch": {"target": "pod/p", "patch": {"metadata": {"resourceVersion": "77"}}}}, "steps[0].patch"),
    ({"patch": {"target": "pod/q", "patch": {}}}, "steps[0].patch"),
    ({"patch": {"target": "pod/p", "patch": {"metadata": None}}}, "steps[0].patch"),
    ({"status": {"target": "pod/p"}}, "steps[0].status.status"),
    ({"status": {"target": "pod/p", "status": {}, "spec": {}}}, "steps[0].status.spec"),
]


@pytest.mark.parametrize(("step", "path"), REFUSED)
def test_a_step_that_cannot_be_taken_is_refused_with_its_place(step, path):
    with pytest.raises(StepError) as caught:
        run_steps(Simulation(pod(), nodes=1, now=NOW), [step])
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("step", "path"),
    [
        ({"apply": [{"kind": "Pod"}]}, "apiVersion"),
        ({"patch": {"target": "pod/p", "patch": {"spec": {"priority": "high"}}}}, "spec.priority"),
        ({"status": {"target": "pod/p", "status": {"phase": 5}}}, "status.phase"),
    ],
)
def test_an_object_that_would_not_be_valid_is_refused_with_the_path_of_its_field(step, path):
    with pytest.raises(InvalidObject) as caught:
        run_steps(Simulation(pod(), nodes=1, now=NOW), [step])
    assert path in [problem.path for problem in caught.value.problems]


def test_a_huge_grace_period_is_no_obstacle():
    step = {"delete": {"target": "pod/p", "gracePeriodSeconds": 2**63 - 1}}
    (answer,) = ask(step, desired=[pod()])["steps"]
    assert answer["actions"]
