"""Pods of nodes that are gone or out of service, and what Jobs and StatefulSets make of their loss."""

import pytest
from loops import NOW, SECOND, assert_settled

from reconciler.cycle import Cycle
from rules.job_tracking import JobPods
from rules.jobs import Jobs
from rules.pod_garbage import PodGarbage
from rules.statefulsets import StatefulSets
from state.defaults import default
from state.load import from_dict
from state.objects import (
    Job,
    Node,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    StatefulSet,
    Taint,
    replace,
)
from state.snapshot import Key, Snapshot
from state.times import format_time

POD = Key("Pod", "ns", "p")
OUT_OF_SERVICE = Taint(key="node.kubernetes.io/out-of-service", value="nodeshutdown", effect="NoExecute")


def concerns():
    return [PodGarbage()]


def node(ready="True", *taints):
    status = NodeStatus(conditions=(NodeCondition(type="Ready", status=ready),))
    return Node(metadata=ObjectMeta(name="n"), spec=NodeSpec(taints=taints), status=status)


def pod(on="n", *, ending=False, phase="Running", finalizers=()):
    since = format_time(NOW) if ending else None
    meta = ObjectMeta(name="p", namespace="ns", uid="p", deletion_timestamp=since, finalizers=finalizers)
    return Pod(metadata=meta, spec=PodSpec(node_name=on), status=PodStatus(phase=phase))


def loop(*objects, of=concerns):
    cycle = Cycle(Snapshot.of(objects), of())
    cycle.settle(NOW)
    return cycle


@pytest.mark.parametrize(
    ("objects", "stays"),
    [
        ([node(), pod()], True),
        ([pod()], False),
        ([pod(phase="Succeeded")], False),
        ([pod(on="")], True),
        ([pod(on="", ending=True)], False),
        ([node("Unknown"), pod(ending=True)], True),
        ([node("Unknown", OUT_OF_SERVICE), pod(ending=True)], False),
        ([node("False", OUT_OF_SERVICE), pod(ending=True)], False),
        ([node("True", OUT_OF_SERVICE), pod(ending=True)], True),
        ([node("Unknown", OUT_OF_SERVICE), pod()], True),
    ],
    ids=[
        "in order",
        "the node is gone",
        "finished on a node that is gone",
        "waits for a node",
        "ends without a node",
        "ends on a silent node",
        "ends on a silent node out of service",
        "ends on a broken node out of service",
        "ends on a working node",
        "does not end",
    ],
)
def test_who_is_removed(objects, stays):
    cycle = loop(*objects)
    assert (cycle.ws.get(POD) is not None) == stays
    assert_settled(cycle, concerns, NOW)


def test_a_node_that_goes_or_is_put_out_of_service_takes_its_pods_along():
    cycle = loop(node("Unknown"), pod(ending=True))
    cycle.ws.put(node("Unknown", OUT_OF_SERVICE))
    cycle.settle(NOW)
    assert cycle.ws.get(POD) is None
    cycle = loop(node(), pod())
    cycle.ws.remove(Key("Node", "", "n"))
    cycle.settle(NOW)
    assert cycle.ws.get(POD) is None


def test_a_pod_that_is_held_has_failed_because_of_the_disruption():
    cycle = loop(pod(finalizers=("example.com/hold",)))
    held = cycle.ws.get(POD)
    (condition,) = held.status.conditions
    assert held.status.phase == "Failed"
    assert held.metadata.deletion_grace_period_seconds == 0
    assert (condition.type, condition.status, condition.reason, condition.message) == (
        "DisruptionTarget",
        "True",
        "DeletionByPodGC",
        "PodGC: node no longer exists",
    )
    assert_settled(cycle, concerns, NOW)


def workload(document, kind, **spec):
    labels = {"app": "a"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"restartPolicy": "Never" if kind == "Job" else "Always", "containers": [{"name": "c", "image": "i"}]},
    }
    meta = {"name": "w", "namespace": "ns", "uid": "w"}
    return default(from_dict({**document, "kind": kind, "metadata": meta, "spec": {"template": template, **spec}}))


@pytest.mark.parametrize(("action", "failed"), [("Ignore", None), ("Count", 1)])
def test_a_job_goes_by_its_failure_policy(action, failed):
    """Which may say that a lost node is no failure of the pod. Either way it makes another."""
    rule = {"action": action, "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    job = workload({"apiVersion": "batch/v1"}, "Job", podFailurePolicy={"rules": [rule]})
    cycle = loop(node(), of=lambda: [PodGarbage(), JobPods(), Jobs()])
    cycle.ctx.create(job)
    cycle.settle(NOW)
    (made,) = cycle.ws.objects(Pod)
    running = replace(made.status, phase="Running")
    cycle.ws.put(replace(made, spec=replace(made.spec, node_name="n"), status=running))
    cycle.settle(NOW)
    cycle.ws.remove(Key("Node", "", "n"))
    cycle.settle(NOW + SECOND)
    cycle.settle(NOW + 60 * SECOND)
    (job,) = cycle.ws.objects(Job)
    assert job.status.failed == failed
    assert [pod.spec.node_name for pod in cycle.ws.objects(Pod)] == [None]
    assert cycle.ws.objects(Pod)[0].metadata.uid != made.metadata.uid


def test_a_stateful_sets_pod_on_a_silent_node_has_no_second():
    """Nobody confirms that it has ended; when the node is out of service, the next one of the name is made."""
    labels = {"matchLabels": {"app": "a"}}
    stateful = workload({"apiVersion": "apps/v1"}, "StatefulSet", selector=labels, serviceName="w", replicas=1)
    cycle = loop(node("Unknown"), stateful, of=lambda: [PodGarbage(), StatefulSets()])
    (made,) = cycle.ws.objects(Pod)
    cycle.ws.put(replace(made, spec=replace(made.spec, node_name="n")))
    cycle.ctx.delete(cycle.ws.objects(Pod)[0])
    cycle.settle(NOW + 3600 * SECOND)
    assert [pod.metadata.uid for pod in cycle.ws.objects(Pod)] == [made.metadata.uid]
    cycle.ws.put(node("Unknown", OUT_OF_SERVICE))
    cycle.settle(NOW + 3600 * SECOND)
    (second,) = cycle.ws.objects(Pod)
    assert (second.metadata.name, second.spec.node_name) == (made.metadata.name, None)
    assert cycle.ws.objects(StatefulSet)[0].status.replicas == 1


def finished(name, second, phase="Succeeded", reason=None):
    made = f"2026-01-01T00:00:{second:02}Z"
    meta = ObjectMeta(name=name, namespace="ns", uid=name, creation_timestamp=made)
    return Pod(metadata=meta, spec=PodSpec(node_name="n"), status=PodStatus(phase=phase, reason=reason))


def names(cycle):
    return sorted(each.metadata.name for each in cycle.ws.objects(Pod))


def test_of_finished_pods_the_newest_are_kept():
    """Evicted ones go before others, however young; those that run don't count."""

    def two():
        return [PodGarbage(finished=2)]

    evicted = finished("evicted", 9, "Failed", "Evicted")
    running = finished("running", 0, "Running")
    cycle = loop(node(), finished("b", 2), finished("a", 1), finished("c", 3), evicted, running, of=two)
    assert names(cycle) == ["b", "c", "running"]
    assert_settled(cycle, two, NOW)
    cycle.ws.put(replace(running, status=PodStatus(phase="Failed")))
    cycle.settle(NOW)
    assert names(cycle) == ["b", "c"]
    cycle.ws.put(finished("d", 4))
    cycle.ws.remove(Key("Pod", "ns", "b"))
    cycle.settle(NOW)
    assert names(cycle) == ["c", "d"]


def quarantine():
    return [PodGarbage(quarantine=40 * SECOND)]


def test_a_control_plane_waits_for_a_node_before_its_pods_go():
    """Kubernetes holds a node in quarantine for 40 s before it believes that it is gone."""
    cycle = loop(pod(), of=quarantine)
    assert (cycle.ws.get(POD) is not None, cycle.wake_at) == (True, NOW + 40 * SECOND)
    (said,) = cycle.ctx.notes.values()
    assert said.why == "pod/ns/p is bound to node n, which does not exist, or not yet"
    cycle.settle(NOW + 39 * SECOND)
    assert cycle.ws.get(POD) is not None
    cycle.settle(NOW + 40 * SECOND)
    assert cycle.ws.get(POD) is None


def test_a_node_that_comes_back_keeps_its_pods():
    """When it goes again, it is waited for as long as the first time."""
    cycle = loop(node(), pod(), of=quarantine)
    for at in (0, 100):
        cycle.ws.remove(Key("Node", "", "n"))
        cycle.settle(NOW + at * SECOND)
        cycle.settle(NOW + (at + 30) * SECOND)
        cycle.ws.put(node())
        cycle.settle(NOW + (at + 31) * SECOND)
        assert (cycle.wake_at, dict(cycle.ctx.notes)) == (None, {})
        cycle.settle(NOW + (at + 60) * SECOND)
        assert cycle.ws.get(POD) is not None


def test_a_pod_that_two_rules_remove_is_removed_once():
    """One of too many that have finished, on a node that doesn't exist."""
    younger = replace(pod(), metadata=ObjectMeta(name="q", namespace="ns"))
    finished = [replace(each, status=PodStatus(phase="Succeeded")) for each in (pod(), younger)]
    cycle = loop(*finished, of=lambda: [PodGarbage(finished=1)])
    assert [action.rule for action in cycle.ctx.actions] == ["garbage-lost-pod"] * 2


def test_another_pod_on_a_node_that_was_given_up_is_waited_with_anew():
    cycle = loop(pod(), of=quarantine)
    cycle.settle(NOW + 40 * SECOND)
    cycle.ws.put(pod())
    cycle.settle(NOW + 50 * SECOND)
    assert cycle.wake_at == NOW + 90 * SECOND
