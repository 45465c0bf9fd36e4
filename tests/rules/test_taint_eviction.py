"""Taint eviction: who leaves a node with NoExecute taints, when, and what becomes of that when taints change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loops import NOW, SECOND, assert_settled, said

from reconciler.cycle import Cycle
from rules.daemonsets import DaemonSets
from rules.replication import Replication
from rules.taint_eviction import TaintEviction
from state.defaults import default
from state.load import from_dict
from state.objects import (
    Node,
    NodeSpec,
    ObjectMeta,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    ReplicaSet,
    Taint,
    Toleration,
    replace,
)
from state.snapshot import Key, Snapshot
from state.times import format_time

POD = Key("Pod", "ns", "p")
MARKED = "Marking for deletion Pod ns/p"
CANCELLED = "Cancelling deletion of Pod ns/p"


def concerns():
    return [TaintEviction()]


def taint(key="k", value=None, effect="NoExecute", at=NOW):
    return Taint(key=key, value=value, effect=effect, time_added=None if at is None else format_time(at))


def node(*taints, name="n"):
    return Node(metadata=ObjectMeta(name=name), spec=NodeSpec(taints=taints))


def tolerate(key="k", seconds=None, **more):
    return Toleration(key=key, operator="Exists", toleration_seconds=seconds, **more)


def pod(*tolerations, name="p", on="n", bound=0, **meta):
    scheduled = PodCondition(type="PodScheduled", status="True", last_transition_time=format_time(bound))
    return Pod(
        metadata=ObjectMeta(name=name, namespace="ns", uid=name, **meta),
        spec=PodSpec(node_name=on, tolerations=tolerations, termination_grace_period_seconds=30),
        status=PodStatus(phase="Running", conditions=(scheduled,)),
    )


def loop(*objects, now=NOW, of=concerns):
    cycle = Cycle(Snapshot.of(objects), of())
    settle(cycle, now)
    return cycle


def settle(cycle, now):
    cycle.ctx.start(now)
    cycle.settle(now)


def is_leaving(cycle, key=POD):
    found = cycle.ws.get(key)
    return found is None or found.metadata.deletion_timestamp is not None


def events(cycle):
    return [event.message for event in cycle.ctx.events]


def test_a_pod_that_does_not_tolerate_a_taint_goes_at_once():
    """Gracefully, and with a condition that says why."""
    cycle = loop(node(taint(value="v")), pod())
    assert is_leaving(cycle)
    assert [action.why for action in cycle.ctx.actions] == 2 * [
        "pod/ns/p does not tolerate the taint k=v:NoExecute of node n"
    ]
    condition = cycle.ws.get(POD).status.conditions[-1]
    assert (condition.type, condition.status, condition.reason, condition.message) == (
        "DisruptionTarget",
        "True",
        "DeletionByTaintManager",
        "Taint manager: deleting due to NoExecute taint",
    )
    assert cycle.ws.get(POD).metadata.deletion_grace_period_seconds == 30
    (event,) = cycle.ctx.events
    assert (event.type, event.reason, event.message, event.source) == (
        "Normal",
        "TaintManagerEviction",
        MARKED,
        "taint-eviction-controller",
    )
    assert_settled(cycle, concerns, NOW)


@pytest.mark.parametrize(
    ("taints", "tolerations"),
    [
        ([], []),
        ([taint(effect="NoSchedule"), taint("b", effect="PreferNoSchedule")], []),
        ([taint()], [tolerate()]),
        ([taint()], [tolerate(seconds=9, effect="NoSchedule"), tolerate()]),
        ([taint(), taint("b")], [Toleration(operator="Exists")]),
        ([taint(value="v")], [Toleration(key="k", operator="Equal", value="v")]),
    ],
    ids=["no taint", "other effects", "tolerated", "the one that matches", "everything tolerated", "by value"],
)
def test_a_pod_that_tolerates_all_taints_for_ever_stays(taints, tolerations):
    cycle = loop(node(*taints), pod(*tolerations))
    assert (cycle.ctx.actions, cycle.wake_at, said(cycle)) == ([], None, [])


def test_a_pod_that_tolerates_a_taint_for_a_time_goes_after_it():
    cycle = loop(node(taint()), pod(tolerate(seconds=300)))
    assert said(cycle) == [
        ("taint-eviction", "pod/ns/p", "pod/ns/p tolerates the taint k:NoExecute of node n until 2026-01-01T00:05:00Z")
    ]
    assert cycle.wake_at == NOW + 300 * SECOND
    assert_settled(cycle, concerns, NOW)
    settle(cycle, NOW + 299 * SECOND)
    assert not is_leaving(cycle)
    settle(cycle, NOW + 300 * SECOND)
    assert is_leaving(cycle)
    assert events(cycle) == [MARKED]
    assert {action.rule for action in cycle.ctx.actions} == {"taint-evict-late"}
    assert_settled(cycle, concerns, NOW + 300 * SECOND)


@pytest.mark.parametrize(
    ("taints", "tolerations", "seconds"),
    [
        ([taint(), taint("b")], [tolerate(seconds=20), tolerate("b", 10)], 10),
        ([taint()], [tolerate(seconds=20), tolerate(seconds=10)], 20),
        ([taint()], [tolerate(seconds=0)], 0),
        ([taint()], [tolerate(seconds=-5)], 0),
        ([taint(at=NOW - 15 * SECOND)], [tolerate(seconds=20)], 5),
        ([taint(at=None)], [tolerate(seconds=20)], 20),
    ],
    ids=["shortest", "first toleration", "no time", "less than none", "since the taint was added", "since now"],
)
def test_when_time_is_up(taints, tolerations, seconds):
    cycle = loop(node(*taints), pod(*tolerations))
    if seconds:
        assert (is_leaving(cycle), cycle.wake_at) == (False, NOW + seconds * SECOND)
    else:
        assert is_leaving(cycle)


def test_a_pod_that_comes_to_a_tainted_node_has_its_own_time():
    """What the taint has been there for before doesn't count."""
    cycle = loop(node(taint(at=NOW - 1000 * SECOND)), pod(tolerate(seconds=20), bound=NOW))
    assert cycle.wake_at == NOW + 20 * SECOND


def test_time_runs_on_while_one_taint_takes_the_place_of_another():
    """As when a node that wasn't ready falls silent: ``unreachable`` takes the place of ``not-ready``."""
    cycle = loop(node(taint("a")), pod(tolerate("a", 300), tolerate("b", 300)))
    cycle.ws.put(node(taint("b", at=NOW + 100 * SECOND)))
    settle(cycle, NOW + 100 * SECOND)
    assert (cycle.wake_at, events(cycle)) == (NOW + 300 * SECOND, [])


def test_a_taint_that_goes_cancels():
    """And one that comes again begins anew."""
    cycle = loop(node(taint(at=None)), pod(tolerate(seconds=300)))
    cycle.ws.put(node())
    settle(cycle, NOW + 100 * SECOND)
    assert (events(cycle), cycle.wake_at, said(cycle)) == ([CANCELLED], None, [])
    assert_settled(cycle, concerns, NOW + 100 * SECOND)
    cycle.ws.put(node(taint(at=None)))
    settle(cycle, NOW + 200 * SECOND)
    assert cycle.wake_at == NOW + 500 * SECOND


def test_new_tolerations_count():
    """One for ever cancels; a shorter one changes nothing about a time that is running."""
    cycle = loop(node(taint()), pod(tolerate(seconds=300)))
    cycle.ws.put(pod(tolerate(seconds=30)))
    settle(cycle, NOW + 10 * SECOND)
    assert (cycle.wake_at, events(cycle)) == (NOW + 300 * SECOND, [])
    cycle.ws.put(pod(tolerate()))
    settle(cycle, NOW + 20 * SECOND)
    assert (cycle.wake_at, events(cycle)) == (None, [CANCELLED])


def test_a_further_taint_that_is_not_tolerated_ends_the_waiting():
    cycle = loop(node(taint()), pod(tolerate(seconds=300)))
    cycle.ws.put(node(taint(), taint("b")))
    settle(cycle, NOW + SECOND)
    assert is_leaving(cycle)
    assert events(cycle) == [CANCELLED, MARKED]


def test_a_pod_that_ends_anyway_is_left_alone():
    cycle = loop(node(taint()), pod(deletion_timestamp=format_time(NOW)))
    assert (cycle.ctx.actions, cycle.ctx.events) == ([], [])


def test_a_restarted_control_plane_goes_on_counting():
    """The taint says since when."""
    first = loop(node(taint()), pod(tolerate(seconds=300)))
    again = loop(*first.ws.snapshot, now=NOW + 250 * SECOND)
    assert again.wake_at == NOW + 300 * SECOND


def workload(kind, **spec):
    labels = {"app": "a"}
    document = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "w", "namespace": "ns", "uid": "w"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
            **spec,
        },
    }
    return default(from_dict(document))


def test_a_replica_set_makes_a_substitute():
    """While the one that is evicted still ends."""
    cycle = loop(node(), workload("ReplicaSet", replicas=1), of=lambda: [Replication(), TaintEviction()])
    (made,) = cycle.ws.objects(Pod)
    cycle.ws.put(replace(made, spec=replace(made.spec, node_name="n")))
    cycle.ws.put(node(taint()))
    settle(cycle, NOW)
    assert sorted(pod.metadata.deletion_timestamp is not None for pod in cycle.ws.objects(Pod)) == [False, True]
    assert cycle.ws.objects(ReplicaSet)[0].status.replicas == 1


@pytest.mark.parametrize("trouble", ["not-ready", "unreachable"])
def test_a_daemon_stays_on_a_node_in_trouble(trouble):
    """Its pods tolerate that; another taint sends them away."""
    both = [DaemonSets, TaintEviction]
    cycle = loop(node(), workload("DaemonSet"), of=lambda: [concern() for concern in both])
    (made,) = cycle.ws.objects(Pod)
    cycle.ws.put(replace(made, spec=replace(made.spec, node_name="n")))
    cycle.ws.put(node(taint(f"node.kubernetes.io/{trouble}")))
    settle(cycle, NOW)
    assert not is_leaving(cycle, Key.of(made))
    cycle.ws.put(node(taint()))
    settle(cycle, NOW)
    assert is_leaving(cycle, Key.of(made))


KEYS = st.sampled_from("ab")
TAINTS = st.lists(st.builds(taint, KEYS), max_size=2, unique_by=lambda t: t.key)
TOLERATIONS = st.lists(st.builds(tolerate, KEYS, st.none() | st.integers(0, 50)), max_size=3)


@given(taints=TAINTS, pods=st.lists(TOLERATIONS, min_size=1, max_size=4))
def test_nobody_stays_longer_than_he_tolerates(taints, pods):
    """After a minute, those who are left tolerate every taint for ever; others' time is up in the order of theirs."""
    cycle = loop(node(*taints), *(pod(*tolerations, name=f"p{n}") for n, tolerations in enumerate(pods)))
    while (at := cycle.wake_at) is not None:
        settle(cycle, at)
    for number, tolerations in enumerate(pods):
        first = [next((t for t in tolerations if t.key == taint.key), None) for taint in taints]
        stays = all(t is not None and t.toleration_seconds is None for t in first)
        assert is_leaving(cycle, Key("Pod", "ns", f"p{number}")) != stays
