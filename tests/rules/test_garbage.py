"""Garbage collection: as recorded from Kubernetes, and for owners of kinds that aren't built in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import NOW, assert_settled, said
from recorded import Player, case_names, load_case

from reconciler.cycle import Cycle
from rules.deletion import FOREGROUND, ORPHAN
from rules.garbage import Garbage, owners_of
from rules.pod_garbage import PodGarbage
from rules.replication import Replication
from state.objects import (
    ConfigMap,
    CustomObject,
    Node,
    ObjectMeta,
    Opaque,
    OwnerReference,
    PersistentVolume,
    Pod,
    PodSpec,
    PodStatus,
    ReplicationController,
    kind_key,
    replace,
)
from state.snapshot import Key, Snapshot
from state.times import format_time


def concerns():
    return [Garbage(), PodGarbage(), Replication()]


def loop(*objects):
    cycle = Cycle(Snapshot.of(objects), concerns())
    cycle.settle(NOW)
    return cycle


@pytest.mark.parametrize("name", [n for n in case_names("gc-") if load_case(n)["expected"]["snapshots"]])
def test_does_as_recorded(name):
    """What is left after each step is what a real control plane left."""
    player = Player(load_case(name), concerns()).play()
    assert player.mismatches() == []
    assert_settled(player.cycle, concerns, player.now)


def ref(owner, *, blocking=None, uid=None):
    return OwnerReference(
        api_version=owner.api_version,
        kind=owner.kind,
        name=owner.metadata.name,
        uid=uid or owner.metadata.uid,
        block_owner_deletion=blocking,
    )


def config(name, *owners, **meta):
    return ConfigMap(
        metadata=ObjectMeta(name=name, namespace="ns", uid=f"uid-{name}", owner_references=tuple(owners), **meta)
    )


def custom(name, kind="Rollout", namespace="ns"):
    meta = ObjectMeta(name=name, namespace=namespace, uid=f"uid-{name}")
    return CustomObject(api_version="example.com/v1", kind=kind, metadata=meta)


def names(cycle, kind="ConfigMap"):
    return sorted(name for _, name in cycle.ws.table(kind))


def test_collects_through_several_levels_with_reasons():
    """What an absent owner owned goes, and what that owned; each deletion says why."""
    parent = config("parent")
    child = config("child", ref(parent))
    cycle = loop(child, config("grandchild", ref(child)), config("free"))
    assert names(cycle) == ["free"]
    assert [action.why for action in cycle.ctx.actions] == [
        "configmap/ns/child goes with its owner: configmap parent is gone or being deleted",
        "configmap/ns/grandchild goes with its owner: configmap child is gone or being deleted",
    ]


def test_an_owner_with_another_uid_is_another_owner():
    """A new object of the same name doesn't keep what the old one owned."""
    parent = config("parent")
    cycle = loop(parent, config("child", ref(parent, uid="uid-of-before")))
    assert names(cycle) == ["parent"]


def test_keeps_what_an_unknown_kind_owns_and_says_so():
    """Of a kind that nothing here knows it can't be said that the owner is absent."""
    cycle = loop(config("child", ref(custom("r"))))
    assert names(cycle) == ["child"]
    note = "configmap/ns/child is kept: nothing can be known here about its owner rollout r"
    assert said(cycle) == [("garbage", "configmap/ns/child", note)]


def test_collects_what_an_absent_custom_object_owned():
    """The kind is known when there are others of it, or a definition."""
    child = config("child", ref(custom("r")))
    assert names(loop(child, custom("other"))) == []
    definition = CustomObject(
        api_version="apiextensions.k8s.io/v1",
        kind="CustomResourceDefinition",
        metadata=ObjectMeta(name="rollouts.example.com", uid="crd"),
        body=Opaque({"spec": {"group": "example.com", "names": {"kind": "Rollout"}}}),
    )
    assert names(loop(child, definition)) == []
    cycle = loop(child)
    cycle.ws.put(definition)
    cycle.settle(NOW)
    assert names(cycle) == []


def test_an_existing_custom_owner_keeps_its_dependents():
    """Namespaced or not."""
    cycle = loop(
        custom("r"), config("a", ref(custom("r"))), custom("c", "Team", ""), config("b", ref(custom("c", "Team")))
    )
    assert names(cycle) == ["a", "b"]
    assert said(cycle) == []


def test_a_job_of_another_group_is_another_kind():
    """The group of a reference counts: volcano's Job isn't batch's."""
    volcano = CustomObject(
        api_version="batch.volcano.sh/v1alpha1", kind="Job", metadata=ObjectMeta(name="j", namespace="ns", uid="uid-j")
    )
    assert kind_key(volcano) == "Job.batch.volcano.sh"
    assert names(loop(volcano, config("child", ref(volcano)))) == ["child"]


def test_waits_for_blocking_dependents_in_the_foreground_and_says_so():
    """An owner deleted in the foreground stays while a dependent that blocks it is held."""
    owner = config("owner")
    cycle = loop(owner, config("held", ref(owner, blocking=True), finalizers=("example.com/hold",)))
    cycle.ctx.delete(owner, policy="Foreground")
    cycle.settle(NOW)
    assert names(cycle) == ["held", "owner"]
    note = "configmap/ns/owner is being deleted and waits for 1 dependents to go"
    assert said(cycle) == [("garbage", "configmap/ns/owner", note)]


def test_a_circle_deleted_in_the_foreground_does_not_wait_for_itself():
    """Two objects that own and block each other: the one that is collected blocks no more, so both go."""
    one, other = config("one"), config("other")
    one, other = config("one", ref(other, blocking=True)), config("other", ref(one, blocking=True))
    cycle = loop(one, other)
    cycle.ctx.start(NOW)
    cycle.ctx.delete(one, policy="Foreground")
    cycle.settle(NOW)
    assert names(cycle) == []


def test_what_is_in_no_namespace_has_no_owner_in_one():
    """Such an owner can't be looked up, whether it is there or not: the object stays, and says why."""
    here = config("here")
    absent = config("absent")
    volumes = [
        PersistentVolume(metadata=ObjectMeta(name=name, uid=name, owner_references=(ref(owner),)))
        for name, owner in (("of-here", here), ("of-absent", absent))
    ]
    node = Node(metadata=ObjectMeta(name="n", uid="n"))
    volumes.append(PersistentVolume(metadata=ObjectMeta(name="of-node", uid="3", owner_references=(ref(node),))))
    cycle = loop(here, *volumes)
    assert names(cycle, "PersistentVolume") == ["of-absent", "of-here"]
    note = "persistentvolume/of-here is kept: nothing can be known here about its owner configmap here"
    assert note in [why for _, _, why in said(cycle)]


def test_an_owner_that_cannot_be_looked_up_keeps_references_to_absent_ones():
    """As long as one reference can't be judged, none is dropped."""
    child = config("child", ref(config("here")), ref(config("absent")), ref(custom("x")))
    cycle = loop(config("here"), child)
    assert len(cycle.ws.get(Key.of(child)).metadata.owner_references) == 3


def test_the_policy_of_a_request_replaces_an_earlier_one():
    """Foreground after Orphan leaves one of the two finalizers."""
    owner = config("owner", finalizers=(ORPHAN, "example.com/hold"))
    cycle = loop(owner)
    cycle.ctx.delete(owner, policy="Foreground")
    assert cycle.ws.get(Key.of(owner)).metadata.finalizers == ("example.com/hold", FOREGROUND)


def test_replication_controllers_orphan_their_pods_by_default():
    """As the API server has it for kinds with old clients."""
    rc = ReplicationController(metadata=ObjectMeta(name="rc", namespace="ns", uid="uid-rc"))
    child = config("child", ref(rc))
    cycle = loop(rc, child)
    cycle.ctx.delete(cycle.ws.get(Key.of(rc)))
    cycle.settle(NOW)
    assert names(cycle) == ["child"]
    assert cycle.ws.get(Key.of(child)).metadata.owner_references == ()


def test_pods_of_a_lost_node_are_removed_at_once():
    """No kubelet will end them; pods elsewhere stay."""
    meta = {"namespace": "ns"}
    lost = Pod(metadata=ObjectMeta(name="lost", uid="1", **meta), spec=PodSpec(node_name="gone"))
    kept = Pod(metadata=ObjectMeta(name="kept", uid="2", **meta), spec=PodSpec(node_name="n"))
    cycle = loop(lost, kept, Node(metadata=ObjectMeta(name="n", uid="n")))
    assert names(cycle, "Pod") == ["kept"]
    assert cycle.ctx.actions[0].why == "pod/ns/lost is bound to node gone, which does not exist"
    cycle.ws.remove(Key("Node", "", "n"))
    cycle.settle(NOW)
    assert names(cycle, "Pod") == []


def test_an_ending_pod_that_was_never_on_a_node_is_removed():
    """Nobody else would."""
    meta = ObjectMeta(name="p", namespace="ns", uid="1", deletion_timestamp=format_time(NOW))
    assert names(loop(Pod(metadata=meta, status=PodStatus(phase="Pending"))), "Pod") == []


# -- any graph ---------------------------------------------------------------------------------------------------------

NAMES = "abcdef"
GRAPHS = st.fixed_dictionaries(
    {name: st.lists(st.tuples(st.sampled_from(NAMES + "xy"), st.booleans()), max_size=2, unique=True) for name in NAMES}
)
DELETIONS = st.lists(
    st.tuples(
        st.sampled_from(NAMES), st.sampled_from(["Background", "Foreground", "Orphan", "unhold", "appear", "vanish"])
    ),
    max_size=6,
)


def graph(owners, held):
    """ConfigMaps that own each other as given; "x" and "y" don't exist, "y" is of an unknown kind."""
    for name, refs in owners.items():
        found = [ref(custom("y") if o == "y" else config(o), blocking=blocking) for o, blocking in refs if o != name]
        yield config(name, *found, finalizers=("example.com/hold",) if name in held else ())


@settings(max_examples=150)
@given(GRAPHS, st.sets(st.sampled_from(NAMES), max_size=2), DELETIONS)
def test_settles_for_any_graph_of_owners(owners, held, deletions):
    """Rings of owners included: nothing is left to do, a cold loop agrees, and what lost all its owners is gone."""
    cycle = loop(*graph(owners, held))
    for name, policy in deletions:
        obj = cycle.ws.find(ConfigMap, "ns", name)
        cycle.ctx.start(NOW)
        if policy == "appear":
            cycle.ws.put(custom("y" if name == "a" else name))
        elif policy == "vanish":
            cycle.ws.remove(Key.of(custom("y" if name == "a" else name)))
        elif obj is None:
            continue
        elif policy == "unhold":
            meta = replace(obj.metadata, finalizers=tuple(f for f in obj.metadata.finalizers if "/" not in f))
            cycle.ctx.update(replace(obj, metadata=meta))
        else:
            cycle.ctx.delete(obj, policy=policy)
        cycle.settle(NOW)
    assert_settled(cycle, concerns, NOW)
    for obj in cycle.ws.objects(ConfigMap):
        found = owners_of(cycle.ws, obj)
        if obj.metadata.deletion_timestamp is None:
            assert not found.absent or found.unknown
            assert not obj.metadata.owner_references or found.solid or found.unknown
