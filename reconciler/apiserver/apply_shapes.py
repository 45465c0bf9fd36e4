"""What server-side apply has to know of a type: what is owned field by field, and what as a whole.

Kubernetes declares it with ``listType``, ``listMapKey``, ``mapType`` and ``structType``; the tables follow the structs
of ``state.objects``, and the messages of kinds without one. Merge keys of strategic merge patch are the same but for
lists with two keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal

import msgspec
from msgspec import inspect

from reconciler.apiserver.gotimes import is_time
from reconciler.apiserver.messages import Field, fields_of
from reconciler.apiserver.strategic import MERGE_KEYS
from state.objects import Object, ObjectMeta

#: Structs that are owned as a whole.
_ATOMIC_STRUCTS = frozenset(
    [
        "ConfigMapKeySelector",
        "EndpointAddress",
        "EndpointPort",
        "FileKeySelector",
        "LabelSelector",
        "LocalObjectReference",
        "NodeSelector",
        "NodeSelectorTerm",
        "ObjectFieldSelector",
        "ObjectReference",
        "OwnerReference",
        "ResourceFieldSelector",
        "RoleRef",
        "ScopeSelector",
        "ScopedResourceSelectorRequirement",
        "SecretKeySelector",
        "SecretReference",
        "ServiceBackendPort",
        "TopologySelectorTerm",
        "TypedLocalObjectReference",
    ]
)
#: Maps that are.
_ATOMIC_MAPS = frozenset(
    {("PodSpec", "nodeSelector"), ("ReplicationControllerSpec", "selector"), ("ServiceSpec", "selector")}
)
#: Lists whose items need two fields to be told apart, with what the second is if it isn't given.
_TWO_KEYS: Mapping[tuple[str, str], tuple[str, str | None]] = {
    ("Container", "ports"): ("protocol", "TCP"),
    ("EphemeralContainer", "ports"): ("protocol", "TCP"),
    ("PodSpec", "topologySpreadConstraints"): ("whenUnsatisfiable", None),
    ("ServiceSpec", "ports"): ("protocol", "TCP"),
}


@dataclass(frozen=True)
class Shape:
    """One type. ``fields`` are the declared ones of a map; ``item`` is the type of its other values, or that of items.

    ``any`` is what nothing is known of: its maps are granular, all else is owned as a whole. ``type`` is what a value
    has to be, "" if anything will do.
    """

    kind: Literal["scalar", "atomic", "any", "map", "list", "set"]
    make_fields: Callable[[], Mapping[str, Shape]] | None = field(default=None, repr=False)
    item: Shape | None = None
    keys: tuple[str, ...] = ()
    key_defaults: Mapping[str, Any] = field(default_factory=dict)
    type: Literal["", "boolean", "list", "map", "numeric", "scalar", "string"] = ""

    @cached_property
    def fields(self) -> Mapping[str, Shape]:
        """The declared fields."""
        return {} if self.make_fields is None else self.make_fields()

    def of(self, name: str) -> Shape | None:
        """The type of a field or of the value of a key; None if there is no such field."""
        if self.kind == "any":
            return self
        known = self.fields.get(name)
        return known if known is not None else self.item

    def step(self, item: Any) -> str | None:
        """What tells an item of a list apart, as a step of a path; None if the item lacks it."""
        if self.kind == "set":
            return None if item is None or isinstance(item, dict | list) else f"v:{_json(item)}"
        if not isinstance(item, dict):
            return None
        told = {**self.key_defaults, **item}
        found = {key: told[key] for key in sorted(self.keys) if key in told}
        return f"k:{_json(found)}" if found else None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


ATOMIC, UNKNOWN = Shape("atomic"), Shape("any")
SCALAR, STRING = Shape("scalar", type="scalar"), Shape("scalar", type="string")
NUMERIC, BOOLEAN = Shape("scalar", type="numeric"), Shape("scalar", type="boolean")
_TYPE_META = {"apiVersion": STRING, "kind": STRING}


def _of_struct(name: str, make_fields: Callable[[], Mapping[str, Shape]]) -> Shape:
    return Shape("atomic" if name in _ATOMIC_STRUCTS else "map", make_fields, type="map")


@cache
def shape_of(struct: type[msgspec.Struct]) -> Shape:
    """The shape of a struct."""
    return _of_struct(struct.__name__, lambda: _fields(struct))


def _fields(struct: type[msgspec.Struct]) -> Mapping[str, Shape]:
    description = inspect.type_info(struct)
    assert isinstance(description, inspect.StructType)
    fields = {each.encode_name: _shape(each.type, struct.__name__, each.encode_name) for each in description.fields}
    return _TYPE_META | fields if issubclass(struct, Object) else fields


def _shape(node: inspect.Type, struct: str, name: str) -> Shape:
    if isinstance(node, inspect.UnionType):
        options = [each for each in node.types if not isinstance(each, inspect.NoneType)]
        if len(options) > 1:
            return SCALAR
        node = options[0]
    if isinstance(node, inspect.StructType):
        return shape_of(node.cls)
    if isinstance(node, inspect.DictType):
        kind: Literal["atomic", "map"] = "atomic" if (struct, name) in _ATOMIC_MAPS else "map"
        return Shape(kind, item=_shape(node.value_type, "", ""), type="map")
    if isinstance(node, inspect.VarTupleType):
        return _list_shape(node, struct, name)
    if isinstance(node, inspect.CustomType):
        return ATOMIC
    return SCALAR if is_time(name) else _SCALARS.get(type(node), SCALAR)


#: What else is a time, an amount, or a number or text: it may be written in more than one way.
_SCALARS: Mapping[type, Shape] = {inspect.StrType: STRING, inspect.IntType: NUMERIC, inspect.BoolType: BOOLEAN}


def _list_shape(node: inspect.VarTupleType, struct: str, name: str) -> Shape:
    key = MERGE_KEYS.get(struct, {}).get(name)
    item = _shape(node.item_type, "", "")
    if key is None:
        return Shape("atomic", item=item, type="list")
    if not key:
        return Shape("set", item=item, type="list")
    second, default = _TWO_KEYS.get((struct, name), ("", None))
    keys = (key, second) if second else (key,)
    return Shape("list", item=item, keys=keys, key_defaults={second: default} if default else {}, type="list")


@cache
def shape_of_message(message: str) -> Shape:
    """The shape of a message of a kind without a struct."""
    struct = message.rpartition(".")[2]
    return _of_struct(struct, lambda: {name: _field_shape(field, struct) for name, field in fields_of(message).items()})


_FIELD_SCALARS = {"bool": BOOLEAN, "bytes": STRING, "int": NUMERIC, "int64": NUMERIC, "string": STRING}


def _field_shape(field: Field, struct: str) -> Shape:
    if field.type == "RawExtension":
        return UNKNOWN
    scalar = SCALAR if is_time(field.name) else _FIELD_SCALARS.get(field.type, SCALAR)
    item = scalar if field.message is None else shape_of_message(field.message)
    if not field.container:
        return item
    if field.container == "{}":
        return Shape("map", item=item, type="map")
    key = MERGE_KEYS.get(struct, {}).get(field.name)
    if key and field.message is not None:
        return Shape("list", item=item, keys=(key,), type="list")
    return Shape("atomic", item=item, type="list")


def shape_of_built_in(message: str) -> Shape:
    """The shape of a whole built-in kind that has no struct."""
    fields = {**shape_of_message(message).fields, **_TYPE_META, "metadata": shape_of(ObjectMeta)}
    return Shape("map", lambda: fields, type="map")


_SCHEMA_SCALARS = {"boolean": BOOLEAN, "integer": NUMERIC, "number": NUMERIC}


def shape_of_schema(schema: Mapping[str, Any]) -> Shape:
    """The shape of a custom resource, from its OpenAPI schema."""
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        item = shape_of_schema(items) if isinstance(items, Mapping) else UNKNOWN
        match schema.get("x-kubernetes-list-type"):
            case "map":
                keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
                properties = (items or {}).get("properties") or {}
                defaults = {key: properties[key]["default"] for key in keys if "default" in (properties.get(key) or {})}
                return Shape("list", item=item, keys=keys, key_defaults=defaults, type="list")
            case "set":
                return Shape("set", item=item, type="list")
            case _:
                return Shape("atomic", item=item, type="list")
    if schema.get("x-kubernetes-int-or-string"):
        return SCALAR
    if kind == "string":
        return SCALAR if schema.get("format") not in (None, "", "byte") else STRING
    if kind != "object":
        return _SCHEMA_SCALARS.get(str(kind), UNKNOWN)
    properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
    others = shape_of_schema(more) if isinstance(more, Mapping) else None
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        others = UNKNOWN
    whole: Literal["atomic", "map"] = "atomic" if schema.get("x-kubernetes-map-type") == "atomic" else "map"
    fields = {name: shape_of_schema(each) for name, each in properties.items()}
    return Shape(whole, lambda: fields, item=others, type="map")


def shape_of_custom(schema: Mapping[str, Any] | None) -> Shape:
    """The shape of a whole custom resource; without a schema nothing is known but its metadata."""
    fields = {**_TYPE_META, "metadata": shape_of(ObjectMeta)}
    if schema is None:
        return Shape("map", lambda: fields, item=UNKNOWN, type="map")
    rest = shape_of_schema({"type": "object", **schema})
    return Shape("map", lambda: {**rest.fields, **fields}, item=rest.item, type="map")
