"""OpenAPI schemas of the API's types, derived from the structs of ``state.objects`` and the table of merge keys.

A reference is ``{"$ref": NAME}`` here; ``openapi`` puts in front of the name what its version of OpenAPI wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from reconciler.apiserver.resources import Resource
from reconciler.apiserver.strategic import MERGE_KEYS
from state.objects import KINDS, LabelSelector, Object, ObjectMeta

Schema = dict[str, Any]
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
META, LIST_META = f"{_META}.ObjectMeta", f"{_META}.ListMeta"
PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT32_MAX = 2**31 - 1
_API_VERSION = "The version of the schema that this object has."
_KIND = "The REST resource that this object represents, in CamelCase."
#: Types of the meta package that other packages use.
_META_ROOTS: tuple[type[msgspec.Struct], ...] = (ObjectMeta, LabelSelector)


def _structs(node: inspect.Type) -> Iterable[inspect.StructType]:
    """The structs right below a type."""
    if isinstance(node, inspect.UnionType):
        for each in node.types:
            yield from _structs(each)
    elif isinstance(node, inspect.VarTupleType):
        yield from _structs(node.item_type)
    elif isinstance(node, inspect.DictType):
        yield from _structs(node.value_type)
    elif isinstance(node, inspect.StructType):
        yield node


def _package(api_version: str) -> str:
    group, _, version = api_version.rpartition("/")
    return f"io.k8s.api.{group.partition('.')[0] or 'core'}.{version}"


class _Described(NamedTuple):
    """A struct's name as a schema, and its fields."""

    name: str
    fields: tuple[inspect.Field, ...]


@cache
def _described() -> dict[type[msgspec.Struct], _Described]:
    """Every struct; one that several packages use belongs to meta, else to core, else to the first."""
    kinds = sorted(KINDS.values(), key=lambda kind: ("/" in kind.api_version, kind.api_version, kind.name))
    roots = [*((root, _META) for root in _META_ROOTS), *((kind.type, _package(kind.api_version)) for kind in kinds)]
    found: dict[type[msgspec.Struct], _Described] = {}

    def visit(node: inspect.StructType, package: str) -> None:
        if node.cls in found:
            return
        found[node.cls] = _Described(f"{package}.{node.cls.__name__}", node.fields)
        for field in node.fields:
            for inner in _structs(field.type):
                visit(inner, package)

    nodes = inspect.multi_type_info([root for root, _ in roots])
    for node, (_, package) in zip(nodes, roots, strict=True):
        for struct in _structs(node):
            visit(struct, package)
    return found


def name_of(resource: Resource) -> str:
    """The name of the schema of a resource's kind."""
    if resource.type is not None:
        return _described()[resource.type].name
    if resource.is_custom:
        return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"
    return f"{_package(resource.api_version)}.{resource.kind}"


def _is_required(field: inspect.Field) -> bool:
    """Scalars that Go always writes are those that a manifest has to have."""
    return field.default_factory in (str, int, bool)


def _of_type(node: inspect.Type, name: str) -> Schema:
    if isinstance(node, inspect.UnionType):
        options = [each for each in node.types if not isinstance(each, inspect.NoneType)]
        if any(isinstance(each, inspect.FloatType) for each in options):
            return {"$ref": QUANTITY}
        if len(options) > 1:
            return {"$ref": INT_OR_STRING}
        node = options[0]
    match node:
        case inspect.StructType():
            return {"$ref": _described()[node.cls].name}
        case inspect.VarTupleType():
            return {"type": "array", "items": _of_type(node.item_type, "")}
        case inspect.DictType():
            return {"type": "object", "additionalProperties": _of_type(node.value_type, "")}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType():
            return {"type": "integer", "format": "int32" if node.le == _INT32_MAX else "int64"}
        case inspect.StrType():
            is_time = name.endswith(("Time", "Timestamp"))
            return {"type": "string", "format": "date-time"} if is_time else {"type": "string"}
        case _:
            return {"type": "object", PRESERVE: True}


def with_merge_key(schema: Schema, struct: str, field: str) -> Schema:
    """The schema of a field of a Go struct, with what is said about merging a list."""
    key = MERGE_KEYS.get(struct, {}).get(field)
    if key is not None:
        schema["x-kubernetes-patch-strategy"] = "merge"
        schema["x-kubernetes-list-type"] = "map" if key else "set"
        if key:
            schema["x-kubernetes-patch-merge-key"] = key
            schema["x-kubernetes-list-map-keys"] = [key]
    elif schema.get("type") == "array":
        schema["x-kubernetes-list-type"] = "atomic"
    return schema


def _summary(struct: type[msgspec.Struct]) -> str:
    text = struct.__dict__.get("__doc__") or ""
    return " ".join(text.partition("\n\n")[0].split())


def type_meta() -> Schema:
    """The two fields that every object has."""
    return {
        "apiVersion": {"type": "string", "description": _API_VERSION},
        "kind": {"type": "string", "description": _KIND},
    }


def _of_struct(struct: type[msgspec.Struct], fields: tuple[inspect.Field, ...]) -> Schema:
    properties = {
        field.encode_name: with_merge_key(_of_type(field.type, field.encode_name), struct.__name__, field.encode_name)
        for field in fields
    }
    if issubclass(struct, Object):
        properties = type_meta() | properties
    schema: Schema = {"type": "object", "description": _summary(struct), "properties": properties}
    required = [field.encode_name for field in fields if _is_required(field)]
    if required:
        schema["required"] = required
    return schema


def _common() -> dict[str, Schema]:
    return {
        QUANTITY: {"type": "string", "description": 'An amount of a resource, such as "100m" or "1.5Gi".'},
        INT_OR_STRING: {"type": "string", "format": "int-or-string", "description": "A number, or text such as 25%."},
        LIST_META: {
            "type": "object",
            "description": "What a list says of itself.",
            "properties": {
                "continue": {"type": "string"},
                "remainingItemCount": {"type": "integer", "format": "int64"},
                "resourceVersion": {"type": "string"},
                "selfLink": {"type": "string"},
            },
        },
    }


@cache
def built_in() -> Mapping[str, Schema]:
    """The schemas of all typed kinds and of what they are made of, by name."""
    return _common() | {found.name: _of_struct(struct, found.fields) for struct, found in _described().items()}


def group_version_kind(resource: Resource) -> dict[str, str]:
    """What ties schemas and operations to a kind."""
    return {"group": resource.group, "kind": resource.kind, "version": resource.version}


def of_untyped(resource: Resource, schema: Mapping[str, Any] | None = None) -> Schema:
    """The schema of a kind without a type: what its definition says, or anything at all."""
    known = {name: value for name, value in (schema or {PRESERVE: True}).items() if name != "properties"}
    properties = {**(schema or {}).get("properties", {}), **type_meta(), "metadata": {"$ref": META}}
    return {
        "description": f"{resource.kind} of {resource.group or 'core'}.",
        **known,
        "type": "object",
        "properties": properties,
    }


def list_of(resource: Resource) -> Schema:
    """The schema of a list of a kind."""
    items = {"type": "array", "items": {"$ref": name_of(resource)}}
    return {
        "type": "object",
        "description": f"A list of {resource.kind}.",
        "properties": type_meta() | {"items": items, "metadata": {"$ref": LIST_META}},
        "required": ["items"],
    }


def references(schema: Any) -> Iterable[str]:
    """The names that a schema refers to."""
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from references(item)
