"""The column path and the plain one agree: same node, same total, same number of fitting nodes, same words."""

import random

import pytest
import random_clusters
from profiles_for_tests import PROFILES

from rules.scheduling import DEFAULT, Scheduler
from rules.scheduling.admission import admitted
from rules.scheduling.volumes import SELECTED_NODE
from state.objects import ObjectReference, Pod, replace

SEEDS = 60


def places(scheduler, entry, plainly):
    """The decision, reduced to what must agree."""
    early = scheduler.not_tried(entry)
    decision = early or (scheduler.decide_plainly(entry, 0) if plainly else scheduler.decide(entry, 0))
    return (
        decision.pod,
        decision.outcome,
        decision.node,
        dict(decision.facts),
        decision.fit_error,
        decision.nominated_node,
        decision.victims,
    )


def both(seed, profile=DEFAULT):
    """Two schedulers over equal clusters."""
    made = random_clusters.cluster(seed)
    return [Scheduler(admitted(made), profile) for _ in range(2)]


def check(seed, profile=DEFAULT, *, nominate=False):
    """Places all pods both ways; keeps room for those that preemption makes some for, or not."""
    fast, plain = both(seed, profile)
    queues = [s.queue(s.cluster.view.pending("default-scheduler")) for s in (fast, plain)]
    for mine, other in zip(*queues, strict=True):
        assert fast.fast.usable(mine.cls)
        found = places(fast, mine, plainly=False)
        assert found == places(plain, other, plainly=True), seed
        if nominate and found[5] is not None:
            assert fast.cluster.renominate(mine, found[5]) == plain.cluster.renominate(other, found[5])


def test_columns_agree_with_plain_evaluation():
    """On random clusters that use every rule."""
    for seed in range(SEEDS):
        check(seed)


def test_columns_agree_while_room_is_kept_for_more_and_more_pods():
    """Each counts the ones before it that are as important, but not itself."""
    for seed in range(SEEDS // 2):
        check(seed, nominate=True)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_columns_agree_under_other_profiles(profile):
    """Whatever makes a node better."""
    for seed in range(SEEDS // 4):
        check(seed, profile)


@pytest.mark.slow
def test_columns_agree_on_many_clusters():
    """The same, on two thousand."""
    for seed in range(SEEDS, 2_100):
        check(seed, nominate=seed % 2 == 0)


def change(rng, scheduler):
    """A random change of the view, told to the scheduler; returns it so that it can be told to another."""
    view = scheduler.cluster.view
    kind = rng.choice(("Pod", "Pod", "Pod", "Node", "Service"))
    table = view.table(kind)
    if not table:
        return None
    key = rng.choice(sorted(table))
    old = table[key]
    new = None
    if isinstance(old, Pod) and rng.random() < 0.4 and old.spec.node_name:
        new = replace(old, metadata=replace(old.metadata, deletion_timestamp="2026-01-03T00:00:00Z"))
    elif kind == "Node" and rng.random() < 0.7:
        new = replace(old, spec=replace(old.spec, unschedulable=not old.spec.unschedulable))
    return key, old, new


def carry_out(scheduler, decision):
    """Does with the claims of a placed pod what the decision says."""
    view, namespace = scheduler.cluster.view, decision.pod[0]
    changes = []
    for name in decision.volume_choices.provision:
        claim = view.table("PersistentVolumeClaim")[namespace, name]
        chosen = {**claim.metadata.annotations, SELECTED_NODE: decision.node}
        changes.append((claim, replace(claim, metadata=replace(claim.metadata, annotations=chosen))))
    for name, volume_name in decision.volume_choices.static.items():
        volume = view.table("PersistentVolume")["", volume_name]
        reference = ObjectReference(namespace=namespace, name=name)
        changes.append((volume, replace(volume, spec=replace(volume.spec, claim_ref=reference))))
    for old, new in changes:
        view.add(new)
        scheduler.changed(old, new)


def apply(view, key, old, new):
    """Carries a change out."""
    if new is None:
        del view.table(old.kind)[key]
    else:
        view.add(new)


def test_a_warm_scheduler_decides_as_a_fresh_one():
    """After pods left, began to terminate, nodes were cordoned or lost, nothing stale is left in the columns."""
    for seed in range(SEEDS // 2):
        rng = random.Random(seed)
        warm = both(seed)[0]
        view = warm.cluster.view
        pending = view.pending("default-scheduler")
        for pod in pending:
            [decision] = warm.schedule([pod], now=0)
            if decision.node is not None:
                bound = replace(pod, spec=replace(pod.spec, node_name=decision.node))
                view.add(bound)
                warm.changed(pod, bound)
                carry_out(warm, decision)
                assert not warm.cluster.assumed
            nominated = dict.fromkeys(decision.unnominated)
            if decision.nominated_node:
                nominated[decision.pod] = decision.nominated_node
            for key, name in nominated.items():
                old = pod if key == decision.pod else view.table("Pod")[key]
                told = replace(old, status=replace(old.status, nominated_node_name=name))
                view.add(told)
                warm.changed(old, told)
            for _ in range(rng.randrange(3)):
                made = change(rng, warm)
                if made is not None and made[1] is not pod:
                    apply(view, *made)
                    warm.changed(made[1], made[2])
            fresh = Scheduler(view)
            probe = fresh.queue([rng.choice(pending)])[0]
            probe.key = ("default", "probe")
            probe.pod = replace(probe.pod, metadata=replace(probe.pod.metadata, name="probe", namespace="default"))
            if probe.cls.namespace == "default":
                mine = warm.cluster.entry(probe.pod)
                expected = places(fresh, probe, plainly=True)
                assert places(warm, mine, plainly=False) == expected, seed
                warm.cluster.forget(mine.key)
