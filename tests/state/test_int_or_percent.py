"""Integers and percentages of a total."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.int_or_percent import IntOrPercentError, parse_percent, percent_messages, scaled

totals = st.integers(0, 2**31 - 1)


@pytest.mark.parametrize(
    ("value", "total", "up", "down"),
    [
        (3, 10, 3, 3),
        (0, 10, 0, 0),
        (20, 10, 20, 20),
        ("25%", 10, 3, 2),
        ("25%", 4, 1, 1),
        ("25%", 3, 1, 0),
        ("1%", 3, 1, 0),
        ("34%", 6, 3, 2),
        ("33%", 6, 2, 1),
        ("0%", 10, 0, 0),
        ("100%", 7, 7, 7),
        ("125%", 4, 5, 5),
        ("50%", 0, 0, 0),
        ("-25%", 10, -2, -3),
        ("+25%", 10, 3, 2),
    ],
)
def test_percentages_are_rounded_as_asked(value, total, up, down):
    assert scaled(value, total, round_up=True) == up
    assert scaled(value, total, round_up=False) == down


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid type: string is not a percentage"),
        ("5", "invalid type: string is not a percentage"),
        ("%5", "invalid type: string is not a percentage"),
        ("%", 'invalid value "%": strconv.Atoi: parsing "": invalid syntax'),
        ("1.5%", 'invalid value "1.5%": strconv.Atoi: parsing "1.5": invalid syntax'),
        ("5%%", 'invalid value "5%%": strconv.Atoi: parsing "5%": invalid syntax'),
        (" 5%", 'invalid value " 5%": strconv.Atoi: parsing " 5": invalid syntax'),
        ("1_0%", 'invalid value "1_0%": strconv.Atoi: parsing "1_0": invalid syntax'),
        ("٥%", 'invalid value "٥%": strconv.Atoi: parsing "٥": invalid syntax'),
    ],
)
def test_other_texts_are_refused_in_kubernetes_words(text, message):
    for read in (parse_percent, lambda found: scaled(found, 10, round_up=True)):
        with pytest.raises(IntOrPercentError) as caught:
            read(text)
        assert str(caught.value) == f"invalid value for IntOrString: {message}"


@given(st.integers(0, 100), totals)
def test_a_percentage_is_within_the_total_and_roundings_differ_by_one_at_most(percent, total):
    down = scaled(f"{percent}%", total, round_up=False)
    up = scaled(f"{percent}%", total, round_up=True)
    assert 0 <= down <= up <= total
    assert up - down == (1 if percent * total % 100 else 0)


@given(st.integers(0, 1000), st.integers(0, 150_000))
def test_results_are_those_of_kubernetes_doubles(percent, total):
    assert scaled(f"{percent}%", total, round_up=True) == math.ceil(float(percent) * float(total) / 100)
    assert scaled(f"{percent}%", total, round_up=False) == math.floor(float(percent) * float(total) / 100)


@given(st.integers(), totals)
def test_an_integer_ignores_the_total(value, total):
    assert scaled(value, total, round_up=True) == scaled(value, total, round_up=False) == value


def test_validation_wants_digits_and_a_percent_sign():
    assert percent_messages("25%") == []
    message = "a valid percent string must be a numeric string followed by an ending '%'"
    pattern = "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
    assert percent_messages("abc") == [f"{message} {pattern}"]
    assert all(percent_messages(text) for text in ("-5%", "+5%", "5", "5%\n"))
