"""JSON values as Go's decoder sees and names them."""

from __future__ import annotations

from typing import Any

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


def found(value: Any, *, exact: bool = False) -> str:
    """A JSON value in the words of Go's decoder; ``exact`` shows a number that doesn't fit."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}" if exact else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
