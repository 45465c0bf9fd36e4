"""JSON values as Go's decoder sees and names them."""

from __future__ import annotations

from typing import Any

from state.errors import quoted
from state.quantity import QuantityError, parse

QUANTITY_FORM = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def is_quantity(value: Any) -> bool:
    """Whether a JSON value is an amount."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    try:
        parse(value)
    except QuantityError:
        return False
    return True


def printed(value: Any) -> str:
    """A JSON value as Go's ``%v`` prints it."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{name}:{printed(value[name])}' for name in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(printed, value))}]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def syntax(value: Any) -> str:
    """A JSON value as Go's ``%#v`` prints it."""
    if isinstance(value, dict):
        items = ", ".join(f"{quoted(name)}:{syntax(value[name])}" for name in sorted(value))
        return f"{type_name(value)}{{{items}}}"
    if isinstance(value, list):
        return f"{type_name(value)}{{{', '.join(map(syntax, value))}}}"
    return quoted(value) if isinstance(value, str) else printed(value)


def type_name(value: Any) -> str:
    """The Go type that a JSON value is read into where nothing is known of it."""
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    if isinstance(value, bool | None):
        return "<nil>" if value is None else "bool"
    return "string" if isinstance(value, str) else "int64" if isinstance(value, int) else "float64"


def found(value: Any, *, exact: bool = False) -> str:
    """A JSON value in the words of Go's decoder; ``exact`` shows a number that doesn't fit."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}" if exact else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
