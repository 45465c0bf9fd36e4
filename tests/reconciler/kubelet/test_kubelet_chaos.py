"""Seeded chaos in virtual time: crashes, faults, restarts of the kubelet, deletions. What must hold, holds all the
time.
"""

import random

import pytest
from kubelet_node import SECOND, SimulatedNode, make_pod

from reconciler.drivers.faults import Fault
from reconciler.drivers.runtime.simulated import Behaviour

SEEDS = range(20)


def chaotic_node(seed):
    rng = random.Random(seed)

    def behaviour():
        return Behaviour(
            runs_for=rng.choice([None, None, SECOND, 20 * SECOND]),
            exit_code=rng.choice([0, 1]),
            starts_after=rng.choice([0, 0, SECOND]),
            stops_after=rng.choice([0, 2 * SECOND, None]),
            start_error=rng.choice(["", "", "", "broken"]),
        )

    pods = []
    for number in range(6):
        probes = {"livenessProbe": {"httpGet": {"port": 80}}} if rng.random() < 0.5 else {}
        spec = {
            "restartPolicy": rng.choice(["Always", "OnFailure", "Never"]),
            "terminationGracePeriodSeconds": rng.choice([1, 5, 30]),
            "containers": [{"name": "c", "image": "x:1", **probes}, {"name": "d", "image": "x:1"}],
            "initContainers": rng.choice(
                [[], [{"name": "i", "image": "x:1"}], [{"name": "s", "image": "x:1", "restartPolicy": "Always"}]]
            ),
        }
        pods.append(make_pod(f"p{number}", **spec))
    node = SimulatedNode(*pods, answer=lambda task, now: (rng.random() < 0.8, "bad luck", rng.choice([0, SECOND // 2])))
    node._behaviour = lambda sandbox, config: behaviour()
    node.runtime._behaviours = node._behaviour
    node.restart()
    return node, rng


def check(node):
    alive = {}
    for container in node.runtime.list_containers():
        if container.state in ("RUNNING", "CREATED"):
            key = (container.pod_uid, container.name)
            assert key not in alive, f"{key} runs twice"
            alive[key] = container
    identities = [(c.sandbox_id, c.name, c.attempt) for c in node.runtime.list_containers()]
    assert len(set(identities)) == len(identities)
    for pod in node.tables["Pod"].values():
        before = node.phases.get(pod.metadata.uid)
        if before in ("Succeeded", "Failed"):
            assert pod.status.phase == before, "a finished pod came back"
        node.phases[pod.metadata.uid] = pod.status.phase


def disturb(node, rng):
    choice = rng.randrange(8)
    names = [pod.metadata.name for pod in node.tables["Pod"].values()]
    sandboxes = node.runtime.list_pod_sandboxes()
    if choice == 0:
        node.restart()
    elif choice == 1 and names:
        name = rng.choice(names)
        if node.pod(name).metadata.deletion_timestamp is None:
            node.delete(name, grace=rng.choice([0, 3, 30]))
    elif choice == 2 and sandboxes:
        node.runtime.stop_pod_sandbox(rng.choice(sandboxes).id)
    elif choice == 3:
        verb = rng.choice(["run_pod_sandbox", "create_container", "start_container"])
        subject = f"uid-p{rng.randrange(6)}" if verb == "run_pod_sandbox" else rng.choice("cdis")
        node.runtime.fail(verb, subject, "injected")
    elif choice == 4:
        node.network.faults.add(Fault(rng.choice(["setup_pod", "teardown_pod"]), after=rng.random() < 0.5))
    elif choice == 5:
        node.runtime.break_image("x:1", rng.choice(["", "", "registry down"]))


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_runs_twice_and_all_that_is_deleted_goes(seed):
    node, rng = chaotic_node(seed)
    node.phases = {}
    for _ in range(60):
        disturb(node, rng)
        node.run(rng.choice([0, 1, 5, 30]))
        check(node)
    node.runtime.break_image("x:1")
    node.network.faults.clear()
    node.runtime._faults.clear()
    for pod in list(node.tables["Pod"].values()):
        if pod.metadata.deletion_timestamp is None:
            node.delete(pod.metadata.name)
    node.run(120)
    assert node.tables["Pod"] == {}
    assert (node.runtime.list_pod_sandboxes(), node.runtime.list_containers()) == ((), ())
    assert (node.network.observe().pods, node.kubelet.pods) == ((), [])


def test_the_same_seed_gives_the_same_story():
    def story(seed):
        node, rng = chaotic_node(seed)
        node.phases = {}
        for _ in range(30):
            disturb(node, rng)
            node.run(rng.choice([0, 1, 5, 30]))
        return node.events, [(at, key, op.verb, op.why) for at, key, op in node.operations], node.statuses

    assert story(7) == story(7)
