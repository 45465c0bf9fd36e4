"""Problems read as those of the API server do."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.errors import (
    InvalidObject,
    Problem,
    StateError,
    duplicate,
    forbidden,
    invalid,
    joined,
    not_found,
    not_supported,
    quoted,
    required,
    shown,
    too_long,
    too_many,
    type_invalid,
)
from state.objects import LabelSelector, Opaque

CASES = [
    (required("spec.containers"), "FieldValueRequired", "spec.containers: Required value"),
    (required("a", "can not be empty"), "FieldValueRequired", "a: Required value: can not be empty"),
    (invalid("a", -1, "must be positive"), "FieldValueInvalid", "a: Invalid value: -1: must be positive"),
    (invalid("a[cpu]", "-1", "must be positive"), "FieldValueInvalid", 'a[cpu]: Invalid value: "-1": must be positive'),
    (invalid("a", None, "must be set"), "FieldValueInvalid", "a: Invalid value: null: must be set"),
    (invalid("a", True, "no"), "FieldValueInvalid", "a: Invalid value: true: no"),
    (invalid("a", {"b": [1, "x"]}, "no"), "FieldValueInvalid", 'a: Invalid value: {"b":[1,"x"]}: no'),
    (
        type_invalid("a", "x", "must be an integer"),
        "FieldValueTypeInvalid",
        'a: Invalid value: "x": must be an integer',
    ),
    (
        not_supported("a", "x", ("b", "a")),
        "FieldValueNotSupported",
        'a: Unsupported value: "x": supported values: "b", "a"',
    ),
    (
        not_supported("a", "x", {"b", "a"}),
        "FieldValueNotSupported",
        'a: Unsupported value: "x": supported values: "a", "b"',
    ),
    (not_supported("a", "x", ()), "FieldValueNotSupported", 'a: Unsupported value: "x"'),
    (duplicate("a[1].name", "c"), "FieldValueDuplicate", 'a[1].name: Duplicate value: "c"'),
    (not_found("a", "v"), "FieldValueNotFound", 'a: Not found: "v"'),
    (forbidden("a", "may not be set"), "FieldValueForbidden", "a: Forbidden: may not be set"),
    (too_long("a", 63), "FieldValueTooLong", "a: Too long: may not be more than 63 bytes"),
    (too_many("a", 5, 4), "FieldValueTooMany", "a: Too many: 5: must have at most 4 items"),
    (Problem("a", "is odd"), "FieldValueInvalid", "a: Invalid value: is odd"),
    (Problem("a", "is odd", "Required", "never shown"), "FieldValueRequired", "a: Required value: is odd"),
]


@pytest.mark.parametrize(("problem", "cause", "text"), CASES, ids=[text for _, _, text in CASES])
def test_wording_is_kubernetes(problem, cause, text):
    assert (problem.cause, str(problem)) == (cause, text)
    assert str(problem) == f"{problem.path}: {problem.body}"


def test_a_problem_cannot_be_changed_and_knows_its_reasons():
    problem = required("a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.path = "b"
    with pytest.raises(ValueError, match="unknown reason 'FieldValueInvalid', expected one of Duplicate"):
        Problem("a", reason="FieldValueInvalid")


def test_an_invalid_object_tells_all_its_problems_at_once():
    error = InvalidObject([required("a"), duplicate("b", 1), required("a")])
    assert str(error) == "[a: Required value, b: Duplicate value: 1]"
    assert len(error.problems) == 3
    assert isinstance(error, StateError)


def test_a_single_problem_needs_no_brackets():
    assert joined([required("a")]) == "a: Required value"


def test_objects_are_shown_as_json():
    assert shown(LabelSelector(match_labels={"a": "b"})) == '{"matchLabels":{"a":"b"}}'
    assert shown((Opaque({"x": 1}),)) == '[{"x":1}]'
    assert shown([LabelSelector(), {"a"}, 1.5, None]) == '[{},["a"],1.5,null]'


def test_a_message_can_show_whatever_was_found():
    """To report a fault never fails, however odd the value is."""
    assert shown(10**30) == "1" + "0" * 30
    assert shown({"a": [10**30, "\ud800"]}) == '{"a":[1' + "0" * 30 + ',"\ud800"]}'
    assert shown(float("nan")) == "NaN"
    assert shown(object()) == '"<object>"'


@pytest.mark.parametrize(
    ("text", "shown_as"),
    [
        ("", '""'),
        ('say "hi"\\', r'"say \"hi\"\\"'),
        ("a\tb\nc\r\a\b\f\v", r'"a\tb\nc\r\a\b\f\v"'),
        ("\x00\x1f\x7f", r'"\x00\x1f\x7f"'),
        ("häß 日本 😀", '"häß 日本 😀"'),
        ("\u200b\u2028", r'"\u200b\u2028"'),
        ("\U000e0001", r'"\U000e0001"'),
    ],
)
def test_text_is_quoted_as_go_does(text, shown_as):
    assert quoted(text) == shown_as


@given(st.text())
def test_quoted_text_is_printable_and_on_one_line(text):
    assert quoted(text).isprintable()
