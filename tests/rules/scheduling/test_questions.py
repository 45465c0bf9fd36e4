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


def required(*terms):
    """Node affinity of terms, each of (label, operator, values)."""
    made = [
        {"matchExpressions": [{"key": key, "operator": operator, "values": values} for key, operator, values in term]}
        for term in terms
    ]
    chosen = {"nodeSelectorTerms": made}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": chosen}}


def test_the_smallest_change_of_labels_is_what_one_term_needs_beside_the_selector():
    affinity = required([("disk", "In", ["ssd"]), ("gen", "Gt", ["4"])], [("special", "Exists", [])])
    pods = [pod("p", affinity=affinity, nodeSelector={"team": "x"})]
    view = admitted({"nodes": [node("a")], "pods": pods})
    diagnosis = Scheduler(view).diagnose(find(view, "p"))
    assert diagnosis.change == "it would fit on a if the node had the label team = x and special Exists"
    assert "wants disk In ssd, found none; wants gen Gt 4, found none; or wants special Exists" in str(diagnosis)
    assert [fact.get("term") for fact in diagnosis.nodes[0].lacking] == [None, 0, 0, 1]


def test_no_label_makes_a_node_another_one():
    other = {"key": "metadata.name", "operator": "In", "values": ["a"]}
    affinity = required([("disk", "In", ["ssd"])])
    [term] = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    term["matchFields"] = [{**other, "operator": "NotIn"}]
    view = admitted({"nodes": [node("a")], "pods": [pod("p", affinity=affinity)]})
    assert Scheduler(view).diagnose(find(view, "p")).change is None


def test_the_smallest_change_counts_all_that_is_short():
    gpu = {"resources": {"requests": {"cpu": "3", "example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}}}
    pods = [{**pod("p"), "spec": {"containers": [{"name": "c", **gpu}]}}]
    view = admitted({"nodes": [node("a", "1"), node("b", "2")], "pods": pods})
    change = Scheduler(view).diagnose(find(view, "p")).change
    assert change == "it would fit on b with 1 CPU and 1 example.com/gpu more"


def claims(mode="ReadWriteOnce", **spec):
    """A bound claim "data" of 1Gi, and its volume with these fields."""
    size = {"storage": "1Gi"}
    claim = {
        "metadata": {"name": "data", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"accessModes": [mode], "volumeName": "pv", "resources": {"requests": size}},
    }
    made = {"accessModes": [mode], "capacity": size, "csi": {"driver": "d", "volumeHandle": "h"}, **spec}
    return {
        "persistentVolumeClaims": [claim],
        "persistentVolumes": [{"metadata": {"name": "pv"}, "spec": made}],
    }


VOLUME = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]


def test_a_diagnosis_says_where_a_volume_can_be_reached():
    affinity = required([("topology.kubernetes.io/zone", "In", ["b", "c"])])["nodeAffinity"]
    reach = {"required": affinity["requiredDuringSchedulingIgnoredDuringExecution"]}
    view = admitted({"nodes": [node("a")], "pods": [pod("p", volumes=VOLUME)], **claims(nodeAffinity=reach)})
    diagnosis = Scheduler(view).diagnose(find(view, "p"))
    wanted = "volume pv of claim data wants topology.kubernetes.io/zone In b, c, found a"
    assert wanted in str(diagnosis)
    assert diagnosis.to_dict()["nodes"]["a"]["lacking"][0]["volume"] == "pv"


def test_a_diagnosis_says_who_uses_a_claim_that_is_for_one_pod():
    pods = [pod("x", node="a", priority=9, volumes=VOLUME), pod("p", volumes=VOLUME)]
    view = admitted({"nodes": [node("a")], "pods": pods, **claims("ReadWriteOncePod")})
    diagnosis = Scheduler(view).diagnose(find(view, "p"))
    assert "claim data is in use by default/x" in str(diagnosis)
    assert diagnosis.change == "it would fit on a without default/x"


def test_a_diagnosis_says_how_many_volumes_a_driver_attaches():
    drivers = [{"name": "d", "nodeID": "a", "allocatable": {"count": 0}}]
    csi = [{"metadata": {"name": "a"}, "spec": {"drivers": drivers}}]
    view = admitted({"nodes": [node("a")], "pods": [pod("p", volumes=VOLUME)], **claims(), "csiNodes": csi})
    diagnosis = Scheduler(view).diagnose(find(view, "p"))
    assert "d attaches at most 0 volumes; 0 are, 1 more wanted" in str(diagnosis)
    assert diagnosis.change == "it would fit on a if it could attach 1 more volume of d"


def test_a_diagnosis_says_what_volume_is_missing():
    waiting = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "s",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    made = {"storageClasses": [{"metadata": {"name": "s"}, **waiting}], "persistentVolumeClaims": [claim]}
    view = admitted({"nodes": [node("a")], "pods": [pod("p", volumes=VOLUME)], **made})
    diagnosis = Scheduler(view).diagnose(find(view, "p"))
    assert "claim data needs 1Gi of class s" in str(diagnosis)
    assert diagnosis.change == "it would fit on a if there were a volume for the claim data (class s)"


def test_a_pod_whose_claim_is_missing_is_helped_by_no_eviction():
    view = admitted({"nodes": [node("a")], "pods": [pod("p", volumes=VOLUME)]})
    text = str(Scheduler(view).diagnose(find(view, "p")))
    assert text.endswith("preemption would not help: no eviction would change the verdict")


def test_a_spread_is_explained_with_the_zones_that_are_even_enough():
    spread = {
        "topologyKey": "topology.kubernetes.io/zone",
        "maxSkew": 2,
        "minDomains": 2,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    pods = [pod("x", "100m", "a"), pod("y", "100m", "a"), pod("p", "100m", topologySpreadConstraints=[spread])]
    view = admitted({"nodes": [node("a")], "pods": pods})
    diagnosis = Scheduler(view).diagnose(find(view, "p"))
    text = "2 pods in topology.kubernetes.io/zone a, 0 elsewhere; would need one of (none is even enough)"
    assert text in str(diagnosis)


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


SELECTOR = {"matchExpressions": [{"key": "a", "operator": "Foo", "values": ["x"]}]}
TERM = {"topologyKey": "zone", "labelSelector": SELECTOR}
SKEW = {"topologyKey": "zone", "maxSkew": 0, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (
            {"pods": [pod("p", affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]}})]},
            'labelSelector.matchExpressions[0].operator: Invalid value: "Foo": not a valid selector operator',
        ),
        ({"pods": [pod("p", affinity=required([("a", "Foo", ["x"])]))]}, "matchExpressions[0].operator: Invalid value"),
        (
            {"pods": [pod("p", topologySpreadConstraints=[SKEW])]},
            "cluster.pods[0].spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
        ),
        (
            {"pods": [pod("p", "-1")]},
            'cluster.pods[0].spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than',
        ),
        ({"nodes": [node("a", "x")]}, 'cluster.nodes[0].status.allocatable.cpu: Invalid value: "x": quantities must'),
        (
            {"nodes": [node("a")], "pods": [pod("p"), pod("q", "x", "a")]},
            'cluster.pods[1].spec.containers[0].resources.requests[cpu]: Invalid value: "x": quantities must match',
        ),
        ({"pods": [pod("p"), pod("p")]}, 'cluster.pods[1].metadata.name: Duplicate value: "p"'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_that_no_decision_can_be_made_with_are_refused(cluster, message):
    with pytest.raises(ClusterError) as caught:
        schedule_cluster(cluster)
    assert message in str(caught.value)


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


def test_a_pod_that_loses_its_room_is_placed_like_any_other():
    """As kube-scheduler, which takes the nomination away before the pod is tried again."""
    pods = [
        pod("high", "100m", "a", priority=99, port=80),
        pod("low", "2", "b", port=80),
        {**pod("lost", "100m", priority=1), "status": {"nominatedNodeName": "b"}},
        pod("important", "100m", priority=9, port=80),
    ]
    view = admitted({"nodes": [node("a", "4"), node("b", "4")], "pods": pods})
    important, lost = Scheduler(view).schedule([find(view, "lost"), find(view, "important")], now=0)
    assert (important.nominated_node, important.unnominated) == ("b", (("default", "lost"),))
    assert lost.node == "a"


def test_a_pod_waits_for_no_room_where_there_are_no_nodes():
    view = admitted({"pods": [{**pod("p"), "status": {"nominatedNodeName": "gone"}}]})
    scheduler = Scheduler(view)
    [decision] = scheduler.schedule([find(view, "p")], now=0)
    assert (decision.nominated_node, decision.unnominated) == ("", (("default", "p"),))
    assert not scheduler.cluster.nominated
    assert str(scheduler.diagnose(find(view, "p"))).endswith("preemption would not help: there are no nodes")
