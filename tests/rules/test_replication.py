"""ReplicaSets and ReplicationControllers: as recorded from Kubernetes, and what holds for any sequence of events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import NOW, SECOND, assert_settled, befall, report, said
from recorded import Player, case_names, load_case

from reconciler.cycle import Cycle
from rules.deployments import Deployments
from rules.garbage import Garbage
from rules.pod_garbage import PodGarbage
from rules.pods import is_active
from rules.replication import BURST, Replication
from rules.victims import DELETION_COST, choose_victims, deletion_cost
from state.objects import (
    Container,
    ContainerStatus,
    LabelSelector,
    ObjectMeta,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    ReplicaSet,
    ReplicaSetSpec,
    controller_of,
    replace,
)
from state.snapshot import Key, Snapshot
from state.times import format_time

KEY = Key("ReplicaSet", "ns", "web")


def concerns():
    return [Garbage(), PodGarbage(), Deployments(), Replication()]


@pytest.mark.parametrize("name", case_names("rs-", "rc-"))
def test_does_as_recorded(name):
    """States after each step equal those of a real control plane, and the same pods go in the same order."""
    player = Player(load_case(name), concerns()).play()
    assert player.mismatches() == []
    recorded = player.case["expected"]["snapshots"].get("deleted-in-order", [])
    if recorded:
        assert [sorted(names) for names in player.deleted] == [sorted(names) for names in recorded]
    assert_settled(player.cycle, concerns, player.now)


def replicaset(replicas, **spec):
    labels = {"app": "web"}
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=labels), spec=PodSpec(containers=(Container(name="c", image="img:1"),))
    )
    return ReplicaSet(
        metadata=ObjectMeta(name="web", namespace="ns", uid="uid-web", generation=1),
        spec=ReplicaSetSpec(replicas=replicas, selector=LabelSelector(match_labels=labels), template=template, **spec),
    )


def loop(*objects):
    return Cycle(Snapshot.of(objects), concerns())


def pods_of(cycle):
    return [pod for pod in cycle.ws.objects(Pod) if is_active(pod)]


def test_pods_share_the_parts_of_their_template():
    """What 150,000 pods have in common is there once."""
    cycle = loop(replicaset(3))
    cycle.settle(NOW)
    one, two, three = pods_of(cycle)
    assert one.spec is two.spec is three.spec
    assert one.metadata.labels is three.metadata.labels
    assert one.metadata.owner_references is three.metadata.owner_references
    assert one.status == PodStatus(phase="Pending", qos_class="BestEffort")


def test_creates_more_than_a_burst_in_several_passes():
    """No look at a controller creates more than ``BURST`` pods, and yet all come."""
    cycle = loop(replicaset(2 * BURST + 1))
    cycle.settle(NOW)
    assert len(pods_of(cycle)) == 2 * BURST + 1
    first = [action.because["have"] for action in cycle.ctx.actions if action.verb == "create"]
    assert [first.count(have) for have in (0, BURST, 2 * BURST)] == [BURST, BURST, 1]


def test_says_what_it_waits_for():
    """Pods that aren't available leave a note; each action says why it is done."""
    cycle = loop(replicaset(2))
    cycle.settle(NOW)
    assert ("replication", str(KEY), "ReplicaSet web waits for 2 of its 2 pods to become available") in said(cycle)
    assert cycle.ctx.actions[0].why == "ReplicaSet web has 0 of 2 replicas"
    assert cycle.ctx.actions[0].rule == "replication-scale-up"


def test_wakes_when_a_ready_pod_becomes_available():
    """With minReadySeconds the loop is to look again at the time the first ready pod counts, not before."""
    cycle = loop(replicaset(1, min_ready_seconds=30))
    cycle.settle(NOW)
    (pod,) = pods_of(cycle)
    ready = PodCondition(type="Ready", status="True", last_transition_time=format_time(NOW))
    cycle.ws.put(replace(pod, status=replace(pod.status, conditions=(ready,))))
    cycle.settle(NOW)
    assert cycle.wake_at == NOW + 30 * SECOND
    assert cycle.ws.find(ReplicaSet, "ns", "web").status.available_replicas is None
    cycle.settle(NOW + 30 * SECOND)
    assert cycle.ws.find(ReplicaSet, "ns", "web").status.available_replicas == 1
    assert cycle.wake_at is None


def test_a_deleted_replicaset_makes_no_pods():
    """What is being deleted neither creates nor adopts."""
    rs = replicaset(3)
    ending = replace(rs.metadata, deletion_timestamp=format_time(NOW), finalizers=("example.com/hold",))
    orphan = Pod(metadata=ObjectMeta(name="orphan", namespace="ns", uid="o", labels={"app": "web"}))
    cycle = loop(replace(rs, metadata=ending), orphan)
    cycle.settle(NOW)
    assert [pod.metadata.name for pod in pods_of(cycle)] == ["orphan"]
    assert controller_of(pods_of(cycle)[0]) is None


@pytest.mark.parametrize("selector", [LabelSelector(), LabelSelector(match_labels={"app": "other"})])
def test_a_selector_that_misses_the_template_is_explained(selector):
    """Such a controller, which no API server accepts, would make pods without end, or take all; it says so instead."""
    rs = replicaset(2)
    stranger = Pod(metadata=ObjectMeta(name="stranger", namespace="ns", uid="s", labels={"app": "web"}))
    cycle = loop(replace(rs, spec=replace(rs.spec, selector=selector)), stranger)
    cycle.settle(NOW)
    assert pods_of(cycle) == [cycle.ws.find(Pod, "ns", "stranger")]
    note = "ReplicaSet web lacks 2 of 2 pods: its selector doesn't match its template's labels"
    assert said(cycle) == [("replication", str(KEY), note)]
    assert_settled(cycle, concerns, NOW)


# -- whom to delete ----------------------------------------------------------------------------------------------------


def pod(name, *, node="n", phase="Running", ready=None, cost=None, restarts=0, age=100, uid=None):
    """A pod; ``ready`` is since how many seconds, None for not ready."""
    conditions = ()
    if ready is not None:
        since = format_time(NOW - ready * SECOND)
        conditions = (PodCondition(type="Ready", status="True", last_transition_time=since),)
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace="ns",
            uid=uid or name,
            annotations={} if cost is None else {DELETION_COST: cost},
            creation_timestamp=format_time(NOW - age * SECOND),
        ),
        spec=PodSpec(node_name=node),
        status=PodStatus(
            phase=phase, conditions=conditions, container_statuses=(ContainerStatus(name="c", restart_count=restarts),)
        ),
    )


FIRST_TO_GO = {
    "unassigned before pending": (pod("z", node=None, phase="Pending"), pod("a", phase="Pending")),
    "pending before running": (pod("z", phase="Pending"), pod("a")),
    "pending before unknown": (pod("z", phase="Pending"), pod("a", phase="Unknown")),
    "not ready before ready": (pod("z"), pod("a", ready=1)),
    "cheap before dear": (pod("z", ready=100, cost="-5"), pod("a", ready=1)),
    "young ready before old ready": (pod("z", ready=10), pod("a", ready=1000)),
    "restarts, ready for equally long": (pod("z", ready=10, restarts=3), pod("a", ready=10, restarts=1)),
    "young before old": (pod("z", age=10), pod("a", age=1000)),
    "uid, of one order of magnitude": (pod("z", ready=1000, uid="0"), pod("a", ready=999, uid="1")),
}


@pytest.mark.parametrize("case", FIRST_TO_GO)
def test_deletes_in_kubernetes_order(case):
    """Of two pods the first goes, whatever order they are given in."""
    first, second = FIRST_TO_GO[case]
    assert choose_victims([second, first], 1, [], NOW) == [first]
    assert choose_victims([first, second], 1, [], NOW) == [first]


def test_crowded_nodes_lose_first():
    """Among ready pods the one on the node with more pods of the Deployment goes, before age decides."""
    crowded, lonely = pod("z", node="full", ready=1000), pod("a", node="empty", ready=1)
    related = [crowded, pod("other", node="full"), lonely]
    assert choose_victims([lonely, crowded], 1, related, NOW) == [crowded]
    assert choose_victims([lonely, crowded], 1, [], NOW) == [lonely]


@pytest.mark.parametrize(
    ("text", "cost"),
    [("5", 5), ("-5", -5), ("05", 0), ("+5", 0), ("x", 0), ("2147483648", 0), ("2147483647", 2147483647), ("٣", 0)],
)
def test_reads_the_deletion_cost(text, cost):
    """A cost that is no plain 32-bit integer counts as 0."""
    assert deletion_cost(pod("p", cost=text)) == cost


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([None, 1, 50, 900]), st.integers(0, 2)), min_size=1, max_size=12),
    st.data(),
)
def test_never_deletes_a_ready_pod_before_one_that_is_not(specs, data):
    """Availability is kept as long as there is anything else to delete."""
    pods = [
        pod(f"p{i:02}", node="n" if bound else None, ready=ready if bound else None, restarts=restarts)
        for i, (bound, ready, restarts) in enumerate(specs)
    ]
    surplus = data.draw(st.integers(0, len(pods)))
    victims = choose_victims(pods, surplus, pods, NOW)
    kept = [p for p in pods if p not in victims]
    assert len(victims) == surplus
    if any(p.status.conditions for p in victims):
        assert all(p.status.conditions for p in kept)


# -- any sequence of events --------------------------------------------------------------------------------------------

EVENTS = st.one_of(
    st.tuples(st.just("scale"), st.integers(0, 6)),
    st.tuples(st.sampled_from(["ready", "unready", "fail", "delete", "relabel", "disown", "bind"]), st.integers(0, 9)),
    st.tuples(st.just("orphan"), st.integers(0, 9)),
    st.tuples(st.just("time"), st.integers(1, 40)),
)


def happen(cycle, event, number, now):
    """Lets one thing happen to the ReplicaSet or to one of the pods."""
    if event == "scale":
        rs = cycle.ws.find(ReplicaSet, "ns", "web")
        cycle.ctx.update(replace(rs, spec=replace(rs.spec, replicas=number)))
        return
    if event == "orphan":
        if cycle.ws.find(Pod, "ns", f"orphan-{number}") is None:
            cycle.ctx.create(Pod(metadata=ObjectMeta(name=f"orphan-{number}", namespace="ns", labels={"app": "web"})))
        return
    pods = cycle.ws.objects(Pod)
    if not pods or event == "time":
        return
    chosen = pods[number % len(pods)]
    if event in ("ready", "unready"):
        report(cycle, chosen, ready=event == "ready", now=now)
    elif event == "bind":
        cycle.ws.put(replace(chosen, spec=replace(chosen.spec, node_name="n")))
    else:
        app = "web" if chosen.metadata.labels.get("app") == "other" else "other"
        befall(cycle, chosen, event, {"app": app})


@settings(max_examples=60)
@given(st.lists(EVENTS, max_size=14), st.sampled_from([None, 20]))
def test_settles_whatever_happens(events, min_ready):
    """There are as many replicas as wanted, all ours; nothing is left to do, and a cold loop agrees."""
    cycle = loop(replicaset(2, min_ready_seconds=min_ready))
    now = NOW
    for event, number in [("time", 1), *events]:
        now += number * SECOND if event == "time" else 0
        cycle.ctx.start(now)
        cycle.ctx.because("test", {}, "")
        happen(cycle, event, number, now)
        cycle.settle(now)
        rs = cycle.ws.find(ReplicaSet, "ns", "web")
        own = [p for p in cycle.ws.owned(rs, Pod) if is_active(p)]
        assert len(own) == rs.spec.replicas == rs.status.replicas
        assert all(p.metadata.labels["app"] == "web" for p in own)
        assert all(controller_of(p) for p in pods_of(cycle) if p.metadata.labels["app"] == "web")
        assert (rs.status.available_replicas or 0) <= (rs.status.ready_replicas or 0) <= rs.status.replicas
    assert_settled(cycle, concerns, now)
