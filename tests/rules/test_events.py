"""Which Events Kubernetes would record for an action, and in which words."""

from __future__ import annotations

import pytest

from rules.actions import Bind, BindClaim, Create, Delete, Reason, Update
from rules.events import event_of
from state.objects import (
    ObjectMeta,
    OwnerReference,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    ReplicaSet,
    ReplicaSetSpec,
)
from state.snapshot import Key


def owned(kind, name="web"):
    reference = OwnerReference(api_version="apps/v1", kind=kind, name=name, uid="u", controller=True)
    return ObjectMeta(name="x", namespace="shop", owner_references=(reference,))


def because(rule):
    return Reason(rule=rule, because={"a": 1}, template="")


def told(action):
    event = event_of(action)
    return None if event is None else (str(event.target), event.type, event.reason, event.message, event.source)


POD = Key("Pod", "shop", "x")


def test_a_binding_is_an_event_of_the_pod():
    pod = Pod(metadata=ObjectMeta(name="x", namespace="shop"))
    assert told(Bind(POD, because("pod-bind"), pod, "n1")) == (
        "pod/shop/x",
        "Normal",
        "Scheduled",
        "Successfully assigned shop/x to n1",
        "default-scheduler",
    )


@pytest.mark.parametrize(
    ("kind", "source"),
    [("ReplicaSet", "replicaset-controller"), ("ReplicationController", "replication-controller")],
)
def test_a_controller_reports_the_pods_that_it_creates_and_deletes(kind, source):
    pod = Pod(metadata=owned(kind))
    target = f"{kind.lower()}/shop/web"
    assert told(Create(POD, because("replication-scale-up"), pod)) == (
        target,
        "Normal",
        "SuccessfulCreate",
        "Created pod: x",
        source,
    )
    assert told(Delete(POD, because("replication-scale-down"), pod)) == (
        target,
        "Normal",
        "SuccessfulDelete",
        "Deleted pod: x",
        source,
    )


@pytest.mark.parametrize("rule", ["delete", "prune", "garbage-collect", "pod-preempt", "garbage-lost-pod"])
def test_what_others_do_to_its_pods_is_no_event_of_a_controller(rule):
    assert event_of(Delete(POD, because(rule), Pod(metadata=owned("ReplicaSet")))) is None


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (None, 3, "Scaled up replica set x from 0 to 3"),
        (3, 5, "Scaled up replica set x from 3 to 5"),
        (5, 0, "Scaled down replica set x from 5 to 0"),
        (None, 0, None),
        (2, 2, None),
    ],
)
def test_a_deployment_reports_how_it_scales(before, after, message):
    def sized(replicas):
        return ReplicaSet(metadata=owned("Deployment"), spec=ReplicaSetSpec(replicas=replicas))

    key = Key("ReplicaSet", "shop", "x")
    if before is None:
        event = event_of(Create(key, because("deployment-create-replicaset"), sized(after)))
    else:
        event = event_of(Update(key, because("deployment-scale-new"), sized(before), sized(after)))
    assert (event and event.message) == message
    if event is not None:
        assert (str(event.target), event.reason, event.source) == (
            "deployment/shop/web",
            "ScalingReplicaSet",
            "deployment-controller",
        )


def test_old_replicasets_go_without_a_word():
    rs = ReplicaSet(metadata=owned("Deployment"))
    assert event_of(Delete(Key("ReplicaSet", "shop", "x"), because("deployment-history"), rs)) is None


def test_a_pod_of_nobody_is_created_without_a_word():
    assert event_of(Create(POD, because("apply"), Pod(metadata=ObjectMeta(name="x")))) is None


def test_binding_a_claim_is_no_event():
    key = Key("PersistentVolumeClaim", "shop", "c")
    assert event_of(BindClaim(key, because("claim-bind"), PersistentVolumeClaim(), PersistentVolume())) is None
