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

    ``any`` is what nothing is known of: its maps are granular, all else is owned as a whole.
    """

    kind: Literal["scalar", "atomic", "any", "map", "list", "set"]
    make_fields: Callable[[], Mapping[str, Shape]] | None = field(default=None, repr=False)
    item: Shape | None = None
    keys: tuple[str, ...] = ()
    key_defaults: Mapping[str, Any] = field(default_factory=dict)

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
            return None if isinstance(item, dict | list) else f"v:{_json(item)}"
        if not isinstance(item, dict):
            return None
        found = {key: item.get(key, self.key_defaults.get(key)) for key in sorted(self.keys)}
        return None if None in found.values() else f"k:{_json(found)}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


SCALAR, ATOMIC, UNKNOWN = Shape("scalar"), Shape("atomic"), Shape("any")


@cache
def shape_of(struct: type[msgspec.Struct]) -> Shape:
    """The shape of a struct."""
    if struct.__name__ in _ATOMIC_STRUCTS:
        return ATOMIC
    return Shape("map", lambda: _fields(struct))


_TYPE_META = {"apiVersion": SCALAR, "kind": SCALAR}


def _fields(struct: type[msgspec.Struct]) -> Mapping[str, Shape]:
    description = inspect.type_info(struct)
    assert isinstance(description, inspect.StructType)
    fields = {each.encode_name: _shape(each.type, struct.__name__, each.encode_name) for each in description.fields}
    return _TYPE_META | fields if issubclass(struct, Object) else fields


def _shape(node: inspect.Type, struct: str, name: str) -> Shape:
    if isinstance(node, inspect.UnionType):
        node = next((each for each in node.types if not isinstance(each, inspect.NoneType)), node)
    if isinstance(node, inspect.StructType):
        return shape_of(node.cls)
    if isinstance(node, inspect.DictType):
        if (struct, name) in _ATOMIC_MAPS:
            return ATOMIC
        return Shape("map", item=_shape(node.value_type, "", ""))
    if isinstance(node, inspect.VarTupleType):
        return _list_shape(node, struct, name)
    return ATOMIC if isinstance(node, inspect.CustomType) else SCALAR


def _list_shape(node: inspect.VarTupleType, struct: str, name: str) -> Shape:
    key = MERGE_KEYS.get(struct, {}).get(name)
    if key is None:
        return ATOMIC
    if not key:
        return Shape("set", item=SCALAR)
    item = node.item_type
    # the item's own shape, even of a struct that is atomic elsewhere: its key is owned by itself
    inner = Shape("map", lambda: _fields(item.cls)) if isinstance(item, inspect.StructType) else UNKNOWN
    second, default = _TWO_KEYS.get((struct, name), ("", None))
    keys = (key, second) if second else (key,)
    return Shape("list", item=inner, keys=keys, key_defaults={second: default} if default else {})


@cache
def shape_of_message(message: str) -> Shape:
    """The shape of a message of a kind without a struct."""
    struct = message.rpartition(".")[2]
    if struct in _ATOMIC_STRUCTS:
        return ATOMIC
    return Shape("map", lambda: {name: _field_shape(field, struct) for name, field in fields_of(message).items()})


def _field_shape(field: Field, struct: str) -> Shape:
    if field.type == "RawExtension":
        return UNKNOWN
    if field.message is None:
        return Shape("map", item=SCALAR) if field.container == "{}" else ATOMIC if field.container else SCALAR
    item = shape_of_message(field.message)
    if not field.container:
        return item
    key = MERGE_KEYS.get(struct, {}).get(field.name)
    return Shape("list", item=item, keys=(key,)) if key else ATOMIC


def shape_of_built_in(message: str) -> Shape:
    """The shape of a whole built-in kind that has no struct."""
    fields = {**shape_of_message(message).fields, **_TYPE_META, "metadata": shape_of(ObjectMeta)}
    return Shape("map", lambda: fields)


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
                return Shape("list", item=item, keys=keys, key_defaults=defaults) if keys else ATOMIC
            case "set":
                return Shape("set", item=item)
            case _:
                return ATOMIC
    if kind != "object":
        return SCALAR if kind else UNKNOWN
    if schema.get("x-kubernetes-map-type") == "atomic":
        return ATOMIC
    properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
    others = shape_of_schema(more) if isinstance(more, Mapping) else None
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        others = UNKNOWN
    return Shape("map", lambda: {name: shape_of_schema(each) for name, each in properties.items()}, item=others)


def shape_of_custom(schema: Mapping[str, Any] | None) -> Shape:
    """The shape of a whole custom resource; without a schema nothing is known but its metadata."""
    fields = {**_TYPE_META, "metadata": shape_of(ObjectMeta)}
    if schema is None:
        return Shape("map", lambda: fields, item=UNKNOWN)
    rest = shape_of_schema({"type": "object", **schema})
    return Shape("map", lambda: {**rest.fields, **fields}, item=rest.item)
