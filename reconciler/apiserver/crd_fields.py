"""The fields of CustomResourceDefinitions and of the schemas in them, as Go reads them.

Each struct maps JSON names to Go types. ``|`` stands before what a value may be beside a schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reconciler.apiserver.govalues import found

Json = dict[str, Any]
_SCHEMA = "JSONSchemaProps"


def _fields(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


#: By struct. ``any`` is a value of any kind; types in brackets are lists, in braces maps.
_STRUCTS: Mapping[str, dict[str, str]] = {
    "CustomResourceDefinition": _fields("spec=CustomResourceDefinitionSpec status=CustomResourceDefinitionStatus"),
    "CustomResourceDefinitionSpec": _fields(
        "group=string names=CustomResourceDefinitionNames scope=v1.ResourceScope:string "
        "versions=[]CustomResourceDefinitionVersion conversion=CustomResourceConversion preserveUnknownFields=bool"
    ),
    "CustomResourceDefinitionNames": _fields(
        "plural=string singular=string shortNames=[]string kind=string listKind=string categories=[]string"
    ),
    "CustomResourceDefinitionVersion": _fields(
        "name=string served=bool storage=bool deprecated=bool deprecationWarning=string "
        "schema=CustomResourceValidation subresources=CustomResourceSubresources "
        "additionalPrinterColumns=[]CustomResourceColumnDefinition selectableFields=[]SelectableField"
    ),
    "CustomResourceValidation": _fields(f"openAPIV3Schema={_SCHEMA}"),
    "CustomResourceSubresources": _fields(
        "status=CustomResourceSubresourceStatus scale=CustomResourceSubresourceScale"
    ),
    "CustomResourceSubresourceStatus": {},
    "CustomResourceSubresourceScale": _fields(
        "specReplicasPath=string statusReplicasPath=string labelSelectorPath=string"
    ),
    "CustomResourceColumnDefinition": _fields(
        "name=string type=string format=string description=string priority=int32 jsonPath=string"
    ),
    "SelectableField": _fields("jsonPath=string"),
    "CustomResourceConversion": _fields("strategy=v1.ConversionStrategyType:string webhook=WebhookConversion"),
    "WebhookConversion": _fields("clientConfig=WebhookClientConfig conversionReviewVersions=[]string"),
    "WebhookClientConfig": _fields("url=string service=ServiceReference caBundle=[]uint8:string"),
    "ServiceReference": _fields("namespace=string name=string path=string port=int32"),
    "CustomResourceDefinitionStatus": _fields(
        "conditions=[]CustomResourceDefinitionCondition acceptedNames=CustomResourceDefinitionNames "
        "storedVersions=[]string observedGeneration=int64"
    ),
    "CustomResourceDefinitionCondition": _fields(
        "type=v1.CustomResourceDefinitionConditionType:string status=v1.ConditionStatus:string lastTransitionTime=any "
        "reason=string message=string observedGeneration=int64"
    ),
    _SCHEMA: _fields(
        "id=string $schema=v1.JSONSchemaURL:string $ref=string description=string type=string format=string "
        "title=string "
        "default=any maximum=float64 exclusiveMaximum=bool minimum=float64 exclusiveMinimum=bool maxLength=int64 "
        "minLength=int64 pattern=string maxItems=int64 minItems=int64 uniqueItems=bool multipleOf=float64 enum=[]any "
        "maxProperties=int64 minProperties=int64 required=[]string items=|[] allOf=[]JSONSchemaProps "
        "oneOf=[]JSONSchemaProps anyOf=[]JSONSchemaProps not=JSONSchemaProps properties={}JSONSchemaProps "
        "additionalProperties=|bool patternProperties={}JSONSchemaProps dependencies={}| additionalItems=|bool "
        "definitions={}JSONSchemaProps externalDocs=ExternalDocumentation example=any nullable=bool "
        "x-kubernetes-preserve-unknown-fields=bool x-kubernetes-embedded-resource=bool "
        "x-kubernetes-int-or-string=bool x-kubernetes-list-map-keys=[]string x-kubernetes-list-type=string "
        "x-kubernetes-map-type=string x-kubernetes-validations=v1.ValidationRules:[]ValidationRule"
    ),
    "ExternalDocumentation": _fields("description=string url=string"),
    "ValidationRule": _fields(
        "rule=string message=string messageExpression=string reason=v1.FieldValueErrorReason:string fieldPath=string "
        "optionalOldSelf=bool"
    ),
}
#: Booleans and texts that Go leaves out when they are empty; others were set, and are kept.
_FORGOTTEN = frozenset(
    [
        "deprecated", "description", "exclusiveMaximum", "exclusiveMinimum", "format", "id", "nullable", "pattern",
        "preserveUnknownFields", "priority", "title", "type", "uniqueItems", "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    ]
)  # fmt: skip
_BITS = {"int32": 32, "int64": 64}


class MistypedError(Exception):
    """A value of a body has a type that its field doesn't take; the text is Go's."""


class _Place(NamedTuple):
    """Where a value is: for Go's messages, without indexes and keys, and for its list of unknown fields."""

    struct: str
    path: str
    where: str


def read(body: Json) -> tuple[Json, list[str]]:
    """A definition without what Go doesn't know or keep, and the paths of its unknown fields.

    Raises:
        MistypedError: a value has a wrong type.
    """
    unknown: list[str] = []
    cleaned: Json = _struct("CustomResourceDefinition", body, _Place("", "", ""), unknown)
    return cleaned, unknown


def _struct(name: str, value: Json, place: _Place, unknown: list[str]) -> Json:
    fields, result = _STRUCTS[name], {}
    for key, item in value.items():
        kind = fields.get(key)
        where = f"{place.where}.{key}" if place.where else key
        if kind is None:
            unknown.append(where)
        elif item is not None:
            path = f"{place.path}.{key}" if place.path else key
            read_item = _value(kind, item, _Place(name, path, where), unknown)
            is_forgotten = key in _FORGOTTEN or (kind.startswith(("[]", "{}")) and key != "versions")
            if read_item or not is_forgotten:
                result[key] = read_item
    return result


def _value(kind: str, value: Any, place: _Place, unknown: list[str]) -> Any:
    go_name, _, plain = kind.rpartition(":")
    if plain.startswith("[]"):
        items = _of_type(list, value, place, go_name or f"[]{_qualified(plain[2:])}")
        return [_value(plain[2:], each, _at(place, f"[{index}]"), unknown) for index, each in enumerate(items)]
    if plain.startswith("{}"):
        items = _of_type(dict, value, place, f"map[string]v1.{_SCHEMA}")
        return {key: _value(plain[2:], each, _at(place, f".{key}"), unknown) for key, each in items.items()}
    if plain.startswith("|"):
        return _either(plain[1:], value, place, unknown)
    if plain in _STRUCTS:
        return _struct(plain, _of_type(dict, value, place, f"v1.{plain}"), place, unknown)
    return _scalar(plain, go_name or plain, value, place)


def _at(place: _Place, step: str) -> _Place:
    return place._replace(where=place.where + step)


def _qualified(kind: str) -> str:
    return f"v1.{kind}" if kind in _STRUCTS else "v1.JSON" if kind == "any" else kind


def _either(other: str, value: Any, place: _Place, unknown: list[str]) -> Any:
    """A schema, or something else: a list of schemas, a boolean, a list of names."""
    if isinstance(value, dict):
        return _struct(_SCHEMA, value, place, unknown)
    if other == "[]" and isinstance(value, list):
        return _value(f"[]{_SCHEMA}", value, place, unknown)
    if other == "bool" and not isinstance(value, bool):
        raise MistypedError("boolean or JSON schema expected")
    return value


def _scalar(kind: str, go_name: str, value: Any, place: _Place) -> Any:
    if kind == "any":
        return value
    if kind == "float64":
        return _of_type((int, float), value, place, go_name)
    if kind in _BITS:
        bound = 1 << _BITS[kind] - 1
        if isinstance(value, bool) or not isinstance(value, int) or not -bound <= value < bound:
            raise _mistyped(value, place, go_name, exact=True)
        return value
    return _of_type(bool if kind == "bool" else str, value, place, go_name)


def _of_type(wanted: type | tuple[type, ...], value: Any, place: _Place, go_name: str) -> Any:
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise _mistyped(value, place, go_name)
    return value


def _mistyped(value: Any, place: _Place, go_name: str, *, exact: bool = False) -> MistypedError:
    where = f"Go struct field {place.struct}.{place.path}"
    return MistypedError(f"json: cannot unmarshal {found(value, exact=exact)} into {where} of type {go_name}")
