"""The three-way merge keeps what others said, lets go what the manifest stopped saying, and changes no argument."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.merge import merge_patched, three_way_merge
from state.objects import Container, DeploymentSpec, EndpointSlice, ObjectMeta, Pod, PodSpec, ServiceSpec

leaves = st.booleans() | st.integers(0, 3) | st.sampled_from(["x", "y"])
names = st.sampled_from(["a", "b", "c"])
items = st.lists(
    st.fixed_dictionaries({"name": names}, optional={"image": leaves, "tty": leaves}),
    max_size=3,
    unique_by=lambda item: item["name"],
)
documents = st.dictionaries(
    st.sampled_from(["a", "b", "spec"]),
    st.recursive(leaves, lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=6)
    | st.fixed_dictionaries({"containers": items, "finalizers": st.lists(names, unique=True, max_size=3)}),
    max_size=3,
)


def says(document, wanted):
    """Whether a document holds all that a manifest says; lists of named items by name, others as sets."""
    if isinstance(wanted, dict):
        return isinstance(document, dict) and all(
            name in document and says(document[name], value) for name, value in wanted.items()
        )
    if not isinstance(wanted, list):
        return document == wanted
    return all(any(_is_same(found, item) and says(found, item) for found in document) for item in wanted)


def _is_same(found, item):
    return found["name"] == item["name"] if isinstance(item, dict) else found == item


@given(documents, documents, documents)
def test_the_result_says_what_the_manifest_says(last, wanted, live):
    arguments = copy.deepcopy((last, wanted, live))
    merged = three_way_merge(last, wanted, live, Pod)
    assert says(merged, wanted)
    assert (last, wanted, live) == arguments


@given(documents, documents)
def test_applying_again_changes_nothing(wanted, live):
    merged = three_way_merge({}, wanted, live, Pod)
    assert three_way_merge(wanted, wanted, merged, Pod) == merged


@given(documents)
def test_on_nothing_the_manifest_is_the_result(wanted):
    assert three_way_merge({}, wanted, {}, Pod) == wanted
    assert three_way_merge(wanted, wanted, wanted, Pod) == wanted


@given(documents, documents)
def test_top_level_fields_are_kept_set_or_dropped(last, live):
    """A field that the manifest doesn't have stays if it never had it, and goes if it had."""
    assert three_way_merge(last, {}, live) == {name: value for name, value in live.items() if name not in last}


def test_list_items_are_merged_by_their_keys():
    live = {"containers": [{"name": "a", "image": "1", "imagePullPolicy": "Always"}, {"name": "sidecar", "image": "s"}]}
    last = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}
    wanted = {"containers": [{"name": "c", "image": "1"}, {"name": "a", "image": "2"}]}
    assert three_way_merge(last, wanted, live, PodSpec)["containers"] == [
        {"name": "c", "image": "1"},
        {"name": "a", "image": "2", "imagePullPolicy": "Always"},
        {"name": "sidecar", "image": "s"},
    ]


def test_ports_are_told_apart_by_protocol():
    live = {
        "ports": [
            {"port": 53, "protocol": "UDP", "nodePort": 30001},
            {"port": 53, "protocol": "TCP", "nodePort": 30002},
        ]
    }
    wanted = {"ports": [{"port": 53, "name": "tcp"}, {"port": 53, "protocol": "UDP", "name": "udp"}]}
    assert three_way_merge({}, wanted, live, ServiceSpec)["ports"] == [
        {"port": 53, "name": "tcp", "protocol": "TCP", "nodePort": 30002},
        {"port": 53, "name": "udp", "protocol": "UDP", "nodePort": 30001},
    ]


@pytest.mark.parametrize(
    ("kind", "live", "wanted"),
    [
        (Container, {"command": ["a", "b"]}, {"command": ["c"]}),
        (PodSpec, {"tolerations": [{"key": "a"}, {"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
        (Container, {"env": [{"name": "a"}, {"name": "b"}]}, {"env": [{"name": "a"}, {"name": "a"}]}),
        (Container, {"env": ["a"]}, {"env": [{"name": "a"}]}),
        (PodSpec, {"volumes": {}}, {"volumes": [{"name": "a"}]}),
        (EndpointSlice, {"ports": [{"port": 1}]}, {"ports": [{"port": 2}]}),
    ],
    ids=["plain", "without a key", "twice the same key", "not objects", "another type", "keyed in another kind"],
)
def test_other_lists_are_replaced_whole(kind, live, wanted):
    assert three_way_merge({}, wanted, live, kind) == wanted


def test_of_an_unknown_kind_all_lists_are_replaced_whole():
    """kubectl knows no merge keys of custom resources: it uses a JSON merge patch."""
    live = {"containers": [{"name": "a"}, {"name": "b"}], "finalizers": ["x"]}
    wanted = {"containers": [{"name": "a", "image": "1"}]}
    merged = three_way_merge({}, wanted, live)
    assert merged["containers"] == [{"name": "a", "image": "1"}]


def test_finalizers_are_a_set():
    last, wanted, live = ({"finalizers": names} for names in (["a", "b"], ["b", "c"], ["a", "x", "b"]))
    merged = three_way_merge(last, wanted, live, ObjectMeta)
    assert merged == {"finalizers": ["x", "b", "c"]}


def test_another_volume_source_replaces_the_one_before():
    live = {
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c", "defaultMode": 420}}]
    }
    wanted = {"volumes": [{"name": "data", "hostPath": {"path": "/x"}}, {"name": "c", "configMap": {"name": "d"}}]}
    assert three_way_merge({}, wanted, live, PodSpec)["volumes"] == [
        {"name": "data", "hostPath": {"path": "/x"}},
        {"name": "c", "configMap": {"name": "d", "defaultMode": 420}},
    ]


def test_another_strategy_replaces_the_one_before():
    live = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}}
    wanted = {"strategy": {"type": "Recreate"}}
    assert three_way_merge({}, wanted, live, DeploymentSpec) == wanted


def test_null_in_a_manifest_removes():
    assert three_way_merge({}, {"a": None, "b": {"c": None}}, {"a": 1, "b": {"c": 1, "d": 1}}) == {"b": {"d": 1}}


@pytest.mark.parametrize(
    "last", [{"containers": [5, {"name": ["x"]}, None]}, {"containers": 7}, {"containers": {"a": 1}}]
)
def test_nonsense_as_the_last_manifest_is_no_obstacle(last):
    """The annotation can hold anything."""
    wanted = {"containers": [{"name": "a"}]}
    assert three_way_merge(last, wanted, {"containers": [{"name": "a"}, {"name": "b"}]}, PodSpec) == {
        "containers": [{"name": "a"}, {"name": "b"}]
    }


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({"a": "foo"}, {"a": {"b": "c"}}, {"a": {"b": "c"}}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_are_those_of_rfc_7386(document, patch, result):
    """The examples of the RFC's appendix that are about objects."""
    assert merge_patched(document, patch) == result
