"""Names, keys and values: what Kubernetes takes, and its words for what it doesn't."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import names

CASES = json.loads((Path(__file__).parent / "data" / "names.json").read_text())
GOOD = [(check, text) for check, cases in CASES.items() for text in cases["good"]]
BAD = [(check, text, messages) for check, cases in CASES.items() for text, messages in cases["bad"].items()]


@pytest.mark.parametrize(("check", "text"), GOOD)
def test_good_names_have_no_messages(check, text):
    assert getattr(names, check)(text) == []


@pytest.mark.parametrize(("check", "text", "messages"), BAD)
def test_bad_names_are_told_in_kubernetes_words(check, text, messages):
    assert getattr(names, check)(text) == messages


def test_all_that_is_wrong_is_told_at_once():
    assert len(names.port_name("-ÄÖ--ÜÄÖÜÄ-")) == 5
    assert len(names.dns1123_label("A" * 64)) == 2


def test_lengths_count_bytes():
    """Four characters more than fit, though fewer than 63: Kubernetes measures UTF-8."""
    assert "must be no more than 63 bytes" in names.label_value("ä" * 32)
    assert "must be no more than 63 bytes" not in names.label_value("ä" * 31)
    assert "must be no more than 63 bytes" in names.label_value("\ud800" * 22)


@pytest.mark.parametrize(("number", "fine"), [(0, False), (1, True), (65535, True), (65536, False), (-1, False)])
def test_port_numbers_have_bounds(number, fine):
    assert names.port_number(number) == ([] if fine else ["must be between 1 and 65535, inclusive"])


def test_callers_may_change_the_list_they_get():
    names.label_value("-").clear()
    assert len(names.label_value("-")) == 1


@given(st.one_of(st.text(max_size=70), st.text("aB1-_./", max_size=70)))
def test_checks_agree_with_each_other(text):
    """Each kind of name includes the stricter ones."""
    if not names.dns1035_label(text):
        assert not names.dns1123_label(text)
    if not names.dns1123_label(text):
        assert not names.dns1123_subdomain(text)
        assert not names.qualified_name(text)
        assert not names.label_value(text)
    if not names.label_value(text) and text:
        assert not names.qualified_name(text)


@given(st.text("ab1-.", max_size=80))
def test_a_subdomain_is_labels_between_dots(text):
    labels = text.split(".")
    fine = len(text) <= 253 and all(re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", label) for label in labels)
    assert (not names.dns1123_subdomain(text)) == fine


def test_long_texts_take_no_time():
    """The patterns don't backtrack without bound."""
    for check in CASES:
        getattr(names, check)("a" * 200_000 + "!")
        getattr(names, check)("a.-" * 100_000)
