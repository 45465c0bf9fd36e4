"""What comes out is what went in, readable by everybody."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from state.dump import dump, dump_json, dump_yaml
from state.load import from_dict, load, load_strictly
from state.objects import ConfigMap, CustomObject, ObjectMeta, Opaque, Pod, replace

TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.text(
    alphabet="yYnNoO01-+.:~ \n\t\r'\"#&*!|>%@{}[],é", max_size=12
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def custom(body):
    """A custom resource with a field of any form."""
    return CustomObject(
        api_version="example.com/v1", kind="Thing", metadata=ObjectMeta(name="x"), body=Opaque({"spec": body})
    )


@given(VALUES)
def test_json_round_trip(value):
    """Any JSON value."""
    obj = custom(value)
    assert dump(obj)["spec"] == value
    assert load_strictly(dump_json(obj)) == (obj,)


@given(VALUES)
def test_yaml_round_trip(value):
    """Any JSON value, but that YAML as kubectl reads it has no whole floats."""
    obj = custom(value)
    text = dump_yaml(obj)
    (again,) = load_strictly(text)
    assert dump(again)["spec"] == value


@given(TEXT)
def test_text_stays_text_for_other_readers(text):
    """PyYAML, which reads YAML 1.1 to the letter, gets the same text."""
    assert yaml.safe_load(dump_yaml(custom({text: text})))["spec"] == {text: text}


def test_fields_come_in_order():
    """A dict has apiVersion, kind and metadata first; JSON and YAML are sorted like kubectl's."""
    obj = from_dict({"data": {"b": "1", "a": "2"}, "metadata": {"name": "x"}, "kind": "ConfigMap", "apiVersion": "v1"})
    assert list(dump(obj)) == ["apiVersion", "kind", "metadata", "data"]
    assert dump_json(obj) == b'{"apiVersion":"v1","data":{"a":"2","b":"1"},"kind":"ConfigMap","metadata":{"name":"x"}}'


def test_yaml_looks_like_kubectls():
    """Documents are separated, lists not indented, doubtful text in double quotes, lines in blocks, nothing folded."""
    first = from_dict(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "x", "labels": {"on": "yes", "v": "1.10"}},
            "data": {"empty": "", "script": "a\n  b\n", "date": "2026-01-01", "long": "word " * 40 + "end"},
        }
    )
    second = custom({"list": ["a", {"b": [], "c": {}}], "number": 1e25, "none": None})
    assert dump_yaml([first, second]) == (
        "apiVersion: v1\n"
        "data:\n"
        '  date: "2026-01-01"\n'
        '  empty: ""\n'
        f"  long: {'word ' * 40}end\n"
        "  script: |\n"
        "    a\n"
        "      b\n"
        "kind: ConfigMap\n"
        "metadata:\n"
        "  labels:\n"
        '    "on": "yes"\n'
        '    v: "1.10"\n'
        "  name: x\n"
        "---\n"
        "apiVersion: example.com/v1\n"
        "kind: Thing\n"
        "metadata:\n"
        "  name: x\n"
        "spec:\n"
        "  list:\n"
        "  - a\n"
        "  - b: []\n"
        "    c: {}\n"
        "  none: null\n"
        "  number: 1.0e+25\n"
    )


def test_several_objects_are_a_list_in_json():
    """As ``kubectl get -o json`` prints them; it loads again."""
    objects = tuple(ConfigMap(metadata=ObjectMeta(name=name)) for name in "ab")
    document = json.loads(dump_json(objects))
    assert document["kind"] == "List"
    assert [item["metadata"]["name"] for item in document["items"]] == ["a", "b"]
    assert load(document).objects == objects
    assert json.loads(dump_json([]))["items"] == []
    assert dump_yaml([]) == ""


def test_what_is_dumped_is_the_callers():
    """Writing to it changes neither the object nor the next dump."""
    obj = custom({"a": [1]})
    dumped = dump(obj)
    dumped["spec"]["a"].append(2)
    dumped["metadata"]["labels"] = {}
    assert dump(obj) == {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "x"},
        "spec": {"a": [1]},
    }


@pytest.mark.parametrize("pod", [Pod(), replace(Pod(), metadata=ObjectMeta(name="x"))])
def test_metadata_is_always_there(pod):
    """Whoever reads a dump need not ask."""
    assert "metadata" in dump(pod)


def test_claim_templates_say_that_they_are_claims():
    """As the API server answers, whether or not the manifest said so."""
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "x"},
        "spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
    }
    (template,) = dump(from_dict(manifest))["spec"]["volumeClaimTemplates"]
    assert template == {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
