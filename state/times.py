"""Times and durations, as whole microseconds, in the notations of Kubernetes' API (RFC 3339) and of Go.

A time is the number of microseconds since 1970-01-01T00:00:00Z, the resolution of ``metav1.MicroTime``. Nothing here
knows what time it is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from state.errors import StateError, quoted

MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

#: Distinct times remembered. Within a cycle, thousands of conditions get the same one.
_CACHE_SIZE = 16_384
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_DURATION_TERM = re.compile(r"(\d*)(?:\.(\d*))?([^.\d]*)", re.ASCII)
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the sign
    "μs": 1_000,  # U+03BC, the letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_MAX_NANOSECONDS = 2**63 - 1
#: Go reads a duration of any length; no real one is as long as this.
_MAX_DURATION_LENGTH = 200


class TimeError(StateError):
    """A text is no time or no duration, or a time is too far off to be written."""


@lru_cache(_CACHE_SIZE)
def parse_time(text: str) -> int:
    """Reads an RFC 3339 time in any zone; what is finer than a microsecond is cut off.

    Raises:
        TimeError: if the text isn't one.
    """
    match = _RFC3339.fullmatch(text)
    if not match:
        raise TimeError(f"{quoted(text)}: must be a time in RFC 3339 format, such as 2026-01-31T23:59:59Z")
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    fraction, sign, hours, minutes = match.group(7, 8, 9, 10)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise TimeError(f"{quoted(text)}: must be a time in RFC 3339 format: {error}") from error
    micros = (moment - _EPOCH) // _MICROSECOND + int((fraction or "")[:6].ljust(6, "0"))
    if sign:
        offset = int(hours) * HOUR + int(minutes) * MINUTE
        micros += offset if sign == "-" else -offset
    return micros


@lru_cache(_CACHE_SIZE)
def format_time(micros: int) -> str:
    """A time as ``metav1.Time`` writes it, in UTC and whole seconds, rounded down: ``2026-01-01T00:00:00Z``.

    Raises:
        TimeError: if it isn't within the years 1 to 9999.
    """
    return f"{_moment(micros).isoformat(timespec='seconds')}Z"


def format_micro_time(micros: int) -> str:
    """A time as ``metav1.MicroTime`` writes it: ``2026-01-01T00:00:00.000000Z``.

    Raises:
        TimeError: if it isn't within the years 1 to 9999.
    """
    return f"{_moment(micros).isoformat(timespec='microseconds')}Z"


def parse_duration(text: str) -> int:
    """Reads a Go duration ("1h30m", "500ms", "-1.5s", "0"); what is finer than a microsecond is cut off.

    Raises:
        TimeError: with Go's message.
    """
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text.startswith(("-", "+")) else text
    if rest == "0":
        return 0
    if not rest or len(rest) > _MAX_DURATION_LENGTH:
        raise TimeError(f"time: invalid duration {quoted(text)}")
    nanos = 0
    while rest:
        match = _DURATION_TERM.match(rest)
        whole, fraction, unit = match.groups("") if match else ("", "", "")
        if not match or not (whole or fraction):
            raise TimeError(f"time: invalid duration {quoted(text)}")
        if not unit:
            raise TimeError(f"time: missing unit in duration {quoted(text)}")
        if unit not in _NANOSECONDS:
            raise TimeError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
        nanos += int(f"{whole}{fraction}") * _NANOSECONDS[unit] // 10 ** len(fraction)
        rest = rest[match.end() :]
    if nanos > _MAX_NANOSECONDS:
        raise TimeError(f"time: invalid duration {quoted(text)}")
    return sign * (nanos // 1_000)


def format_duration(micros: int) -> str:
    """A duration as Go writes it: ``1h30m0s``, ``1.5s``, ``500ms``, ``0s``."""
    sign, rest = ("-", -micros) if micros < 0 else ("", micros)
    if rest < SECOND:
        small = f"{rest}µs" if rest < MILLISECOND else f"{_decimal(rest, MILLISECOND)}ms"
        return f"{sign}{small}" if rest else "0s"
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    text = f"{_decimal(rest, SECOND)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else f"{sign}{text}"


def human_duration(micros: int) -> str:
    """An age in two or three figures, as kubectl's AGE column shows it: ``45s``, ``3m10s``, ``3h20m``, ``5d``."""
    seconds = -(-micros // SECOND) if micros < 0 else micros // SECOND
    if seconds < 0:  # clocks of two machines may differ by a second
        return "0s" if seconds == -1 else "<invalid>"
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours, days, years = seconds // 60, seconds // 3600, seconds // 86400, seconds // (365 * 86400)
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if years < 2:
        return f"{days}d"
    if years < 8:
        return _two(years, "y", days % 365, "d")
    return f"{years}y"


def _moment(micros: int) -> datetime:
    try:
        return (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None)
    except OverflowError as error:
        raise TimeError(f"{micros} microseconds since 1970: must be within the years 1 to 9999") from error


def _decimal(amount: int, unit: int) -> str:
    """``amount`` of microseconds in a larger unit, as a decimal number without needless zeros."""
    whole, rest = divmod(amount, unit)
    return f"{whole}.{rest:0{len(str(unit)) - 1}}".rstrip("0").rstrip(".")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"
