"""What apimachinery's converter says of a strategic merge patch whose result has a value of a wrong type.

It doesn't decode JSON: it sets Go's fields one by one, and its messages name Go's kinds and no paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.apiserver.gotimes import time_fault
from reconciler.apiserver.gotypes import base64_fault
from reconciler.apiserver.govalues import QUANTITY_FORM, found, is_quantity
from reconciler.apiserver.messages import Field, fields_of, messages

_BITS = {"int": 32, "int64": 64}


def kind_of(value: Any) -> str:
    """What Go calls the kind of a value in JSON."""
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "bool"),
        (int, "int64"),
        (float, "float64"),
        (str, "string"),
        (list, "slice"),
        (dict, "map"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "invalid")


def conversion_fault(message: str, document: Mapping[str, Any]) -> str:
    """What is said of the first value of a wrong type, in the order of Go's fields; "" if there is none."""
    for name, field in fields_of(message).items():
        value = document.get(name)
        fault = "" if value is None else _fault(field, value)
        if fault:
            return fault
    return ""


def _fault(field: Field, value: Any) -> str:
    if not field.container:
        return _item_fault(field, value)
    if not isinstance(value, list if field.container == "[]" else dict):
        return f"cannot restore {'slice' if field.container == '[]' else 'map'} from {kind_of(value)}"
    items = value if isinstance(value, list) else value.values()
    return next(filter(None, (_item_fault(field, item) for item in items if item is not None)), "")


def _item_fault(field: Field, value: Any) -> str:
    kind = field.type
    if kind in messages():
        return (
            conversion_fault(kind, value)
            if isinstance(value, dict)
            else f"cannot restore struct from: {kind_of(value)}"
        )
    if kind in ("bool", "string") or kind in _BITS:
        return _scalar_fault(kind, value)
    if kind == "Quantity":
        return "" if is_quantity(value) else QUANTITY_FORM
    if kind == "IntOrString":
        return "" if isinstance(value, str | int) and not isinstance(value, bool) else _unmarshalled(value, "int32")
    if kind in ("meta.v1.Time", "meta.v1.MicroTime"):
        is_micro = kind == "meta.v1.MicroTime"
        return time_fault(value, is_micro=is_micro) if isinstance(value, str) else _unmarshalled(value, "string")
    if kind == "bytes":
        if not isinstance(value, str):
            return f"cannot restore slice from {kind_of(value)}"
        fault = base64_fault(value)
        return f"error decoding from json: {fault}" if fault else ""
    return ""


def _unmarshalled(value: Any, wanted: str) -> str:
    return f"json: cannot unmarshal {found(value)} into Go value of type {wanted}"


def _scalar_fault(wanted: str, value: Any) -> str:
    kind = kind_of(value)
    go = {"int": "int32", "int64": "int64"}.get(wanted, wanted)
    if wanted in _BITS:
        is_whole = kind == "int64" or (kind == "float64" and value == int(value))
        if is_whole:
            return ""
        return f"cannot convert float64 to {go}" if kind == "float64" else f"unrecognized type: {go}"
    if kind == wanted:
        return ""
    # Go can make a string of a number, so that its converter begins to, and then doesn't know how
    return f"cannot convert int64 to {go}" if wanted == "string" and kind == "int64" else f"unrecognized type: {go}"
