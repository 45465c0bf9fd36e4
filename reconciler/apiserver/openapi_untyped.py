"""OpenAPI schemas of all built-in kinds: what has no struct comes from the fields of the protocol buffers, and what a
manifest has to have beside the structs' own scalars from ``openapi_required.txt``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    "int": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
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
    schemas = {_name(message): _schema(message, found) for message, found in fields.items()}
    schemas = schemas | {name: _completed(schema, schemas.get(name)) for name, schema in built_in().items()}
    for message, names in _lines("openapi_required.txt"):
        schema = schemas[_name(message)]
        schemas[_name(message)] = {**schema, "required": sorted({*schema.get("required", ()), *names})}
    return schemas


def _completed(schema: Schema, known: Schema | None) -> Schema:
    """The schema of a struct, with what is known of the fields that the struct carries without a type."""
    fields = {} if known is None else known["properties"]
    properties = {
        name: fields[name] if name in fields and PRESERVE in value.get("items", value) else value
        for name, value in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else schema


def _lines(file: str) -> Iterator[tuple[str, list[str]]]:
    """The first word of each line of a file of this package, and the others."""
    for line in (files("reconciler.apiserver") / file).read_text().splitlines():
        first, *others = line.split(" ")
        yield first, others


def _further_fields() -> dict[str, dict[str, Field]]:
    """The fields of kinds that are never sent as protocol buffers; ``openapi_fields.txt`` has a line for each."""
    found: dict[str, dict[str, Field]] = {}
    for message, columns in _lines("openapi_fields.txt"):
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
