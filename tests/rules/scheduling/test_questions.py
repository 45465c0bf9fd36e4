"""Diagnoses, capacity, and what draining a node would do."""

import numpy as np
import pytest

from rules.scheduling import (
    ClusterError,
    ColumnPlugin,
    Scheduler,
    capacity,
    drain,
    load_configuration,
    schedule_cluster,
)
from rules.scheduling.admission import admitted
from rules.scheduling.capacity import ForeignPod
from rules.scheduling.drain import UnknownNode
from rules.scheduling.overlay import Overlay

RS = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1", "controller": True}]


def node(name, cpu="2", **spec):
    """A node in zone a."""
    have = {"cpu": cpu, "memory": "8Gi", "pods": "10"}
    labels = {"topology.kubernetes.io/zone": "a", "kubernetes.io/hostname": name}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"allocatable": have}}


def pod(name, cpu="1", node=None, **spec):
    """A pod of a ReplicaSet."""
    container = {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
    made = {"containers": [container], **spec}
    if "port" in made:
        container["ports"] = [{"containerPort": 80, "hostPort": made.pop("port")}]
    if node:
        made["nodeName"] = node
    return {"metadata": {"name": name, "uid": name, "labels": {"app": "web"}, "ownerReferences": RS}, "spec": made}


def find(view, name):
    """A pod of the view."""
    return view.table("Pod")["default", name]


def test_a_diagnosis_says_by_how_much_a_node_is_too_full():
    view = admitted(
        {"nodes": [node("a"), node("b")], "pods": [pod("x", "1500m", "a"), pod("y", node="b"), pod("p", "1300m")]}
    )
    diagnosis = Scheduler(view).diagnose(find(view, "p"))
    assert diagnosis.fit_error.startswith("0/2 nodes are available: 2 Insufficient cpu.")
    assert [verdict.lacking[0]["short"] for verdict in diagnosis.nodes] == [800, 300]
    assert diagnosis.change == "it would fit on b with 300m CPU more"
    assert "not on a: Insufficient cpu (short of 800m CPU)  [NodeResourcesFit]" in str(diagnosis)
    assert diagnosis.to_dict()["nodes"]["b"]["lacking"][0]["short"] == 300


def test_a_diagnosis_names_who_takes_the_port_and_which_taint_is_in_the_way():
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    view = admitted(
        {"nodes": [node("a"), node("b", taints=[taint])], "pods": [pod("x", node="a", port=80), pod("p", port=80)]}
    )
    text = str(Scheduler(view).diagnose(find(view, "p")))
    assert "port 80/TCP is taken by default/x" in text
    assert "taint gpu=yes:NoSchedule" in text


def test_a_diagnosis_names_the_pods_that_keep_a_pod_away():
    hosts = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
    zones = {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {"matchLabels": {"app": "db"}}}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    apart, near = {"podAntiAffinity": {required: [hosts]}}, {"podAffinity": {required: [zones]}}
    pods = [pod("x", node="a", affinity=apart), pod("p", affinity=apart), pod("n", affinity=near), pod("q")]
    view = admitted({"nodes": [node("a")], "pods": pods})
    scheduler = Scheduler(view)
    assert "avoids default/x in the same kubernetes.io/hostname" in str(scheduler.diagnose(find(view, "p")))
    assert "is avoided by default/x in the same kubernetes.io/hostname" in str(scheduler.diagnose(find(view, "q")))
    assert "wants to be near app=db" in str(scheduler.diagnose(find(view, "n")))


def test_a_diagnosis_of_a_placed_pod_compares_its_node_with_the_others():
    view = admitted({"nodes": [node("a"), node("b")], "pods": [pod("p", "500m", "a"), pod("x", "500m", "a")]})
    scheduler = Scheduler(view)
    diagnosis = scheduler.diagnose(find(view, "p"))
    assert (diagnosis.current, diagnosis.best) == ("a", ("b",))
    assert str(diagnosis).startswith("on a, which is not the best as things stand\nbest: b with ")
    assert scheduler.cluster.pods["default", "p"][1].name == "a"


def test_a_diagnosis_tells_whom_preemption_would_evict():
    view = admitted({"nodes": [node("a")], "pods": [pod("x", "2", "a"), pod("p", priority=10)]})
    diagnosis = Scheduler(view).diagnose(find(view, "p"))
    assert (diagnosis.nominated_node, diagnosis.victims) == ("a", (("default", "x"),))


def test_capacity_counts_copies_and_says_what_runs_out():
    view = admitted({"nodes": [node("a"), node("b", "3")], "pods": [pod("p", "1")]})
    found = capacity(view, find(view, "p"))
    assert (found.total, dict(found.by_node)) == (5, {"a": 2, "b": 3})
    assert found.limits == {"a": ("Insufficient cpu",), "b": ("Insufficient cpu",)}
    assert found.reason.startswith("0/2 nodes are available: 2 Insufficient cpu.")
    assert capacity(view, find(view, "p"), most=2).total == 2


def test_draining_moves_what_fits_and_respects_budgets():
    budget = {
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": {"disruptionsAllowed": 2, "currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3},
    }
    pods = [pod("p1", node="a", priority=9), pod("p2", node="a"), pod("p3", node="a")]
    view = admitted({"nodes": [node("a", "4"), node("b", "1")], "pods": pods, "podDisruptionBudgets": [budget]})
    moves = {move.pod[1]: (move.what, move.to) for move in drain(view, "a")}
    assert moves["p1"] == ("moves", "b")
    assert moves["p2"] == ("fits nowhere", None)
    assert moves["p3"] == ("protected by a PodDisruptionBudget", None)
    assert find(view, "p1").spec.node_name == "a"


def test_questions_go_by_the_profile_that_a_pod_asks_for():
    strict = {"schedulerName": "strict", "plugins": {"filter": {"enabled": [{"name": "Never"}]}}}
    head = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
    profiles = tuple(load_configuration({**head, "profiles": [{}, strict]}, {"Never": Never}).values())
    pods = [
        pod("p", "500m", "a"),
        pod("s", "500m", "a", schedulerName="strict"),
        pod("x", "500m", "a", schedulerName="nobody"),
    ]
    view = admitted({"nodes": [node("a"), node("b")], "pods": pods})
    assert capacity(view, find(view, "s"), profiles=profiles).first == {"never": 2}
    assert capacity(view, find(view, "p"), profiles=profiles).total == 5
    with pytest.raises(ForeignPod, match="asks for the scheduler nobody"):
        capacity(view, find(view, "x"), profiles=profiles)
    moves = {move.pod[1]: (move.what, move.to) for move in drain(view, "a", profiles=profiles)}
    assert moves["p"] == ("moves", "b")
    assert moves["s"] == ("fits nowhere", None)
    assert moves["x"] == ("leaves; another scheduler decides where to", None)


class Never(ColumnPlugin):
    """Refuses every node."""

    name = "Never"
    reason = "never"

    def fits(self, pod, nodes):
        return np.zeros(nodes.size, dtype=bool)


@pytest.mark.parametrize(
    ("wish", "leaving"),
    [
        ({"maxUnavailable": 1}, 1),
        ({"minAvailable": 1}, 2),
        ({"maxUnavailable": "50%"}, 2),
        ({"minAvailable": "100%"}, 0),
    ],
)
def test_a_budget_without_a_status_counts_as_if_its_pods_were_healthy(wish, leaving):
    budget = {"metadata": {"name": "b", "namespace": "default"}, "spec": wish}
    budget["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    pods = [pod(f"p{number}", "500m", node="a") for number in range(3)]
    view = admitted({"nodes": [node("a"), node("b", "4")], "pods": pods, "podDisruptionBudgets": [budget]})
    moves = drain(view, "a")
    assert [move.what for move in moves].count("moves") == leaving
    assert all(move.reason == f"b allows {leaving} of its 3 to go" for move in moves if move.what != "moves")


def test_dropping_the_last_object_of_a_kind_leaves_none():
    view = admitted({"pods": [pod("p")]})
    overlay = Overlay(view)
    overlay.drop(find(view, "p"))
    assert not overlay.table("Pod")
    assert view.table("Pod")


def test_draining_an_unknown_node_is_an_error():
    with pytest.raises(UnknownNode, match='node "x" not found'):
        drain(admitted({}), "x")


def test_bad_clusters_are_refused_with_the_path():
    with pytest.raises(ClusterError) as caught:
        schedule_cluster({"pods": [{"metadata": {"name": "a"}, "spec": {"containers": [{"name": 1}]}}]})
    assert caught.value.path == "cluster.pods[0]"
    with pytest.raises(ClusterError, match=r"cluster.podz: unknown list"):
        schedule_cluster({"podz": []})


def test_odd_but_valid_input_gets_the_schedulers_answer():
    """A claim that doesn't exist, a node without allocatable, a topology key that no node has."""
    claim = [{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]
    spread = [{"topologyKey": "moon", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}]
    bare = {"metadata": {"name": "bare"}}
    answers = schedule_cluster(
        {
            "nodes": [node("a"), bare],
            "pods": [pod("c", volumes=claim), pod("s", topologySpreadConstraints=spread), pod("big", "9")],
        }
    )
    text = {answer["pod"]: answer["fitError"] for answer in answers}
    assert text["default/c"] == '0/2 nodes are available: persistentvolumeclaim "none" not found. not found'
    assert "1 node(s) didn't match pod topology spread constraints (missing required label)" in text["default/s"]
    assert text["default/big"].startswith(
        "0/2 nodes are available: 1 Insufficient memory, 1 Too many pods, 2 Insufficient cpu."
    )


def test_what_was_assumed_is_kept_until_bound_and_retried_without_counting_twice():
    """A pod that was placed but is not bound yet may be scheduled again, and may get new conditions."""
    view = admitted({"nodes": [node("a")], "pods": [pod("p", "1500m"), pod("q", "1")]})
    scheduler = Scheduler(view)
    waiting = find(view, "p")
    for _ in range(2):
        [decision] = scheduler.schedule([waiting], now=0)
        assert decision.node == "a"
    told = type(waiting)(
        metadata=waiting.metadata, spec=waiting.spec, status=type(waiting.status)(phase="Pending", message="x")
    )
    scheduler.changed(waiting, told)
    [other] = scheduler.schedule([find(view, "q")], now=0)
    assert other.node is None
    scheduler.changed(told, None)
    [other] = scheduler.schedule([find(view, "q")], now=0)
    assert other.node == "a"


def test_pods_that_preempt_together_choose_different_nodes():
    """Each counts as nominated for the next, so two don't wait for one and the same place."""
    pods = [pod("x", "2", "a"), pod("y", "2", "b"), pod("p", "2", priority=10), pod("q", "2", priority=10)]
    view = admitted({"nodes": [node("a"), node("b")], "pods": pods})
    scheduler = Scheduler(view)
    decisions = scheduler.schedule([find(view, "p"), find(view, "q")], now=0)
    assert [d.nominated_node for d in decisions] == ["a", "b"]
    scheduler.changed(find(view, "p"), None)
    assert list(scheduler.cluster.nominated) == ["b"]
