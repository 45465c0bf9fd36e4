"""Writes of a consequent have the API server's semantics, and leave an action with its reason."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.actions import Bind, BindClaim, Create, Delete, Update, UpdateStatus
from rules.context import SECOND, Context
from rules.engine import Rule, m
from state.objects import (
    ConfigMap,
    Deployment,
    DeploymentSpec,
    DeploymentStatus,
    ObjectMeta,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    Service,
    replace,
)
from state.snapshot import Key, Snapshot
from state.times import format_time, parse_time
from state.workspace import Workspace

NOW = parse_time("2026-01-01T00:00:00Z")
RULE = Rule(name="toy", when=m.have < 2, then=print, why="{name} has {have}")
SUBJECT = Key("ReplicaSet", "default", "web")


@pytest.fixture
def ctx():
    context = Context(Workspace(Snapshot(revision=9)), NOW)
    context.firing("replication", RULE, SUBJECT, {"name": "web", "have": 1})
    return context


def pod(**spec):
    status = spec.pop("status", PodStatus(phase="Running"))
    meta = spec.pop("metadata", ObjectMeta(name="p", namespace="default"))
    return Pod(metadata=meta, spec=PodSpec(**spec), status=status)


# -- create ------------------------------------------------------------------------------------------------------------


def test_a_new_object_gets_uid_time_generation_and_version(ctx):
    stored = ctx.create(Deployment(metadata=ObjectMeta(name="web", namespace="default")))
    meta = stored.metadata
    assert meta.uid
    assert meta.creation_timestamp == "2026-01-01T00:00:00Z"
    assert meta.generation == 1
    assert meta.resource_version == "10"
    (action,) = ctx.actions
    assert isinstance(action, Create)
    assert action.object is stored
    assert (action.rule, action.why, dict(action.because)) == ("toy", "web has 1", {"name": "web", "have": 1})


@pytest.mark.parametrize("kind", [ConfigMap, Service])
def test_kinds_without_a_counted_spec_have_no_generation(ctx, kind):
    assert ctx.create(kind(metadata=ObjectMeta(name="a", namespace="default"))).metadata.generation is None


def test_a_name_is_generated_that_nobody_has(ctx):
    template = pod(metadata=ObjectMeta(generate_name="web-", namespace="default"))
    names = [ctx.create(template).metadata.name for _ in range(200)]
    assert len({*names}) == 200
    assert all(re.fullmatch("web-[bcdfghjklmnpqrstvwxz2456789]{5}", name) for name in names)


def test_generated_names_depend_on_nothing_but_the_state():
    def names():
        context = Context(Workspace(Snapshot(revision=9)), NOW)
        template = pod(metadata=ObjectMeta(generate_name="web-", namespace="default"))
        return [context.create(template).metadata.name for _ in range(5)]

    assert names() == names()


def test_what_exists_is_not_created_again(ctx):
    ctx.create(pod())
    with pytest.raises(AssertionError, match="pod/default/p exists already"):
        ctx.create(pod())


# -- update ------------------------------------------------------------------------------------------------------------


def test_a_changed_spec_raises_the_generation(ctx):
    stored = ctx.create(Deployment(metadata=ObjectMeta(name="web", namespace="default")))
    changed = ctx.update(replace(stored, spec=replace(stored.spec, replicas=3)))
    assert changed.metadata.generation == 2
    assert ctx.update(changed) is changed
    assert [type(action) for action in ctx.actions] == [Create, Update]


def test_annotations_of_a_deployment_raise_its_generation_and_labels_do_not(ctx):
    stored = ctx.create(Deployment(metadata=ObjectMeta(name="web", namespace="default")))
    labelled = ctx.update(replace(stored, metadata=replace(stored.metadata, labels={"a": "b"})))
    assert labelled.metadata.generation == 1
    annotated = ctx.update(replace(labelled, metadata=replace(labelled.metadata, annotations={"a": "b"})))
    assert annotated.metadata.generation == 2


def test_a_status_raises_no_generation(ctx):
    stored = ctx.create(Deployment(metadata=ObjectMeta(name="web", namespace="default"), spec=DeploymentSpec()))
    reported = ctx.update_status(replace(stored, status=DeploymentStatus(replicas=1)))
    assert reported.metadata.generation == 1
    assert ctx.update_status(reported) is reported
    assert [type(action) for action in ctx.actions] == [Create, UpdateStatus]
    assert ctx.actions[-1].details()["patch"]["status"] == {"replicas": 1}


@pytest.mark.parametrize("write", ["update", "update_status"])
def test_what_does_not_exist_cannot_be_changed(ctx, write):
    with pytest.raises(AssertionError, match="pod/default/p doesn't exist"):
        getattr(ctx, write)(pod())


# -- delete ------------------------------------------------------------------------------------------------------------


def graces():
    """What a pod says, what is asked, and how many seconds it gets."""
    return [
        (5, None, 5),
        (5, 60, 60),
        (60, 5, 5),
        (-1, None, 1),
        (30, -7, 1),
    ]


@pytest.mark.parametrize(("own", "asked", "seconds"), graces())
def test_a_running_pod_ends_gracefully(ctx, own, asked, seconds):
    ctx.ws.put(pod(node_name="n1", termination_grace_period_seconds=own))
    ctx.delete(pod(), asked)
    meta = ctx.ws.find(Pod, "default", "p").metadata
    assert meta.deletion_grace_period_seconds == seconds
    assert meta.deletion_timestamp == format_time(NOW + seconds * SECOND)
    assert ctx.actions[-1].grace_period == seconds


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"node_name": "n1"},
        {"node_name": "n1", "termination_grace_period_seconds": 0},
        {"node_name": "n1", "status": PodStatus(phase="Succeeded")},
        {"node_name": "n1", "status": PodStatus(phase="Failed")},
    ],
    ids=["unassigned", "no grace said", "no grace", "succeeded", "failed"],
)
def test_other_pods_are_gone_at_once(ctx, spec):
    ctx.ws.put(pod(**spec))
    ctx.delete(pod())
    assert ctx.ws.find(Pod, "default", "p") is None
    assert isinstance(ctx.actions[-1], Delete)


def test_asked_without_grace_a_running_pod_is_gone_too(ctx):
    ctx.ws.put(pod(node_name="n1"))
    ctx.delete(pod(), 0)
    assert ctx.ws.find(Pod, "default", "p") is None


def test_the_end_of_the_longest_grace_period_still_has_a_year(ctx):
    ctx.ws.put(pod(node_name="n1", termination_grace_period_seconds=2**63 - 1))
    ctx.delete(pod())
    assert ctx.ws.find(Pod, "default", "p").metadata.deletion_timestamp.startswith("5")


def test_deleting_again_is_no_action_unless_the_pod_is_to_end_sooner(ctx):
    ctx.ws.put(pod(node_name="n1", termination_grace_period_seconds=10))
    for asked, seconds, count in [(60, 60, 1), (None, 60, 1), (90, 60, 1), (5, 5, 2)]:
        ctx.delete(pod(), asked)
        assert ctx.ws.find(Pod, "default", "p").metadata.deletion_grace_period_seconds == seconds
        assert len(ctx.actions) == count
    ctx.delete(pod(), 0)
    assert ctx.ws.find(Pod, "default", "p") is None


def test_a_finalizer_holds_an_object(ctx):
    held = ConfigMap(metadata=ObjectMeta(name="c", namespace="default", finalizers=("example.com/hold",)))
    ctx.ws.put(held)
    for _ in range(2):
        ctx.delete(held)
    meta = ctx.ws.find(ConfigMap, "default", "c").metadata
    assert (meta.deletion_timestamp, meta.deletion_grace_period_seconds) == ("2026-01-01T00:00:00Z", 0)
    assert len(ctx.actions) == 1


def test_a_graceful_delete_raises_the_generation(ctx):
    ctx.ws.put(pod(node_name="n1", metadata=ObjectMeta(name="p", namespace="default", generation=4)))
    ctx.delete(pod(), 30)
    assert ctx.ws.find(Pod, "default", "p").metadata.generation == 5


def test_a_policy_is_part_of_the_action_and_the_last_finalizer_of_the_object(ctx):
    """One action deletes; the update that takes the last finalizer away brings another."""
    owner = ConfigMap(metadata=ObjectMeta(name="c", namespace="default"))
    ctx.ws.put(owner)
    ctx.delete(owner, policy="Foreground")
    (action,) = ctx.actions
    assert action.details()["propagationPolicy"] == "Foreground"
    held = ctx.ws.find(ConfigMap, "default", "c")
    assert held.metadata.finalizers == ("foregroundDeletion",)
    ctx.update(replace(held, metadata=replace(held.metadata, finalizers=())))
    assert ctx.ws.find(ConfigMap, "default", "c") is None
    assert [each.verb for each in ctx.actions] == ["delete", "update", "delete"]


def test_deleting_what_is_not_there_is_no_action(ctx):
    ctx.delete(pod())
    assert ctx.actions == []


# -- bind --------------------------------------------------------------------------------------------------------------


def test_a_bound_pod_says_that_it_is_scheduled(ctx):
    waiting = PodCondition(type="PodScheduled", status="False", reason="Unschedulable", message="no")
    other = PodCondition(type="Example", status="True")
    status = PodStatus(phase="Pending", conditions=(waiting, other), nominated_node_name="n2")
    stored = ctx.bind(ctx.ws.put(pod(status=status)), "n1")
    assert stored.spec.node_name == "n1"
    assert stored.status.nominated_node_name is None
    scheduled = PodCondition(type="PodScheduled", status="True", last_transition_time="2026-01-01T00:00:00Z")
    assert stored.status.conditions == (other, scheduled)
    assert isinstance(ctx.actions[-1], Bind)
    assert ctx.actions[-1].details() == {"node": "n1"}


def test_a_claim_and_its_volume_are_bound_by_one_action(ctx):
    claim = PersistentVolumeClaim(metadata=ObjectMeta(name="c", namespace="default"))
    volume = PersistentVolume(metadata=ObjectMeta(name="v"))
    ctx.bind_claim(claim, volume)
    (action,) = ctx.actions
    assert isinstance(action, BindClaim)
    assert str(action.target) == "persistentvolumeclaim/default/c"
    assert action.details() == {"volume": "v"}
    assert ctx.ws.kinds == ["PersistentVolume", "PersistentVolumeClaim"]


# -- what is said ------------------------------------------------------------------------------------------------------


def test_a_note_is_the_last_word_about_its_subject(ctx):
    ctx.note()
    ctx.firing("replication", RULE, SUBJECT, {"name": "web", "have": 0})
    ctx.note(Key("Pod", "default", "p"))
    (note,) = ctx.notes.values()
    assert note.to_dict() == {
        "target": "pod/default/p",
        "rule": "toy",
        "why": "web has 0",
        "because": {"name": "web", "have": 0},
    }
    ctx.clear("replication", SUBJECT)
    assert ctx.notes == {}


@given(st.lists(st.integers(0, 100), min_size=1))
def test_the_earliest_wake_up_counts(times):
    context = Context(Workspace(Snapshot()), 0)
    context.firing("replication", RULE, SUBJECT, {"name": "web", "have": 0})
    for at in times:
        context.wake(at)
    assert context.wakeups == {("replication", SUBJECT): min(times)}


def test_a_new_cycle_keeps_notes_and_wake_ups(ctx):
    ctx.note()
    ctx.wake(NOW + 5)
    ctx.create(pod())
    ctx.event(SUBJECT, "Toy", "a word", warning=True, source="toy-controller")
    assert ctx.events[0].to_dict() == {
        "object": "replicaset/default/web",
        "type": "Warning",
        "reason": "Toy",
        "message": "a word",
        "source": "toy-controller",
    }
    ctx.start(NOW + 1)
    assert (ctx.actions, ctx.events, len(ctx.notes), len(ctx.wakeups), ctx.now) == ([], [], 1, 1, NOW + 1)
