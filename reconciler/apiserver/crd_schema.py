"""Structural schemas of custom resources: what is defaulted, what is pruned, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson
import re2

from state.errors import Problem, invalid, not_supported, required

Json = dict[str, Any]
Schema = Mapping[str, Any]
_PRESERVE, _EMBEDDED = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_IDENTITY = frozenset({"apiVersion", "kind", "metadata"})
_TYPES: Mapping[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


def pruned(value: Any, schema: Schema, path: str = "", unknown: list[str] | None = None) -> Any:
    """A value without the fields that its schema doesn't know; their paths are added to ``unknown``."""
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [pruned(item, schema["items"], f"{path}[{index}]", unknown) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
    keeps = bool(schema.get(_PRESERVE)) or more is True
    result = {}
    for name, item in value.items():
        where = f"{path}.{name}" if path else name
        if name in properties:
            result[name] = pruned(item, properties[name], where, unknown)
        elif isinstance(more, dict):
            result[name] = pruned(item, more, where, unknown)
        elif keeps or (schema.get(_EMBEDDED) and name in _IDENTITY):
            result[name] = item
        elif unknown is not None:
            unknown.append(where)
    return result


def defaulted(value: Any, schema: Schema) -> Any:
    """A value with the defaults of its schema where it has nothing (or a null that may not be)."""
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [defaulted(item, schema["items"]) for item in value]
    if not isinstance(value, dict):
        return value
    properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
    result = {}
    for name, item in value.items():
        inner = properties.get(name, more if isinstance(more, dict) else {})
        if item is None and not inner.get("nullable") and "default" in inner:
            continue
        result[name] = defaulted(item, inner)
    for name, inner in properties.items():
        if name not in result and "default" in inner:
            result[name] = defaulted(inner["default"], inner)
    return result


def problems(value: Any, schema: Schema, path: str = "") -> Iterator[Problem]:
    """What of a value its schema doesn't allow."""
    if value is None:
        if not schema.get("nullable") and schema.get("type") and path:
            yield _of_type(path, schema["type"], "null")
        return
    if schema.get(_INT_OR_STRING):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield _of_type(path, "integer,string", _type_name(value))
            return
    elif not _is_of_type(value, schema.get("type")):
        yield _of_type(path, schema["type"], _type_name(value))
        return
    if "enum" in schema and value not in schema["enum"]:
        yield not_supported(path, value, tuple(map(_shown, schema["enum"])))
    if isinstance(value, str):
        yield from _text_problems(value, schema, path)
    elif isinstance(value, dict):
        yield from _map_problems(value, schema, path)
    elif isinstance(value, list):
        yield from _list_problems(value, schema, path)
    elif not isinstance(value, bool):
        yield from _number_problems(value, schema, path)
    yield from _combined_problems(value, schema, path)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _is_of_type(value: Any, kind: Any) -> bool:
    if not kind:
        return True
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, ())) and (kind == "boolean" or not isinstance(value, bool))


def _type_name(value: Any) -> str:
    return next(name for name, types in _TYPES.items() if isinstance(value, types))


def _of_type(path: str, wanted: str, found: str) -> Problem:
    return Problem(path, f'{path} in body must be of type {wanted}: "{found}"', "TypeInvalid", found)


_QUIET = re2.Options()
_QUIET.log_errors = False


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """A pattern in Go's syntax, which is RE2's: no text takes long to match, however the pattern is made.

    Raises:
        ValueError: it is none.
    """
    try:
        return re2.compile(pattern, _QUIET)
    except re2.error as error:
        why = error.args[0]
        raise ValueError(f"error parsing regexp: {why.decode() if isinstance(why, bytes) else why}") from error


def _text_problems(value: str, schema: Schema, path: str) -> Iterator[Problem]:
    most, least, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if most is not None and len(value) > most:
        yield Problem(path, f"may not be more than {most} bytes", "TooLong")
    if least is not None and len(value) < least:
        yield invalid(path, value, f"{path} in body should be at least {least} chars long")
    if pattern and not compiled(pattern).search(value):
        yield invalid(path, value, f"{path} in body should match '{pattern}'")


def _number_problems(value: float, schema: Schema, path: str) -> Iterator[Problem]:
    most, least, step = schema.get("maximum"), schema.get("minimum"), schema.get("multipleOf")
    if most is not None and (value > most or (schema.get("exclusiveMaximum") and value == most)):
        words = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        yield invalid(path, value, f"{path} in body should be {words} {most}")
    if least is not None and (value < least or (schema.get("exclusiveMinimum") and value == least)):
        words = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        yield invalid(path, value, f"{path} in body should be {words} {least}")
    if step and value % step:
        yield invalid(path, value, f"{path} in body should be a multiple of {step}")


def _map_problems(value: Json, schema: Schema, path: str) -> Iterator[Problem]:
    for name in schema.get("required") or ():
        if name not in value:
            yield required(_below(path, name))
    properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
    for name, item in value.items():
        inner = properties.get(name, more if isinstance(more, dict) else None)
        if inner is not None:
            yield from problems(item, inner, _below(path, name))
    most, least = schema.get("maxProperties"), schema.get("minProperties")
    if most is not None and len(value) > most:
        yield Problem(path, f"must have at most {most} items", "TooMany", len(value))
    if least is not None and len(value) < least:
        yield invalid(path, len(value), f"{path} in body should have at least {least} properties")


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _list_problems(value: list[Any], schema: Schema, path: str) -> Iterator[Problem]:
    most, least, items = schema.get("maxItems"), schema.get("minItems"), schema.get("items")
    if most is not None and len(value) > most:
        yield Problem(path, f"must have at most {most} items", "TooMany", len(value))
    if least is not None and len(value) < least:
        yield invalid(path, len(value), f"{path} in body should have at least {least} items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            yield from problems(item, items, f"{path}[{index}]")
    yield from _duplicates(value, schema, path)


def _duplicates(value: list[Any], schema: Schema, path: str) -> Iterator[Problem]:
    kind = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    if kind not in ("set", "map"):
        return
    seen = set()
    for index, item in enumerate(value):
        identity = item if kind == "set" or not isinstance(item, dict) else {key: item.get(key) for key in keys}
        text = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
        if text in seen:
            yield Problem(f"{path}[{index}]", "", "Duplicate", identity)
        seen.add(text)


def _combined_problems(value: Any, schema: Schema, path: str) -> Iterator[Problem]:
    where = path or "<root>"
    for each in schema.get("allOf") or ():
        yield from problems(value, each, path)
    options = schema.get("anyOf")
    if options and not any(_fits(value, each, path) for each in options):
        yield invalid(path, value, f"{where} in body must validate at least one schema (anyOf)")
    options = schema.get("oneOf")
    if options and sum(_fits(value, each, path) for each in options) != 1:
        yield invalid(path, value, f"{where} in body must validate one and only one schema (oneOf)")
    refused = schema.get("not")
    if isinstance(refused, dict) and _fits(value, refused, path):
        yield invalid(path, value, f"{where} in body must not validate the schema (not)")


def _fits(value: Any, schema: Schema, path: str) -> bool:
    return next(problems(value, schema, path), None) is None
