"""What is asked of the schema of a custom resource: that it is structural, and makes sense.

As apiextensions-apiserver's ``ValidateStructural`` and ``ValidateCustomResourceDefinitionOpenAPISchema``. Schemas have
the right types (``crd_fields``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from reconciler.apiserver.crd_rule_checks import rule_faults, rule_forms
from reconciler.apiserver.crd_rules import RULES
from reconciler.apiserver.crd_schema import compiled, pruned
from reconciler.apiserver.crd_values import problems
from state.errors import Problem, forbidden, invalid, not_supported, required

Json = dict[str, Any]
Schema = Mapping[str, Any]
_KINDS = ("array", "boolean", "integer", "number", "object", "string")
_LISTS = ("allOf", "anyOf", "oneOf")
_META = ("apiVersion", "kind", "metadata")
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_PRESERVE, _EMBEDDED = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"
_EITHER, _LIST, _MAP = "x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-map-type"
_KEYS = "x-kubernetes-list-map-keys"
#: Go's names of what a root may have beside a status, in Go's order, with their names in JSON.
_AT_ROOT = {
    "Description": "description", "Type": "type", "Format": "format", "Title": "title", "Maximum": "maximum",
    "ExclusiveMaximum": "exclusiveMaximum", "Minimum": "minimum", "ExclusiveMinimum": "exclusiveMinimum",
    "MaxLength": "maxLength", "MinLength": "minLength", "Pattern": "pattern", "MaxItems": "maxItems",
    "MinItems": "minItems", "UniqueItems": "uniqueItems", "MultipleOf": "multipleOf", "Required": "required",
    "Items": "items", "Properties": "properties", "ExternalDocs": "externalDocs", "Example": "example",
    "XPreserveUnknownFields": _PRESERVE, "XValidations": RULES,
}  # fmt: skip
#: What a level's schema without a type is told.
_TYPELESS = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
#: What a schema inside of ``anyOf`` and the like may not say.
_NOT_NESTED = {
    "type": "empty", "default": "undefined", "title": "empty", "description": "empty", "nullable": "false",
    _PRESERVE: "false", _EMBEDDED: "false", _EITHER: "false", _KEYS: "empty", _LIST: "undefined", _MAP: "undefined",
    RULES: "empty",
}  # fmt: skip
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_UNKNOWN_TO_STRUCTURE = ("$schema",)


def schema_problems(schema: Schema, path: str, *, has_status: bool, is_new: bool = True) -> list[Problem]:
    """What of the schema of a version isn't allowed; if it was there before, a rule may cost too much."""
    found: list[Problem] = []
    others = [name for name in schema if name not in _AT_ROOT.values() and name not in ("nullable", "default")]
    if has_status and others:
        allowed = f"only [{' '.join(_AT_ROOT)}] fields are allowed"
        message = f"{allowed} at the root of the schema if the status subresource is enabled"
        found.append(invalid(path, dict(schema), message))
    if schema.get("nullable"):
        found.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    structural = sorted((*_structural(schema, "root", path), *_incomplete(schema, schema, path, path)), key=str)
    is_structural = not structural
    if is_structural:
        structural = list(_defaults(schema, path))
        if not structural and schema.get("default") is not None:
            structural = [required(f"{path}.default.{name}") for name in ("apiVersion", "kind")]
    found += structural
    plain = list(_openapi(schema, path, _Around(is_root=True)))
    found += plain
    if not found:
        unsupported = next((name for name in _UNKNOWN_TO_STRUCTURE if schema.get(name)), None)
        if unsupported:
            found.append(invalid(path, "", f"OpenAPIV3Schema '{unsupported.removeprefix('$')}' is not supported"))
    if is_structural and not structural:
        found += rule_faults(schema, path, {each.path for each in plain}, is_new=is_new)
    return found


# -- structure ---------------------------------------------------------------------------------------------------------


def _structural(schema: Schema, level: str, path: str) -> Iterator[Problem]:
    kind, items, more = schema.get("type", ""), schema.get("items"), schema.get("additionalProperties")
    embedded, properties = bool(schema.get(_EMBEDDED)), schema.get("properties") or {}
    if kind == "array" and items is None:
        yield required(f"{path}.items", "must be specified")
    if isinstance(items, dict):
        yield from _structural(items, "item", f"{path}.items")
    for name, inner in properties.items():
        if not (level == "root" and name == "metadata"):
            yield from _structural(inner, "field", f"{path}.properties[{name}]")
    if more is not None and level == "root":
        yield forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if isinstance(more, dict):
        yield from _structural(more, "field", f"{path}.additionalProperties")
    if schema.get(_EITHER):
        for name in (_PRESERVE, _EMBEDDED):
            if schema.get(name):
                yield invalid(f"{path}.{name}", True, "must be false if x-kubernetes-int-or-string is true")
    yield from _value_validation(schema, path, is_outermost=True)
    if embedded and kind != "object":
        message = "must be object if x-kubernetes-embedded-resource is true"
        yield invalid(f"{path}.type", kind, message) if kind else required(f"{path}.type", message)
    elif not kind and not schema.get(_EITHER) and not schema.get(_PRESERVE):
        yield required(f"{path}.type", _TYPELESS[level])
    if embedded and more is not None:
        message = "must not be used if x-kubernetes-embedded-resource is set"
        yield forbidden(f"{path}.additionalProperties", message)
    if level == "root" and kind and kind != "object":
        yield invalid(f"{path}.type", kind, "must be object at the root")
    yield from _meta_problems(properties, path, level, embedded=embedded)
    if embedded and not schema.get(_PRESERVE) and not properties:
        message = f"must not be empty if {_EMBEDDED} is true without {_PRESERVE}"
        yield required(f"{path}.properties", message)


def _meta_problems(properties: Schema, path: str, level: str, *, embedded: bool) -> Iterator[Problem]:
    """What a schema may say of an object's identity and metadata."""
    is_object = level == "root" or embedded
    for name in ("kind", "apiVersion"):
        inner = properties.get(name)
        if is_object and inner is not None and inner.get("type") != "string":
            yield invalid(f"{path}.properties[{name}].type", inner.get("type", ""), "must be string")
    meta, where = properties.get("metadata"), f"{path}.properties[metadata]"
    if meta is None:
        return
    if is_object and meta.get("type") != "object":
        yield invalid(f"{where}.type", meta.get("type", ""), "must be object")
    if level == "root":
        rest = {name: value for name, value in meta.items() if name not in ("type", "default")}
        if rest.get("properties", {}).keys() <= {"name", "generateName"}:
            rest.pop("properties", None)
        if rest:
            why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            yield forbidden(where, why)


def _value_validation(schema: Schema, path: str, *, is_outermost: bool) -> Iterator[Problem]:
    """What constraints of values may say; the two ways to say "integer or string" are exceptions."""
    alternatives = schema.get("anyOf") or []
    is_either = alternatives == _INT_OR_STRING and is_outermost
    for name in _LISTS:
        for index, inner in enumerate(schema.get(name) or ()):
            if name == "anyOf" and is_either:
                continue
            is_first = name == "allOf" and index == 0 and is_outermost
            yield from _nested(inner, f"{path}.{name}[{index}]", is_first=is_first)
    if schema.get("not") is not None:
        yield from _nested(schema["not"], f"{path}.not")
    pattern = schema.get("pattern")
    if pattern:
        try:
            compiled(pattern)
        except ValueError as error:
            yield invalid(f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {error}")


def _nested(schema: Schema, path: str, *, is_first: bool = False) -> Iterator[Problem]:
    yield from _value_validation(schema, path, is_outermost=is_first)
    if isinstance(schema.get("items"), dict):
        yield from _nested(schema["items"], f"{path}.items")
    for name, inner in (schema.get("properties") or {}).items():
        yield from _nested(inner, f"{path}.properties[{name}]")
        if name == "metadata":
            yield forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")
    if schema.get("additionalProperties") is not None:
        yield forbidden(f"{path}.additionalProperties", "must be undefined to be structural")
    for name, wanted in _NOT_NESTED.items():
        if schema.get(name) or (wanted == "undefined" and schema.get(name) is not None):
            yield forbidden(f"{path}.{name}", f"must be {wanted} to be structural")


def _incomplete(validation: Schema, schema: Schema | None, path: str, where: str) -> Iterator[Problem]:
    """Fields that constraints mention and the schema itself doesn't."""
    named = [(f"{where}.not", validation["not"])] if validation.get("not") is not None else []
    named += [
        (f"{where}.{name}[{index}]", inner) for name in _LISTS for index, inner in enumerate(validation.get(name) or ())
    ]
    for place, inner in named:
        yield from _incomplete_nested(inner, schema, path, place)


def _incomplete_nested(validation: Schema, schema: Any, path: str, where: str) -> Iterator[Problem]:
    if not isinstance(schema, Mapping):
        yield required(path, f"because it is defined in {where}")
        return
    yield from _incomplete(validation, schema, path, where)
    if isinstance(validation.get("items"), dict):
        yield from _incomplete_nested(validation["items"], schema.get("items"), f"{path}.items", f"{where}.items")
    properties = schema.get("properties") or {}
    for name, inner in (validation.get("properties") or {}).items():
        step = f".properties[{name}]"
        yield from _incomplete_nested(inner, properties.get(name), path + step, where + step)


def _defaults(schema: Schema, path: str) -> Iterator[Problem]:
    """Defaults have the form that the schema asks for."""
    default = schema.get("default")
    if default is not None and pruned(default, schema) != default:
        yield invalid(f"{path}.default", default, "must not have unknown fields")
    elif default is not None and not schema.get(_EITHER):
        yield from problems(default, schema, f"{path}.default", "")
    if isinstance(schema.get("items"), dict):
        yield from _defaults(schema["items"], f"{path}.items")
    for name in sorted(schema.get("properties") or {}):
        yield from _defaults(schema["properties"][name], f"{path}.properties[{name}]")


# -- what OpenAPI schemas may say here ---------------------------------------------------------------------------------


class _Around(NamedTuple):
    """What is around a schema: why it may have no defaults, and whether it is the root, or part of an identity."""

    is_root: bool = False
    no_defaults: str = ""
    is_meta: bool = False


def _openapi(schema: Any, path: str, around: _Around) -> Iterator[Problem]:
    if not isinstance(schema, Mapping):
        return
    yield from _plain_problems(schema, path, around)
    inside = around._replace(is_root=False)
    more, properties, items = schema.get("additionalProperties"), schema.get("properties") or {}, schema.get("items")
    if more is not None:
        if properties and more is not True:
            yield forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
        reason = "inside additionalProperties applying to object metadata"
        below = inside._replace(no_defaults=reason) if around.is_meta else inside
        yield from _openapi(more, f"{path}.additionalProperties", below)
    for name in sorted(properties):
        below = inside
        if name in _META and (around.is_root or schema.get(_EMBEDDED)):
            below = inside._replace(is_meta=True, no_defaults=f"in top-level {name}" if around.is_root else "")
        yield from _openapi(properties[name], f"{path}.properties[{name}]", below)
    yield from _openapi(schema.get("not"), f"{path}.not", inside)
    for name in ("allOf", "oneOf", "anyOf"):
        for index, inner in enumerate(schema.get(name) or ()):
            yield from _openapi(inner, f"{path}.{name}[{index}]", inside)
    yield from _openapi(items, f"{path}.items", inside)
    for index, inner in enumerate(items if isinstance(items, list) else ()):
        yield from _openapi(inner, f"{path}.items[{index}]", inside)
    yield from _list_problems(schema, path)
    yield from rule_forms(schema, f"{path}.{RULES}")


def _plain_problems(schema: Schema, path: str, around: _Around) -> Iterator[Problem]:
    kind = schema.get("type", "")
    if kind and kind not in _KINDS:
        yield not_supported(f"{path}.type", kind, _KINDS)
    if schema.get("default") is not None and around.no_defaults:
        yield forbidden(f"{path}.default", f"must not be set {around.no_defaults}")
    for name in _UNSUPPORTED:
        if schema.get(name) not in (None, "", {}) or (name == "additionalItems" and schema.get(name) is not None):
            yield forbidden(f"{path}.{name}", f"{name} is not supported")
    if kind == "null":
        yield forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(schema.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    if around.is_meta and schema.get(_EMBEDDED):
        yield forbidden(f"{path}.{_EMBEDDED}", "must not be used inside of resource meta")
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{path}.uniqueItems", why)


def _list_problems(schema: Schema, path: str) -> Iterator[Problem]:
    """What is said of maps and lists as a whole."""
    kind, of_map, of_list = schema.get("type", ""), schema.get(_MAP), schema.get(_LIST)
    if schema.get(_PRESERVE) is False:
        yield invalid(f"{path}.{_PRESERVE}", False, "must be true or undefined")
    for name, value, wanted, known in (
        (_MAP, of_map, "object", ("atomic", "granular")),
        (_LIST, of_list, "array", ("atomic", "set", "map")),
    ):
        if value is None:
            continue
        if kind != wanted:
            message = f"must be {wanted} if {name} is specified"
            yield invalid(f"{path}.type", kind, message) if kind else required(f"{path}.type", message)
        elif name == _LIST and isinstance(schema.get("items"), dict):
            yield from _set_problems(schema["items"], of_list, f"{path}.items")
        if value not in known:
            yield not_supported(f"{path}.{name}", value, known)
    keys = schema.get(_KEYS) or []
    if keys and of_list != "map":
        message = f"must be map if {_KEYS} is non-empty"
        yield required(f"{path}.{_LIST}", message) if of_list is None else invalid(f"{path}.{_LIST}", of_list, message)
    if of_list == "map":
        yield from _keyed_problems(schema.get("items"), keys, path)
    if of_list in ("map", "set") and isinstance(schema.get("items"), dict):
        yield from _nullable_problems(schema["items"], str(of_list), keys, f"{path}.items")


def _set_problems(items: Schema, of_list: Any, path: str) -> Iterator[Problem]:
    message = f"must be atomic as item of a list with {_LIST}=set"
    if of_list == "set" and items.get("type") == "array" and items.get(_LIST, "atomic") != "atomic":
        yield invalid(f"{path}.{_LIST}", items[_LIST], message)
    if of_list == "set" and items.get("type") == "object" and items.get(_MAP) != "atomic":
        yield invalid(f"{path}.{_MAP}", items.get(_LIST), message)


def _keyed_problems(items: Any, keys: list[str], path: str) -> Iterator[Problem]:
    where = f"{path}.{_KEYS}"
    if not keys:
        yield required(where, f"must not be empty if {_LIST} is map")
    if items is None:
        yield required(f"{path}.items", f"must have a schema if {_LIST} is map")
    if not isinstance(items, dict):
        return
    if items.get("type") != "object":
        message = f"must be object if parent array's {_LIST} is map"
        yield invalid(f"{path}.items.type", items.get("type", ""), message)
        return
    properties = items.get("properties") or {}
    for index, key in enumerate(keys):
        if key not in properties:
            yield invalid(where, keys, "entries must all be names of item properties")
        elif properties[key].get("type") in ("array", "object"):
            message = f"must be a scalar type if parent array's {_LIST} is map"
            yield invalid(f"{path}.items.properties[{key}].type", "object", message)
        if key in keys[:index]:
            yield invalid(where, keys, "must not contain duplicate entries")


def _nullable_problems(items: Schema, of_list: str, keys: list[str], path: str) -> Iterator[Problem]:
    if items.get("nullable"):
        yield forbidden(f"{path}.nullable", f"cannot be nullable when {_LIST} is {of_list}")
    properties = items.get("properties") or {}
    for key in keys if of_list == "map" else ():
        inner, where, what = properties.get(key), f"{path}.properties[{key}]", f"this property is in {_KEYS}, so it"
        if inner is None:
            continue
        if key not in (items.get("required") or ()) and inner.get("default") is None:
            yield required(f"{where}.default", f"{what} must have a default or be a required property")
        if inner.get("nullable"):
            yield forbidden(f"{where}.nullable", f"{what} cannot be nullable")
