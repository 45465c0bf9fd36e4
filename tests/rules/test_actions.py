"""Actions are plain data on request, and their patches lead from the object before to the one after."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.merge import merge_patched
from rules.actions import Create, Delete, Note, Reason, Update, merge_patch
from state.objects import ConfigMap, ObjectMeta
from state.snapshot import Key

REASON = Reason(rule="toy", because={"have": 1, "want": 2}, template="{have} of {want}")
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x"])
documents = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        scalars.filter(lambda value: value is not None),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)


@given(documents, documents)
def test_a_merge_patch_leads_from_one_document_to_the_other(before, after):
    """RFC 7386: what ``merge_patch`` finds, ``merge_patched`` applies; equal documents need none."""
    patch = merge_patch(before, after)
    assert merge_patched(before, patch) == after
    assert merge_patch(before, before) == {}
    assert (patch == {}) == (before == after)


def test_a_merge_patch_removes_by_null_and_replaces_lists_whole():
    before = {"a": 1, "b": {"c": 1, "d": [1, 2]}, "e": 5}
    after = {"b": {"c": 1, "d": [2]}, "e": {"f": 1}}
    assert merge_patch(before, after) == {"a": None, "b": {"d": [2]}, "e": {"f": 1}}


def test_actions_say_what_whom_and_why():
    obj = ConfigMap(metadata=ObjectMeta(name="c", namespace="n", uid="u"), data={"a": "1"})
    changed = ConfigMap(metadata=obj.metadata, data={"a": "2"})
    key = Key.of(obj)
    common = {"target": "configmap/n/c", "rule": "toy", "why": "1 of 2", "because": {"have": 1, "want": 2}}
    assert Create(key, REASON, obj).to_dict()["object"]["data"] == {"a": "1"}
    assert Update(key, REASON, obj, changed).to_dict() == {
        "action": "update",
        **common,
        "patch": {"data": {"a": "2"}},
    }
    assert Delete(key, REASON, obj, 5).to_dict() == {"action": "delete", **common, "uid": "u", "gracePeriodSeconds": 5}
    assert Note(key, REASON).to_dict() == common
