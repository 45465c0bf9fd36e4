"""What Go's decoder says about the first value of a wrong type in a manifest of a typed kind.

Its messages name the innermost Go struct, the path without indexes, and the Go type that was wanted.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from state.objects import Object, Secret
from state.quantity import QuantityError, parse

QUANTITY_FORM = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/\r\n]")
_INT32 = 2**31
#: Structs whose Go name is another one.
_GO_NAMES = {"EndpointSlicePort": "EndpointPort"}


def type_fault(kind: type[Object], manifest: Mapping[str, Any]) -> str:
    """Go's message about the first wrong value of a manifest; "" if none is wrong."""
    fault = _struct(_described(kind), manifest, "")
    if not fault and kind is Secret:
        fault = _secret_fault(manifest)
    return fault


def _secret_fault(manifest: Mapping[str, Any]) -> str:
    for text in (manifest.get("data") or {}).values():
        fault = base64_fault(text or "")
        if fault:
            return fault
    return ""


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


@cache
def _described(struct: type[msgspec.Struct]) -> inspect.StructType:
    description = inspect.type_info(struct)
    assert isinstance(description, inspect.StructType)
    return description


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    return {field.encode_name: field.type for field in _described(struct).fields}


def _struct(node: inspect.StructType, value: Mapping[str, Any], path: str) -> str:
    fields = _fields(node.cls)
    name = _GO_NAMES.get(node.cls.__name__, node.cls.__name__)
    for key, item in value.items():
        field = fields.get(key)
        if field is None:
            if issubclass(node.cls, Object) and key in {"kind", "apiVersion"} and not isinstance(item, str | None):
                return _mismatch(item, name, f"{path}{key}", "string")
            continue
        fault = _value(field, item, name, f"{path}{key}")
        if fault:
            return fault
    return ""


def _value(node: inspect.Type, value: Any, struct: str, path: str) -> str:
    options = tuple(
        each
        for each in (node.types if isinstance(node, inspect.UnionType) else (node,))
        if not isinstance(each, inspect.NoneType)
    )
    if value is None or isinstance(options[0], inspect.CustomType):
        return ""
    if any(isinstance(each, inspect.FloatType) for each in options):
        return "" if _is_quantity(value) else QUANTITY_FORM
    if len(options) > 1:  # an integer or a string
        if isinstance(value, str) or (_is_integer(value) and -_INT32 <= value < _INT32):
            return ""
        return _mismatch(value, struct, path, "int32" if isinstance(value, int | float) else "string")
    return _plain(options[0], value, struct, path)


def _plain(node: inspect.Type, value: Any, struct: str, path: str) -> str:
    wanted = _go_type(node)
    if isinstance(node, inspect.StructType):
        return (
            _struct(node, value, f"{path}.") if isinstance(value, Mapping) else _mismatch(value, struct, path, wanted)
        )
    if isinstance(node, inspect.VarTupleType):
        if not isinstance(value, list):
            return _mismatch(value, struct, path, wanted)
        return next(filter(None, (_value(node.item_type, item, struct, path) for item in value)), "")
    if isinstance(node, inspect.DictType):
        if not isinstance(value, Mapping):
            return _mismatch(value, struct, path, wanted)
        return next(filter(None, (_value(node.value_type, item, struct, path) for item in value.values())), "")
    if isinstance(node, inspect.IntType):
        low, high = node.ge if node.ge is not None else -(2**63), node.le if node.le is not None else 2**63 - 1
        if _is_integer(value) and low <= value <= high:
            return ""
        return _mismatch(value, struct, path, wanted, exact=True)
    fits = isinstance(value, bool) if isinstance(node, inspect.BoolType) else isinstance(value, str)
    return "" if fits else _mismatch(value, struct, path, wanted)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_quantity(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    try:
        parse(value)
    except QuantityError:
        return False
    return True


def _go_type(node: inspect.Type) -> str:
    if isinstance(node, inspect.UnionType):
        node = next(each for each in node.types if not isinstance(each, inspect.NoneType))
    if isinstance(node, inspect.StructType):
        return f"v1.{_GO_NAMES.get(node.cls.__name__, node.cls.__name__)}"
    if isinstance(node, inspect.VarTupleType):
        return f"[]{_go_type(node.item_type)}"
    if isinstance(node, inspect.DictType):
        return f"map[string]{_go_type(node.value_type)}"
    if isinstance(node, inspect.IntType):
        return "int32" if node.le == _INT32 - 1 else "int64"
    return "bool" if isinstance(node, inspect.BoolType) else "string"


def _mismatch(value: Any, struct: str, path: str, wanted: str, *, exact: bool = False) -> str:
    return f"json: cannot unmarshal {found(value, exact=exact)} into Go struct field {struct}.{path} of type {wanted}"


def found(value: Any, *, exact: bool = False) -> str:
    """A JSON value in the words of Go's decoder; ``exact`` shows a number that doesn't fit."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}" if exact else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
