"""What Go's decoder says about the first value of a wrong type in a manifest of a typed kind.

Its messages name the innermost Go struct, the path without indexes, and the Go type that was wanted.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

import msgspec
from msgspec import inspect

from reconciler.apiserver.gotimes import MICRO_TIMES, TIMES, time_fault
from reconciler.apiserver.govalues import QUANTITY_FORM, found, is_quantity
from reconciler.apiserver.messages import opaque_fault
from state.objects import Object, Secret

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/\r\n]")
_INT32 = 2**31
#: Structs whose Go name is another one.
_GO_NAMES = {
    "EndpointSlicePort": "EndpointPort",
    "_DeleteBody": "DeleteOptions",
    "_Preconditions": "Preconditions",
}


def type_fault(kind: type[msgspec.Struct], manifest: Mapping[str, Any]) -> str:
    """Go's message about the first wrong value of a manifest; "" if none is wrong."""
    fault = _struct(_described(kind), manifest, "")
    if not fault and kind is Secret:
        fault = _secret_fault(manifest)
    return fault


def is_suspect(kind: type[msgspec.Struct], manifest: Mapping[str, Any]) -> bool:
    """Whether ``type_fault`` may find something in a manifest that could be converted: only values are looked at that
    a struct takes whatever they say.
    """
    return kind is Secret or any(
        (item := manifest.get(name)) is not None and check(item) for name, check in _checks(kind).items()
    )


def _go_name(struct: type[msgspec.Struct]) -> str:
    return _GO_NAMES.get(struct.__name__, struct.__name__)


_Check = Callable[[Any], bool]


@cache
def _checks(struct: type[msgspec.Struct]) -> dict[str, _Check]:
    """By field, what says of a value whether it is suspect; for those fields of which it could be."""
    found: dict[str, _Check] = {}
    for name, node in _fields(struct).items():
        check = partial(_is_no_time, name) if _is_time(name) else _check(node, _go_name(struct), name)
        if check is not None:
            found[name] = check
    return found


def _is_no_time(field: str, value: Any) -> bool:
    return bool(_time_fault(field, value))


def _check(node: inspect.Type, struct: str, field: str) -> _Check | None:
    kinds = node.types if isinstance(node, inspect.UnionType) else (node,)
    if any(isinstance(each, inspect.CustomType | inspect.FloatType) for each in kinds):
        return lambda item: bool(_value(node, item, struct, field))
    kind = next(each for each in kinds if not isinstance(each, inspect.NoneType))
    if isinstance(kind, inspect.StructType):
        return partial(is_suspect, kind.cls) if _checks(kind.cls) else None
    if isinstance(kind, inspect.VarTupleType):
        return _check_each(_check(kind.item_type, struct, field), lambda items: items)
    if isinstance(kind, inspect.DictType):
        return _check_each(_check(kind.value_type, struct, field), lambda items: items.values())
    return None


def _check_each(check: _Check | None, of: Callable[[Any], Iterable[Any]]) -> _Check | None:
    return None if check is None else lambda items: any(item is not None and check(item) for item in of(items))


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
    name = _go_name(node.cls)
    for key, item in value.items():
        field = fields.get(key)
        if field is None:
            if issubclass(node.cls, Object) and key in {"kind", "apiVersion"} and not isinstance(item, str | None):
                return _mismatch(item, name, f"{path}{key}", "string")
            continue
        fault = _value(field, item, name, f"{path}{key}") or _time_fault(key, item)
        if fault:
            return fault
    return ""


def _is_time(field: str) -> bool:
    return field in TIMES or field in MICRO_TIMES


def _time_fault(field: str, value: Any) -> str:
    """Go's message about what a field holds that should be a time, or a map of times; "" if it is right."""
    if value is None or not _is_time(field):
        return ""
    texts = value.values() if isinstance(value, Mapping) else (value,)
    faults = (time_fault(text, is_micro=field in MICRO_TIMES) for text in texts if text is not None)
    return next(filter(None, faults), "")


def _value(node: inspect.Type, value: Any, struct: str, path: str) -> str:
    options = tuple(
        each
        for each in (node.types if isinstance(node, inspect.UnionType) else (node,))
        if not isinstance(each, inspect.NoneType)
    )
    if value is None:
        return ""
    if isinstance(options[0], inspect.CustomType):
        return opaque_fault(struct, path, value)
    if any(isinstance(each, inspect.FloatType) for each in options):
        return "" if is_quantity(value) else QUANTITY_FORM
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


def _go_type(node: inspect.Type) -> str:
    if isinstance(node, inspect.UnionType):
        node = next(each for each in node.types if not isinstance(each, inspect.NoneType))
    if isinstance(node, inspect.StructType):
        return f"v1.{_go_name(node.cls)}"
    if isinstance(node, inspect.VarTupleType):
        return f"[]{_go_type(node.item_type)}"
    if isinstance(node, inspect.DictType):
        return f"map[string]{_go_type(node.value_type)}"
    if isinstance(node, inspect.IntType):
        return "int32" if node.le == _INT32 - 1 else "int64"
    return "bool" if isinstance(node, inspect.BoolType) else "string"


def _mismatch(value: Any, struct: str, path: str, wanted: str, *, exact: bool = False) -> str:
    return f"json: cannot unmarshal {found(value, exact=exact)} into Go struct field {struct}.{path} of type {wanted}"
