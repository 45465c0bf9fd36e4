"""PodDisruptionBudgets: as recorded from Kubernetes, and how pods are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loops import NOW, SECOND, assert_settled, said
from recorded import Player, load_case

from reconciler.cycle import Cycle
from rules.disruption import Disruption
from state.load import from_dict
from state.objects import (
    Deployment,
    DeploymentSpec,
    LabelSelector,
    ObjectMeta,
    OwnerReference,
    Pod,
    PodCondition,
    PodDisruptionBudget,
    PodStatus,
    ReplicaSet,
    ReplicaSetSpec,
    replace,
)
from state.snapshot import Key, Snapshot
from state.times import format_time

KEY = Key("PodDisruptionBudget", "ns", "b")


def concerns():
    return [Disruption()]


class Replay(Player):
    """Carries out the evictions that were allowed."""

    def step(self, step, response):
        if step["op"] == "http" and step["path"].endswith("/eviction"):
            if response["code"] == 201:
                self.ws.remove(Key("Pod", "recorded", step["path"].split("/")[-2]))
            return
        super().step(step, response)


def test_does_as_recorded():
    """The status before and after an eviction."""
    player = Replay(load_case("api-eviction"), concerns()).play()
    assert player.mismatches() == []
    assert_settled(player.cycle, concerns, player.now)


def budget(**spec):
    document = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "b", "namespace": "ns", "uid": "b", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, **spec},
    }
    return from_dict(document)


def pod(number, *, ready=True, owner=None):
    condition = PodCondition(type="Ready", status="True" if ready else "False")
    references = () if owner is None else (owner,)
    meta = ObjectMeta(name=f"p{number}", namespace="ns", uid=f"p{number}", labels={"app": "a"})
    return Pod(
        metadata=replace(meta, owner_references=references), status=PodStatus(phase="Running", conditions=(condition,))
    )


def reference(kind, name, version="apps/v1"):
    return OwnerReference(api_version=version, kind=kind, name=name, uid=f"uid-{name}", controller=True)


def deployment(replicas):
    rs = ReplicaSet(
        metadata=ObjectMeta(name="rs", namespace="ns", uid="uid-rs", owner_references=(reference("Deployment", "d"),)),
        spec=ReplicaSetSpec(replicas=1),
    )
    meta = ObjectMeta(name="d", namespace="ns", uid="uid-d")
    return [Deployment(metadata=meta, spec=DeploymentSpec(replicas=replicas)), rs]


def status(*objects):
    cycle = Cycle(Snapshot.of(objects), concerns())
    cycle.settle(NOW)
    assert_settled(cycle, concerns, NOW)
    return cycle.ws.find(PodDisruptionBudget, "ns", "b").status, cycle


@pytest.mark.parametrize(
    ("spec", "expected", "desired", "allowed"),
    [
        ({"minAvailable": 1}, 3, 1, 2),
        ({"minAvailable": "50%"}, 5, 3, 0),
        ({"maxUnavailable": 1}, 5, 4, 0),
        ({"maxUnavailable": "60%"}, 5, 2, 1),
        ({"maxUnavailable": 9}, 5, 0, 3),
        ({}, 0, 0, 0),
    ],
)
def test_counts(spec, expected, desired, allowed):
    """A number counts against the pods there are; a share, and maxUnavailable, against what their Deployment wants."""
    owner = reference("ReplicaSet", "rs")
    pods = [pod(0, owner=owner), pod(1, owner=owner), pod(2, owner=owner)]
    found, _ = status(budget(**spec), *deployment(5), *pods)
    assert (found.expected_pods, found.desired_healthy, found.disruptions_allowed) == (expected, desired, allowed)
    assert found.current_healthy == 3


def test_follows_the_scale_of_the_deployment():
    """A Deployment that is scaled makes its budgets due."""
    owner = reference("ReplicaSet", "rs")
    _, cycle = status(budget(maxUnavailable=1), *deployment(1), pod(0, owner=owner))
    live = cycle.ws.find(Deployment, "ns", "d")
    cycle.ws.put(replace(live, spec=replace(live.spec, replicas=3)))
    cycle.settle(NOW)
    assert cycle.ws.find(PodDisruptionBudget, "ns", "b").status.desired_healthy == 2


DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "queues.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Queue", "plural": "queues"},
        "versions": [{"name": "v1", "subresources": {"scale": {"specReplicasPath": ".spec.workers"}}}],
    },
}


@pytest.mark.parametrize(
    ("owner", "message"),
    [
        (reference("Job", "j", "batch/v1"), "jobs.batch does not implement the scale subresource"),
        (reference("Node", "n", "v1"), "nodes does not implement the scale subresource"),
        (reference("Nought", "q", "example.com/v1"), 'no matches for kind "Nought" in version "example.com/v1"'),
        (reference("ReplicaSet", "gone"), 'found no controllers for pod "p0"'),
        (reference("Queue", "gone", "example.com/v1"), 'found no controllers for pod "p0"'),
    ],
)
def test_a_controller_without_a_scale_allows_nothing(owner, message):
    """Nobody says how many pods there are to be: the budget says why, and which generation it was that it last knew."""
    found, cycle = status(budget(maxUnavailable=1), from_dict(DEFINITION), pod(0, owner=owner))
    assert (found.disruptions_allowed, found.observed_generation) == (0, None)
    (condition,) = found.conditions
    assert (condition.status, condition.reason, condition.message) == ("False", "SyncFailed", message)
    assert condition.observed_generation is None
    why = f"b allows no disruption, since it can't be said how many pods there are to be: {message}"
    assert said(cycle) == [("disruption", str(KEY), why)]
    told = Cycle(Snapshot.of([budget(maxUnavailable=1), from_dict(DEFINITION), pod(0, owner=owner)]), concerns())
    told.settle(NOW)
    reasons = ["NoControllers"] if "found no" in message else []
    assert [event.reason for event in told.ctx.events] == [*reasons, "CalculateExpectedPodCountFailed"]


def test_a_custom_resource_with_a_scale_says_how_many_pods_there_are_to_be():
    """A controller of one's own counts if its definition says where the number of its replicas is."""
    body = {"apiVersion": "example.com/v1", "kind": "Queue", "spec": {"workers": 4}}
    queue = from_dict({**body, "metadata": {"name": "q", "namespace": "ns", "uid": "uid-q"}})
    owner = reference("Queue", "q", "example.com/v1")
    found, _ = status(budget(maxUnavailable=1), from_dict(DEFINITION), queue, pod(0, owner=owner))
    assert (found.expected_pods, found.desired_healthy) == (4, 3)


def test_an_evicted_pod_does_not_count_for_two_minutes():
    """As long as its deletion is expected; then it counts again."""
    live = budget(minAvailable=1)
    live = replace(live, status=replace(live.status, disrupted_pods={"p0": format_time(NOW)}))
    found, cycle = status(live, pod(0), pod(1))
    assert found.current_healthy == 1
    assert cycle.wake_at == NOW + 120 * SECOND
    cycle.settle(NOW + 120 * SECOND)
    again = cycle.ws.find(PodDisruptionBudget, "ns", "b").status
    assert (again.current_healthy, again.disrupted_pods) == (2, {})


@given(st.lists(st.booleans(), max_size=6), st.integers(0, 6))
def test_never_allows_more_than_are_healthy(ready, least):
    """What is allowed leaves as many healthy pods as are asked for."""
    found, _ = status(budget(minAvailable=least), *(pod(i, ready=value) for i, value in enumerate(ready)))
    assert found.disruptions_allowed == (max(0, sum(ready) - least) if ready else 0)


def test_an_empty_selector_takes_all_pods():
    """As policy/v1 has it; no selector at all takes none."""
    for selector, pods in ((LabelSelector(), 2), (None, 0)):
        live = budget(minAvailable=0)
        found, _ = status(replace(live, spec=replace(live.spec, selector=selector)), pod(0), pod(1))
        assert found.expected_pods == pods


def test_pods_without_a_controller_are_told_of():
    """A share of them is nobody's to know; the event names the selector as Kubernetes prints it."""
    cycle = Cycle(Snapshot.of([budget(maxUnavailable=1), pod(1)]), concerns())
    cycle.settle(NOW)
    (event,) = cycle.ctx.events
    assert (event.type, event.reason) == ("Warning", "UnmanagedPods")
    assert event.message.startswith(
        "Pods selected by this PodDisruptionBudget (selector: "
        "&LabelSelector{MatchLabels:map[string]string{app: a,},MatchExpressions:[]LabelSelectorRequirement{},}) were "
        "found to be unmanaged."
    )
