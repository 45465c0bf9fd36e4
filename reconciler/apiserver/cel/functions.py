"""The functions of the Common Expression Language: the table of all, and those of the standard.

A function has one or more signatures; a call whose values fit none is "no such overload".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import cmp_to_key
from importlib import import_module
from typing import Any, TypeAlias, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import re2

from reconciler.apiserver.cel.values import (
    NO_OVERLOAD,
    CelError,
    Kind,
    UInt,
    is_number,
    kind_name,
    less,
)
from state.times import TimeError, parse_duration

Function: TypeAlias = Callable[..., Any]
FunctionT = TypeVar("FunctionT", bound=Function)
#: Types of arguments; None stands for any.
Signature: TypeAlias = tuple[type | None, ...]
_TABLE: dict[str, list[tuple[Signature, Function]]] = {}
#: Modules whose functions belong to the table, too. They are loaded when one of them is called.
_MORE = tuple(f"reconciler.apiserver.cel.{name}" for name in ("formats", "kubernetes", "lists", "texts"))
_loaded: list[str] = []


def function(name: str, *signature: type | None) -> Callable[[FunctionT], FunctionT]:
    """Makes what follows a function of the language for values of those types; the target of a method is the first."""

    def add(do: FunctionT) -> FunctionT:
        _TABLE.setdefault(name, []).append((signature, do))
        return do

    return add


def _table() -> Mapping[str, list[tuple[Signature, Function]]]:
    if not _loaded:
        for module in _MORE:
            import_module(module)
        _loaded.extend(_MORE)
    return _TABLE


def is_known(name: str) -> bool:
    """Whether there is such a function."""
    return name in _table()


def call(name: str, values: list[Any]) -> Any:
    """The value of a function.

    Raises:
        CelError: it has none.
    """
    overloads = _table().get(name)
    if overloads is None:
        raise CelError(f"undeclared reference to '{name}' (in container '')")
    for signature, do in overloads:
        if len(signature) == len(values) and all(map(_fits, values, signature)):
            return do(*values)
    raise CelError(NO_OVERLOAD)


def _fits(value: Any, kind: type | None) -> bool:
    return kind is None or type(value) is kind


# -- the standard ------------------------------------------------------------------------------------------------------


@function("size", str)
@function("size", bytes)
@function("size", list)
@function("size", dict)
def _size(of: Any) -> int:
    return len(of)


function("type", None)(lambda value: Kind(kind_name(value)))
function("dyn", None)(lambda value: value)
function("startsWith", str, str)(lambda text, start: text.startswith(start))
function("endsWith", str, str)(lambda text, end: text.endswith(end))
function("contains", str, str)(lambda text, part: part in text)
function("bool", bool)(lambda value: value)
function("bytes", str)(lambda text: text.encode())
function("bytes", bytes)(lambda value: value)


def pattern_of(text: str) -> Any:
    """A regular expression, as Go's."""
    try:
        return re2.compile(text)
    except re2.error as error:
        raise CelError(f"error parsing regexp: {error}") from error


@function("matches", str, str)
def _matches(text: str, pattern: str) -> bool:
    return pattern_of(pattern).search(text) is not None


@function("bool", str)
def _bool(text: str) -> bool:
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise CelError(f"type conversion error from 'string' to 'bool': {text}")


def _in_range(number: int, kind: type) -> int:
    is_signed = kind is int
    low, high = (-(2**63), 2**63) if is_signed else (0, 2**64)
    if not low <= number < high:
        raise CelError("integer overflow" if is_signed else "unsigned integer overflow")
    return number if is_signed else UInt(number)


@function("int", None)
def _int(value: Any) -> int:
    return _to_whole(value, int)


@function("uint", None)
def _uint(value: Any) -> int:
    return _to_whole(value, UInt)


def _to_whole(value: Any, kind: type) -> int:
    name = "int" if kind is int else "uint"
    if is_number(value) and math.isfinite(value):
        return _in_range(int(value), kind)
    if isinstance(value, datetime) and kind is int:
        return math.floor(value.timestamp())
    if isinstance(value, str):
        digits = value.removeprefix("-") if kind is int else value
        if digits.isascii() and digits.isdecimal() and len(digits) <= 20:
            return _in_range(int(value), kind)
        raise CelError(f"type conversion error from 'string' to '{name}'")
    raise CelError(NO_OVERLOAD)


@function("double", None)
def _double(value: Any) -> float:
    if is_number(value):
        return float(value)
    if not isinstance(value, str):
        raise CelError(NO_OVERLOAD)
    try:
        return float(value)
    except ValueError as error:
        raise CelError("type conversion error from 'string' to 'double'") from error


@function("string", None)
def string(value: Any) -> str:
    """A value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise CelError("invalid UTF-8 in bytes, cannot convert to string") from error
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{number_text(value.total_seconds())}s"
    if isinstance(value, str | int):
        return str(value)
    text = getattr(value, "text", None)
    if isinstance(text, str):
        return text
    raise CelError(NO_OVERLOAD)


def number_text(value: float) -> str:
    """A number as Go prints it: whole ones without a point."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return "NaN" if math.isnan(value) else repr(value)


# -- time --------------------------------------------------------------------------------------------------------------

function("duration", timedelta)(lambda value: value)
function("timestamp", datetime)(lambda value: value)


@function("duration", str)
def duration(text: str) -> timedelta:
    """A duration as Go writes it."""
    try:
        return timedelta(microseconds=parse_duration(text))
    except TimeError as error:
        raise CelError(f"time: invalid duration {text!r}") from error


@function("timestamp", str)
def timestamp(text: str) -> datetime:
    """A moment as RFC 3339 writes it."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise CelError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00"') from error
    if found.tzinfo is None:
        raise CelError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00"')
    return found.astimezone(UTC)


@function("timestamp", int)
def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise CelError("range error converting to timestamp") from error


def _zone(name: str) -> Any:
    sign, _, rest = name.partition(":")
    if rest.isdecimal() and sign.lstrip("+-").isdecimal():
        minutes = int(sign.lstrip("+-")) * 60 + int(rest)
        return timezone(timedelta(minutes=-minutes if sign.startswith("-") else minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise CelError(f"unknown time zone {name}") from error


_PARTS: Mapping[str, Callable[[datetime], int]] = {
    "getDate": lambda at: at.day,
    "getDayOfMonth": lambda at: at.day - 1,
    "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1,
    "getFullYear": lambda at: at.year,
    "getHours": lambda at: at.hour,
    "getMilliseconds": lambda at: at.microsecond // 1000,
    "getMinutes": lambda at: at.minute,
    "getMonth": lambda at: at.month - 1,
    "getSeconds": lambda at: at.second,
}
_LENGTHS = {"getHours": 3600 * 10**6, "getMinutes": 60 * 10**6, "getSeconds": 10**6, "getMilliseconds": 1000}


def _add_times() -> None:
    for name, part in _PARTS.items():
        function(name, datetime)(part)
        function(name, datetime, str)(lambda at, zone, part=part: part(at.astimezone(_zone(zone))))
    for name, unit in _LENGTHS.items():
        function(name, timedelta)(lambda of, unit=unit: int(of / timedelta(microseconds=unit)))


_add_times()


# -- order, which macros know, too -------------------------------------------------------------------------------------


def ordered(left: Any, right: Any) -> int:
    """-1, 0 or 1."""
    return -1 if less(left, right) else 1 if less(right, left) else 0


def sorted_by(items: Any, key: Callable[[Any], Any]) -> list[Any]:
    """A list in the order of what ``key`` makes of its items."""
    if not isinstance(items, list):
        raise CelError(NO_OVERLOAD)
    keys = [key(item) for item in items]

    def compare(one: int, other: int) -> int:
        return ordered(keys[one], keys[other])

    places = sorted(range(len(items)), key=cmp_to_key(compare))
    return [items[at] for at in places]
