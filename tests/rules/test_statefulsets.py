"""StatefulSets: as recorded from Kubernetes, and what holds for any sequence of events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import NOW, SECOND, assert_settled, befall, report, said
from recorded import Player, case_names, load_case

from reconciler.cycle import Cycle
from rules.events import event_of
from rules.garbage import Garbage
from rules.pod_garbage import PodGarbage
from rules.pods import is_ready
from rules.stateful_steps import BURST
from rules.statefulsets import StatefulSets
from rules.volume_protection import ClaimProtection
from state.defaults import default
from state.load import from_dict
from state.objects import (
    ControllerRevision,
    ObjectMeta,
    OwnerReference,
    PersistentVolumeClaim,
    Pod,
    PodCondition,
    StatefulSet,
    replace,
)
from state.snapshot import Key, Snapshot
from state.times import format_time

KEY = Key("StatefulSet", "ns", "web")


def concerns():
    return [Garbage(), PodGarbage(), ClaimProtection(), StatefulSets()]


@pytest.mark.parametrize("name", case_names("sts-"))
def test_does_as_recorded(name):
    """States after each step equal those of a real control plane: pods, claims, revisions by name, and status."""
    player = Player(load_case(name), concerns()).play()
    assert player.mismatches() == []
    assert_settled(player.cycle, concerns, player.now)


def statefulset(replicas, image="img:1", **spec):
    labels = {"app": "web"}
    document = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web", "namespace": "ns", "uid": "uid-web", "generation": 1},
        "spec": {
            "replicas": replicas,
            "serviceName": "web",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}},
            **spec,
        },
    }
    return default(from_dict(document))


CLAIMS = [
    {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
]


def loop(*objects):
    return Cycle(Snapshot.of(objects), concerns())


def names(cycle, kind=Pod):
    return [obj.metadata.name for obj in cycle.ws.objects(kind)]


def all_ready(cycle, now=NOW):
    """Makes pods ready, one after the other, until nothing more happens."""
    cycle.settle(now)
    while waiting := [pod for pod in cycle.ws.objects(Pod) if not is_ready(pod)]:
        report(cycle, waiting[0], ready=True, now=now)
        cycle.settle(now)


def change(cycle, **spec):
    sts = cycle.ws.find(StatefulSet, "ns", "web")
    cycle.ctx.update(replace(sts, spec=replace(statefulset(sts.spec.replicas, **spec).spec)))


def test_parallel_makes_all_pods_at_once():
    """With pod management Parallel no pod waits for another."""
    cycle = loop(statefulset(3, podManagementPolicy="Parallel"))
    cycle.settle(NOW)
    assert names(cycle) == ["web-0", "web-1", "web-2"]
    assert said(cycle) == [("statefulsets", str(KEY), "web waits for 3 of its 3 pods to become available")]


def test_ordinals_begin_where_they_are_told_to():
    """ordinals.start shifts names, labels and partition; pods below it are too many."""
    cycle = loop(statefulset(2, ordinals={"start": 5}))
    all_ready(cycle)
    assert names(cycle) == ["web-5", "web-6"]
    assert cycle.ws.find(Pod, "ns", "web-6").metadata.labels["apps.kubernetes.io/pod-index"] == "6"
    change(cycle)
    all_ready(cycle)
    assert names(cycle) == ["web-0", "web-1"]


def test_says_which_pod_it_waits_for():
    """The note names the pod that stops all others, and what is to become of it."""
    cycle = loop(statefulset(2))
    cycle.settle(NOW)
    assert said(cycle) == [("statefulsets", str(KEY), "web waits for web-0 to become ready")]


def test_a_foreign_pod_of_the_name_is_waited_for():
    """A pod that isn't the set's own holds the name: nothing is done until it goes."""
    cycle = loop(statefulset(1), Pod(metadata=ObjectMeta(name="web-0", namespace="ns", uid="foreign")))
    cycle.settle(NOW)
    assert said(cycle) == [("statefulsets", str(KEY), "web waits for web-0 to go, which is not its own")]
    cycle.ws.remove(Key("Pod", "ns", "web-0"))
    cycle.settle(NOW)
    assert cycle.ws.find(Pod, "ns", "web-0").metadata.owner_references


def test_claims_come_before_their_pod():
    """The claim is there when the pod is made, and both are told in Kubernetes' words."""
    cycle = loop(statefulset(1, volumeClaimTemplates=CLAIMS))
    cycle.settle(NOW)
    created = [str(action.target) for action in cycle.ctx.actions if action.verb == "create"]
    assert created[1:] == ["persistentvolumeclaim/ns/data-web-0", "pod/ns/web-0"]
    messages = [event.message for action in cycle.ctx.actions if (event := event_of(action))]
    assert messages == [
        "create Claim data-web-0 Pod web-0 in StatefulSet web success",
        "create Pod web-0 in StatefulSet web successful",
    ]


def test_going_back_makes_the_former_revision_the_newest():
    """A template that was there before has its revision still: with a new number, under the old name."""
    cycle = loop(statefulset(1))
    all_ready(cycle)
    (first,) = names(cycle, ControllerRevision)
    change(cycle, image="img:2")
    all_ready(cycle)
    change(cycle)
    all_ready(cycle)
    numbers = {item.metadata.name: item.revision for item in cycle.ws.objects(ControllerRevision)}
    assert len(numbers) == 2
    assert numbers[first] == 3
    assert cycle.ws.find(StatefulSet, "ns", "web").status.current_revision == first


def test_a_set_that_is_being_deleted_reports_its_status():
    """Even when its revisions are gone before it, as they are when it is deleted in the foreground."""
    cycle = loop(statefulset(2))
    cycle.settle(NOW)
    all_ready(cycle)
    sts = cycle.ws.objects(StatefulSet)[0]
    names = sts.status.current_revision, sts.status.update_revision
    cycle.ws.put(replace(sts, metadata=replace(sts.metadata, deletion_timestamp="2026-01-01T00:00:00Z", generation=2)))
    for item in cycle.ws.objects(ControllerRevision):
        cycle.ws.remove(Key.of(item))
    for pod in cycle.ws.objects(Pod):
        ending = replace(pod.metadata, deletion_timestamp="2026-01-01T00:00:00Z")
        cycle.ws.put(replace(pod, metadata=ending))
    cycle.settle(NOW)
    status = cycle.ws.objects(StatefulSet)[0].status
    assert (status.current_revision, status.update_revision) == names
    assert (status.observed_generation, status.current_replicas) == (2, None)


def test_puts_the_labels_of_a_pod_right_and_says_so():
    """What a pod is known by comes back when somebody takes it away."""
    cycle = loop(statefulset(1))
    cycle.settle(NOW)
    all_ready(cycle)
    (pod,) = cycle.ws.objects(Pod)
    label = "statefulset.kubernetes.io/pod-name"
    labels = {name: text for name, text in pod.metadata.labels.items() if name != label}
    cycle.ws.put(replace(pod, metadata=replace(pod.metadata, labels=labels)))
    cycle.settle(NOW)
    assert cycle.ws.objects(Pod)[0].metadata.labels[label] == pod.metadata.name
    told = [event.message for event in map(event_of, cycle.ctx.actions) if event is not None]
    assert told[-1] == "update Pod web-0 in StatefulSet web successful"


def lone_pod(name, **meta):
    """A pod with the set's labels that nothing controls, ready."""
    ready = PodCondition(type="Ready", status="True", last_transition_time=format_time(NOW))
    pod = Pod(metadata=ObjectMeta(name=name, namespace="ns", uid=f"uid-{name}", labels={"app": "web"}, **meta))
    return replace(pod, status=replace(pod.status, phase="Running", conditions=(ready,)))


def test_the_index_label_of_a_pod_is_not_restored():
    """Kubernetes knows a pod by the label of its name alone."""
    cycle = loop(statefulset(1))
    all_ready(cycle)
    (pod,) = cycle.ws.objects(Pod)
    labels = {name: text for name, text in pod.metadata.labels.items() if name != "apps.kubernetes.io/pod-index"}
    cycle.ws.put(replace(pod, metadata=replace(pod.metadata, labels=labels)))
    cycle.settle(NOW)
    assert cycle.ws.objects(Pod)[0].metadata.labels == labels


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_a_pod_taken_over_without_the_claims_stops_the_set(policy):
    """Its claims are made, but nothing can give them to it: no label is set, no pod goes until it does."""
    spec = {"volumeClaimTemplates": CLAIMS, "podManagementPolicy": policy}
    cycle = loop(statefulset(1, **spec), lone_pod("web-0"), lone_pod("web-1"))
    cycle.settle(NOW)
    assert names(cycle) == ["web-0", "web-1"]
    assert names(cycle, PersistentVolumeClaim) == ["data-web-0"]
    assert cycle.ws.find(Pod, "ns", "web-0").metadata.labels == {"app": "web"}
    status = cycle.ws.find(StatefulSet, "ns", "web").status
    assert (status.replicas, status.ready_replicas, status.current_replicas) == (2, 2, None)
    assert said(cycle) == [("statefulsets", str(KEY), "web waits for web-0 to go: it doesn't have the set's claims")]
    cycle.ws.remove(Key("Pod", "ns", "web-0"))
    all_ready(cycle)
    assert names(cycle) == ["web-0"]


def test_a_failed_pod_stops_only_what_comes_in_order():
    """It ends, and while it does a Parallel set is scaled down all the same; another one isn't."""
    left = {}
    for policy in ("OrderedReady", "Parallel"):
        cycle = loop(statefulset(3, podManagementPolicy=policy))
        all_ready(cycle)
        pod = cycle.ws.find(Pod, "ns", "web-0")
        bound = replace(pod, spec=replace(pod.spec, node_name="n"), status=replace(pod.status, phase="Failed"))
        cycle.ws.put(replace(bound, metadata=replace(bound.metadata, deletion_timestamp=format_time(NOW))))
        sts = cycle.ws.find(StatefulSet, "ns", "web")
        cycle.ctx.update(replace(sts, spec=replace(sts.spec, replicas=1)))
        cycle.settle(NOW)
        left[policy] = [name for name in names(cycle) if cycle.ws.find(Pod, "ns", name).metadata.uid]
    assert left == {"OrderedReady": ["web-0", "web-1", "web-2"], "Parallel": ["web-0"]}


def owners(cycle, name="data-web-0"):
    references = cycle.ws.find(PersistentVolumeClaim, "ns", name).metadata.owner_references
    return [(ref.kind, ref.name, ref.uid) for ref in references]


def retention(scaled="Retain", deleted="Retain"):
    return {
        "volumeClaimTemplates": CLAIMS,
        "persistentVolumeClaimRetentionPolicy": {"whenScaled": scaled, "whenDeleted": deleted},
    }


def test_the_claims_of_a_pending_pod_follow_the_retention_policy():
    """A pod that waits has its claims given to the set, or taken from it, before it runs."""
    cycle = loop(statefulset(1, **retention()))
    cycle.settle(NOW)
    (pod,) = cycle.ws.objects(Pod)
    assert pod.status.phase == "Pending"
    assert owners(cycle) == []
    change(cycle, **retention(deleted="Delete"))
    cycle.settle(NOW)
    assert owners(cycle) == [("StatefulSet", "web", "uid-web")]
    change(cycle, **retention())
    cycle.settle(NOW)
    assert owners(cycle) == []


@pytest.mark.parametrize(
    ("present", "wanted"),
    [
        (("apps/v1", "Deployment", "d", "u", True), ["d"]),
        (("apps/v1", "Deployment", "d", "u", False), ["d", "web"]),
        (("apps/v1", "StatefulSet", "web", "uid-of-another", True), ["web"]),
        (("apps/v1", "StatefulSet", "web", "uid-web", False), ["web"]),
    ],
    ids=["controlled", "owned", "stale", "not its controller"],
)
def test_claims_with_other_owners(present, wanted):
    """A claim that something else controls, or that a former set of the name owns, isn't the set's to delete."""
    version, kind, name, uid, controller = present
    ref = OwnerReference(api_version=version, kind=kind, name=name, uid=uid, controller=controller or None)
    meta = ObjectMeta(name="data-web-0", namespace="ns", uid="uid-claim", owner_references=(ref,))
    sts = statefulset(1, **retention(deleted="Delete"))
    cycle = Cycle(Snapshot.of([sts, PersistentVolumeClaim(metadata=meta)]), [StatefulSets()])
    cycle.settle(NOW)
    all_ready(cycle)
    references = cycle.ws.find(PersistentVolumeClaim, "ns", "data-web-0").metadata.owner_references
    assert [ref.name for ref in references] == wanted
    assert references[0].uid == uid
    assert (references[0].controller or False) == (controller or name == "web")


def test_claims_have_all_metadata_of_their_template():
    """Labels of the selector win over the template's."""
    template = {**CLAIMS[0], "metadata": {"name": "data", "finalizers": ["x.io/a"], "labels": {"app": "z", "b": "c"}}}
    cycle = loop(statefulset(1, volumeClaimTemplates=[template]))
    cycle.settle(NOW)
    (claim,) = cycle.ws.objects(PersistentVolumeClaim)
    assert claim.metadata.labels == {"app": "web", "b": "c"}
    assert "x.io/a" in claim.metadata.finalizers


@pytest.mark.parametrize(("service", "subdomain"), [("svc", "svc"), ("", None)])
def test_the_subdomain_is_the_service(service, subdomain):
    """Whatever the template says, and even if there is no service."""
    sts = statefulset(1, serviceName=service)
    template = replace(sts.spec.template, spec=replace(sts.spec.template.spec, subdomain="own", hostname="own"))
    cycle = loop(replace(sts, spec=replace(sts.spec, template=template)))
    cycle.settle(NOW)
    (pod,) = cycle.ws.objects(Pod)
    assert (pod.spec.hostname, pod.spec.subdomain) == ("web-0", subdomain)


def test_a_pod_that_is_refused_is_called_by_its_name():
    """As it has one before it is created."""
    sts = statefulset(1)
    template = replace(sts.spec.template, spec=replace(sts.spec.template.spec, priority_class_name="nope"))
    cycle = loop(replace(sts, spec=replace(sts.spec, template=template)))
    cycle.settle(NOW)
    (event,) = cycle.ctx.events
    assert event.message == (
        'create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden:'
        " no PriorityClass with name nope was found"
    )


def test_history_is_bounded():
    """Revisions that no pod has go, the oldest first, when there are more than the limit."""
    cycle = loop(statefulset(1, revisionHistoryLimit=1))
    for number in range(4):
        change(cycle, image=f"img:{number}", revisionHistoryLimit=1)
        all_ready(cycle)
    assert sorted(item.revision for item in cycle.ws.objects(ControllerRevision)) == [3, 4]


def test_a_selector_that_misses_the_template_is_explained():
    """Such a set, which no API server accepts, would let go of each pod it makes; it says so instead."""
    sts = statefulset(2)
    selector = replace(sts.spec.selector, match_labels={"app": "other"})
    cycle = loop(replace(sts, spec=replace(sts.spec, selector=selector)))
    cycle.settle(NOW)
    assert names(cycle) == []
    note = "web lacks 1 of 2 pods: its selector doesn't match its template's labels"
    assert ("statefulsets", str(KEY), note) in said(cycle)


# -- any sequence of events --------------------------------------------------------------------------------------------

EVENTS = st.one_of(
    st.tuples(st.just("scale"), st.integers(0, 4)),
    st.tuples(st.just("image"), st.integers(0, 2)),
    st.tuples(st.sampled_from(["ready", "unready", "fail", "delete", "gone", "disown", "relabel"]), st.integers(0, 9)),
    st.tuples(st.just("claim"), st.integers(0, 4)),
    st.tuples(st.just("time"), st.integers(1, 40)),
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "podManagementPolicy": st.just("Parallel"),
        "minReadySeconds": st.just(20),
        "updateStrategy": st.sampled_from(
            [{"type": "OnDelete"}, {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}]
        ),
        "volumeClaimTemplates": st.just(CLAIMS),
        "persistentVolumeClaimRetentionPolicy": st.fixed_dictionaries(
            {"whenScaled": st.sampled_from(["Delete", "Retain"]), "whenDeleted": st.sampled_from(["Delete", "Retain"])}
        ),
        "ordinals": st.just({"start": 1}),
    },
)


def happen(cycle, event, number, spec, now):
    """Lets one thing happen to the set or to one of its pods."""
    sts = cycle.ws.find(StatefulSet, "ns", "web")
    if event == "scale":
        cycle.ctx.update(replace(sts, spec=replace(sts.spec, replicas=number)))
    elif event == "image":
        change(cycle, image=f"img:{number}", **spec)
    elif event == "claim":
        claim = cycle.ws.find(PersistentVolumeClaim, "ns", f"data-web-{number}")
        if claim is not None:
            cycle.ctx.delete(claim)
    pods = cycle.ws.objects(Pod)
    if not pods or event in ("scale", "image", "claim", "time"):
        return
    pod = pods[number % len(pods)]
    if event in ("ready", "unready"):
        report(cycle, pod, ready=event == "ready", now=now)
    else:
        befall(cycle, pod, event, {"app": "web"})


@settings(max_examples=120)
@given(st.lists(EVENTS, max_size=14), SPECS)
def test_settles_whatever_happens(events, spec):
    """No ordinal is skipped while pods come in order, no name is there twice, and a cold loop agrees."""
    cycle = loop(statefulset(2, **spec))
    now = NOW
    for event, number in [("time", 1), *events]:
        now += number * SECOND if event == "time" else 0
        cycle.ctx.start(now)
        cycle.ctx.because("test", {}, "")
        happen(cycle, event, number, spec, now)
        cycle.settle(now)
        sts = cycle.ws.find(StatefulSet, "ns", "web")
        assert sts.status.replicas == len(cycle.ws.owned(sts, Pod))
        assert (sts.status.available_replicas or 0) <= (sts.status.ready_replicas or 0) <= sts.status.replicas
        if "podManagementPolicy" in spec:
            start = spec.get("ordinals", {}).get("start", 0)
            assert set(names(cycle)) >= {f"web-{start + i}" for i in range(sts.spec.replicas)}
    assert_settled(cycle, concerns, now)


def test_creates_more_than_a_burst_in_several_passes():
    """No look at a parallel set creates more than ``BURST`` pods, and yet all come."""
    cycle = loop(statefulset(BURST + 1, podManagementPolicy="Parallel"))
    cycle.settle(NOW)
    assert len(names(cycle)) == BURST + 1
    assert [a.because["have"] for a in cycle.ctx.actions if a.verb == "create"].count(BURST) == 1
