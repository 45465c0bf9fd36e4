"""OpenAPI schemas of built-in kinds that have no struct: from the fields of their protocol buffers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from reconciler.apiserver.messages import Field, fields_of, messages
from reconciler.apiserver.openapi_schemas import (
    INT_OR_STRING,
    META,
    PRESERVE,
    QUANTITY,
    Schema,
    built_in,
    type_meta,
    with_merge_key,
)

_META_PACKAGE = "meta.v1."
_SCALARS: Mapping[str, Schema] = {
    "IntOrString": {"$ref": INT_OR_STRING},
    "Quantity": {"$ref": QUANTITY},
    "RawExtension": {"type": "object", PRESERVE: True},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
    "double": {"type": "number", "format": "double"},
    "int": {"type": "integer"},
    "int64": {"type": "integer"},
    "meta.v1.Duration": {"type": "string"},
    "meta.v1.FieldsV1": {"type": "object", PRESERVE: True},
    "meta.v1.MicroTime": {"type": "string", "format": "date-time"},
    "meta.v1.ObjectMeta": {"$ref": META},
    "meta.v1.Time": {"type": "string", "format": "date-time"},
    "string": {"type": "string"},
}


def _name(message: str) -> str:
    if message.startswith(_META_PACKAGE):
        return f"io.k8s.apimachinery.pkg.apis.{message}"
    return f"io.k8s.api.{message}"


@cache
def known_schemas() -> Mapping[str, Schema]:
    """The schemas of all built-in kinds and of what they are made of, by name; those of structs say more."""
    fields = _further_fields() | {message: fields_of(message) for message in messages()}
    return {_name(message): _schema(message, found) for message, found in fields.items()} | dict(built_in())


def _further_fields() -> dict[str, dict[str, Field]]:
    """The fields of kinds that are never sent as protocol buffers; ``openapi_fields.txt`` has a line for each."""
    found: dict[str, dict[str, Field]] = {}
    for line in (files("reconciler.apiserver") / "openapi_fields.txt").read_text().splitlines():
        message, *columns = line.split(" ")
        fields = found[message] = {}
        for column in columns:
            name, _, kind = column.partition(":")
            bare = kind.lstrip("[]{}")
            fields[name] = Field(name, kind[: len(kind) - len(bare)], bare)
    return found


def _schema(message: str, fields: Mapping[str, Field]) -> Schema:
    struct = message.rpartition(".")[2]
    properties: dict[str, Any] = {
        name: with_merge_key(_of_field(field), struct, name) for name, field in fields.items()
    }
    schema: Schema = {"type": "object", "properties": properties}
    if "metadata" in properties:
        schema["properties"] = type_meta() | properties
    return schema


def _of_field(field: Field) -> Schema:
    inner = _SCALARS.get(field.type)
    if inner is None and field.type.endswith("ExtraValue"):
        inner = {"type": "array", "items": {"type": "string"}}
    elif inner is None:
        inner = {"$ref": _name(field.type)}
    if field.container == "{}":
        return {"type": "object", "additionalProperties": inner}
    return {"type": "array", "items": inner} if field.container else dict(inner)
