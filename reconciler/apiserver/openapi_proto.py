"""An OpenAPI v2 document as protocol buffer ``openapi.v2.Document`` of gnostic: the only form that older kubectl read.

The messages are few and small, so they are written here, field by field, in place of generated code. Field numbers are
those of gnostic's ``OpenAPIv2.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

Json = Mapping[str, Any]
_LENGTH_DELIMITED, _VARINT = 2, 0
#: ``PathItem``.
_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}
#: ``QueryParameterSubSchema`` and ``PathParameterSubSchema``: their place in ``NonBodyParameter``, that of their type.
_PARAMETERS = {"query": (3, 6), "path": (4, 5)}


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode()) if text else b""


def _flag(field: int, value: bool) -> bytes:
    return _varint(field << 3 | _VARINT) + b"\x01" if value else b""


def _named(field: int, name: str, content: bytes) -> bytes:
    """One entry of a map: a message with the name and the value."""
    return _message(field, _text(1, name) + _message(2, content))


def _any(value: Any) -> bytes:
    """``Any``: JSON is YAML."""
    return _text(2, orjson.dumps(value).decode())


def _extensions(field: int, of: Json) -> bytes:
    return b"".join(_named(field, name, _any(value)) for name, value in of.items() if name.startswith("x-"))


def _schema(schema: Json) -> bytes:
    parts = [
        _text(1, schema.get("$ref", "")),
        _text(2, schema.get("format", "")),
        _text(4, schema.get("description", "")),
        *(_text(19, name) for name in schema.get("required", ())),
    ]
    if "default" in schema:
        parts.append(_message(5, _any(schema["default"])))
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping):
        parts.append(_message(21, _message(1, _schema(more))))
    if "type" in schema:
        parts.append(_message(22, _text(1, schema["type"])))
    if "items" in schema:
        parts.append(_message(23, _message(1, _schema(schema["items"]))))
    if schema.get("properties"):
        parts.append(_message(25, _schemas(schema["properties"])))
    return b"".join((*parts, _extensions(31, schema)))


def _schemas(named: Json) -> bytes:
    return b"".join(_named(1, name, _schema(each)) for name, each in named.items())


def _parameter(parameter: Json) -> bytes:
    place, kind = _PARAMETERS[parameter["in"]]
    content = (
        _flag(1, parameter.get("required", False))
        + _text(2, parameter["in"])
        + _text(3, parameter.get("description", ""))
        + _text(4, parameter["name"])
        + _text(kind, parameter["type"])
    )
    # ParametersItem.parameter, Parameter.non_body_parameter, NonBodyParameter
    return _message(1, _message(2, _message(place, content)))


def _parameters(field: int, parameters: Iterable[Json]) -> bytes:
    return b"".join(_message(field, _parameter(each)) for each in parameters)


def _operation(operation: Json) -> bytes:
    responses = b"".join(
        _named(1, code, _message(1, _text(1, response["description"])))
        for code, response in operation["responses"].items()
    )
    return (
        _text(3, operation.get("description", ""))
        + _text(5, operation["operationId"])
        + _parameters(8, operation.get("parameters", ()))
        + _message(9, responses)
        + _extensions(13, operation)
    )


def _path(item: Json) -> bytes:
    operations = (_message(_METHODS[name], _operation(item[name])) for name in _METHODS if name in item)
    return b"".join(operations) + _parameters(9, item.get("parameters", ()))


def encode(document: Json) -> bytes:
    """A Swagger 2.0 document, as plain data, in the form that its clients call ``openapi.v2.Document``."""
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    paths = b"".join(_named(2, path, _path(item)) for path, item in document["paths"].items())
    return (
        _text(1, document["swagger"])
        + _message(2, info)
        + _message(8, paths)
        + _message(9, _schemas(document["definitions"]))
    )
