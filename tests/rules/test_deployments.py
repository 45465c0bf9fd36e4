"""Deployments: as recorded from Kubernetes, and what must hold for any sequence of events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import NOW, SECOND, assert_settled, report, said
from recorded import Player, case_names, load_case

from reconciler.cycle import Cycle
from rules.deployment_status import COMPLETE, PROGRESSING, TIMED_OUT, condition_of
from rules.deployments import Deployments, find
from rules.garbage import Garbage
from rules.pod_garbage import PodGarbage
from rules.pods import is_active, is_ready
from rules.replication import Replication
from rules.revisions import HISTORY, MAX, REVISION, ROLLBACK_TO, revision
from rules.rollouts import Rollout, active, max_unavailable, new_size, old_steps, scaled_sizes, size, total
from state.defaults import default
from state.load import from_dict
from state.objects import (
    Container,
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    LabelSelector,
    Node,
    ObjectMeta,
    Pod,
    PodSpec,
    PodTemplateSpec,
    ReplicaSet,
    ReplicaSetSpec,
    ReplicaSetStatus,
    RollingUpdateDeployment,
    replace,
)
from state.snapshot import Key, Snapshot

KEY = Key("Deployment", "ns", "web")


def concerns():
    return [Garbage(), PodGarbage(), Deployments(), Replication()]


@pytest.mark.parametrize("name", case_names("deploy-"))
def test_does_as_recorded(name):
    """States after each step equal those of a real control plane, and ReplicaSets were resized in the same order."""
    player = Player(load_case(name), concerns()).play()
    assert player.mismatches() == []
    series = player.case["expected"]["snapshots"].get("series", [])
    if series:
        recorded = [change for entry in series for change in entry.get("changes", ())]
        at_start = len(series[0]["spec.replicas"])
        assert player.changes[at_start:] == recorded
        assert player.replicas() == series[-1]["spec.replicas"]
    if "replicaset-count" in player.case["expected"]["snapshots"]:
        assert len(player.replicas()) == player.case["expected"]["snapshots"]["replicaset-count"]
    if player.rolled:
        recorded = [{key: value for key, value in entry.items() if key != "after"} for entry in series[2:]]
        assert player.rolled == recorded
    assert_settled(player.cycle, concerns, player.now)


# -- a Deployment of our own -------------------------------------------------------------------------------------------


def template(image):
    return PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "web"}),
        spec=PodSpec(containers=(Container(name="c", image=f"img:{image}"),)),
    )


def deployment(replicas=2, *, surge="25%", unavailable="25%", recreate=False, **spec):
    rolling = RollingUpdateDeployment(max_surge=surge, max_unavailable=unavailable)
    strategy = DeploymentStrategy(type="Recreate") if recreate else DeploymentStrategy(rolling_update=rolling)
    return default(
        Deployment(
            metadata=ObjectMeta(name="web", namespace="ns", uid="uid-web", generation=1),
            spec=DeploymentSpec(
                replicas=replicas,
                selector=LabelSelector(match_labels={"app": "web"}),
                strategy=strategy,
                template=template(1),
                **spec,
            ),
        )
    )


def loop(*objects):
    return Cycle(Snapshot.of([*objects, Node(metadata=ObjectMeta(name="n", uid="uid-n"))]), concerns())


def stored(cycle):
    return cycle.ws.find(Deployment, "ns", "web")


def change(cycle, **spec):
    found = stored(cycle)
    cycle.ctx.update(default(replace(found, spec=replace(found.spec, **spec))))


def make_all_ready(cycle, now):
    """Readies pods until no more come."""
    while waiting := [pod for pod in cycle.ws.objects(Pod) if is_active(pod) and not is_ready(pod)]:
        for pod in waiting:
            report(cycle, pod, ready=True, now=now, node="n")
        cycle.settle(now)


def rolled_out(replicas=2, **spec):
    cycle = loop(deployment(replicas, **spec))
    cycle.settle(NOW)
    make_all_ready(cycle, NOW)
    return cycle


def test_says_what_it_waits_for():
    """A rollout that isn't through says how many pods it waits for; each step says why it is taken."""
    cycle = loop(deployment(2))
    cycle.settle(NOW)
    waits = "web waits for 2 of 2 new pods to become available, 0 old ones are left"
    assert ("deployments", str(KEY), waits) in said(cycle)
    assert cycle.ctx.actions[0].why == "web has no ReplicaSet of its present template"
    make_all_ready(cycle, NOW)
    assert cycle.ctx.notes == {}


def test_says_that_it_is_paused():
    """A paused Deployment rolls nothing out and says so."""
    cycle = rolled_out()
    change(cycle, paused=True, template=template(2))
    cycle.settle(NOW)
    assert len(cycle.ws.table("ReplicaSet")) == 1
    assert ("deployments", str(KEY), "web is paused: nothing is rolled out") in said(cycle)


def test_wakes_at_the_progress_deadline():
    """A rollout that makes no progress is looked at again at its deadline, and is late then."""
    cycle = loop(deployment(1, progress_deadline_seconds=60))
    cycle.settle(NOW)
    assert cycle.wake_at == NOW + 60 * SECOND
    cycle.settle(NOW + 60 * SECOND)
    assert condition_of(stored(cycle).status, PROGRESSING).reason == TIMED_OUT
    assert cycle.wake_at is None


def test_recreate_waits_for_old_pods_and_says_so():
    """With Recreate no new pod comes before the last old one is gone."""
    cycle = rolled_out(recreate=True)
    change(cycle, template=template(2))
    cycle.settle(NOW)
    assert ("deployments", str(KEY), "web waits for 2 old pods to end before it makes new ones") in said(cycle)
    for pod in cycle.ws.objects(Pod):
        assert pod.metadata.deletion_timestamp is not None
        cycle.ws.remove(Key.of(pod))
    cycle.settle(NOW)
    assert [pod.spec.containers[0].image for pod in cycle.ws.objects(Pod)] == ["img:2", "img:2"]


def test_a_selector_that_selects_all_is_refused():
    """Such a Deployment does nothing but warn, once."""
    lax = deployment()
    cycle = loop(replace(lax, spec=replace(lax.spec, selector=LabelSelector())))
    cycle.settle(NOW)
    cycle.settle(NOW)
    assert not cycle.ws.table("ReplicaSet")
    assert [(event.type, event.reason) for event in cycle.ctx.events] == [("Warning", "SelectingAll")]
    assert said(cycle) == [("deployments", str(KEY), "web selects all pods; a non-empty selector is required")]


def test_a_selector_that_misses_the_template_is_explained():
    """Such a Deployment, which no API server accepts, would make ReplicaSets without end; it says so instead."""
    lost = deployment()
    cycle = loop(replace(lost, spec=replace(lost.spec, selector=LabelSelector(match_labels={"app": "other"}))))
    cycle.settle(NOW)
    assert not cycle.ws.table("ReplicaSet")
    note = "web can roll nothing out: its selector doesn't match its template's labels"
    assert ("deployments", str(KEY), note) in said(cycle)
    assert_settled(cycle, concerns, NOW)


def ask_for_rollback(cycle, number):
    live = stored(cycle)
    annotations = {**live.metadata.annotations, ROLLBACK_TO: number}
    cycle.ctx.start(NOW)
    cycle.ctx.update(replace(live, metadata=replace(live.metadata, annotations=annotations)))


@pytest.mark.parametrize(
    ("asked", "became"), [("1", "1"), ("0", "2"), ("2", "2"), ("3", None), ("9", None), ("x", None)]
)
def test_rolls_back_on_request(asked, became):
    """An annotation asks for an earlier revision (0: the latest but one): its ReplicaSet becomes the new one, with a
    higher revision and its history. The request is gone afterwards, whatever came of it; a senseless one is ignored.
    """
    cycle = rolled_out()
    for image in (2, 3):
        change(cycle, template=template(image))
        cycle.settle(NOW)
        make_all_ready(cycle, NOW)
    sets = {str(revision(rs)): rs.metadata.name for rs in cycle.ws.objects(ReplicaSet)}
    ask_for_rollback(cycle, asked)
    cycle.settle(NOW)
    make_all_ready(cycle, NOW)
    assert (ROLLBACK_TO in stored(cycle).metadata.annotations) == (asked == "x")
    new = find(cycle.ws, KEY).new
    assert new.metadata.name == sets[became or "3"]
    assert (
        new.metadata.annotations[REVISION] == stored(cycle).metadata.annotations[REVISION] == ("4" if became else "3")
    )
    assert new.metadata.annotations.get(HISTORY) == became
    assert_settled(cycle, concerns, NOW)


def test_a_revision_that_is_no_number_is_left_alone():
    """Somebody wrote it into the ReplicaSet's annotation: the Deployment has it, too, and no annotation is copied."""
    cycle = rolled_out()
    (rs,) = cycle.ws.objects(ReplicaSet)
    annotations = {**rs.metadata.annotations, REVISION: "abc"}
    cycle.ws.put(replace(rs, metadata=replace(rs.metadata, annotations=annotations)))
    cycle.settle(NOW)
    meta = stored(cycle).metadata
    assert meta.annotations[REVISION] == "abc"
    cycle.ctx.update(replace(stored(cycle), metadata=replace(meta, annotations={**meta.annotations, "a": "b"})))
    cycle.settle(NOW)
    assert cycle.ws.objects(ReplicaSet)[0].metadata.annotations == annotations
    change(cycle, template=template(2))
    cycle.settle(NOW)
    assert stored(cycle).metadata.annotations[REVISION] == "1"


def test_a_paused_deployment_is_not_rolled_back():
    """The request stays until it is resumed."""
    cycle = rolled_out()
    change(cycle, template=template(2), paused=True)
    cycle.settle(NOW)
    ask_for_rollback(cycle, "1")
    cycle.settle(NOW)
    assert ROLLBACK_TO in stored(cycle).metadata.annotations
    assert stored(cycle).spec.template != template(1)
    change(cycle, paused=False)
    cycle.settle(NOW)
    assert ROLLBACK_TO not in stored(cycle).metadata.annotations


@pytest.mark.parametrize("replicas", [0, 2])
def test_a_refused_replicaset_is_all_that_is_reported(replicas):
    """Until its new ReplicaSet is let in, a Deployment says that and no more: it hasn't observed its change."""
    quota = from_dict(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "few", "namespace": "ns"},
            "spec": {"hard": {"count/replicasets.apps": "1"}},
            "status": {"hard": {"count/replicasets.apps": "1"}, "used": {"count/replicasets.apps": "1"}},
        }
    )
    cycle = rolled_out(replicas)
    cycle.ws.put(quota)
    before = stored(cycle).status
    change(cycle, template=template(2))
    cycle.settle(NOW)
    after = stored(cycle).status
    assert condition_of(after, PROGRESSING).reason == "ReplicaSetCreateError"
    assert replace(after, conditions=()) == replace(before, conditions=())


def test_the_template_is_shared_with_its_replicaset():
    """What 1,500 Deployments and their pods have in common is there once."""
    cycle = rolled_out()
    (rs,) = cycle.ws.objects(ReplicaSet)
    assert rs.spec.template.spec is stored(cycle).spec.template.spec


# -- arithmetic --------------------------------------------------------------------------------------------------------


def replicaset(name, replicas, available, limit):
    annotations = {MAX: str(limit)}
    return ReplicaSet(
        metadata=ObjectMeta(name=name, namespace="ns", annotations=annotations),
        spec=ReplicaSetSpec(replicas=replicas),
        status=ReplicaSetStatus(replicas=replicas, available_replicas=available),
    )


SIZES = st.integers(0, 12)
BOUNDS = st.one_of(st.integers(0, 6), st.sampled_from(["0%", "1%", "25%", "34%", "100%", "130%"]))


@st.composite
def rollouts(draw):
    sizes = {name: draw(SIZES) for name in ("old-a", "old-b", "new")}
    limit = sum(sizes.values())
    sets = [replicaset(name, number, draw(st.integers(0, number)), limit) for name, number in sizes.items()]
    return Rollout(deployment(draw(SIZES), surge=draw(BOUNDS), unavailable=draw(BOUNDS)), sets[-1], tuple(sets[:-1]))


@given(rollouts())
def test_new_pods_stay_within_the_surge(rollout):
    """The new ReplicaSet grows within the limit and never over the wish."""
    grown = new_size(rollout) - size(rollout.new)
    assert new_size(rollout) <= max(rollout.want, 0)
    if grown > 0:
        assert total(rollout.sets) + grown <= rollout.limit


@given(rollouts())
def test_old_pods_go_only_when_they_can_be_spared(rollout):
    """However many old pods go, enough available ones stay: never less than before and less than allowed."""
    steps = old_steps(rollout)
    sizes = {rs.metadata.name: size(rs) for rs in rollout.sets}
    for name, smaller in steps:
        assert 0 <= smaller < sizes[name]
        sizes[name] = smaller
    before = sum(rs.status.available_replicas for rs in rollout.sets)
    after = sum(min(sizes[rs.metadata.name], rs.status.available_replicas) for rs in rollout.sets)
    assert after >= min(before, rollout.want - max_unavailable(rollout.deployment))
    assert sizes["new"] == size(rollout.new)


def test_pods_that_are_not_available_go_first():
    """One ReplicaSet may shrink twice in a row: by those pods, then by others that can be spared."""
    old = (replicaset("a", 1, 1, 6), replicaset("b", 2, 1, 6))
    rollout = Rollout(deployment(4, surge=2, unavailable=1), replicaset("new", 3, 3, 6), old)
    assert old_steps(rollout) == [("b", 1), ("a", 0), ("b", 0)]


@given(rollouts())
def test_scaling_fills_the_limit_exactly(rollout):
    """When several ReplicaSets share a change, they have as many pods as are allowed after it, and none less than 0."""
    sizes = dict(scaled_sizes(rollout))
    assert all(replicas >= 0 for replicas in sizes.values())
    if len(active(rollout.sets)) > 1 and rollout.want and sizes and len(sizes) == len(active(rollout.sets)):
        assert sum(sizes.values()) == rollout.limit


# -- any sequence of events --------------------------------------------------------------------------------------------

EVENTS = st.tuples(
    st.sampled_from(
        ["image", "ready", "ready", "scale", "unready", "delete", "bind", "gone", "pause", "steal", "time"]
    ),
    st.integers(0, 7),
)
#: Events after which availability may only fall as far as the strategy allows.
HARMLESS = ("image", "ready", "bind", "gone", "time")


def happen(cycle, event, number, now):
    """Lets one thing happen to the Deployment, a ReplicaSet or a pod."""
    sets, pods = cycle.ws.objects(ReplicaSet), cycle.ws.objects(Pod)
    if event == "image":
        change(cycle, template=template(1 + number % 3))
    elif event == "scale":
        change(cycle, replicas=number)
    elif event == "pause":
        change(cycle, paused=number % 2 == 0)
    elif event == "steal" and sets:
        chosen = sets[number % len(sets)]
        cycle.ws.put(replace(chosen, metadata=replace(chosen.metadata, owner_references=())))
    elif pods and event in ("ready", "unready"):
        report(cycle, pods[number % len(pods)], ready=event == "ready", now=now, node="n")
    elif pods and event == "delete":
        cycle.ctx.delete(pods[number % len(pods)])
    elif pods and event == "bind":
        chosen = pods[number % len(pods)]
        cycle.ws.put(replace(chosen, spec=replace(chosen.spec, node_name="n")))
    elif event == "gone":
        for pod in pods:
            if pod.metadata.deletion_timestamp is not None:
                cycle.ws.remove(Key.of(pod))


def available_pods(cycle):
    return sum(is_active(pod) and is_ready(pod) for pod in cycle.ws.objects(Pod))


@settings(max_examples=80)
@given(st.lists(EVENTS, max_size=12), BOUNDS, BOUNDS, st.booleans())
def test_any_rollout_is_safe_and_gets_through(events, surge, unavailable, recreate):
    """Never over the surge, never under the unavailable; always a fixed point; through as soon as pods become ready."""
    cycle = loop(deployment(3, surge=surge, unavailable=unavailable, recreate=recreate, revision_history_limit=2))
    now = NOW
    cycle.settle(now)
    for event, number in events:
        now += number * SECOND if event == "time" else 0
        cycle.ctx.start(now)
        cycle.ctx.because("test", {}, "")
        before = available_pods(cycle)
        happen(cycle, event, number, now)
        before = min(before, available_pods(cycle)) if event != "ready" else before
        cycle.settle(now)
        rollout = find(cycle.ws, KEY)
        if not stored(cycle).spec.paused:
            assert total(rollout.sets) <= max(rollout.limit, rollout.want)
            if event in HARMLESS and not recreate:
                assert available_pods(cycle) >= min(before, rollout.want - max_unavailable(rollout.deployment))
    assert_settled(cycle, concerns, now)
    change(cycle, paused=False)
    cycle.settle(now)
    for _ in range(40):
        happen(cycle, "gone", 0, now)
        cycle.settle(now)
        make_all_ready(cycle, now)
    rollout = find(cycle.ws, KEY)
    assert size(rollout.new) == rollout.want == available_pods(cycle)
    assert total(rollout.old) == 0
    assert len(rollout.old) <= 2
    assert condition_of(stored(cycle).status, PROGRESSING).reason == COMPLETE
    assert_settled(cycle, concerns, now)
