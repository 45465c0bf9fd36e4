"""DaemonSets: as recorded from Kubernetes, and what holds for any sequence of events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import NOW, SECOND, assert_settled, befall, report, said
from recorded import Player, case_names, load_case

from reconciler.cycle import Cycle
from rules.daemon_pods import target_node, tolerations
from rules.daemonsets import DaemonSets
from rules.garbage import Garbage
from rules.pod_garbage import PodGarbage
from rules.pods import is_active, is_ready
from state.defaults import default
from state.dump import dump
from state.load import from_dict
from state.objects import (
    Affinity,
    ControllerRevision,
    DaemonSet,
    Node,
    NodeSpec,
    ObjectMeta,
    Pod,
    PodSpec,
    Taint,
    Toleration,
    replace,
)
from state.snapshot import Key, Snapshot

KEY = Key("DaemonSet", "ns", "agent")


def concerns():
    return [Garbage(), PodGarbage(), DaemonSets()]


class RollOut(Player):
    """Replays the rolling updates, too: after each one all that isn't ready yet is made ready, pod by pod."""

    def __init__(self, case, concerns):
        super().__init__(case, concerns)
        self.series = []

    def step(self, step, response):
        if step["op"] == "record" and step.get("note", "").startswith("pods-by-image"):
            self._note("image change")
            while waiting := [pod for pod in self.ws.objects(Pod) if not is_ready(pod)]:
                self.report(waiting[0], ready=True)
                self.settle()
                self._note("one ready")
            return
        super().step(step, response)

    def _note(self, after):
        (ds,) = self.ws.objects(DaemonSet)
        pods = sorted([pod.spec.containers[0].image, not is_ready(pod)] for pod in self.ws.objects(Pod))
        self.series.append({"after": after, "status": dump(ds)["status"], "pods-by-image": pods})

    def _schedule(self):
        """Pods of a DaemonSet go to the node that they are pinned to."""
        bound = False
        for pod in self.ws.objects(Pod):
            if pod.spec.node_name or pod.metadata.deletion_timestamp:
                continue
            affinity = pod.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
            self.ctx.now = self.now
            self.ctx.because("stand-in-scheduler", {}, "pinned")
            self.ctx.bind(pod, affinity.node_selector_terms[0].match_fields[0].values[0])
            bound = True
        return bound


def replay(name):
    return RollOut(load_case(name), concerns()).play()


@pytest.mark.parametrize("name", case_names("ds-"))
def test_does_as_recorded(name):
    """States after each step equal those of a real control plane, and so does each step of a rolling update."""
    player = replay(name)
    assert player.mismatches() == []
    assert player.series == player.case["expected"]["snapshots"].get("series", [])
    assert_settled(player.cycle, concerns, player.now)


def daemonset(image="img:1", pod=None, **spec):
    labels = {"app": "agent"}
    template = {"containers": [{"name": "c", "image": image}], **(pod or {})}
    document = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "ns", "uid": "uid-agent", "generation": 1},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template},
            **spec,
        },
    }
    return default(from_dict(document))


def node(name, labels=None, *taints):
    return Node(metadata=ObjectMeta(name=name, uid=name, labels=labels or {}), spec=NodeSpec(taints=taints))


def loop(*objects):
    return Cycle(Snapshot.of(objects), concerns())


def nodes_of(cycle):
    return sorted(target_node(pod) for pod in cycle.ws.objects(Pod) if is_active(pod))


def test_no_pod_where_a_taint_is_not_tolerated():
    """A hard taint keeps the pod away, one of a node in trouble, or a soft one, doesn't."""
    taints = {
        "hard": Taint(key="x", effect="NoSchedule"),
        "soft": Taint(key="x", effect="PreferNoSchedule"),
        "cordoned": Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule"),
        "lost": Taint(key="node.kubernetes.io/unreachable", effect="NoExecute"),
    }
    cycle = loop(daemonset(), *(node(name, None, taint) for name, taint in taints.items()))
    cycle.settle(NOW)
    assert nodes_of(cycle) == ["cordoned", "lost", "soft"]


def test_tolerations_of_the_template_are_kept():
    """Those of nodes in trouble come after the template's own, or in the place of one that gives a time; with host
    networking there is one more.
    """
    timed = Toleration(key="node.kubernetes.io/not-ready", operator="Exists", effect="NoExecute", toleration_seconds=5)
    own = Toleration(key="x", operator="Exists")
    found = tolerations(PodSpec(tolerations=(timed, own), host_network=True))
    assert found[:2] == (replace(timed, toleration_seconds=None), own)
    assert len(found) == 1 + 7
    assert found[-1].key == "node.kubernetes.io/network-unavailable"


def test_the_pin_keeps_preferences():
    """Only the required node affinity is replaced by the node's name."""
    preferred = {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}}
    cycle = loop(daemonset(pod={"affinity": affinity}), node("n"))
    cycle.settle(NOW)
    (pod,) = cycle.ws.objects(Pod)
    assert isinstance(pod.spec.affinity, Affinity)
    assert len(pod.spec.affinity.node_affinity.preferred_during_scheduling_ignored_during_execution) == 1
    assert target_node(pod) == "n"


def test_says_that_no_node_suits():
    """A set that runs nowhere says so."""
    cycle = loop(daemonset(pod={"nodeSelector": {"gpu": "yes"}}), node("n"))
    cycle.settle(NOW)
    assert said(cycle) == [("daemonsets", str(KEY), "agent runs nowhere: none of 1 nodes suits it")]


def test_a_pod_that_fails_at_once_is_not_made_anew_at_once():
    """A node that refuses the pod again and again gets one a second."""
    cycle = loop(daemonset(), node("n"))
    cycle.settle(NOW)
    (pod,) = cycle.ws.objects(Pod)
    spec = replace(pod.spec, node_name="n")
    cycle.ws.put(replace(pod, spec=spec, status=replace(pod.status, phase="Failed")))
    cycle.settle(NOW)
    assert [pod.status.phase for pod in cycle.ws.objects(Pod)] == ["Failed"]
    assert cycle.wake_at == NOW + SECOND
    cycle.settle(NOW + SECOND)
    assert [pod.status.phase for pod in cycle.ws.objects(Pod)] == ["Pending"]
    assert cycle.ctx.events[-1].reason == "FailedDaemonPod"


def test_wakes_when_a_pod_becomes_available():
    """With minReadySeconds the status is worked out again at the time a ready pod counts."""
    cycle = loop(daemonset(minReadySeconds=30), node("n"))
    cycle.settle(NOW)
    (pod,) = cycle.ws.objects(Pod)
    report(cycle, pod, ready=True, node=target_node(pod))
    cycle.settle(NOW)
    assert cycle.ws.find(DaemonSet, "ns", "agent").status.number_available is None
    assert cycle.wake_at == NOW + 30 * SECOND
    cycle.settle(NOW + 30 * SECOND)
    assert cycle.ws.find(DaemonSet, "ns", "agent").status.number_available == 1


ROLLING_ONE = {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1}}}
SURGING_ONE = {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}}


def images(cycle):
    return sorted(pod.spec.containers[0].image for pod in cycle.ws.objects(Pod) if is_active(pod))


def update(cycle, image, **spec):
    ds = cycle.ws.find(DaemonSet, "ns", "agent")
    cycle.ctx.start(NOW)
    cycle.ctx.because("test", {}, "")
    cycle.ctx.update(replace(ds, spec=daemonset(image, **spec).spec))
    cycle.settle(NOW)


def all_gone(cycle):
    """The pods that were ending have ended."""
    for pod in cycle.ws.objects(Pod):
        if not is_active(pod):
            cycle.ws.remove(Key.of(pod))
    cycle.settle(NOW)


def all_ready(cycle):
    for pod in cycle.ws.objects(Pod):
        report(cycle, pod, ready=True, node=target_node(pod))
    cycle.settle(NOW)


def test_pods_that_never_became_ready_count_as_unavailable():
    """Bad updates one after the other replace the same pod again and again, not the ones that still serve."""
    cycle = loop(daemonset(**ROLLING_ONE), *map(node, "abc"))
    cycle.settle(NOW)
    all_ready(cycle)
    for image in ("bad:1", "bad:2", "bad:3"):
        update(cycle, image, **ROLLING_ONE)
        all_gone(cycle)
        assert images(cycle) == [image, "img:1", "img:1"]


@pytest.mark.parametrize(("ready", "left"), [(True, ["img:1", "img:2"]), (False, ["img:2"])])
def test_surging_leaves_a_serving_pod_where_none_would_be_made_any_more(ready, left):
    """It goes only when enough others are available; one that doesn't serve goes at once."""
    cycle = loop(daemonset(**SURGING_ONE), node("a"), node("b"))
    cycle.settle(NOW)
    all_ready(cycle)
    cycle.ws.put(node("a", None, Taint(key="x", effect="NoSchedule")))
    for pod in cycle.ws.objects(Pod):
        report(cycle, pod, ready=ready and target_node(pod) == "a", node=target_node(pod))
    update(cycle, "img:2", **SURGING_ONE)
    assert images(cycle) == left
    all_ready(cycle)
    assert images(cycle) == ["img:2"]


def test_surging_makes_a_pod_beside_one_that_ends():
    """Where pods may surge a node needn't wait until the former pod is gone."""
    cycle = loop(daemonset(**SURGING_ONE), node("a"))
    cycle.settle(NOW)
    all_ready(cycle)
    cycle.ctx.start(NOW)
    cycle.ctx.delete(*cycle.ws.objects(Pod))
    cycle.settle(NOW)
    assert [is_active(pod) for pod in cycle.ws.objects(Pod)].count(True) == 1
    assert len(cycle.ws.objects(Pod)) == 2


def test_an_adopted_pod_without_a_node_is_left_alone():
    """It counts for no node, and so is none too many."""
    pod = Pod(metadata=ObjectMeta(name="lone", namespace="ns", uid="lone", labels={"app": "agent"}))
    cycle = loop(daemonset(), node("a"), pod)
    cycle.settle(NOW)
    assert sorted(target_node(pod) for pod in cycle.ws.objects(Pod)) == ["", "a"]
    assert all(pod.metadata.owner_references for pod in cycle.ws.objects(Pod))


def test_of_revisions_with_one_template_the_newest_is_kept():
    """Those that were taken over under other names go, and pods of theirs count as being of the one that stays."""
    cycle = loop(daemonset(), node("a"))
    cycle.settle(NOW)
    all_ready(cycle)
    (kept,) = cycle.ws.objects(ControllerRevision)
    label = "controller-revision-hash"
    twin = replace(
        kept,
        revision=kept.revision - 1,
        metadata=replace(
            kept.metadata, name="twin", uid="twin", owner_references=(), labels={"app": "agent", label: "x"}
        ),
    )
    (pod,) = cycle.ws.objects(Pod)
    cycle.ws.put(replace(pod, metadata=replace(pod.metadata, labels={"app": "agent", label: "x"})))
    cycle.ws.put(twin)
    cycle.settle(NOW)
    assert cycle.ws.objects(ControllerRevision) == [kept]
    (same,) = cycle.ws.objects(Pod)
    assert (same.metadata.uid, same.metadata.labels[label]) == (pod.metadata.uid, kept.metadata.labels[label])


# -- any sequence of events --------------------------------------------------------------------------------------------

EVENTS = st.one_of(
    st.tuples(st.just("image"), st.integers(0, 2)),
    st.tuples(st.sampled_from(["ready", "unready", "fail", "delete", "gone", "disown", "relabel"]), st.integers(0, 9)),
    st.tuples(st.sampled_from(["node", "taint", "label"]), st.integers(0, 4)),
    st.tuples(st.just("time"), st.integers(1, 40)),
)
ROLLING = st.sampled_from([(1, 0), (0, 1), (2, 0), ("50%", 0), (0, "50%")])


def happen(cycle, event, number, spec, now):
    """Lets one thing happen to the set, to a node, or to one of the pods."""
    if event == "image":
        ds = cycle.ws.find(DaemonSet, "ns", "agent")
        cycle.ctx.update(replace(ds, spec=daemonset(f"img:{number}", **spec).spec))
    elif event in ("node", "taint", "label"):
        name = f"n{number}"
        live = cycle.ws.find(Node, "", name)
        if live is None:
            cycle.ws.put(node(name))
        elif event == "node":
            cycle.ws.remove(Key("Node", "", name))
        elif event == "taint":
            taints = () if live.spec.taints else (Taint(key="x", effect=("NoSchedule", "NoExecute")[number % 2]),)
            cycle.ws.put(replace(live, spec=replace(live.spec, taints=taints)))
        else:
            labels = {} if live.metadata.labels else {"off": "yes"}
            cycle.ws.put(replace(live, metadata=replace(live.metadata, labels=labels)))
    pods = cycle.ws.objects(Pod)
    if not pods or event in ("image", "node", "taint", "label", "time"):
        return
    pod = pods[number % len(pods)]
    if event in ("ready", "unready"):
        report(cycle, pod, ready=event == "ready", now=now, node=target_node(pod))
    else:
        befall(cycle, pod, event, {"app": "other"})


@settings(max_examples=120)
@given(st.lists(EVENTS, max_size=14), ROLLING, st.sampled_from([{}, {"minReadySeconds": 20}]))
def test_settles_whatever_happens(events, rolling, extra):
    """One pod on each node that suits, two only while surging; a cold loop agrees."""
    unavailable, surge = rolling
    absent = {"key": "off", "operator": "DoesNotExist"}
    required = {"nodeSelectorTerms": [{"matchExpressions": [absent]}]}
    spec = {
        "pod": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}},
        "updateStrategy": {"rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}},
        **extra,
    }
    cycle = loop(daemonset(**spec), node("n0"), node("n1"))
    now = NOW
    for event, number in [("time", 1), *events]:
        now += number * SECOND if event == "time" else 0
        cycle.ctx.start(now)
        cycle.ctx.because("test", {}, "")
        happen(cycle, event, number, spec, now)
        cycle.settle(now)
        ds = cycle.ws.find(DaemonSet, "ns", "agent")
        per_node = {}
        for pod in cycle.ws.owned(ds, Pod):
            if is_active(pod):
                per_node[target_node(pod)] = per_node.get(target_node(pod), 0) + 1
        assert all(count <= (2 if surge else 1) for count in per_node.values())
        assert all(not cycle.ws.find(Node, "", name).metadata.labels for name in per_node)
        assert len(cycle.ws.objects(ControllerRevision)) <= 3
    assert_settled(cycle, concerns, now)
