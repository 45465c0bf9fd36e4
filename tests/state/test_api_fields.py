"""Every field of the v1.34 API of the typed kinds is known, and comes out as it went in."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from state.dump import dump, dump_json, dump_yaml
from state.load import load, load_strictly
from state.objects import KINDS, Opaque

API = json.loads((Path(__file__).parent / "data" / "api-fields.json").read_text())
TYPES = API["types"]
ANYTHING = {"fieldsV1": {"f:spec": {}}, "data": {"spec": {"a": [1, None]}}}


def filled(type_name: str, field: str = "") -> object:
    """A value of a type with every field set, as plain data."""
    if type_name in TYPES:
        return {name: filled(inner, name) for name, inner in TYPES[type_name].items()}
    if match := re.fullmatch(r"list\[(.+)\]", type_name):
        return [filled(match[1], field)] * 2
    if match := re.fullmatch(r"dict\(str, (.+)\)", type_name):
        return {"a": filled(match[1], field), "example.com/b": filled(match[1], field)}
    if type_name == "object":
        return ANYTHING.get(field, "25%")
    return {"str": "text", "int": 7, "bool": True, "datetime": "2026-01-01T00:00:00Z", "float": 0.5}[type_name]


def manifest(kind: str) -> dict:
    """A manifest of a kind with every field that the API has."""
    document = {**filled(API["kinds"][kind]), "apiVersion": KINDS[kind].api_version, "kind": kind}
    for template in document.get("spec", {}).get("volumeClaimTemplates", ()) if kind == "StatefulSet" else ():
        template.update(apiVersion="v1", kind="PersistentVolumeClaim")
    return document


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_comes_out_as_it_went_in(kind):
    """As a dict, and by way of JSON and YAML."""
    document = manifest(kind)
    (obj,) = load_strictly(document)
    assert dump(obj) == document
    assert load_strictly(dump_json(obj)) == (obj,)
    assert load_strictly(dump_yaml(obj)) == (obj,)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_order_of_fields_does_not_reach_the_bytes(kind):
    """Equal objects are written alike."""

    def reversed_order(value):
        if isinstance(value, dict):
            return {key: reversed_order(value[key]) for key in reversed(value)}
        return [reversed_order(item) for item in value] if isinstance(value, list) else value

    (obj,) = load_strictly(manifest(kind))
    (other,) = load_strictly(reversed_order(manifest(kind)))
    assert dump_json(obj) == dump_json(other)
    assert dump_yaml(obj) == dump_yaml(other)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_field_is_made_up(kind):
    """The structs have no field that the API doesn't have."""

    def structs_in(hint):
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            return [hint]
        return [struct for part in getattr(hint, "__args__", ()) for struct in structs_in(part)]

    def check(struct, type_name, path):
        for field in msgspec.structs.fields(struct):
            assert field.encode_name in TYPES[type_name], path
            inner = re.sub(r"list\[|dict\(str, |[\])]", "", TYPES[type_name][field.encode_name])
            for option in structs_in(field.type):
                check(option, inner, f"{path}.{field.encode_name}")

    check(KINDS[kind].type, API["kinds"][kind], kind)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_wrong_type_is_found_at_once(kind):
    """A manifest in which every leaf has the wrong type is refused with one problem for each leaf that has a type."""

    def spoilt(value):
        if isinstance(value, dict):
            return {key: spoilt(item) for key, item in value.items()}
        return [spoilt(item) for item in value] if isinstance(value, list) else {"wrong": True}

    document = {**spoilt(manifest(kind)), "apiVersion": KINDS[kind].api_version, "kind": kind}
    (refusal,) = load(document).refused
    paths = [problem.path for problem in refusal.problems]
    assert len(paths) == len(set(paths))
    assert len(paths) >= 15
    assert all(problem.reason == "TypeInvalid" for problem in refusal.problems)


def test_opaque_values_are_carried_whole():
    """Nested lists, maps, nulls and numbers of a field that nothing interprets."""
    value = {"z": [None, {"b": 1, "a": [1.5, "x", True, []]}, {}], "a": 2**63}
    assert Opaque(value).value == value
    assert Opaque(value) == Opaque(dict(reversed(value.items())))
    assert Opaque({"a": 1}) != Opaque({"a": True})
