"""A workspace is a snapshot being worked on, and its indexes are what fresh ones would be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from state import selectors
from state.indexes import ADOPTABLE_KINDS, SELECTING_KINDS, Indexes
from state.objects import (
    ConfigMap,
    LabelSelector,
    LabelSelectorRequirement,
    ObjectMeta,
    OwnerReference,
    Pod,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodSpec,
    ReplicaSet,
    ReplicaSetSpec,
    ReplicationController,
    ReplicationControllerSpec,
    Service,
    ServiceSpec,
    replace,
)
from state.snapshot import Binding, Change, Key, Snapshot
from state.workspace import Workspace, controller_uid

NAMESPACES = ("a", "b")
LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["x", "y"]), max_size=2)


def pod(name, namespace="a", labels=None, node=None, owners=()):
    meta = ObjectMeta(name=name, namespace=namespace, labels=labels or {}, owner_references=owners)
    return Pod(metadata=meta, spec=PodSpec(node_name=node))


def owner(uid, *, controller=True):
    return OwnerReference(api_version="apps/v1", kind="ReplicaSet", name=uid, uid=uid, controller=controller)


owners = st.lists(
    st.builds(owner, st.sampled_from(["u1", "u2"]), controller=st.booleans()), max_size=2, unique_by=lambda o: o.uid
).map(tuple)
names = st.sampled_from(["p1", "p2", "p3", "p4"])
namespaces = st.sampled_from(NAMESPACES)
pods = st.builds(pod, names, namespaces, LABELS, st.sampled_from([None, "", "n1", "n2"]), owners)
requirements = st.builds(
    LabelSelectorRequirement,
    key=st.sampled_from(["app", "tier"]),
    operator=st.just("In"),
    values=st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2, unique=True).map(tuple),
)
label_selectors = st.builds(
    LabelSelector, match_labels=LABELS, match_expressions=st.lists(requirements, max_size=1).map(tuple)
)


@st.composite
def selecting(draw):
    meta = ObjectMeta(name=draw(st.sampled_from(["s1", "s2"])), namespace=draw(namespaces), labels=draw(LABELS))
    kind = draw(st.sampled_from([ReplicaSet, ReplicationController, Service, PodDisruptionBudget]))
    if kind is ReplicaSet:
        meta = replace(meta, owner_references=draw(owners))
        return ReplicaSet(metadata=meta, spec=ReplicaSetSpec(selector=draw(st.none() | label_selectors)))
    if kind is ReplicationController:
        return ReplicationController(metadata=meta, spec=ReplicationControllerSpec(selector=draw(LABELS)))
    if kind is Service:
        of_type = draw(st.sampled_from([None, "ClusterIP", "ExternalName"]))
        return Service(metadata=meta, spec=ServiceSpec(selector=draw(LABELS), type=of_type))
    return PodDisruptionBudget(metadata=meta, spec=PodDisruptionBudgetSpec(selector=draw(st.none() | label_selectors)))


objects = pods | selecting()
operations = st.lists(
    st.tuples(st.just("put"), objects)
    | st.tuples(st.just("remove"), objects)
    | st.tuples(st.just("commit"), st.none())
    | st.tuples(st.just("observe"), objects)
    | st.tuples(st.just("bind"), pods.filter(lambda obj: obj.spec.node_name)),
    max_size=25,
)


def carry_out(ws, steps):
    for verb, obj in steps:
        if verb == "put":
            ws.put(obj)
        elif verb == "remove":
            ws.remove(Key.of(obj))
        elif verb == "bind":
            waiting = ws.find(Pod, obj.metadata.namespace, obj.metadata.name)
            if waiting is not None:
                ws.bind(waiting, replace(waiting, spec=replace(waiting.spec, node_name=obj.spec.node_name)))
        elif verb == "observe":
            ws.observe([Change(Key.of(obj), ws.get(Key.of(obj)), obj)])
        else:
            ws.commit()


def answers(ws, indexes):
    """All that can be asked of indexes."""
    every = [{"app": a, "tier": t} for a in ("x", "y", "z") for t in ("x", "z")] + [{}]
    asked = [LabelSelector(), LabelSelector(match_labels={"app": "x"}), LabelSelector(match_labels={"tier": "y"})]
    return {
        "owned": [indexes.owned_by(uid, kind) for uid in ("u1", "u2") for kind in (None, "Pod", "ReplicaSet")],
        "dependents": [indexes.has_dependents(uid) for uid in ("u1", "u2", "u3")],
        "orphans": [indexes.orphans(k, n, labels) for k in ADOPTABLE_KINDS for n in NAMESPACES for labels in every],
        "on": [indexes.pods_on(node) for node in ("n1", "n2", "n3")],
        "unassigned": indexes.unassigned_pods(),
        "matching": [
            indexes.pods_matching(n, selectors.from_object(selector), ws.table("Pod"))
            for n in NAMESPACES
            for selector in asked
        ],
        "selecting": [indexes.selecting(n, labels) for n in NAMESPACES for labels in every],
        "selecting kinds": [indexes.selecting(n, {"app": "x"}, ("Service",)) for n in NAMESPACES],
    }


def tables(ws):
    return {kind: dict(ws.table(kind)) for kind in ws.kinds}


@given(operations)
def test_indexes_moved_forward_equal_fresh_ones(steps):
    """Whatever happened, the answers are those of indexes built from the objects alone, in the same order."""
    ws = Workspace(Snapshot())
    carry_out(ws, steps)
    assert answers(ws, ws.indexes) == answers(ws, Indexes.build(tables(ws)))


@given(operations)
def test_index_answers_are_those_of_a_search(steps):
    """The indexes tell what looking at every object tells."""
    ws = Workspace(Snapshot())
    carry_out(ws, steps)
    all_pods = ws.objects(Pod)
    for uid in ("u1", "u2"):
        owned = [
            Key(kind, *ns_name)
            for kind in ws.kinds
            for ns_name, obj in ws.table(kind).items()
            if any(ref.uid == uid for ref in obj.metadata.owner_references)
        ]
        assert ws.indexes.owned_by(uid) == sorted(owned)
    for node in ("n1", "n2"):
        assert ws.pods_on(node) == [one for one in all_pods if one.spec.node_name == node]
    unassigned = [Key.of(one).ns_name for one in all_pods if not one.spec.node_name]
    assert ws.indexes.unassigned_pods() == unassigned
    for namespace in NAMESPACES:
        selector = selectors.from_object(LabelSelector(match_labels={"app": "x"}))
        expected = [
            one for one in all_pods if one.metadata.namespace == namespace and one.metadata.labels.get("app") == "x"
        ]
        assert ws.pods_matching(namespace, selector) == expected


@given(operations)
def test_selecting_finds_every_selector_that_matches(steps):
    ws = Workspace(Snapshot())
    carry_out(ws, steps)
    labels = {"app": "x", "tier": "y"}
    for namespace in NAMESPACES:
        expected = []
        for kind in SELECTING_KINDS:
            for (where, name), obj in ws.table(kind).items():
                wanted = obj.spec.selector
                if isinstance(wanted, dict):
                    external = isinstance(obj, Service) and obj.spec.type == "ExternalName"
                    matches = bool(wanted) and not external and selectors.matches_map(wanted, labels)
                else:
                    matches = selectors.matches(wanted, labels)
                if where == namespace and matches:
                    expected.append(Key(kind, where, name))
        assert ws.indexes.selecting(namespace, labels) == sorted(expected)


@given(operations, operations)
def test_a_commit_is_the_difference_of_the_snapshots(before, after):
    """The delta leads from the old snapshot to the new one, which holds what the workspace holds."""
    ws = Workspace(Snapshot())
    carry_out(ws, before)
    ws.commit()
    old = ws.snapshot
    for verb, obj in after:
        if verb != "commit":
            carry_out(ws, [(verb, obj)])
    was_changed = ws.is_changed
    delta = ws.changes()
    ws.commit()
    assert not ws.is_changed
    assert old.apply(delta, ws.snapshot.revision) == ws.snapshot
    assert [change.key for change in delta] == sorted(change.key for change in delta)
    assert list(ws.snapshot) == [obj for kind in ws.kinds for _, obj in sorted(ws.table(kind).items())]
    assert ws.snapshot.revision == old.revision + bool(delta)
    assert not delta or was_changed
    assert ws.changes() == ()


@given(operations)
def test_listeners_hear_every_change_in_order(steps):
    """Replaying what a listener heard gives the same objects."""
    ws, heard = Workspace(Snapshot()), []
    ws.listen(heard.append)
    carry_out(ws, steps)
    other = Workspace(Snapshot())
    for change in heard:
        assert other.get(change.key) == change.old
        other.observe([change])
    assert tables(other) == tables(ws)


def test_a_binding_is_told_as_one_only_if_the_pod_waited_as_it_is():
    """Not if it was on a node, nor if it is another than the one that was bound."""
    ws, heard = Workspace(Snapshot()), []
    ws.listen(lambda change: heard.append(type(change)))
    waiting = ws.put(pod("p"))
    bound = pod("p", node="n1")
    ws.bind(waiting, bound)
    assert ws.indexes.pods_on("n1") == [("a", "p")]
    ws.bind(bound, pod("p", node="n2"))
    ws.put(pod("q"))
    ws.bind(pod("q"), pod("q", node="n1"))
    assert heard == [Change, Binding, Change, Change, Change]


def test_what_is_put_gets_the_revision_of_the_commit_to_come():
    ws = Workspace(Snapshot(revision=41))
    stored = ws.put(ConfigMap(metadata=ObjectMeta(name="a", namespace="b")))
    assert stored.metadata.resource_version == "42"
    ws.commit()
    assert ws.snapshot.revision == 42
    assert ws.get(Key("ConfigMap", "b", "a")) is stored


def test_what_came_and_went_is_no_change():
    ws = Workspace(Snapshot(revision=7))
    ws.put(ConfigMap(metadata=ObjectMeta(name="a")))
    ws.remove(Key("ConfigMap", "", "a"))
    ws.remove(Key("ConfigMap", "", "never was"))
    assert ws.changes() == ()
    ws.commit()
    assert ws.snapshot.revision == 7
    assert ws.kinds == []


def test_owned_are_those_under_control_only():
    ws = Workspace(Snapshot())
    rs = ws.put(ReplicaSet(metadata=ObjectMeta(name="rs", namespace="a", uid="u1")))
    mine = ws.put(pod("mine", owners=(owner("u1"),)))
    ws.put(pod("related", owners=(owner("u1", controller=False),)))
    assert ws.owned(rs, Pod) == [mine]
    assert controller_uid(mine) == "u1"
    assert [one.metadata.name for one in ws.orphans("a", Pod, {})] == ["related"]
    assert ws.find(Pod, "a", "absent") is None
