"""Volumes and claims as recorded from Kubernetes, and what must hold for any sequence of events."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import NOW, assert_settled
from recorded import case_names, load_case
from recorded_cluster import ClusterPlayer, concerns

from reconciler.cycle import Cycle
from rules.admission import PROTECTION
from rules.binding import PROVISIONED_BY, mismatch
from rules.claim_facts import PROVISIONER
from rules.claims import ClaimBinding
from rules.scheduling.volumes import BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE
from rules.volume_protection import ClaimProtection, VolumeProtection
from rules.volumes import VolumePhases
from state.defaults import default
from state.objects import (
    CSIPersistentVolumeSource,
    HostPathVolumeSource,
    LabelSelector,
    LocalVolumeSource,
    ObjectMeta,
    ObjectReference,
    Opaque,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimVolumeSource,
    PersistentVolumeSpec,
    Pod,
    PodSpec,
    PodStatus,
    StorageClass,
    Volume,
    VolumeResourceRequirements,
    replace,
)
from state.snapshot import Key, Snapshot

DIRECTORY = {"host_path": HostPathVolumeSource(path="/data")}
DISK = {"local": LocalVolumeSource(path="/disk")}
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


def storage():
    return [VolumePhases(), ClaimBinding(), VolumeProtection(), ClaimProtection()]


@pytest.mark.parametrize("name", case_names("pv-"))
def test_does_as_recorded(name):
    """Volumes and claims after each step equal those of a real control plane."""
    case = load_case(name)
    player = ClusterPlayer(case).play()
    # the recorder's pods had a token volume, and its cluster more nodes at that time
    assert player.mismatches(ignore=["pods"] if name == "pv-wffc-none" else []) == []
    recorded = case["expected"]["snapshots"]
    if "summary" in recorded:
        assert player.bindings() == recorded["summary"]
    if "classes" in recorded:
        classes = {c.metadata.name: c.spec.storage_class_name for c in player.ws.objects(PersistentVolumeClaim)}
        assert classes == recorded["classes"]
    player.settle()
    assert_settled(player.cycle, concerns, player.now)


def volume(name, size="1Gi", modes=("ReadWriteOnce",), *, cls="c", ref=None, annotations=None, labels=None, **spec):
    meta = ObjectMeta(name=name, uid=f"uid-{name}", annotations=annotations or {}, labels=labels or {})
    if not {"csi", "host_path", "local"} & spec.keys():
        spec["nfs"] = Opaque({"server": "192.0.2.1", "path": "/"})
    spec = PersistentVolumeSpec(
        capacity={"storage": size}, access_modes=modes, storage_class_name=cls, claim_ref=ref, **spec
    )
    return default(PersistentVolume(metadata=meta, spec=spec))


def claim(name, size="1Gi", modes=("ReadWriteOnce",), *, cls="c", annotations=None, uid=None, **spec):
    meta = ObjectMeta(name=name, namespace="ns", uid=uid or f"uid-{name}", annotations=annotations or {})
    resources = VolumeResourceRequirements(requests={"storage": size})
    spec = PersistentVolumeClaimSpec(access_modes=modes, resources=resources, storage_class_name=cls, **spec)
    return default(PersistentVolumeClaim(metadata=meta, spec=spec))


def storage_class(name="c", provisioner="example.com/p", *, annotations=None, **fields):
    meta = ObjectMeta(name=name, uid=f"uid-{name}", annotations=annotations or {})
    return default(StorageClass(metadata=meta, provisioner=provisioner, **fields))


def user(name, claim_name, *, on=None, phase="Running"):
    source = PersistentVolumeClaimVolumeSource(claim_name=claim_name)
    return Pod(
        metadata=ObjectMeta(name=name, namespace="ns", uid=f"uid-{name}"),
        spec=PodSpec(node_name=on, volumes=(Volume(name="v", persistent_volume_claim=source),)),
        status=PodStatus(phase=phase),
    )


def reference(name, uid=None):
    return ObjectReference(kind="PersistentVolumeClaim", namespace="ns", name=name, uid=uid)


def settled(*objects):
    cycle = Cycle(Snapshot.of(objects), storage())
    cycle.settle(NOW)
    return cycle


def live_claim(cycle, name="a"):
    return cycle.ws.find(PersistentVolumeClaim, "ns", name)


def live_volume(cycle, name="v"):
    return cycle.ws.find(PersistentVolume, "", name)


def why(cycle, key, concern="claims"):
    note = cycle.ctx.notes.get((concern, key))
    return "" if note is None else note.why


CLAIM, VOLUME = Key("PersistentVolumeClaim", "ns", "a"), Key("PersistentVolume", "", "v")


def test_the_smallest_volume_with_the_fewest_modes():
    """An exact fit in modes comes before a smaller volume that can do more."""
    both = ("ReadWriteOnce", "ReadWriteMany")
    cycle = settled(volume("small", "1Gi", both), volume("mid", "3Gi"), volume("large", "5Gi"), claim("a", "1Gi"))
    assert live_claim(cycle).spec.volume_name == "mid"


def test_a_binding_is_one_action():
    """Claim and volume are written together, with everything that says that they are bound."""
    cycle = settled(volume("v"), claim("a"))
    (bind,) = [action for action in cycle.ctx.actions if action.verb == "bind-claim"]
    assert bind.claim.status.phase == bind.volume.status.phase == "Bound"
    assert bind.claim.metadata.annotations == {BIND_COMPLETED: "yes", BOUND_BY_CONTROLLER: "yes"}
    assert bind.volume.spec.claim_ref.uid == "uid-a"


def test_a_selector_picks_by_labels():
    """The volume must have them, even if another one is smaller."""
    wanted = LabelSelector(match_labels={"disk": "fast"})
    fast = volume("fast", "9Gi", labels={"disk": "fast"})
    assert live_claim(settled(volume("slow"), fast, claim("a", selector=wanted))).spec.volume_name == "fast"
    alone = settled(volume("slow"), claim("a", selector=wanted))
    assert live_claim(alone).spec.volume_name is None


def test_a_volume_that_comes_later_is_taken():
    """And one that becomes free."""
    cycle = settled(claim("a"))
    assert "there is no StorageClass 'c'" in why(cycle, CLAIM)
    cycle.ws.put(volume("v", ref=reference("other")))
    cycle.settle(NOW)
    assert live_claim(cycle).spec.volume_name is None
    live = live_volume(cycle)
    cycle.ws.put(replace(live, spec=replace(live.spec, claim_ref=None)))
    cycle.settle(NOW)
    assert live_claim(cycle).spec.volume_name == "v"
    assert why(cycle, CLAIM) == ""


def test_many_claims_and_volumes_in_one_pass():
    """Claims that had counted on the same volume look further."""
    objects = [*(volume(f"v{i}", f"{i + 1}Gi") for i in range(30)), *(claim(f"c{i:02}") for i in range(40))]
    cycle = settled(*objects)
    bound = [c.spec.volume_name for c in cycle.ws.objects(PersistentVolumeClaim) if c.spec.volume_name]
    assert sorted(bound) == sorted(f"v{i}" for i in range(30))
    assert len([key for key in cycle.ctx.notes if key[0] == "claims"]) == 10


def test_a_provisioner_is_asked_once_and_waited_for():
    """Annotations, an event, a note; the volume that it makes is bound, though a free one fits by then."""
    cycle = settled(storage_class(), claim("a"))
    annotations = live_claim(cycle).metadata.annotations
    assert [annotations[name] for name in PROVISIONER] == ["example.com/p"] * 2
    assert [event.reason for event in cycle.ctx.events] == ["ExternalProvisioning"]
    assert why(cycle, CLAIM) == "claim a waits for provisioner example.com/p to make a volume of 1Gi"
    made = volume("pvc-1", "2Gi", ref=reference("a", "uid-a"), annotations={PROVISIONED_BY: "example.com/p"})
    cycle.ws.put(made)
    cycle.settle(NOW)
    assert live_claim(cycle).spec.volume_name == "pvc-1"
    assert live_claim(cycle).status.capacity == {"storage": "2Gi"}
    assert BOUND_BY_CONTROLLER not in live_volume(cycle, "pvc-1").metadata.annotations
    assert_settled(cycle, storage, NOW)


def test_no_provisioner_makes_nothing():
    """kubernetes.io/no-provisioner says that volumes are made by hand."""
    cycle = settled(storage_class(provisioner="kubernetes.io/no-provisioner"), claim("a"))
    assert not set(PROVISIONER) & live_claim(cycle).metadata.annotations.keys()
    (event,) = cycle.ctx.events
    assert event.message == "no volume plugin matched name: kubernetes.io/no-provisioner"


def test_a_waiting_claim_is_provisioned_when_its_node_is_selected():
    """WaitForFirstConsumer: first a pod, then a node, then a volume, and free volumes don't count."""
    waiting = storage_class(volume_binding_mode="WaitForFirstConsumer")
    cycle = settled(waiting, volume("v"), claim("a"))
    assert why(cycle, CLAIM).endswith("waiting for first consumer to be created before binding")
    cycle.ws.put(user("web", "a"))
    cycle.settle(NOW)
    assert why(cycle, CLAIM).endswith("waiting for pod web to be scheduled")
    assert [event.reason for event in cycle.ctx.events] == ["WaitForFirstConsumer", "WaitForPodScheduled"]
    live = live_claim(cycle)
    cycle.ws.put(replace(live, metadata=replace(live.metadata, annotations={SELECTED_NODE: "n1"})))
    cycle.settle(NOW)
    assert "waits for provisioner example.com/p" in why(cycle, CLAIM)
    assert live_claim(cycle).spec.volume_name is None


def test_a_volume_that_the_scheduler_chose_is_bound():
    """It points at the claim with its uid."""
    chosen = volume("v", "5Gi", ref=reference("a", "uid-a"), annotations={BOUND_BY_CONTROLLER: "yes"})
    cycle = settled(storage_class(volume_binding_mode="WaitForFirstConsumer"), volume("w"), chosen, claim("a"))
    assert live_claim(cycle).spec.volume_name == "v"


def test_the_default_class_is_given_afterwards():
    """But not to a claim with class "" and not if a volume without class fits."""
    cycle = settled(claim("nil", cls=None), claim("empty", cls=""), volume("v", cls=None, modes=("ReadOnlyMany",)))
    cycle.ws.put(storage_class("d", annotations=DEFAULT))
    cycle.settle(NOW)
    assert live_claim(cycle, "nil").spec.storage_class_name == "d"
    assert live_claim(cycle, "empty").spec.storage_class_name == ""
    fits = settled(claim("nil", cls=None), volume("v", cls=None), storage_class("d", annotations=DEFAULT))
    assert live_claim(fits, "nil").spec.storage_class_name is None
    assert live_claim(fits, "nil").spec.volume_name == "v"


def test_a_claim_that_another_volume_serves_lets_the_rest_go():
    """A volume that the controller reserved becomes free; one that a user reserved stays reserved by name."""
    by_controller = volume("w", ref=reference("a", "uid-a"), annotations={BOUND_BY_CONTROLLER: "yes"})
    by_user = volume("x", ref=reference("a", "uid-a"))
    surplus = volume(
        "y",
        ref=reference("a", "uid-a"),
        annotations={PROVISIONED_BY: "p"},
        persistent_volume_reclaim_policy="Delete",
    )
    cycle = settled(volume("v"), by_controller, by_user, surplus, claim("a", volume_name="v"))
    assert live_claim(cycle).metadata.annotations == {BIND_COMPLETED: "yes"}
    assert live_volume(cycle, "w").spec.claim_ref is None
    assert live_volume(cycle, "x").spec.claim_ref == replace(by_user.spec.claim_ref, uid=None)
    assert [live_volume(cycle, name).status.phase for name in "vwxy"] == ["Bound", "Available", "Available", "Released"]


@pytest.mark.parametrize(
    ("policy", "fields", "phase", "note"),
    [
        ("Retain", {}, "Released", "keeps the data of claim ns/a"),
        ("Delete", {"annotations": {PROVISIONED_BY: "p"}}, "Released", "waits for p to delete it"),
        ("Delete", {"csi": CSIPersistentVolumeSource(driver="d", volume_handle="h")}, "Released", "waits for d"),
        ("Recycle", {"csi": CSIPersistentVolumeSource(driver="d", volume_handle="h")}, "Failed", "No recycler plugin"),
        ("Delete", {}, "Failed", 'deleter volume plugin for volume "v": no deletable volume plugin matched'),
        ("Delete", DISK, "Failed", 'error getting deleter volume plugin for volume "v": no volume plugin matched'),
        ("Delete", DIRECTORY, "Failed", "host_path deleter only supports /tmp/.+ but received provided /data"),
        ("Recycle", DIRECTORY, "Released", "to scrub it"),
        ("Recycle", {}, "Released", "to scrub it"),
        ("Recycle", DISK, "Failed", "No recycler plugin found for the volume!"),
    ],
)
def test_a_claim_that_goes_releases_its_volume(policy, fields, phase, note):
    """What becomes of the data is for the policy to say, and for a provisioner to do."""
    cycle = settled(volume("v", persistent_volume_reclaim_policy=policy, **fields), claim("a"))
    cycle.ctx.delete(live_claim(cycle))
    cycle.settle(NOW)
    assert live_claim(cycle) is None
    assert live_volume(cycle).status.phase == phase
    assert note in why(cycle, VOLUME, "volumes")
    cycle.ws.put(claim("a", uid="uid-again"))
    cycle.settle(NOW)
    assert live_claim(cycle).spec.volume_name is None
    assert_settled(cycle, storage, NOW)


def test_who_names_a_volume_or_is_named_by_it_comes_before_who_takes_any():
    """Though its name comes later."""
    for wants in (claim("z", volume_name="v"), claim("z")):
        cycle = settled(claim("a"), wants)
        ref = None if wants.spec.volume_name else reference("z", None)
        cycle.ws.put(volume("v", ref=ref))
        cycle.settle(NOW)
        assert [cycle.ws.find(PersistentVolumeClaim, "ns", name).status.phase for name in "az"] == ["Pending", "Bound"]


def test_a_temporary_directory_goes_with_its_claim():
    """As the hostPath plugin deletes it: only beneath /tmp."""
    path = HostPathVolumeSource(path="/tmp/x")
    cycle = settled(volume("v", persistent_volume_reclaim_policy="Delete", host_path=path), claim("a"))
    cycle.ctx.delete(live_claim(cycle))
    cycle.settle(NOW)
    assert cycle.ws.get(VOLUME) is None


def test_a_claim_that_asks_for_more_waits_for_somebody_to_expand_its_volume():
    """It says so once, as the expand controller does."""
    cycle = settled(volume("v"), claim("a"))
    live = live_claim(cycle)
    more = VolumeResourceRequirements(requests={"storage": "2Gi"})
    cycle.ctx.start(NOW)
    cycle.ws.put(replace(live, spec=replace(live.spec, resources=more)))
    cycle.settle(NOW)
    assert [(event.type, event.reason, event.message) for event in cycle.ctx.events] == [
        ("Normal", "ExternalExpanding", "waiting for an external controller to expand this PVC")
    ]


def test_a_claim_that_lost_its_volume_is_lost():
    """Whether the volume is gone, another claim has it, or somebody cleared its name."""
    for spoil, reason in (
        (lambda ws, c: ws.remove(VOLUME), "ClaimLost"),
        (lambda ws, c: ws.put(replace(c, spec=replace(c.spec, volume_name=None))), "ClaimLost"),
        (lambda ws, c: ws.put(volume("v", ref=reference("b", "uid-b"))), "ClaimMisbound"),
    ):
        cycle = settled(volume("v"), claim("a"))
        spoil(cycle.ws, live_claim(cycle))
        cycle.settle(NOW)
        assert live_claim(cycle).status.phase == "Lost"
        assert cycle.ctx.events[-1].reason == reason
        assert_settled(cycle, storage, NOW)


def test_a_half_written_binding_is_completed():
    """Each half that another hand wrote, or lost, is put right."""
    cycle = settled(volume("v"), claim("a"))
    complete_claim, complete_volume = live_claim(cycle), live_volume(cycle)
    for half in (
        replace(complete_volume, spec=replace(complete_volume.spec, claim_ref=None)),
        replace(complete_volume, status=replace(complete_volume.status, phase="Available")),
        replace(complete_claim, status=replace(complete_claim.status, phase="Pending")),
        replace(complete_claim, spec=replace(complete_claim.spec, volume_name=None), metadata=claim("a").metadata),
    ):
        cycle.ws.put(half)
        cycle.settle(NOW)
        assert live_claim(cycle).status == complete_claim.status
        assert live_claim(cycle).spec == complete_claim.spec
        assert live_volume(cycle).spec == complete_volume.spec
        assert live_volume(cycle).status.phase == "Bound"


def test_growing_is_left_to_others():
    """A claim that asks for more than it has waits for its volume to be expanded."""
    cycle = settled(volume("v", "5Gi"), claim("a"))
    live = live_claim(cycle)
    more = VolumeResourceRequirements(requests={"storage": "6Gi"})
    cycle.ws.put(replace(live, spec=replace(live.spec, resources=more)))
    cycle.settle(NOW)
    assert why(cycle, CLAIM) == "claim a asks for 6Gi and has 5Gi: it waits for its volume v to be expanded"


def test_mismatches_are_named():
    """In the words that the binder's event has."""
    assert mismatch(volume("v"), claim("a", "2Gi")) == "requested PV is too small"
    assert mismatch(volume("v", cls="x"), claim("a")) == "storageClassName does not match"
    assert mismatch(volume("v", volume_mode="Block"), claim("a")) == "incompatible volumeMode"
    assert mismatch(volume("v"), claim("a", modes=("ReadWriteMany",))) == "incompatible accessMode"
    assert mismatch(volume("v"), claim("a", volume_attributes_class_name="gold")) == (
        "volumeAttributesClassName does not match"
    )
    ending = volume("v")
    ending = replace(ending, metadata=replace(ending.metadata, deletion_timestamp="2026-01-01T00:00:00Z"))
    assert mismatch(ending, claim("a")) == 'the volume is marked for deletion "v"'


@pytest.mark.parametrize("phase", ["Running", "Succeeded"])
def test_a_claim_in_use_stays_until_its_pod_is_gone(phase):
    """A pod on a node keeps it, even a finished one; one that waits for a node doesn't."""
    cycle = settled(claim("a"), user("p", "a", on="n1", phase=phase), user("q", "a"))
    assert live_claim(cycle).metadata.finalizers == (PROTECTION["PersistentVolumeClaim"],)
    cycle.ctx.delete(live_claim(cycle))
    cycle.settle(NOW)
    assert live_claim(cycle).metadata.deletion_timestamp is not None
    assert why(cycle, CLAIM, "claim-protection") == "a was deleted, but stays as long as pod p uses it"
    cycle.ws.remove(Key("Pod", "ns", "p"))
    cycle.settle(NOW)
    assert live_claim(cycle) is None


def test_a_bound_volume_stays_until_its_claim_is_gone():
    """The finalizer goes with the binding."""
    cycle = settled(volume("v"), claim("a"))
    cycle.ctx.delete(live_volume(cycle))
    cycle.settle(NOW)
    assert why(cycle, VOLUME, "volume-protection") == "v was deleted, but stays as long as claim ns/a is bound to it"
    cycle.ctx.delete(live_claim(cycle))
    cycle.settle(NOW)
    assert live_volume(cycle) is None


# -- whatever happens --------------------------------------------------------------------------------------------------

CLAIMS, VOLUMES = ["a", "b", "c"], ["v", "w", "x"]
MODES = st.sampled_from([("ReadWriteOnce",), ("ReadWriteMany",), ("ReadWriteOnce", "ReadWriteMany")])
SIZES = st.sampled_from(["1Gi", "2Gi", "1536Mi"])
CLASSES = st.sampled_from(["c", "", None])
NEW_VOLUMES = st.builds(
    volume,
    st.sampled_from(VOLUMES),
    SIZES,
    MODES,
    cls=CLASSES,
    ref=st.none()
    | st.builds(reference, st.sampled_from(CLAIMS), st.sampled_from([None, "uid-a", "uid-b", "uid-gone"])),
    annotations=st.sampled_from([{}, {BOUND_BY_CONTROLLER: "yes"}, {PROVISIONED_BY: "p"}]),
    persistent_volume_reclaim_policy=st.sampled_from(["Retain", "Delete"]),
)
NEW_CLAIMS = st.builds(
    claim,
    st.sampled_from(CLAIMS),
    SIZES,
    MODES,
    cls=CLASSES,
    volume_name=st.none() | st.sampled_from(VOLUMES),
)
NEW_CLASSES = st.builds(
    storage_class,
    provisioner=st.sampled_from(["example.com/p", "kubernetes.io/no-provisioner"]),
    annotations=st.sampled_from([{}, DEFAULT]),
    volume_binding_mode=st.sampled_from(["Immediate", "WaitForFirstConsumer"]),
)
PODS = st.builds(user, st.sampled_from(["p", "q"]), st.sampled_from(CLAIMS), on=st.sampled_from([None, "n1"]))
KEYS = [
    *(Key("PersistentVolumeClaim", "ns", name) for name in CLAIMS),
    *(Key("PersistentVolume", "", name) for name in VOLUMES),
    Key("StorageClass", "", "c"),
    Key("Pod", "ns", "p"),
    Key("Pod", "ns", "q"),
]
EVENTS = st.one_of(
    st.one_of(NEW_VOLUMES, NEW_CLAIMS, NEW_CLASSES, PODS).map(lambda made: ("create", made)),
    st.sampled_from(KEYS).map(lambda key: ("delete", key)),
    st.sampled_from(KEYS).map(lambda key: ("vanish", key)),
    st.sampled_from(CLAIMS).map(lambda name: ("select", name)),
)


def carry_out(cycle, event, what, births):
    """``births`` counts objects by key: one that comes again has another uid."""
    ws = cycle.ws
    if event == "create":
        key = Key.of(what)
        if ws.get(key) is None:
            births[key] += 1
            again = f"-{births[key]}" if births[key] > 1 else ""
            ws.put(replace(what, metadata=replace(what.metadata, uid=what.metadata.uid + again)))
    elif event == "delete":
        live = ws.get(what)
        if live is not None:
            cycle.ctx.delete(live)
    elif event == "vanish":
        ws.remove(what)
    else:
        live = live_claim(cycle, what)
        if live is not None:
            annotations = {**live.metadata.annotations, SELECTED_NODE: "n1"}
            ws.put(replace(live, metadata=replace(live.metadata, annotations=annotations)))


def assert_safe(cycle):
    """A volume serves one claim, one that suits it, and both say so."""
    serving = {}
    for found in cycle.ws.objects(PersistentVolumeClaim):
        if found.status.phase != "Bound":
            continue
        name = found.spec.volume_name
        assert serving.setdefault(name, found.metadata.name) == found.metadata.name
        held = live_volume(cycle, name)
        assert held.spec.claim_ref.uid == found.metadata.uid
        assert held.status.phase == "Bound"
    for held in cycle.ws.objects(PersistentVolume):
        if held.status.phase == "Bound":
            assert serving[held.metadata.name] == held.spec.claim_ref.name


@settings(max_examples=200)
@given(st.lists(st.lists(EVENTS, max_size=5), max_size=8))
def test_no_volume_serves_two_claims_whatever_happens(rounds):
    """Warm equals cold, settled stays settled, and a binding is never but mutual."""
    cycle, births = Cycle(Snapshot.of([]), storage()), Counter()
    for events in rounds:
        for event, what in events:
            carry_out(cycle, event, what, births)
        cycle.settle(NOW)
        assert_safe(cycle)
        assert_settled(cycle, storage, NOW)
