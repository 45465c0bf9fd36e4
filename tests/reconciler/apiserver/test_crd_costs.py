"""Definitions whose rules may cost too much are refused: apiextensions-apiserver 0.36.4's verdicts were recorded.

Each line of ``data/rule-costs.jsonl`` is a schema and what was said of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.apiserver.crd_costs import Extents, inside
from reconciler.apiserver.crd_definition import DefinitionKind
from reconciler.apiserver.crd_structure import schema_problems
from state.load import from_dict
from state.objects import AnyObject

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "rule-costs.jsonl").read_text(encoding="utf-8").splitlines()
]
RULES = "x-kubernetes-validations"
DEAR = {
    "type": "array",
    "items": {"type": "string"},
    RULES: [{"rule": "self.all(x, self.all(y, x == y))"}],
}


def told(schema: dict[str, Any], *, is_new: bool = True) -> list[str]:
    """What is said of a schema."""
    problems = schema_problems(schema, "spec.validation.openAPIV3Schema", has_status=False, is_new=is_new)
    return [str(each) for each in problems]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_verdicts_are_kubernetes(case: dict[str, Any]) -> None:
    """The same are refused, in the same order and with the same words."""
    assert told(case["schema"]) == case["says"]


def test_a_rule_about_what_has_no_type_is_an_internal_error() -> None:
    """Rules need to know what they are about."""
    schema = {"x-kubernetes-preserve-unknown-fields": True, RULES: [{"rule": "true"}]}
    (problem,) = schema_problems({"type": "object", "properties": {"a": schema}}, "x", has_status=False)
    assert (problem.path, problem.cause) == (f"x.properties[a].{RULES}", "InternalError")
    assert problem.body.startswith("Internal error: internal error: failed to construct type information")


def test_the_four_dearest_are_named() -> None:
    """All count, but at most four rules are named, and only what is at least a hundredth of what may be spent."""

    def part(most: int) -> dict[str, Any]:
        rule = {"rule": "self.matches('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')"}  # costs 4,011
        return {"type": "array", "maxItems": most, "items": {"type": "string", "maxLength": 1000, RULES: [rule]}}

    properties = {f"p{index:02}": part(2000 + index) for index in range(15)}
    found = told({"type": "object", "properties": properties})
    assert [each.partition(".items")[0].rpartition("properties")[2] for each in found[:4]] == [
        "[p14]", "[p13]", "[p12]", "[p11]",
    ]  # fmt: skip
    assert [each.partition(": Forbidden: ")[2].partition(" total")[0] for each in found] == [
        *["contributed to estimated rule cost"] * 4,
        "x-kubernetes-validations estimated rule cost",
    ]
    small = {f"p{index:03}": part(240) for index in range(110)}
    (only,) = told({"type": "object", "properties": small})
    assert only.startswith("spec.validation.openAPIV3Schema: Forbidden: x-kubernetes-validations estimated rule cost")


def test_a_schema_that_does_not_change_keeps_a_dear_rule() -> None:
    """What was allowed once may be written again; all rules together are limited nevertheless."""
    properties = {"a": {**DEAR, "maxItems": 2000, "items": {"type": "string", "maxLength": 1}}}
    schema = {"type": "object", "properties": properties}
    assert len(told(schema)) == 1
    assert told(schema, is_new=False) == []
    assert [each.partition(": ")[0] for each in told({"type": "object", "properties": {"a": DEAR}}, is_new=False)] == [
        f"spec.validation.openAPIV3Schema.properties[a].{RULES}[0].rule",
        "spec.validation.openAPIV3Schema",
    ]
    old, same = definition(schema), definition(schema, scope="Cluster")
    changed = definition({"type": "object", "properties": {**properties, "b": {"type": "string"}}})
    kind = DefinitionKind()
    for new, before, is_refused in ((old, None, True), (same, old, False), (changed, old, True)):
        paths = [each.path for each in kind.problems(new, before)]
        assert any(path.endswith(f"{RULES}[0].rule") for path in paths) is is_refused


def definition(schema: dict[str, Any], scope: str = "Namespaced") -> AnyObject:
    """A definition with one version."""
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "things", "kind": "Thing", "listKind": "ThingList", "singular": "thing"}
    spec = {"group": "x.io", "scope": scope, "names": names, "versions": [version], "conversion": {"strategy": "None"}}
    body = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
    return from_dict({**body, "metadata": {"name": "things.x.io"}})


@pytest.mark.parametrize(
    ("schema", "path", "length"),
    [
        ({"type": "string"}, (), 3145726),
        ({"type": "string", "maxLength": 5}, (), 20),
        ({"type": "string", "format": "byte", "maxLength": 5}, (), 5),
        ({"type": "string", "format": "date", "maxLength": 5}, (), 12),
        ({"type": "string", "enum": ["a", "bé"]}, (), 3),
        ({"type": "array", "items": {"type": "boolean"}}, (), 629145),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, (), 314572),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, ("@keys",), 0),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, ("@keys", "@items"), None),
        ({"type": "array", "items": {"type": "string", "maxLength": 2}}, ("@items",), 8),
        ({"type": "array", "items": {"type": "string"}}, ("@keys",), None),
        ({"type": "array", "items": {"type": "string"}}, ("@indices",), None),
        ({"type": "object", "properties": {"a-b": {"type": "string", "maxLength": 1}}}, ("a__dash__b",), 4),
        ({"type": "object", "properties": {"a": {"x-kubernetes-int-or-string": True}}}, ("a",), 3145726),
        ({"type": "object", "properties": {"a": {"x-kubernetes-int-or-string": True}}}, ("a", "b"), None),
        ({"type": "object", "properties": {"a": {"x-kubernetes-preserve-unknown-fields": True}}}, ("a",), None),
    ],
)
def test_how_long_values_may_be(schema: dict[str, Any], path: tuple[str, ...], length: int | None) -> None:
    """What a schema doesn't limit may fill a request; characters count as four bytes."""
    assert Extents(schema, is_root=False)(path) == length


def test_how_often_a_value_can_be_there() -> None:
    """Limits of lists and maps multiply; without one there is none."""
    part: dict[str, Any] = {"type": "array", "maxItems": 10}
    assert inside(part, inside({"type": "object", "additionalProperties": {}, "maxProperties": 7}, 1)) == 70
    assert inside(part, inside({"type": "array"}, 1)) is None
    assert inside({"type": "object", "properties": {}, "maxProperties": 7}, 3) == 3
    assert Extents({"type": "boolean"}, is_root=False).most == 629145
