"""Rules are checked when their definition is stored: apiextensions-apiserver 0.36.4's verdicts were recorded.

Each line of ``data/checked.jsonl`` is an expression about ``SPEC``, and what was said about it; "" if nothing was.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.apiserver.cel import compiled
from reconciler.apiserver.cel.types import BOOL, DYN, INT, STRING, Type, declared, fits, read_type
from reconciler.apiserver.crd_rule_checks import rule_faults

CASES = [json.loads(line) for line in (Path(__file__).parent / "data" / "checked.jsonl").read_text().splitlines()]
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
SPEC: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": TEXT,
        "a2": TEXT,
        "n": NUMBER,
        "f": {"type": "number"},
        "b": {"type": "boolean"},
        "l": {"type": "array", "items": TEXT},
        "li": {"type": "array", "items": NUMBER},
        "m": {"type": "object", "additionalProperties": NUMBER},
        "o": {"type": "object", "properties": {"x": NUMBER, "p": TEXT, "a-b": NUMBER, "namespace": NUMBER}},
        "lo": {"type": "array", "items": {"type": "object", "properties": {"k": TEXT, "v": NUMBER}}},
        "d": {"type": "string", "format": "date-time"},
        "du": {"type": "string", "format": "duration"},
        "by": {"type": "string", "format": "byte"},
        "ios": {"x-kubernetes-int-or-string": True},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


def said(rule: dict[str, Any], *, is_root: bool = False) -> str:
    """What is said about a rule of ``SPEC``, without the rule itself and what it costs."""
    schema = {**SPEC, "x-kubernetes-validations": [rule]}
    problems = [each for each in rule_faults(schema, "spec", is_root=is_root) if each.reason != "Forbidden"]
    return "\n".join(each.message.rpartition("}: ")[2] for each in problems)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.get("rule") or case.get("messageExpression"))
def test_the_verdicts_are_kubernetes(case: dict[str, Any]) -> None:
    """The same are refused, with the same words and the same place."""
    rule = {"rule": "true", **{name: text for name, text in case.items() if name != "says"}}
    assert said(rule) == case["says"]


def test_a_refusal_shows_the_rule_as_go_prints_it() -> None:
    """With the names of Go's fields, and without letters that HTML minds."""
    rule = {"rule": "self.a > 1", "reason": "FieldValueInvalid"}
    (problem,) = rule_faults({**SPEC, "x-kubernetes-validations": [rule]}, "x")
    assert problem.path == "x.x-kubernetes-validations[0].rule"
    assert problem.body.startswith(
        'Invalid value: {"Rule":"self.a \\u003e 1","Message":"","MessageExpression":"","Reason":"FieldValueInvalid",'
        '"FieldPath":"","OptionalOldSelf":null}: compilation failed: ERROR: '
    )


def test_the_past_may_be_optional() -> None:
    """Then it is asked whether there is one."""
    assert said({"rule": "oldSelf.?a.orValue('') == self.a", "optionalOldSelf": True}) == ""
    fault = said({"rule": "oldSelf + 1 == 2", "optionalOldSelf": True})
    assert "applied to '(optional_type(object), int)'" in fault


def test_an_object_has_its_identity() -> None:
    """The root, and what is embedded as a resource."""
    assert said({"rule": "self.metadata.name == self.kind"}, is_root=True) == ""
    assert "undefined field 'labels'" in said({"rule": "has(self.metadata.labels)"}, is_root=True)
    assert "undefined field 'metadata'" in said({"rule": "has(self.metadata)"})


def test_fields_of_any_name_can_be_used() -> None:
    """Reserved words with and without underscores, when they are evaluated, too."""
    for text in ("self.namespace == 1", "self.__namespace__ == 1", "has(self.namespace)"):
        assert compiled(text).evaluate({"self": {"__namespace__": 1}}) is True


@pytest.mark.parametrize(
    ("wanted", "found", "fit"),
    [
        (INT, INT, True),
        (INT, STRING, False),
        (DYN, BOOL, True),
        (read_type("list<A>"), Type("list", (INT,)), True),
        (read_type("map<A,A>"), Type("map", (STRING, INT)), False),
        (read_type("map<A,B>"), Type("map", (STRING, INT)), True),
        (read_type("opt<list<string>>"), Type("opt", (Type("list", (DYN,)),)), True),
    ],
)
def test_which_type_fits_where(wanted: Type, found: Type, fit: bool) -> None:
    """Parameters have to be the same everywhere; ``dyn`` fits anywhere."""
    assert fits(wanted, found, {}) is fit


def test_types_are_those_of_the_schema() -> None:
    """Lists whose items aren't said have none."""
    kind = declared(SPEC)
    assert kind is not None
    shown = {name: str(each) for name, each in kind.fields.items()}
    assert (shown["m"], shown["lo"], shown["d"], shown["ios"]) == (
        "map(string, int)",
        "list(object)",
        "timestamp",
        "dyn",
    )
    assert declared({"type": "array"}) is None
