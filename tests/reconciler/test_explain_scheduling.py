"""Why a pod is where it is, or nowhere: told as things stood when it was decided."""

import pytest

from reconciler import reconcile
from reconciler.rewind import before_binding
from rules.actions import Bind, Delete
from rules.scheduling import Scheduler
from state.snapshot import Key


def deployment(name, replicas, cpu="1", **spec):
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], **spec}},
        },
    }


def pod(name, cpu, **spec):
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container], **spec}}


def near(app):
    """Prefers the zone in which an app runs."""
    term = {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {"matchLabels": {"app": app}}}
    preferred = [{"weight": 50, "podAffinityTerm": term}]
    return {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


@pytest.mark.parametrize("nodes", ["4x8cpu,64Gi,2zones", "3x16cpu,64Gi+3x4cpu,8Gi,3zones", 9])
def test_the_diagnosis_of_every_placed_pod_gives_the_decision_back(nodes):
    """The state is rewound to the moment of each choice: same node, same score, same number of nodes that fit."""
    desired = [deployment("a", 8), deployment("b", 5, "1500m", affinity=near("a")), pod("c", "2"), pod("d", "300m")]
    plan = reconcile(desired, nodes=nodes)
    binds = [action for action in plan.actions if isinstance(action, Bind)]
    assert len(binds) == 15
    for bind in binds:
        diagnosis = plan.explain(bind.target).diagnosis
        assert (diagnosis.current, diagnosis.best[0]) == (bind.node, bind.node)
        totals = {verdict.node: verdict.total for verdict in diagnosis.nodes if verdict.refusal is None}
        assert totals[bind.node] == bind.because["score"]
        assert len(totals) == bind.because["feasible_nodes"]


def test_rewinding_touches_nothing():
    plan = reconcile([deployment("a", 3)], nodes=2)
    before = plan.to_json(objects=True)
    target = next(action.target for action in plan.actions if isinstance(action, Bind))
    view, found = before_binding(plan, target)
    assert found.spec.node_name is None
    assert Scheduler(view).diagnose(found).best
    assert plan.to_json(objects=True) == before


def test_a_pod_that_was_placed_earlier_is_judged_as_things_stand_now():
    plan = reconcile([pod("a", "1"), pod("b", "1")], nodes=2)
    later = reconcile([], plan.snapshot)
    text = str(later.explain("pod/a"))
    assert "as things stand now, were it placed again:" in text
    assert "on node-0, the best of 2 nodes that would take it" in text
    assert later.explain("pod/a").to_dict()["scheduling"]["asOf"] == "now"
    assert plan.explain("pod/a").to_dict()["scheduling"]["asOf"] == "placing"
    assert before_binding(later, Key.parse("pod/a")) is None


def test_a_pending_pod_is_told_once_per_kind_of_refusal_with_the_smallest_change():
    plan = reconcile([pod("a", "5500m")], nodes="30x4cpu,16Gi+2x5cpu,16Gi")
    lines = [line.strip() for line in str(plan.explain("pod/a")).splitlines()]
    assert (
        "not on 30 nodes (node-00, node-01, node-02, …): Insufficient cpu (short of 1500m CPU)  [NodeResourcesFit]"
        in lines
    )
    assert "not on node-30 and node-31: Insufficient cpu (short of 500m CPU)  [NodeResourcesFit]" in lines
    assert "it would fit on node-30 with 500m CPU more" in lines
    assert "preemption would not help: on 32 nodes no eviction would change the verdict" in lines
    assert sum("0/32 nodes are available" in line for line in lines) == 1


def taint(name, **taint):
    have = {"cpu": "4", "memory": "8Gi", "pods": "10"}
    spec = {"taints": [{"effect": "NoSchedule", **taint}]} if taint else {"unschedulable": True}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": spec,
        "status": {"allocatable": have},
    }


@pytest.mark.parametrize(
    ("observed", "wanted", "change"),
    [
        ([taint("a", key="gpu", value="yes")], pod("p", "1"), "if it tolerated the taint gpu=yes:NoSchedule"),
        ([taint("a")], pod("p", "1"), "if the node were uncordoned"),
        (
            [taint("a", key="gpu"), taint("b")],
            pod("p", "5"),
            "if it tolerated the taint gpu:NoSchedule and with 1 CPU more",
        ),
        (
            [taint("a", key="gpu")],
            pod("p", "1", nodeSelector={"zone": "x"}, tolerations=[{"operator": "Exists"}]),
            "if the node had the label zone = x",
        ),
    ],
)
def test_the_smallest_change_is_told_for_what_isnt_resources_too(observed, wanted, change):
    plan = reconcile([wanted], observed)
    assert plan.explain("pod/p").diagnosis.change == f"it would fit on a {change}"


def test_neighbours_and_spreading_have_their_changes():
    hosts = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    apart = {"podAntiAffinity": {required: [hosts]}}
    plan = reconcile([deployment("a", 2, affinity=apart)], nodes=1)
    waiting = next(note.target for note in plan.notes if note.rule == "pod-pending")
    running = next(action.target for action in plan.actions if isinstance(action, Bind))
    assert plan.explain(waiting).diagnosis.change == f"it would fit on node-0 without default/{running.name}"
    zones = {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {"matchLabels": {"app": "b"}}}
    spread = [{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", **zones}]
    small = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "small"},
        "status": {"allocatable": {"pods": "0"}},
    }
    small["metadata"]["labels"] = {"topology.kubernetes.io/zone": "zone-1"}
    plan = reconcile([deployment("b", 2, topologySpreadConstraints=spread)], [small], nodes="1x4cpu,8Gi,1zones")
    changes = {plan.explain(note.target).diagnosis.change for note in plan.notes if note.target.kind == "Pod"}
    assert "it would fit on node-0 if its maxSkew for topology.kubernetes.io/zone were 2" in changes


def test_preemption_is_told_with_its_victims():
    running = {**pod("small", "3"), "status": {"phase": "Running"}}
    running["spec"] |= {"nodeName": "node-0", "priority": 0}
    waiting = {**pod("big", "2", priority=10), "status": {"phase": "Pending"}}
    plan = reconcile([], [running, waiting], nodes=1)
    text = str(plan.explain("pod/big"))
    assert "Evicting default/small would make room on node-0" in text
    assert "preemption is under way" in text
    diagnosis = Scheduler(reconcile([], [running], nodes=1).snapshot).diagnose(plan.snapshot.objects("Pod")[0])
    assert "preemption would make room on node-0 by evicting default/small" in str(diagnosis)
    assert diagnosis.to_dict()["preemption"] == {
        "helps": True,
        "nominatedNode": "node-0",
        "victims": ["default/small"],
        "pdbViolations": 0,
    }


def test_an_evicted_pod_says_for_whom_and_nobody_else_is_evicted_while_it_ends():
    running = [{**pod(f"small-{n}", "3"), "status": {"phase": "Running"}} for n in range(3)]
    for number, each in enumerate(running):
        each["spec"] |= {"nodeName": f"node-{number}", "priority": 0}
    plan = reconcile([pod("big", "2", priority=10)], running, nodes=3)
    evicted = [action.target.name for action in plan.actions if isinstance(action, Delete)]
    assert evicted == ["small-0"]
    [condition] = plan.snapshot.get(Key("Pod", "default", "small-0")).status.conditions
    assert (condition.type, condition.reason) == ("DisruptionTarget", "PreemptionByScheduler")
    assert condition.message == "default-scheduler: preempting to accommodate a higher priority pod"
    assert [event.target.name for event in plan.events if event.reason == "Preempted"] == ["small-0"]
    assert not reconcile([], plan.snapshot).actions
