"""What must always hold of the loop, on random clusters and random changes (see README: what must always hold)."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import Reconciler, reconcile
from state import quantity
from state.dump import dump
from state.objects import Node, PersistentVolume, Pod
from state.snapshot import Change, Key

NOW = "2026-01-01T00:00:00Z"
APPS = ("api", "db", "web")
SLOW = settings(max_examples=40)


def labels(app):
    return {"app": app}


@st.composite
def pod_specs(draw):
    """Small pods that now and then want more than there is, a host port, or a certain node."""
    container = {"name": "main", "image": "app:1"}
    cpu = draw(st.sampled_from([None, "100m", "1", "3"]))
    if cpu is not None:
        container["resources"] = {"requests": {"cpu": cpu, "memory": draw(st.sampled_from(["64Mi", "3Gi"]))}}
    port = draw(st.sampled_from([None, 8080]))
    if port is not None:
        container["ports"] = [{"containerPort": port, "name": "http"}]
        if draw(st.booleans()):
            container["ports"][0]["hostPort"] = port
    spec = {"containers": [container]}
    if draw(st.integers(0, 4)) == 0:
        spec["nodeSelector"] = {"topology.kubernetes.io/zone": draw(st.sampled_from(["zone-0", "zone-9"]))}
    if draw(st.integers(0, 3)) == 0:
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    return spec


@st.composite
def workloads(draw, app):
    kind = draw(st.sampled_from(["Deployment", "ReplicaSet", "ReplicationController", "Pod"]))
    spec = draw(pod_specs())
    meta = {"name": app, "labels": labels(app)}
    if kind == "Pod":
        return {"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": spec}
    template = {"metadata": {"labels": labels(app)}, "spec": spec}
    replicas = draw(st.integers(0, 4))
    if kind == "ReplicationController":
        return {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": meta,
            "spec": {"replicas": replicas, "selector": labels(app), "template": template},
        }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": meta,
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels(app)}, "template": template},
    }


@st.composite
def services(draw, app):
    port = {"port": 80, "targetPort": draw(st.sampled_from([8080, "http"]))}
    spec = {"selector": labels(app), "ports": [port]}
    kind = draw(st.sampled_from(["ClusterIP", "NodePort", "None"]))
    spec |= {"clusterIP": "None"} if kind == "None" else {"type": kind}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": app}, "spec": spec}


def claim(size):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "resources": {"requests": {"storage": size}},
        },
    }


def volume(name, size):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "hostPath": {"path": f"/data/{name}"},
        },
    }


@st.composite
def desired(draw):
    """Any of three apps, each perhaps with a Service; perhaps a claim, and volumes for it."""
    objects = []
    for app in APPS:
        if draw(st.booleans()):
            objects.append(draw(workloads(app)))
        if draw(st.booleans()):
            objects.append(draw(services(app)))
    if draw(st.booleans()):
        objects.append(claim(draw(st.sampled_from(["1Gi", "9Gi"]))))
    objects += [volume(f"pv-{number}", f"{number + 1}Gi") for number in range(draw(st.integers(0, 3)))]
    return draw(st.permutations(objects))


nodes = st.integers(0, 4).map(lambda count: f"{count}x2cpu,4Gi,4pods,2zones")


def told(plan):
    """Everything that a plan says, as bytes."""
    return plan.to_json(objects=True)


@SLOW
@given(desired(), nodes)
def test_pure(objects, cluster):
    """Arguments stay as they were."""
    before = copy.deepcopy(objects)
    reconcile(objects, nodes=cluster, now=NOW)
    assert objects == before


@SLOW
@given(desired(), nodes, st.randoms(use_true_random=False))
def test_deterministic(objects, cluster, shuffler):
    """The order of manifests and of their fields doesn't matter."""
    expected = told(reconcile(objects, nodes=cluster, now=NOW))

    def shuffled(value):
        if isinstance(value, dict):
            items = list(value.items())
            shuffler.shuffle(items)
            return {name: shuffled(item) for name, item in items}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    mixed = [shuffled(item) for item in objects]
    shuffler.shuffle(mixed)
    assert told(reconcile(mixed, nodes=cluster, now=NOW)) == expected


@SLOW
@given(desired(), nodes)
def test_idempotent(objects, cluster):
    """What a plan leads to needs nothing more: neither again with the same wishes, nor without any."""
    plan = reconcile(objects, nodes=cluster, now=NOW)
    again = reconcile(objects, plan.snapshot, now=NOW)
    assert [action.to_dict() for action in again.actions] == []
    assert told(again)[:1] == b"{"
    assert [note.to_dict() for note in again.notes] == [note.to_dict() for note in plan.notes]
    from_dicts = reconcile([], [dump(obj) for obj in plan.snapshot], now=NOW)
    assert [action.to_dict() for action in from_dicts.actions] == []


@SLOW
@given(st.lists(desired(), min_size=2, max_size=4), nodes, st.data())
def test_incremental_equals_from_scratch(stages, cluster, data):
    """A warm loop that is told what changed says the same as a cold one that sees the whole."""
    warm = Reconciler(nodes=cluster, now=NOW, on_invalid="skip")
    for number, objects in enumerate(stages):
        now = f"2026-01-01T00:0{number}:00Z"
        cold = Reconciler(observed=warm.snapshot, now=now, on_invalid="skip")
        for loop in (warm, cold):
            loop.now = now
            loop.apply(objects)
        lost = data.draw(st.sampled_from([None, *sorted(name for _, name in warm.snapshot.table("Node"))]))
        if lost is not None:
            key = Key("Node", "", lost)
            for loop in (warm, cold):
                loop.observe((Change(key, warm.snapshot.get(key), None),))
        ours, theirs = (loop.step(now).to_dict(objects=True) for loop in (warm, cold))
        # a first look at what has been waiting reports it once more, as a controller that was started anew does
        del ours["events"], theirs["events"]
        assert ours == theirs


@SLOW
@given(desired(), nodes)
def test_safe(objects, cluster):
    """No node holds more than it has, no volume two claims, no host port two pods."""
    snapshot = reconcile(objects, nodes=cluster, now=NOW).snapshot
    for node in snapshot.objects("Node"):
        assert isinstance(node, Node)
        pods = [pod for pod in snapshot.objects("Pod") if pod.spec.node_name == node.metadata.name]
        assert len(pods) <= quantity.value(node.status.allocatable["pods"])
        for resource in ("cpu", "memory"):
            asked = sum(
                quantity.milli(container.resources.requests.get(resource, 0))
                for pod in pods
                for container in pod.spec.containers
                if container.resources is not None
            )
            assert asked <= quantity.milli(node.status.allocatable[resource])
        taken = Counter(p.host_port for pod in pods for c in pod.spec.containers for p in c.ports if p.host_port)
        assert all(count == 1 for count in taken.values())
    holders = Counter(
        (item.spec.claim_ref.namespace, item.spec.claim_ref.name)
        for item in snapshot.objects("PersistentVolume")
        if isinstance(item, PersistentVolume) and item.spec.claim_ref is not None
    )
    assert all(count == 1 for count in holders.values())


@SLOW
@given(desired(), nodes)
def test_explained(objects, cluster):
    """Every action names its rule and facts that make a sentence; every pod without a node says why."""
    plan = reconcile(objects, nodes=cluster, now=NOW)
    for said in (*plan.actions, *plan.notes):
        assert said.rule
        assert said.because
        assert said.why
    waiting = {note.target for note in plan.notes}
    for pod in plan.snapshot.objects("Pod"):
        assert isinstance(pod, Pod)
        if not pod.spec.node_name:
            assert Key.of(pod) in waiting
            condition = next(c for c in pod.status.conditions if c.type == "PodScheduled")
            assert condition.message


def test_hash_seed_does_not_matter():
    """Two interpreters with different hash seeds print the same bytes."""
    request = {
        "desired": [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": app},
                "spec": {
                    "replicas": 5,
                    "selector": {"matchLabels": labels(app) | {"tier": "x", "zone": "y"}},
                    "template": {
                        "metadata": {"labels": labels(app) | {"tier": "x", "zone": "y"}},
                        "spec": {"containers": [{"name": "main", "image": "app:1"}]},
                    },
                },
            }
            for app in APPS
        ],
        "nodes": "3",
        "return": "objects",
    }
    answers = {
        subprocess.run(
            [sys.executable, "-m", "reconciler", "batch"],
            input=orjson.dumps(request),
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(answers) == 1
    assert orjson.loads(answers.pop())["ok"]


#: A rollout that may do neither is refused by the API server.
BOUNDS = [(surge, gone) for surge in (0, 1, 2, "50%") for gone in (0, 1, "50%") if (surge, gone) != (0, 0)]


@pytest.mark.parametrize(("surge", "unavailable"), BOUNDS)
def test_rollout_stays_within_bounds(surge, unavailable):
    """At no moment of a rollout are there more pods than surge allows or fewer available ones than promised."""
    from reconciler.simulation import Simulation
    from state.int_or_percent import scaled

    def deployment(image):
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 4,
                "minReadySeconds": 5,
                "selector": {"matchLabels": labels("web")},
                "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
                "template": {
                    "metadata": {"labels": labels("web")},
                    "spec": {"containers": [{"name": "main", "image": image}]},
                },
            },
        }

    simulation = Simulation(deployment("app:1"), nodes="3", now=NOW)
    assert simulation.settle()
    simulation.loop.apply(deployment("app:2"))

    def check(_):
        pods = [pod for pod in simulation.snapshot.objects("Pod") if pod.metadata.deletion_timestamp is None]
        assert len(pods) <= 4 + scaled(surge, 4, round_up=True)
        status = simulation.snapshot.objects("Deployment")[0].status
        assert (status.available_replicas or 0) >= 4 - scaled(unavailable, 4, round_up=False)

    simulation.happen()
    check(0)
    assert simulation.settle(progress=check)
    images = {pod.spec.containers[0].image for pod in simulation.snapshot.objects("Pod")}
    assert images == {"app:2"}
    assert len(simulation.snapshot.objects("Pod")) == 4
