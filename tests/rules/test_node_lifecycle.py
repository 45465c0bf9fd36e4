"""Node lifecycle: conditions become taints, silent kubelets are noticed, zones are emptied slowly or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loops import NOW, SECOND, assert_settled, said

from reconciler.cycle import Cycle
from rules.node_lifecycle import NodeLifecycle
from rules.pods import is_ready
from state.objects import (
    Lease,
    LeaseSpec,
    Node,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    Taint,
    replace,
)
from state.snapshot import Key, Snapshot
from state.times import format_micro_time, format_time

PREFIX = "node.kubernetes.io/"
ZONE = "topology.kubernetes.io/zone"


def concerns():
    return [NodeLifecycle()]


def listeners():
    return [NodeLifecycle(listens=True)]


def node(name="n", ready="True", *, taints=(), zone=None, since=NOW, cordoned=None, labels=(), **conditions):
    """A node with these conditions; ``taints`` as ``key:effect``."""
    statuses = {**({"Ready": ready} if ready else {}), **conditions}
    return Node(
        metadata=ObjectMeta(
            name=name,
            creation_timestamp=format_time(NOW),
            labels={**({ZONE: zone} if zone else {}), **dict(labels)},
        ),
        spec=NodeSpec(unschedulable=cordoned, taints=tuple(_taint(text) for text in taints)),
        status=NodeStatus(
            conditions=tuple(
                NodeCondition(
                    type=kind,
                    status=status,
                    last_transition_time=format_time(since),
                    last_heartbeat_time=format_time(since),
                )
                for kind, status in statuses.items()
            )
        ),
    )


def _taint(text):
    key, _, effect = text.partition(":")
    return Taint(key=PREFIX + key, effect=effect, time_added=format_time(NOW))


def lease(at=NOW, name="n"):
    spec = LeaseSpec(holder_identity=name, lease_duration_seconds=40, renew_time=format_micro_time(at))
    return Lease(metadata=ObjectMeta(name=name, namespace="kube-node-lease"), spec=spec)


def running(name="p", on="n"):
    kinds = ("Ready", "ContainersReady", "PodScheduled")
    conditions = tuple(PodCondition(type=k, status="True", last_transition_time=format_time(0)) for k in kinds)
    return Pod(
        metadata=ObjectMeta(name=name, namespace="ns", uid=name),
        spec=PodSpec(node_name=on),
        status=PodStatus(phase="Running", conditions=conditions),
    )


def loop(*objects, of=concerns, now=NOW):
    cycle = Cycle(Snapshot.of(objects), of())
    settle(cycle, now)
    return cycle


def settle(cycle, now):
    cycle.ctx.start(now)
    cycle.settle(now)


def taints(cycle, name="n"):
    found = cycle.ws.find(Node, "", name).spec.taints
    return [f"{taint.key.removeprefix(PREFIX)}:{taint.effect}" for taint in found]


def status_of(cycle, kind="Ready", name="n"):
    return next(c for c in cycle.ws.find(Node, "", name).status.conditions if c.type == kind)


def emptied(cycle):
    """The nodes with a NoExecute taint."""
    nodes = cycle.ws.objects(Node)
    return [n.metadata.name for n in nodes if any(t.effect == "NoExecute" for t in n.spec.taints)]


# -- taints by condition


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (node(), []),
        (node(ready=""), []),
        (node(MemoryPressure="True"), ["memory-pressure"]),
        (node(DiskPressure="True", PIDPressure="True"), ["disk-pressure", "pid-pressure"]),
        (node(NetworkUnavailable="True", MemoryPressure="Unknown"), ["network-unavailable"]),
        (node(cordoned=True), ["unschedulable"]),
        (node(ready="False"), ["not-ready"]),
        (node(ready="Unknown"), ["unreachable"]),
        (node(taints=["not-ready:NoSchedule"]), []),
        (node(ready="", taints=["not-ready:NoSchedule"]), []),
        (node(taints=["unschedulable:NoSchedule", "memory-pressure:NoSchedule"]), []),
        (node(ready="Unknown", taints=["not-ready:NoSchedule"]), ["unreachable"]),
    ],
    ids=[
        "in order",
        "never reported",
        "memory",
        "disk and processes",
        "network",
        "cordoned",
        "not ready",
        "unknown",
        "new, and ready by now",
        "written by hand",
        "better again",
        "worse",
    ],
)
def test_conditions_become_taints(given, wanted):
    """NoSchedule, each with the time at which it was added; those that don't hold any more go."""
    cycle = loop(given)
    found = [taint for taint in cycle.ws.find(Node, "", "n").spec.taints if taint.effect == "NoSchedule"]
    assert [taint.key.removeprefix(PREFIX) for taint in found] == wanted
    assert all(taint.time_added == format_time(NOW) for taint in found)
    assert_settled(cycle, concerns, NOW)


def test_others_taints_stay():
    own = (Taint(key="gpu", effect="NoSchedule"), Taint(key=PREFIX + "memory-pressure", effect="PreferNoSchedule"))
    given = node(taints=["not-ready:NoSchedule"])
    cycle = loop(replace(given, spec=replace(given.spec, taints=(*own, *given.spec.taints))))
    assert cycle.ws.find(Node, "", "n").spec.taints == own


def test_a_reason_is_given():
    (action,) = loop(node(cordoned=True)).ctx.actions
    assert action.why == (
        "by the conditions and spec.unschedulable of node n its NoSchedule taints are "
        "node.kubernetes.io/unschedulable, not none"
    )


# -- who is emptied


@pytest.mark.parametrize(("status", "key"), [("False", "not-ready"), ("Unknown", "unreachable")])
def test_a_node_that_is_not_ready_is_emptied(status, key):
    """If others are ready; until it is ready again."""
    cycle = loop(node(ready=status), node("other"))
    assert taints(cycle) == [f"{key}:NoSchedule", f"{key}:NoExecute"]
    assert_settled(cycle, concerns, NOW)
    cycle.ws.put(replace(cycle.ws.find(Node, "", "n"), status=node().status))
    settle(cycle, NOW + SECOND)
    assert taints(cycle) == []
    assert_settled(cycle, concerns, NOW + SECOND)


def test_a_node_is_only_ever_one_of_not_ready_and_unreachable():
    """One takes the place of the other at once, whoever's turn it is."""
    cycle = loop(node("a", "False"), node("b", "False"), node("c"))
    assert emptied(cycle) == ["a"]
    cycle.ws.put(replace(cycle.ws.find(Node, "", "a"), status=node(ready="Unknown").status))
    settle(cycle, NOW + SECOND)
    assert taints(cycle, "a") == ["unreachable:NoSchedule", "unreachable:NoExecute"]


def test_nodes_of_a_zone_are_emptied_one_after_the_other():
    """One each ten seconds, who has been in trouble the longest first; each zone by itself."""
    late = {"b": 1, "a": 2, "c": 3}
    nodes = [node(name, "False", since=NOW - 60 * SECOND + at * SECOND, zone="1") for name, at in late.items()]
    others = [node(f"ok{number}", zone="1") for number in range(4)]
    cycle = loop(*nodes, *others, node("z", "False", zone="2"), node("y", zone="2"))
    assert emptied(cycle) == ["b", "z"]
    assert [text for _, _, text in said(cycle)] == [
        f"node {name} is not ready; nodes of its zone are emptied one after the other, this one from {at} on"
        for name, at in (("a", "2026-01-01T00:00:10Z"), ("c", "2026-01-01T00:00:20Z"))
    ]
    assert_settled(cycle, concerns, NOW)
    for at, wanted in ((9, ["b", "z"]), (10, ["a", "b", "z"]), (19, ["a", "b", "z"]), (20, ["a", "b", "c", "z"])):
        settle(cycle, NOW + at * SECOND)
        assert emptied(cycle) == wanted
    assert cycle.wake_at is None


def test_when_no_node_is_ready_none_is_emptied():
    """It may be the control plane that is cut off. With the first one that is ready again it goes on."""
    cycle = loop(node("a", "Unknown", zone="1"), node("b", zone="2"))
    assert emptied(cycle) == ["a"]
    cycle.ws.put(node("b", "Unknown", zone="2"))
    settle(cycle, NOW + SECOND)
    assert emptied(cycle) == []
    assert taints(cycle, "a") == taints(cycle, "b") == ["unreachable:NoSchedule"]
    assert {text.split(" is ", 1)[1] for _, _, text in said(cycle)} == {
        "not ready, but neither are too many others: as long as that is so, its pods stay"
    }
    assert_settled(cycle, concerns, NOW + SECOND)
    cycle.ws.put(node("b", zone="2"))
    settle(cycle, NOW + 2 * SECOND)
    assert emptied(cycle) == ["a"]


@pytest.mark.parametrize(
    ("unready", "ready", "second"),
    [(2, 1, 10), (3, 3, 10), (3, 2, None), (30, 20, None), (30, 21, 100), (28, 23, 10)],
    ids=["few", "half", "most of a small zone", "most of a zone of 50", "most of a large zone", "under 55 %"],
)
def test_a_disrupted_zone_is_emptied_more_slowly_or_not_at_all(unready, ready, second):
    """More than two nodes, and 55 % of them: at a tenth of the rate in a zone of more than 50 nodes, else not."""
    nodes = [node(f"bad{n:02}", "False") for n in range(unready)] + [node(f"good{n:02}") for n in range(ready)]
    cycle = loop(*nodes, node("elsewhere", zone="2"))
    assert emptied(cycle) == ([] if second is None else ["bad00"])
    assert cycle.wake_at == (None if second is None else NOW + second * SECOND)


def test_an_excluded_node_does_not_count():
    """It is emptied, but says nothing about its zone."""
    excluded = {PREFIX + "exclude-disruption": ""}
    nodes = [node(f"bad{n}", "False", labels=excluded) for n in range(3)]
    assert emptied(loop(*nodes, node("good"))) == ["bad0"]


# -- silence


def test_a_kubelet_that_is_silent_for_50_seconds_is_noticed():
    """Everything that it reports on is unknown, its pods aren't ready any more, and pods leave in their time."""
    cycle = loop(node(MemoryPressure="False"), node("other"), lease(), running(), running("q"), of=listeners)
    assert (cycle.ctx.actions, cycle.wake_at) == ([], NOW + 50 * SECOND)
    settle(cycle, NOW + 49 * SECOND)
    assert cycle.ctx.actions == []
    at = NOW + 50 * SECOND
    settle(cycle, at)
    for kind in ("Ready", "MemoryPressure"):
        found = status_of(cycle, kind)
        assert (found.status, found.reason, found.message) == (
            "Unknown",
            "NodeStatusUnknown",
            "Kubelet stopped posting node status.",
        )
        assert (found.last_heartbeat_time, found.last_transition_time) == (format_time(NOW), format_time(at))
    assert status_of(cycle, "DiskPressure").reason == "NodeStatusNeverUpdated"
    assert taints(cycle) == ["unreachable:NoSchedule", "unreachable:NoExecute"]
    assert [is_ready(pod) for pod in cycle.ws.objects(Pod)] == [False, False]
    assert [c.status for c in cycle.ws.find(Pod, "ns", "p").status.conditions] == ["False", "True", "True"]
    assert [(str(e.target), e.type, e.reason, e.message) for e in cycle.ctx.events] == [
        ("node/n", "Normal", "NodeNotReady", "Node n status is now: NodeNotReady"),
        ("pod/ns/p", "Warning", "NodeNotReady", "Node is not ready"),
        ("pod/ns/q", "Warning", "NodeNotReady", "Node is not ready"),
    ]
    assert cycle.wake_at is None


def test_a_kubelet_that_comes_back_is_listened_to_again():
    cycle = loop(node(), node("other"), lease(), of=listeners)
    settle(cycle, NOW + 50 * SECOND)
    cycle.ws.put(lease(NOW + 60 * SECOND))
    settle(cycle, NOW + 60 * SECOND)
    assert status_of(cycle).status == "Unknown", "only its own report says that it is ready"
    known = cycle.ws.find(Node, "", "n")
    cycle.ws.put(replace(known, status=node(since=NOW + 60 * SECOND).status))
    settle(cycle, NOW + 60 * SECOND)
    assert (taints(cycle), cycle.wake_at) == ([], NOW + 110 * SECOND)


def test_renewing_a_lease_causes_no_work():
    """It is looked at when it is time to: then what counts is the last renewal."""
    cycle = loop(node(), lease(), of=listeners)
    for at in (10, 20, 30, 40):
        cycle.ws.put(lease(NOW + at * SECOND))
        settle(cycle, NOW + at * SECOND)
        assert cycle.wake_at == NOW + 50 * SECOND
    settle(cycle, NOW + 50 * SECOND)
    assert (cycle.ctx.actions, cycle.wake_at) == ([], NOW + 90 * SECOND)
    settle(cycle, NOW + 90 * SECOND)
    assert status_of(cycle).status == "Unknown"


def test_a_report_counts_as_much_as_a_renewal():
    """The heartbeat time of Ready; a report that says nothing new makes nothing due."""
    cycle = loop(node(), lease(), of=listeners)
    cycle.ws.put(node(since=NOW + 40 * SECOND))
    settle(cycle, NOW + 50 * SECOND)
    assert (status_of(cycle).status, cycle.wake_at) == ("True", NOW + 90 * SECOND)


@pytest.mark.parametrize("skew", [-3600, 3600], ids=["slow", "fast"])
def test_a_kubelets_clock_may_be_wrong(skew):
    """How long nothing came is taken from the clock here."""
    cycle = loop(node(since=0), lease(NOW + skew * SECOND), of=listeners)
    cycle.ws.put(lease(NOW + (skew + 30) * SECOND))
    settle(cycle, NOW + 50 * SECOND)
    assert cycle.wake_at == NOW + 80 * SECOND
    settle(cycle, NOW + 80 * SECOND)
    assert status_of(cycle).status == "Unknown"


def test_after_a_long_stop_kubelets_have_their_time_again():
    """Neither a control plane that starts again nor a machine that slept takes its own absence for theirs."""
    hour = 3600 * SECOND
    assert loop(node(), lease(), of=listeners, now=NOW + hour).wake_at == NOW + hour + 50 * SECOND
    cycle = loop(node(), lease(), of=listeners)
    cycle.ws.put(lease(NOW + hour))
    settle(cycle, NOW + hour)
    assert (status_of(cycle).status, cycle.wake_at) == ("True", NOW + hour + 50 * SECOND)


def test_a_kubelet_that_never_reported_has_60_seconds():
    cycle = loop(node(ready=""), lease(), of=listeners)
    assert cycle.wake_at == NOW + 60 * SECOND
    settle(cycle, NOW + 60 * SECOND)
    found = status_of(cycle)
    assert (found.status, found.reason, found.message) == (
        "Unknown",
        "NodeStatusNeverUpdated",
        "Kubelet never posted node status.",
    )
    assert cycle.ctx.events == []


def test_a_node_without_a_lease_is_not_listened_to():
    """Until its kubelet takes one; and in a plan no node is."""
    cycle = loop(node(), of=listeners)
    assert cycle.wake_at is None
    cycle.ws.put(lease(NOW + 5 * SECOND))
    settle(cycle, NOW + 5 * SECOND)
    assert cycle.wake_at == NOW + 55 * SECOND
    assert loop(node(), lease()).wake_at is None


def test_a_node_without_a_lease_that_has_reported_again_is_listened_to():
    """A status that was written once may be by hand; one that is written again is a kubelet's."""
    cycle = loop(node(), of=listeners)
    cycle.ws.put(node(since=NOW + 10 * SECOND))
    settle(cycle, NOW + 10 * SECOND)
    assert cycle.wake_at == NOW + 60 * SECOND
    settle(cycle, NOW + 60 * SECOND)
    assert status_of(cycle).status == "Unknown"
    quiet = loop(node())
    quiet.ws.put(node(since=NOW + 10 * SECOND))
    settle(quiet, NOW + 10 * SECOND)
    assert quiet.wake_at is None


def test_nodes_that_come_and_go_are_told_of():
    """Not those that were there before; and not in a plan, where nobody watches."""
    cycle = loop(node("old"), of=listeners)
    assert cycle.ctx.events == []
    cycle.ctx.start(NOW)
    cycle.ws.put(node("new"))
    cycle.settle(NOW)
    cycle.ws.remove(Key("Node", "", "new"))
    cycle.settle(NOW)
    assert [(str(e.target), e.type, e.reason, e.message) for e in cycle.ctx.events] == [
        ("node/new", "Normal", "RegisteredNode", "Node new event: Registered Node new in Controller"),
        ("node/new", "Normal", "RemovingNode", "Node new event: Removing Node new from Controller"),
    ]
    silent = loop(node("old"))
    silent.ws.put(node("new"))
    silent.settle(NOW)
    assert silent.ctx.events == []


def test_a_node_that_reports_that_it_is_not_ready_keeps_its_pods_status():
    """Its kubelet is there, and says itself how they are."""
    cycle = loop(node(ready="False"), node("other"), running())
    assert is_ready(cycle.ws.find(Pod, "ns", "p"))


def test_a_node_that_is_gone_is_forgotten():
    cycle = loop(node(), lease(), of=listeners)
    cycle.ws.remove(Key("Node", "", "n"))
    settle(cycle, NOW + 100 * SECOND)
    assert (cycle.ctx.actions, cycle.wake_at) == ([], None)


STATES = st.lists(
    st.tuples(st.sampled_from(["True", "False", "Unknown", ""]), st.sampled_from(["1", "2"]), st.integers(0, 9)),
    min_size=1,
    max_size=9,
)


@given(before=STATES, after=STATES)
def test_it_rests_and_knows_no_history(before, after):
    """After any change of any nodes a loop that was there before says what a fresh one says."""
    cycle = loop(*(node(f"n{n}", ready, zone=zone, since=NOW - at) for n, (ready, zone, at) in enumerate(before)))
    for number, (ready, zone, at) in enumerate(after):
        known = cycle.ws.find(Node, "", f"n{number}")
        wanted = node(f"n{number}", ready, zone=zone, since=NOW + at)
        cycle.ws.put(wanted if known is None else replace(known, metadata=wanted.metadata, status=wanted.status))
    settle(cycle, NOW + SECOND)
    assert_settled(cycle, concerns, NOW + SECOND)
