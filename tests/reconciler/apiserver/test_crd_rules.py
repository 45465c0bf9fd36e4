"""Validation rules of custom resources: what they say about an object, and about a change of one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.apiserver.crd_kind import DefinedKind
from reconciler.apiserver.crd_rules import RULES, has_rules, rule_problems
from state.load import from_dict

INTEGER, TEXT = {"type": "integer"}, {"type": "string"}


def obj(properties: dict[str, Any], *rules: Any, **more: Any) -> dict[str, Any]:
    listed = [{"rule": rule} if isinstance(rule, str) else rule for rule in rules]
    return {"type": "object", "properties": properties, **({RULES: listed} if listed else {}), **more}


def told(schema: dict[str, Any], new: Any, old: Any = None) -> list[str]:
    """What is wrong with a ``spec``."""
    whole = obj({"spec": schema})
    before = None if old is None else {"spec": old}
    return [str(each) for each in rule_problems({"spec": new}, before, whole)]


RANGE = obj(
    {"min": INTEGER, "replicas": INTEGER, "max": INTEGER},
    {"rule": "self.min <= self.replicas && self.replicas <= self.max", "message": "replicas should be in range"},
)


def test_a_rule_is_about_several_fields() -> None:
    """The documentation's first example."""
    assert told(RANGE, {"min": 1, "replicas": 2, "max": 3}) == []
    assert told(RANGE, {"min": 1, "replicas": 5, "max": 3}) == ["spec: Invalid value: replicas should be in range"]


@pytest.mark.parametrize(
    ("rule", "spec", "holds"),
    [
        ("has(self.a) && self.a > 0", {"a": 1}, True),
        ("!has(self.b) || self.b == 'x'", {"a": 1}, True),
        ("self.list.all(each, each.startsWith('n-'))", {"list": ["n-1", "m"]}, False),
        ("self.list.exists_one(each, each == 'a')", {"list": ["a", "b"]}, True),
        ("size(self.list) == self.list.map(each, each.lowerAscii()).size()", {"list": ["A", "b"]}, True),
        ("self.numbers.isSorted() && self.numbers.sum() == 6", {"numbers": [1, 2, 3]}, True),
        ("self.list.indexOf('b') == 1 && self.list.lastIndexOf('a') == 2", {"list": ["a", "b", "a"]}, True),
        ("self.b.split(',').join('-') == 'a-b'", {"b": "a,b"}, True),
        ("self.b.find('[0-9]+') == '12' && self.b.replace('a', 'b').substring(1) == '12'", {"b": "a12"}, True),
        ("self.b.trim().upperAscii() == 'X' && self.b.charAt(1) == 'x'", {"b": " x "}, True),
        ("self.b.matches('^[a-z]+$')", {"b": "A"}, False),
        ("self.ratio <= 1.0", {"ratio": 1}, True),
        ("self.since < timestamp('2027-01-01T00:00:00Z')", {"since": "2026-01-01T00:00:00Z"}, True),
        ("self.period > duration('1h')", {"period": "30m"}, False),
        ("self.map.all(key, key != 'no' && self.map[key].size() < 3)", {"map": {"yes": "ab"}}, True),
        ("self.__namespace__ == 'x' && self.a__dash__b == 1", {"namespace": "x", "a-b": 1}, True),
        ("self.port == 'http' || self.port == 80", {"port": 80}, True),
    ],
)
def test_what_rules_can_say(rule: str, spec: dict[str, Any], holds: bool) -> None:
    """The language, Kubernetes' functions for strings and lists, formats, and names that had to be escaped."""
    properties = {
        "a": INTEGER,
        "b": TEXT,
        "list": {"type": "array", "items": TEXT},
        "numbers": {"type": "array", "items": INTEGER},
        "ratio": {"type": "number"},
        "since": {"type": "string", "format": "date-time"},
        "period": {"type": "string", "format": "duration"},
        "map": {"type": "object", "additionalProperties": TEXT},
        "namespace": TEXT,
        "a-b": INTEGER,
        "port": {"x-kubernetes-int-or-string": True},
    }
    assert (told(obj(properties, rule), spec) == []) is holds


def test_rules_are_checked_wherever_they_stand() -> None:
    """In items and in values of maps, with the path to them."""
    inner = obj({"n": INTEGER}, "self.n > 0")
    schema = obj(
        {"list": {"type": "array", "items": inner}, "map": {"type": "object", "additionalProperties": inner}},
    )
    assert told(schema, {"list": [{"n": 1}, {"n": 0}], "map": {"a": {"n": 0}}}) == [
        "spec.list[1]: Invalid value: failed rule: self.n > 0",
        "spec.map[a]: Invalid value: failed rule: self.n > 0",
    ]
    whole = obj({"metadata": {"type": "object"}}, "self.metadata.name.size() < 4")
    assert [str(each) for each in rule_problems({"metadata": {"name": "long-name"}}, None, whole)] == [
        "<nil>: Invalid value: failed rule: self.metadata.name.size() < 4"
    ]


def test_rules_about_a_change() -> None:
    """They are for updates only; items of a list are the same by their keys."""
    fixed = {**TEXT, RULES: [{"rule": "self == oldSelf", "message": "Value is immutable"}]}
    schema = obj(
        {
            "fixed": fixed,
            "list": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": obj({"name": TEXT, "value": fixed}),
            },
        }
    )
    assert told(schema, {"fixed": "a"}) == []
    assert told(schema, {"fixed": "a"}, {"fixed": "a"}) == []
    assert told(schema, {"fixed": "b"}, {"fixed": "a"}) == ['spec.fixed: Invalid value: "b": Value is immutable']
    old = {"list": [{"name": "x", "value": "1"}, {"name": "y", "value": "2"}]}
    new = {"list": [{"name": "z", "value": "3"}, {"name": "y", "value": "9"}]}
    assert told(schema, new, old) == ['spec.list[1].value: Invalid value: "9": Value is immutable']


def test_what_was_wrong_before_and_is_not_changed_may_stay() -> None:
    """Rules that came later don't keep an object from being changed elsewhere."""
    schema = obj({"part": obj({"n": INTEGER}, "self.n > 0"), "other": INTEGER})
    old = {"part": {"n": 0}, "other": 1}
    assert told(schema, {"part": {"n": 0}, "other": 2}, old) == []
    assert len(told(schema, {"part": {"n": -1}, "other": 2}, old)) == 1


def test_how_a_refusal_is_told() -> None:
    """Its message may be computed; reason and field can be given."""
    rule = {
        "rule": "self.a < 3",
        "messageExpression": "'a is ' + string(self.a)",
        "message": "not used",
        "reason": "FieldValueForbidden",
        "fieldPath": ".a",
    }
    assert told(obj({"a": INTEGER}, rule), {"a": 5}) == ["spec.a: Forbidden: a is 5"]
    broken = {"rule": "self.a < 3", "messageExpression": "self.none", "message": "used"}
    assert told(obj({"a": INTEGER}, broken), {"a": 5}) == ["spec: Invalid value: used"]


def test_a_rule_that_cannot_be_told_refuses() -> None:
    """As in Kubernetes: a field that isn't there is no yes."""
    assert told(obj({"a": INTEGER}, "self.a > 1"), {}) == [
        'spec: Invalid value: "object": no such key: a evaluating rule: self.a > 1'
    ]
    assert told(obj({"a": TEXT}, "self.a > 1"), {"a": "x"})[0].startswith(
        'spec: Invalid value: "object": no such overload'
    )


def test_rules_know_quantities_and_optional_fields() -> None:
    """What Kubernetes adds to the language."""
    schema = obj({"q": TEXT}, "quantity(self.q).isGreaterThan(quantity('1Gi'))", "self.?r.orValue('none') == 'none'")
    assert told(schema, {"q": "2Gi"}) == []
    assert len(told(schema, {"q": "1Mi", "r": "x"})) == 2


def test_a_rule_may_not_take_for_ever() -> None:
    """Lists within lists of thousands of items are too much."""
    rule = "self.list.all(one, self.list.exists_one(other, one == other))"
    schema = obj({"list": {"type": "array", "items": INTEGER}}, rule)
    assert told(schema, {"list": list(range(500))}) == []
    (problem,) = told(schema, {"list": list(range(5000))})
    assert "running out of cost budget" in problem


def test_rules_wait_until_the_rest_is_right() -> None:
    """A kind checks types first."""
    kind = DefinedKind(obj({"spec": RANGE}))
    head = {"apiVersion": "e.com/v1", "kind": "K", "metadata": {"name": "k"}}
    wrong = from_dict({**head, "spec": {"min": "1"}})
    assert [str(each) for each in kind.problems(wrong, None)][-1].endswith(
        "correct the existing errors to complete validation"
    )
    right = from_dict({**head, "spec": {"min": 1, "replicas": 2, "max": 3}})
    assert list(kind.problems(right, None)) == []
    assert not has_rules(obj({"a": INTEGER}))


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(VALUES)
@example(2**70)
@example(-(2**63) - 1)
def test_no_value_makes_a_rule_fail_otherwise_than_by_a_problem(value: Any) -> None:
    """Whatever somebody sends."""
    schema = {"x-kubernetes-preserve-unknown-fields": True, RULES: [{"rule": "self.size() > 2"}, {"rule": "self > 1"}]}
    assert all(isinstance(each, str) for each in told(schema, value))
