"""What Go says about text that should be a time: ``time.Parse`` with the layouts of metav1's Time and MicroTime."""

from __future__ import annotations

import re

from state.times import TimeError, format_micro_time, format_time, parse_time

#: JSON names of the fields that hold times, or maps of them: a struct takes any text for one.
TIMES = frozenset(
    [
        "completionTime",
        "creationTimestamp",
        "deletionTimestamp",
        "disruptedPods",
        "finishedAt",
        "firstTimestamp",
        "lastHeartbeatTime",
        "lastPhaseTransitionTime",
        "lastProbeTime",
        "lastScaleTime",
        "lastScheduleTime",
        "lastSuccessfulTime",
        "lastTimestamp",
        "lastTransitionTime",
        "lastUpdateTime",
        "startTime",
        "startedAt",
        "time",
        "timeAdded",
    ]
)
#: The same, of times with exactly six digits behind the second.
MICRO_TIMES = frozenset(["acquireTime", "eventTime", "lastObservedTime", "renewTime"])

#: The layout up to the second: what must be there, and what a number must be within, if it is one.
_PARTS = (
    ("2006", None),
    ("-", None),
    ("01", ("month", 1, 12)),
    ("-", None),
    ("02", ("day", 1, 31)),
    ("T", None),
    ("15", ("hour", 0, 23)),
    (":", None),
    ("04", ("minute", 0, 59)),
    (":", None),
    ("05", ("second", 0, 59)),
)
_MICROS, _ZONE = ".000000", "Z07:00"
_FORMS = {_MICROS: re.compile(r"\.\d{6}(?!\d)", re.ASCII), _ZONE: re.compile(r"Z|[+-]\d\d:\d\d", re.ASCII)}
_ANY_FRACTION = re.compile(r"(?:[.,]\d+)?", re.ASCII)


def is_time(field: str) -> bool:
    """Whether a field of that name holds a time."""
    return field in TIMES or field in MICRO_TIMES


def time_fault(text: str, *, is_micro: bool) -> str:
    """Go's message about the first fault of a time; "" if it has none."""
    layout = f"2006-01-02T15:04:05{_MICROS if is_micro else ''}{_ZONE}"

    def told(why: str) -> str:
        return f'parsing time "{text}"{why}'

    def unlike(rest: str, part: str) -> str:
        return told(f' as "{layout}": cannot parse "{rest}" as "{part}"')

    rest = text
    for part, bounds in _PARTS:
        taken = rest[: len(part)]
        if not (len(taken) == len(part) and taken.isascii() and taken.isdigit() if part.isdigit() else taken == part):
            return unlike(rest, part)
        rest = rest[len(part) :]
        if bounds is not None and not bounds[1] <= int(taken) <= bounds[2]:
            return told(f": {bounds[0]} out of range")
    if not is_micro:
        rest = rest[_ANY_FRACTION.match(rest).end() :]  # type: ignore[union-attr]  # it always matches
    for part in (_MICROS, _ZONE) if is_micro else (_ZONE,):
        found = _FORMS[part].match(rest)
        if found is None:
            return unlike(rest, part)
        rest = rest[found.end() :]
    if rest:
        return told(f': extra text: "{rest}"')
    try:
        parse_time(text)
    except TimeError:
        return told(": day out of range")
    return ""


def canonical_time(text: str, *, is_micro: bool) -> str:
    """A time as Go writes it, whatever its zone and fraction were; text that is none as it is."""
    try:
        moment = parse_time(text)
    except TimeError:
        return text
    return format_micro_time(moment) if is_micro else format_time(moment)
