"""Values of the Common Expression Language: what Python's own types lack, equality, order and arithmetic.

Python's types stand for the language's: bool, int (64 bits), float, str, bytes, None, list, dict with text, numbers or
booleans as keys, ``datetime`` (timestamp) and ``timedelta`` (duration).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, runtime_checkable

import msgspec

_INT64, _UINT64 = 2**63, 2**64
NO_OVERLOAD = "no such overload"


class CelError(Exception):
    """An evaluation that has no value; the text is cel-go's."""


class CelBudgetError(CelError):
    """An evaluation that would take too long. Nothing absorbs it."""


class UInt(int):
    """An unsigned number of 64 bits."""

    __slots__ = ()


class Optional(msgspec.Struct, frozen=True):
    """A value that may be missing."""

    value: Any = None
    has_value: bool = True


NOTHING = Optional(has_value=False)


class Kind(msgspec.Struct, frozen=True):
    """A type as a value: ``type(1) == int``."""

    name: str


@runtime_checkable
class Own(Protocol):
    """A value of a type that Kubernetes adds. It compares by Python's ``==`` (and, where it has an order, ``<``)."""

    #: The type's name.
    cel_type: ClassVar[str]


_NAMES: Mapping[type, str] = {
    bool: "bool",
    int: "int",
    UInt: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    type(None): "null_type",
    list: "list",
    dict: "map",
    datetime: "google.protobuf.Timestamp",
    timedelta: "google.protobuf.Duration",
    Optional: "optional_type",
    Kind: "type",
}
#: Names that stand for types.
KINDS: Mapping[str, Kind] = {
    name: Kind(name)
    for name in ("bool", "int", "uint", "double", "string", "bytes", "null_type", "list", "map", "type")
}


def kind_name(value: Any) -> str:
    """The name of a value's type."""
    found = _NAMES.get(type(value))
    return found if found is not None else str(value.cel_type)


def is_number(value: Any) -> bool:
    """Whether it is a number: a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    """Whether two values are the same. Numbers are by what they count; what has different types isn't the same."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return len(left) == len(right) and all(key in right and equal(value, right[key]) for key, value in left.items())
    if isinstance(left, Optional) and isinstance(right, Optional):
        return left.has_value == right.has_value and equal(left.value, right.value)
    return type(left) is type(right) and bool(left == right)


def contains(item: Any, of: Any) -> bool:
    """The operator ``in``."""
    if isinstance(of, list):
        return any(equal(item, each) for each in of)
    if isinstance(of, dict):
        return key_of(item) in of if isinstance(item, str | int | float) else False
    raise CelError(NO_OVERLOAD)


def key_of(key: Any) -> Any:
    """A key as maps have it: a whole number is the same whatever its type."""
    if isinstance(key, float) and key.is_integer():
        return int(key)
    if not isinstance(key, str | int | bool):
        raise CelError(f"unsupported key type: {kind_name(key)}")
    return key


_ORDERED = (bool, str, bytes, datetime, timedelta)


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def do(left: Any, right: Any) -> bool:
        if is_number(left) and is_number(right):
            return compare(left, right)
        if type(left) is type(right) and isinstance(left, _ORDERED):
            return compare(left, right)
        raise CelError(NO_OVERLOAD)

    return do


less = _compared(operator.lt)


def _whole(number: int, kind: type) -> int:
    if kind is UInt:
        if not 0 <= number < _UINT64:
            raise CelError("unsigned integer overflow")
        return UInt(number)
    if not -_INT64 <= number < _INT64:
        raise CelError("integer overflow")
    return number


def _numbers(do: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def calculate(left: Any, right: Any) -> Any:
        kind = type(left)
        if kind is type(right) and kind in (int, UInt):
            return _whole(do(left, right), kind)
        if kind is type(right) is float:
            return do(left, right)
        raise CelError(NO_OVERLOAD)

    return calculate


_plus_numbers, _minus_numbers = _numbers(operator.add), _numbers(operator.sub)


def _plus(left: Any, right: Any) -> Any:
    kinds = (type(left), type(right))
    if kinds in ((str, str), (bytes, bytes), (list, list)):
        return left + right
    if kinds in ((datetime, timedelta), (timedelta, datetime), (timedelta, timedelta)):
        return _time(left, right, operator.add)
    return _plus_numbers(left, right)


def _minus(left: Any, right: Any) -> Any:
    if (type(left), type(right)) in ((datetime, timedelta), (datetime, datetime), (timedelta, timedelta)):
        return _time(left, right, operator.sub)
    return _minus_numbers(left, right)


def _time(left: Any, right: Any, do: Callable[[Any, Any], Any]) -> Any:
    try:
        return do(left, right)
    except OverflowError as error:
        raise CelError("timestamp overflow") from error


def _quotient(left: Any, right: Any) -> Any:
    if isinstance(left, float):
        if right:
            return left / right
        return float("nan") if not left or left != left else float("inf") if left > 0 else float("-inf")  # noqa: PLR0124 - NaN
    if not right:
        raise CelError("division by zero")
    found = abs(left) // abs(right)
    return found if (left < 0) == (right < 0) else -found


def _rest(left: Any, right: Any) -> Any:
    if isinstance(left, float):
        raise CelError(NO_OVERLOAD)
    if not right:
        raise CelError("modulus by zero")
    return left - right * _quotient(left, right)


def negative(value: Any) -> Any:
    """The operator ``-`` before one value."""
    if type(value) is int:
        return _whole(-value, int)
    if type(value) is float:
        return -value
    raise CelError(NO_OVERLOAD)


#: Operators that need both sides.
OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": less,
    "<=": _compared(operator.le),
    ">": _compared(operator.gt),
    ">=": _compared(operator.ge),
    "in": contains,
    "+": _plus,
    "-": _minus,
    "*": _numbers(operator.mul),
    "/": _numbers(_quotient),
    "%": _numbers(_rest),
}


def field(of: Any, name: Any) -> Any:
    """A field or item.

    Raises:
        CelError: there is none.
    """
    if isinstance(of, dict):
        try:
            return of[key_of(name)]
        except KeyError as error:
            raise CelError(f"no such key: {name}") from error
    if isinstance(of, list):
        return _item(of, name)
    if isinstance(of, Optional):
        return optional_field(of, name)
    own = getattr(of, "field", None)
    if own is not None:
        return own(name)
    raise CelError(f"no such key: {name}" if isinstance(name, str) else NO_OVERLOAD)


def _item(of: list[Any], at: Any) -> Any:
    if not is_number(at):
        raise CelError(f"unsupported index type '{kind_name(at)}' in list")
    if at != int(at):
        raise CelError(f"unsupported index value {at} in list")
    if not 0 <= at < len(of):
        raise CelError(f"index out of bounds: {int(at)}")
    return of[int(at)]


def optional_field(of: Any, name: Any) -> Optional:
    """A field or item, if it is there."""
    if isinstance(of, Optional):
        if not of.has_value:
            return NOTHING
        of = of.value
    if isinstance(of, dict):
        key = key_of(name)
        return Optional(of[key]) if key in of else NOTHING
    if isinstance(of, list) and is_number(name):
        return Optional(of[int(name)]) if 0 <= name < len(of) and name == int(name) else NOTHING
    return NOTHING
