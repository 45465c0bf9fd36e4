"""Identical pods that are placed at once go where they would go one by one, with the same totals and fitting nodes."""

import random

import pytest
import random_clusters
from profiles_for_tests import PROFILES

from rules.scheduling import Scheduler, runs
from rules.scheduling.admission import admitted

SEEDS = 12


def crowded(seed):
    """A random cluster in which many pending pods are alike; in most none cares for others."""
    rng = random.Random(seed)
    made = random_clusters.cluster(seed)
    sociable = rng.random() < 0.3
    for pod in list(made["pods"]):
        if not sociable:
            pod["spec"].pop("topologySpreadConstraints", None)
            pod["metadata"].pop("ownerReferences", None)
            for name in ("podAffinity", "podAntiAffinity"):
                pod["spec"].get("affinity", {}).pop(name, None)
        if "nodeName" not in pod["spec"]:
            name = pod["metadata"]["name"]
            copies = [f"{name}-{number}" for number in range(rng.choice((0, 0, 40, 80)))]
            made["pods"] += [{**pod, "metadata": {**pod["metadata"], "name": copy}} for copy in copies]
    return admitted({**made, "services": []})


def one_by_one(scheduler, pods):
    """The decisions of a scheduler that places no runs."""
    decisions, lost = [], set()
    for entry in scheduler.queue(pods):
        if entry.key in lost:
            entry.lose_nomination()
        decision = scheduler.decide(entry, 0)
        if decision.nominated_node is not None:
            decision.unnominated = scheduler.cluster.renominate(entry, decision.nominated_node)
            lost.update(decision.unnominated)
        decisions.append(decision)
    return decisions


def state(scheduler):
    """What the scheduler believes of each node."""
    return {
        name: (list(info.pods), info.requested, info.held_cpu, info.held_memory)
        for name, info in scheduler.cluster.nodes.items()
    }


def check(seeds, profile, monkeypatch):
    """Places the pods of clusters both ways; how many were placed in runs."""
    placed = []
    place_run = runs.place_run

    def counting(*args):
        placed.append(place_run(*args))
        return placed[-1]

    with monkeypatch.context() as patch:
        patch.setattr(runs, "place_run", counting)
        for seed in seeds:
            at_once, singly = (Scheduler(crowded(seed), profile) for _ in range(2))
            pods = at_once.cluster.view.pending("default-scheduler")
            assert at_once.schedule(pods, now=0) == one_by_one(singly, pods), seed
            assert state(at_once) == state(singly), seed
            assert at_once.cluster.assumed == singly.cluster.assumed, seed
    return sum(len(run.rows) for run in placed)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_run_is_placed_as_one_by_one(profile, monkeypatch):
    """On random clusters: the same decisions in the same order, and the same state after."""
    assert check(range(SEEDS), profile, monkeypatch) > 200


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_many_runs_are_placed_as_one_by_one(profile, monkeypatch):
    """The same, on many clusters."""
    check(range(SEEDS, 400), profile, monkeypatch)
