"""What the default admission plug-ins add to a new or changed object."""

from __future__ import annotations

import re

import pytest

from rules.admission import (
    ForbiddenError,
    admit,
    admit_pod,
    admit_pod_spec,
    admit_update,
    check_priority,
    default_storage_class,
)
from state.objects import (
    ConfigMap,
    ObjectMeta,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    Pod,
    PodSpec,
    PriorityClass,
    StorageClass,
    Toleration,
)
from state.snapshot import Snapshot
from state.workspace import Workspace

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


def workspace(*objects):
    return Workspace(Snapshot.of(objects))


def priority_class(name, value, *, is_default=False, policy=None):
    return PriorityClass(
        metadata=ObjectMeta(name=name), value=value, global_default=is_default, preemption_policy=policy
    )


def storage_class(name, *, mark=None, created=None, annotation="storageclass.kubernetes.io/is-default-class"):
    annotations = {} if mark is None else {annotation: mark}
    return StorageClass(
        metadata=ObjectMeta(name=name, annotations=annotations, creation_timestamp=created), provisioner="x"
    )


def test_a_plain_pod_gets_account_priority_tolerations_and_status():
    pod = admit_pod(workspace(), Pod(metadata=ObjectMeta(name="p")))
    assert (pod.spec.service_account_name, pod.spec.service_account) == ("default", "default")
    assert (pod.spec.priority, pod.spec.preemption_policy) == (0, "PreemptLowerPriority")
    assert [(t.key, t.operator, t.effect, t.toleration_seconds) for t in pod.spec.tolerations] == [
        (NOT_READY, "Exists", "NoExecute", 300),
        (UNREACHABLE, "Exists", "NoExecute", 300),
    ]
    assert (pod.status.phase, pod.status.qos_class) == ("Pending", "BestEffort")


def test_admission_is_idempotent_and_shares_the_spec():
    ws = workspace()
    spec = admit_pod_spec(ws, PodSpec())
    assert admit_pod_spec(ws, spec) is spec


@pytest.mark.parametrize(
    ("toleration", "missing"),
    [
        (Toleration(operator="Exists"), []),
        (Toleration(operator="Exists", effect="NoExecute"), []),
        (Toleration(key=NOT_READY, operator="Exists", effect="NoExecute"), [UNREACHABLE]),
        (Toleration(key=NOT_READY, operator="Exists"), [UNREACHABLE]),
        (Toleration(key=NOT_READY, operator="Exists", effect="NoSchedule"), [NOT_READY, UNREACHABLE]),
        (Toleration(key="a", operator="Exists", effect="NoExecute"), [NOT_READY, UNREACHABLE]),
    ],
)
def test_tolerations_of_a_lost_node_are_added_where_they_are_missing(toleration, missing):
    spec = admit_pod_spec(workspace(), PodSpec(tolerations=(toleration,)))
    assert [t.key for t in spec.tolerations[1:]] == missing


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, (100, "Never", "low")),
        ("high", (1000, "PreemptLowerPriority", "high")),
        ("system-node-critical", (2_000_001_000, "PreemptLowerPriority", "system-node-critical")),
        ("absent", (0, "PreemptLowerPriority", "absent")),
    ],
)
def test_the_priority_is_that_of_the_class_or_of_the_lowest_default(name, expected):
    ws = workspace(
        priority_class("high", 1000),
        priority_class("middle", 500, is_default=True),
        priority_class("low", 100, is_default=True, policy="Never"),
    )
    spec = admit_pod_spec(ws, PodSpec(priority_class_name=name))
    assert (spec.priority, spec.preemption_policy, spec.priority_class_name) == expected


def test_of_several_default_classes_the_newest_counts_then_the_first_by_name():
    assert default_storage_class(workspace(storage_class("a"), storage_class("b", mark="false"))) is None
    old = storage_class("old", mark="true", created="2020-01-01T00:00:00Z")
    new = [storage_class(name, mark="true", created="2021-01-01T00:00:00Z") for name in ("z", "y")]
    assert default_storage_class(workspace(old, *new)) == "y"
    beta = storage_class("b", mark="true", annotation="storageclass.beta.kubernetes.io/is-default-class")
    assert default_storage_class(workspace(beta)) == "b"


@pytest.mark.parametrize(("asked", "given"), [(None, "fast"), ("", ""), ("slow", "slow")])
def test_a_claim_without_a_class_gets_the_default_one(asked, given):
    claim = PersistentVolumeClaim(
        metadata=ObjectMeta(name="c"), spec=PersistentVolumeClaimSpec(storage_class_name=asked)
    )
    assert admit(workspace(storage_class("fast", mark="true")), claim).spec.storage_class_name == given
    assert admit(workspace(), claim).spec == claim.spec


@pytest.mark.parametrize(
    ("obj", "finalizer"),
    [
        (PersistentVolumeClaim(metadata=ObjectMeta(name="c", finalizers=("a/b",))), "kubernetes.io/pvc-protection"),
        (PersistentVolume(metadata=ObjectMeta(name="v", finalizers=("a/b",))), "kubernetes.io/pv-protection"),
    ],
)
def test_what_stores_data_is_protected_while_it_is_in_use(obj, finalizer):
    """StorageObjectInUseProtection."""
    protected = admit(workspace(), obj)
    assert protected.metadata.finalizers == ("a/b", finalizer)
    assert admit(workspace(), protected) is protected


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (PodSpec(priority=5), "the integer value of priority (5) must not be provided in pod spec; priority"),
        (PodSpec(priority=0, priority_class_name="high"), "computed 1000 from the given PriorityClass name"),
        (PodSpec(preemption_policy="Never"), "the string value of PreemptionPolicy (Never) must not be provided"),
        (PodSpec(priority=0), None),
        (PodSpec(priority=1000, priority_class_name="high"), None),
    ],
)
def test_a_pod_may_say_of_its_priority_only_what_its_class_does(spec, said):
    ws, pod = workspace(priority_class("high", 1000)), Pod(metadata=ObjectMeta(name="p"), spec=spec)
    if said is None:
        check_priority(ws, pod)
    else:
        with pytest.raises(ForbiddenError, match=re.escape(said)):
            check_priority(ws, pod)


def test_a_pod_that_brings_its_priority_has_a_preemption_policy_all_the_same():
    admitted = admit_pod(workspace(), Pod(metadata=ObjectMeta(name="p"), spec=PodSpec(priority=7))).spec
    assert (admitted.priority, admitted.preemption_policy) == (7, "PreemptLowerPriority")


def test_an_update_gives_a_pod_back_its_tolerations():
    """DefaultTolerationSeconds admits updates, too: a manifest's list of tolerations replaces the live one."""
    pod = admit_pod(workspace(), Pod(metadata=ObjectMeta(name="p")))
    assert admit_update(pod) is pod
    bare = Pod(metadata=pod.metadata, spec=PodSpec(tolerations=(Toleration(key="a", operator="Exists"),)))
    assert [t.key for t in admit_update(bare).spec.tolerations] == ["a", NOT_READY, UNREACHABLE]
    other = ConfigMap(metadata=ObjectMeta(name="c"))
    assert admit_update(other) is other
