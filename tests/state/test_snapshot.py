"""Keys name objects, snapshots never change, and deltas lead from one to the next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.errors import StateError
from state.objects import ConfigMap, CustomObject, Namespace, Node, ObjectMeta, Pod, replace
from state.snapshot import Change, Key, Snapshot, find_key, is_namespaced


def config_map(name, namespace="default", data="0"):
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace), data={"value": data})


def custom(name, namespace="", kind="Rollout"):
    return CustomObject(
        api_version="argoproj.io/v1", kind=kind, metadata=ObjectMeta(name=name, namespace=namespace), body={}
    )


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("pod/default/web-0", ("Pod", "default", "web-0")),
        ("pod/web-0", ("Pod", "default", "web-0")),
        ("po/shop/web-0", ("Pod", "shop", "web-0")),
        ("Pods/web-0", ("Pod", "default", "web-0")),
        ("deploy/web", ("Deployment", "default", "web")),
        ("deployments.apps/web", ("Deployment", "default", "web")),
        ("svc/web", ("Service", "default", "web")),
        ("node/n1", ("Node", "", "n1")),
        ("no/n1", ("Node", "", "n1")),
        ("pv/disk", ("PersistentVolume", "", "disk")),
        ("Rollout.argoproj.io/web", ("Rollout.argoproj.io", "default", "web")),
    ],
)
def test_a_key_is_read_as_kubectl_would(text, key):
    assert Key.parse(text) == key


def test_a_key_without_a_namespace_is_in_the_one_given():
    assert Key.parse("pod/web-0", "shop") == Key("Pod", "shop", "web-0")
    assert Key.parse("node/n1", "shop") == Key("Node", "", "n1")


@pytest.mark.parametrize("text", ["", "pod", "/", "pod/", "/web", "a/b/c/d", "pod//web"])
def test_a_text_of_another_form_names_no_object(text):
    with pytest.raises(StateError, match="names no object: expected KIND/NAME"):
        Key.parse(text)


def test_a_cluster_scoped_kind_takes_no_namespace():
    with pytest.raises(StateError, match="a Node has no namespace; expected node/NAME"):
        Key.parse("node/default/n1")


@pytest.mark.parametrize("obj", [config_map("a"), Node(metadata=ObjectMeta(name="n1")), Pod(ObjectMeta(name="p"))])
def test_the_key_of_a_typed_object_is_read_back_from_its_text(obj):
    key = Key.of(obj)
    if key.namespace or key.kind == "Node":
        assert Key.parse(str(key)) == key


def test_a_key_as_text_has_the_kind_in_small_letters():
    assert str(Key("ConfigMap", "shop", "a")) == "configmap/shop/a"
    assert str(Key("Node", "", "n1")) == "node/n1"
    assert Key("Pod", "shop", "a").ns_name == ("shop", "a")


@pytest.mark.parametrize("text", ["rollout/web", "rollouts/web", "Rollout/web", "rollout.argoproj.io/web"])
def test_a_kind_without_a_type_is_found_among_the_objects(text):
    snapshot = Snapshot.of([custom("web", "default"), custom("web"), config_map("web")])
    assert find_key(text, snapshot) == Key("Rollout.argoproj.io", "default", "web")


def test_whether_a_kind_without_a_type_has_namespaces_is_for_the_object_to_say():
    snapshot = Snapshot.of([custom("web"), custom("db", "shop")])
    assert find_key("rollout/web", snapshot).namespace == ""
    assert find_key("rollout/db", snapshot, "shop").namespace == "shop"
    assert snapshot.get(find_key("rollout/default/web", snapshot)) is None
    assert snapshot.get(find_key("rollout.example.com/web", snapshot)) is None
    assert [is_namespaced(obj) for obj in snapshot] == [False, True]


def test_a_typed_kind_is_found_without_looking():
    assert find_key("deploy/web", Snapshot()) == Key("Deployment", "default", "web")
    assert is_namespaced(config_map("a", namespace=""))
    assert not is_namespaced(Namespace(metadata=ObjectMeta(name="a")))


@given(st.sampled_from(["default", "shop", ""]), st.sampled_from(["web", "db"]))
def test_every_key_of_a_snapshot_is_found_by_its_text(namespace, name):
    snapshot = Snapshot.of([custom(name, namespace)])
    (obj,) = snapshot
    assert find_key(str(Key.of(obj)), snapshot) == Key.of(obj)


# -- snapshots ---------------------------------------------------------------------------------------------------------


def test_the_revision_is_the_highest_resource_version():
    def versioned(version):
        return replace(config_map(f"a{version}"), metadata=ObjectMeta(name=f"a{version}", resource_version=version))

    assert Snapshot.of(map(versioned, ["7", "12", "x", None, ""])).revision == 12
    assert Snapshot.of([versioned("7")], revision=3).revision == 3
    assert Snapshot.of([versioned("9" * 5_000)]).revision == 0


def test_of_one_key_the_last_object_counts():
    snapshot = Snapshot.of([config_map("a", data="1"), config_map("a", data="2")])
    assert [obj.data["value"] for obj in snapshot] == ["2"]


def test_objects_come_sorted_by_kind_namespace_and_name():
    objects = [config_map("b"), config_map("a", "z"), config_map("a"), Node(metadata=ObjectMeta(name="n"))]
    snapshot = Snapshot.of(objects)
    assert [str(Key.of(obj)) for obj in snapshot] == [
        "configmap/default/a",
        "configmap/default/b",
        "configmap/z/a",
        "node/n",
    ]
    assert snapshot.kinds == ["ConfigMap", "Node"]
    assert len(snapshot) == 4
    assert repr(snapshot) == "<Snapshot at 0: ConfigMap 3, Node 1>"
    assert repr(Snapshot()) == "<Snapshot at 0: empty>"


names = st.sampled_from("abcdefghij")
contents = st.dictionaries(st.tuples(st.sampled_from(["x", "y"]), names), st.sampled_from("012"), max_size=12)


def snapshot_of(content):
    return Snapshot.of([config_map(name, namespace, data) for (namespace, name), data in content.items()], revision=5)


@given(contents, contents)
def test_a_delta_leads_from_one_snapshot_to_the_other(before, after):
    """``before.apply(before.diff(after)) == after``, and neither has changed."""
    old, new = snapshot_of(before), snapshot_of(after)
    delta = old.diff(new)
    reached = old.apply(delta, new.revision)
    assert reached == new
    assert hash(reached) == hash(new)
    assert list(reached) == list(new)
    assert (old, new) == (snapshot_of(before), snapshot_of(after))
    assert [change.key for change in delta] == sorted(change.key for change in delta)
    assert all(change.old != change.new for change in delta)


@given(contents, contents, contents)
def test_deltas_follow_on_one_another(first, second, third):
    one, two, three = map(snapshot_of, (first, second, third))
    assert one.apply(one.diff(two)).apply(two.diff(three), 5) == three
    assert one.apply(one.diff(two)).apply(two.diff(one), 5) == one


@given(contents)
def test_nothing_is_between_equal_snapshots(content):
    assert snapshot_of(content).diff(snapshot_of(content)) == ()


def test_a_change_of_a_few_objects_of_many_is_as_good_as_a_rebuild():
    """The two ways of changing a table give the same."""
    many = snapshot_of({("x", f"n{number}"): "0" for number in range(200)})
    new = config_map("n7", "x", "1")
    key = Key.of(new)
    changed = many.apply([Change(key, many.get(key), new), Change(Key.of(config_map("n8", "x")), None, None)])
    assert changed.revision == 6
    assert changed.get(key) is new
    assert len(changed) == 199
    assert len(many) == 200


def test_a_snapshot_is_equal_to_snapshots_only():
    assert Snapshot() != 5
    assert Snapshot(revision=1) != Snapshot(revision=2)
