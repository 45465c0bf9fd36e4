"""What Go's decoder says about the first value of a wrong type in a message in JSON.

Its messages name the innermost Go struct, the path without indexes, and the Go type that was wanted.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from reconciler.apiserver.gotimes import time_fault
from reconciler.apiserver.govalues import QUANTITY_FORM, found, is_quantity
from reconciler.apiserver.messages import Field, fields_of, messages

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/\r\n]")
_TYPE_META = Field("", "", "string")
_BITS = {"int": 32, "int64": 64}
_TYPES = {"bool": bool, "string": str}


def message_fault(message: str, value: Mapping[str, Any], path: str = "") -> str:
    """Go's words about the first value of a wrong type; "" if there is none."""
    fields = fields_of(message)
    for name, item in value.items():
        if item is None:
            continue
        field = fields.get(name)
        if field is None:
            if name not in {"kind", "apiVersion"} or "metadata" not in fields:
                continue
            field = _TYPE_META
        fault = _fault(field, item, message, f"{path}{name}")
        if fault:
            return fault
    return ""


def _fault(field: Field, value: Any, message: str, path: str) -> str:
    where = f"Go struct field {message.rpartition('.')[2]}.{path}"
    if not field.container:
        return _item_fault(field, value, where, path)
    if not isinstance(value, list if field.container == "[]" else dict):
        return _mismatch(value, where, field.go_type)
    items = value if isinstance(value, list) else value.values()
    faults = (_item_fault(field, item, where, path) for item in items if item is not None)
    return next(filter(None, faults), "")


def _item_fault(field: Field, value: Any, where: str, path: str) -> str:
    kind = _TYPES.get(field.type)
    if kind is not None:
        return "" if isinstance(value, kind) else _mismatch(value, where, field.item_type)
    bits = _BITS.get(field.type)
    if bits is not None:
        return "" if _fits(value, bits) else _mismatch(value, where, field.item_type, exact=True)
    if field.type in messages():
        if isinstance(value, dict):
            return message_fault(field.type, value, f"{path}.")
        return _mismatch(value, where, field.item_type)
    check = _CHECKS.get(field.type)
    return "" if check is None else check(value, where)


def _fits(value: Any, bits: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << bits - 1) <= value < 1 << bits - 1


def _mismatch(value: Any, where: str, wanted: str, *, exact: bool = False) -> str:
    return f"json: cannot unmarshal {found(value, exact=exact)} into {where} of type {wanted}"


def _time(value: Any, where: str, *, is_micro: bool) -> str:
    return time_fault(value, is_micro=is_micro) if isinstance(value, str) else _mismatch(value, where, "string")


def _bytes(value: Any, where: str) -> str:
    return base64_fault(value) if isinstance(value, str) else _mismatch(value, where, "[]uint8")


def _quantity(value: Any, _where: str) -> str:
    return "" if is_quantity(value) else QUANTITY_FORM


def _int_or_string(value: Any, where: str) -> str:
    return "" if isinstance(value, str) or _fits(value, 32) else _mismatch(value, where, "int32", exact=True)


#: What is said of a value by the type that reads it.
_CHECKS: dict[str, Callable[[Any, str], str]] = {
    "IntOrString": _int_or_string,
    "Quantity": _quantity,
    "bytes": _bytes,
    "meta.v1.MicroTime": partial(_time, is_micro=True),
    "meta.v1.Time": partial(_time, is_micro=False),
}


def base64_fault(text: str) -> str:
    """Go's message about text that should be base64; "" if it is."""
    raw = text.encode()
    body = raw.rstrip(b"=")
    found = _NOT_BASE64.search(body)
    if found is not None:
        return f"illegal base64 data at input byte {found.start()}"
    try:
        base64.b64decode(raw.replace(b"\n", b"").replace(b"\r", b""), validate=True)
    except binascii.Error:
        return f"illegal base64 data at input byte {len(raw) - len(raw) % 4 if len(raw) == len(body) else len(body)}"
    return ""
