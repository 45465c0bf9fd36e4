"""Times and durations: their notations, and round trips through them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from state.times import (
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    TimeError,
    format_duration,
    format_micro_time,
    format_time,
    human_duration,
    parse_duration,
    parse_time,
)

DURATIONS = json.loads((Path(__file__).parent / "data" / "durations.json").read_text())
FIRST = (datetime(1, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
LAST = (datetime(9999, 12, 31, 23, 59, 59, 999999, UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

times = st.integers(FIRST, LAST)
durations = st.integers(-(2**63 // 1000), 2**63 // 1000)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-01T00:00:00Z", 1_767_225_600 * SECOND),
        ("2026-01-01T01:30:00+01:30", 1_767_225_600 * SECOND),
        ("2025-12-31T19:00:00-05:00", 1_767_225_600 * SECOND),
        ("2026-01-01T00:00:00.000001Z", 1_767_225_600 * SECOND + 1),
        ("2026-01-01T00:00:00.5Z", 1_767_225_600 * SECOND + 500_000),
        ("2026-01-01T00:00:00.123456789Z", 1_767_225_600 * SECOND + 123_456),
        ("2024-02-29T12:00:00Z", 1_709_208_000 * SECOND),
        ("1969-12-31T23:59:59.9Z", -100_000),
        ("0001-01-01T00:00:00Z", FIRST),
    ],
)
def test_times_are_read_in_every_zone(text, micros):
    assert parse_time(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-01",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01t00:00:00z",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00.Z",
        "2026-13-01T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "26-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z\n",
        "٢٠٢٦-01-01T00:00:00Z",
        "1767225600",
    ],
)
def test_what_is_no_time_is_refused_with_what_was_found(text):
    with pytest.raises(TimeError, match="must be a time in RFC 3339 format") as caught:
        parse_time(text)
    assert text.strip() in str(caught.value)


@given(times)
@example(FIRST)
@example(LAST)
@example(-1)
def test_times_survive_their_notation(micros):
    assert parse_time(format_micro_time(micros)) == micros
    assert parse_time(format_time(micros)) == micros // SECOND * SECOND


@given(times, times)
def test_the_order_of_texts_is_the_order_of_times(left, right):
    """Objects can be sorted by their creation timestamps as they are."""
    assert (format_micro_time(left) < format_micro_time(right)) == (left < right)


def test_times_have_the_precision_of_their_kind():
    assert format_time(1_999_999) == "1970-01-01T00:00:01Z"
    assert format_time(-1) == "1969-12-31T23:59:59Z"
    assert format_micro_time(1_500_000) == "1970-01-01T00:00:01.500000Z"


@pytest.mark.parametrize("micros", [FIRST - 1, LAST + 1, 10**30, -(10**30)])
def test_times_beyond_four_digit_years_are_refused(micros):
    for write in (format_time, format_micro_time):
        with pytest.raises(TimeError, match="must be within the years 1 to 9999"):
            write(micros)


@pytest.mark.parametrize(("text", "micros"), DURATIONS["go"])
def test_durations_are_written_as_go_does(text, micros):
    assert format_duration(micros) == text
    assert parse_duration(text) == micros


@pytest.mark.parametrize(("text", "micros"), DURATIONS["read"])
def test_durations_are_read_in_every_notation_of_go(text, micros):
    assert parse_duration(text) == micros


@pytest.mark.parametrize(("text", "message"), DURATIONS["refused"].items())
def test_what_is_no_duration_is_refused_in_go_words(text, message):
    with pytest.raises(TimeError) as caught:
        parse_duration(text)
    assert str(caught.value) == message


def test_endless_durations_are_refused():
    with pytest.raises(TimeError, match="invalid duration"):
        parse_duration("1s" * 1_000_000)


@given(durations)
def test_durations_survive_their_notation(micros):
    assert parse_duration(format_duration(micros)) == micros


@pytest.mark.parametrize(("micros", "text"), DURATIONS["human"])
def test_ages_are_shown_as_kubectl_does(micros, text):
    assert human_duration(micros) == text


@given(st.integers(0, 100 * 365 * 24 * HOUR))
def test_an_age_is_short_and_close(micros):
    """It never exaggerates and never loses more than a ninth."""
    text = human_duration(micros)
    units = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": 24 * HOUR, "y": 365 * 24 * HOUR}
    number, total = "", 0
    for char in text:
        if char.isdigit():
            number += char
        else:
            total, number = total + int(number) * units[char], ""
    assert len(text) <= 6
    assert 0 <= micros - total <= max(SECOND, micros // 9)


def test_units_are_microseconds():
    assert (MILLISECOND, SECOND, MINUTE, HOUR) == (10**3, 10**6, 60 * 10**6, 3600 * 10**6)
