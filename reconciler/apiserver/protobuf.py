"""Bodies in Kubernetes' protocol buffers: Go clients of built-in kinds send them. They are read; answers are JSON."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from reconciler.apiserver.decode import JSON, PROTOBUF
from reconciler.apiserver.messages import Field, messages, name_of_message
from reconciler.apiserver.status import bad_request
from state.errors import StateError
from state.objects import KINDS

_MAGIC = b"k8s\x00"
_DEPTH = 64
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_META = "meta.v1."
#: Types that are written as a varint.
_NUMBERS = frozenset({"bool", "int", "int64"})
#: Kinds that every group has.
_OPTIONS = frozenset({"CreateOptions", "DeleteOptions", "GetOptions", "ListOptions", "PatchOptions", "UpdateOptions"})
_Json = dict[str, Any]


class ProtobufError(StateError):
    """The bytes are no message."""


def as_json(body: bytes, content_type: str) -> tuple[bytes, str]:
    """A body with its type; JSON in place of a protocol buffer.

    Raises:
        ApiError: it is no protocol buffer, though it is said to be one.
    """
    if content_type != PROTOBUF:
        return body, content_type
    try:
        return (to_json(body) if body else body), JSON
    except ProtobufError as error:
        raise bad_request(str(error)) from error


def to_json(body: bytes) -> bytes:
    """A body as JSON.

    Raises:
        ProtobufError: it isn't one, or of a kind that isn't known.
    """
    if not body.startswith(_MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    envelope = {number: value for number, value in _fields(body[len(_MAGIC) :]) if isinstance(value, bytes)}
    identity = {number: value for number, value in _fields(envelope.get(1, b"")) if isinstance(value, bytes)}
    api_version, kind = _text(identity.get(1, b"")), _text(identity.get(2, b""))
    message = f"{_META}{kind}" if kind in _OPTIONS else name_of_message(api_version, kind)
    if message not in messages():
        raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"')
    document = {"apiVersion": api_version, "kind": kind, **_message(message, envelope.get(2, b""), _DEPTH)}
    return orjson.dumps(document if _is_typed(api_version, kind) else _without_empty(document))


def _is_typed(api_version: str, kind: str) -> bool:
    """Whether somebody else takes out what Go writes though it is empty."""
    known = KINDS.get(kind)
    return known is not None and known.api_version == api_version


def _without_empty(value: Any) -> Any:
    """A value without the empty texts that Go writes into protocol buffers, but not into JSON."""
    if isinstance(value, dict):
        return {name: _without_empty(item) for name, item in value.items() if item != ""}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        result |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return result, at
        shift += 7
    raise ProtobufError("unexpected end of a number")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: number and value."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire)
        if wire == _BYTES:
            size, at = _varint(data, at)
        if size is None or not number:
            raise ProtobufError(f"illegal tag {tag}")
        if at + size > len(data):
            raise ProtobufError("unexpected end of a message")
        yield number, data[at : at + size]
        at += size


def _message(message: str, data: bytes, depth: int) -> _Json:
    if not depth:
        raise ProtobufError(f"nested deeper than {_DEPTH} levels")
    table = messages()[message]
    result: _Json = {}
    for number, raw in _fields(data):
        field = table.get(number)
        if field is None:
            continue
        if field.container == "{}":
            key, value = _entry(field, raw, depth)
            result.setdefault(field.name, {})[key] = value
            continue
        value = _value(field.type, raw, depth)
        if field.container:
            result.setdefault(field.name, []).append(value)
        elif not field.name:
            result |= value
        elif value is not None and not (message == "meta.v1.ObjectMeta" and value in ("", 0)):
            result[field.name] = value
    return result


def _entry(field: Field, raw: int | bytes, depth: int) -> tuple[str, Any]:
    pair = dict(_fields(_bytes(raw)))
    empty: int | bytes = b"" if field.type not in _NUMBERS else 0
    return _text(_bytes(pair.get(1, b""))), _value(field.type, pair.get(2, empty), depth)


def _bytes(raw: int | bytes) -> bytes:
    if not isinstance(raw, bytes):
        raise ProtobufError("found a number, expected bytes")
    return raw


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("text isn't valid UTF-8") from error


def _value(kind: str, raw: int | bytes, depth: int) -> Any:
    if kind in _NUMBERS:
        if not isinstance(raw, int):
            raise ProtobufError("found bytes, expected a number")
        return bool(raw) if kind == "bool" else _signed(raw)
    data = _bytes(raw)
    special = _SPECIAL.get(kind)
    if special is not None:
        return special(data)
    if kind.endswith("ExtraValue"):
        return [_text(_bytes(item)) for _, item in _fields(data)]
    return _message(kind, data, depth - 1)


def _signed(number: int) -> int:
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number


def _numbers(data: bytes) -> dict[int, int]:
    return {number: _signed(value) for number, value in _fields(data) if isinstance(value, int)}


def _double(data: bytes) -> float:
    if len(data) != struct.calcsize("<d"):
        raise ProtobufError("found bytes, expected a double")
    number: float = struct.unpack("<d", data)[0]
    return number


def _moment(data: bytes) -> datetime | None:
    found = _numbers(data)
    if not found:
        return None
    try:
        whole = datetime.fromtimestamp(found.get(1, 0), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ProtobufError("a time is out of range") from error
    return whole.replace(microsecond=found.get(2, 0) // 1000 % 1_000_000)


def _time(data: bytes) -> str | None:
    moment = _moment(data)
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_time(data: bytes) -> str | None:
    moment = _moment(data)
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _int_or_string(data: bytes) -> int | str:
    found = dict(_fields(data))
    if found.get(1):
        return _text(_bytes(found.get(3, b"")))
    return _signed(number) if isinstance(number := found.get(2, 0), int) else 0


def _quantity(data: bytes) -> str:
    return _text(_bytes(dict(_fields(data)).get(1, b"0")))


def _raw_json(data: bytes) -> Any:
    text = _bytes(dict(_fields(data)).get(1, b""))
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError as error:
        raise ProtobufError(f"found no JSON where it should be: {error}") from error


_SPECIAL: dict[str, Callable[[bytes], Any]] = {
    "IntOrString": _int_or_string,
    "Quantity": _quantity,
    "RawExtension": _raw_json,
    "bytes": lambda data: base64.b64encode(data).decode(),
    "double": _double,
    "meta.v1.Duration": lambda data: f"{_numbers(data).get(1, 0)}ns",
    "meta.v1.FieldsV1": _raw_json,
    "meta.v1.MicroTime": _micro_time,
    "meta.v1.Time": _time,
    "string": _text,
}
