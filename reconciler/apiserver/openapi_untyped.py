"""OpenAPI schemas of built-in kinds that have no struct: from the fields of their protocol buffers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
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
    return {_name(message): _schema(message) for message in messages()} | dict(built_in())


def _schema(message: str) -> Schema:
    properties = _properties(message)
    schema: Schema = {
        "type": "object",
        "description": f"{message.rpartition('.')[2]} of the Kubernetes API.",
        "properties": properties,
    }
    if "metadata" in properties:
        schema["properties"] = type_meta() | properties
    return schema


def _properties(message: str) -> dict[str, Any]:
    struct = message.rpartition(".")[2]
    return {name: with_merge_key(_of_field(field), struct, name) for name, field in fields_of(message).items()}


def _of_field(field: Field) -> Schema:
    inner = _SCALARS.get(field.type)
    if inner is None and field.type.endswith("ExtraValue"):
        inner = {"type": "array", "items": {"type": "string"}}
    elif inner is None:
        inner = {"$ref": _name(field.type)}
    if field.container == "{}":
        return {"type": "object", "additionalProperties": inner}
    return {"type": "array", "items": inner} if field.container else dict(inner)
