"""Structural schemas of custom resources: what is defaulted and what is pruned; ``crd_values`` says what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson
import re2

from reconciler.apiserver.crd_fields import MistypedError
from reconciler.apiserver.gotypes import message_fault
from reconciler.apiserver.messages import fields_of

Json = dict[str, Any]
Schema = Mapping[str, Any]
_PRESERVE, _EMBEDDED = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"
_NULLABLE, _META = "nullable", "meta.v1.ObjectMeta"
#: From here on Go writes numbers with an exponent.
_LONG = 1e21
_IDENTITY = frozenset({"apiVersion", "kind", "metadata"})


def pruned(value: Any, schema: Schema, path: str = "", unknown: list[str] | None = None) -> Any:
    """A value without the fields that its schema doesn't know; their paths are added to ``unknown``.

    Below a value whose unknown fields are kept, those that are known are looked at again.
    """
    keeps = bool(schema.get(_PRESERVE))
    if isinstance(value, list):
        items = schema.get("items")
        inner = items if isinstance(items, dict) else {_PRESERVE: keeps}
        return [pruned(item, inner, f"{path}[{index}]", unknown) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
    result = {}
    for name, item in value.items():
        where = f"{path}.{name}" if path else name
        if schema.get(_EMBEDDED) and name in _IDENTITY:
            result[name] = _embedded_meta(item, where, unknown) if name == "metadata" else item
        elif name in properties:
            result[name] = pruned(item, properties[name], where, unknown)
        elif isinstance(more, dict):
            result[name] = pruned(item, more, where, unknown)
        elif keeps or more is True:
            result[name] = item
        elif unknown is not None:
            unknown.append(where)
    return result


def _embedded_meta(value: Any, path: str, unknown: list[str] | None) -> Any:
    """The metadata of an object within an object, without fields that no metadata has.

    Raises:
        MistypedError: it is none.
    """
    if not isinstance(value, dict):
        return value
    fault = message_fault(_META, value)
    if fault:
        raise MistypedError(f"{path}: Invalid value: {orjson.dumps(value).decode()}: {fault}")
    known = fields_of(_META)
    if unknown is not None:
        unknown += [f"{path}.{name}" for name in value if name not in known]
    return {name: item for name, item in value.items() if name in known}


def without_nulls(value: Any, schema: Schema) -> Any:
    """A value without the nulls in maps that may be none, and have no default either."""
    if isinstance(value, list):
        items = schema.get("items")
        return [without_nulls(item, items if isinstance(items, dict) else {_NULLABLE: True}) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, item in value.items():
        inner = _field(name, schema)
        if item is not None or inner is None or inner.get(_NULLABLE) or "default" in inner:
            kept[name] = without_nulls(item, inner or {})
    return kept


def whole_numbers(value: Any) -> Any:
    """A value in which numbers without a fraction have no point, as Go writes them."""
    if isinstance(value, dict):
        return {name: whole_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _LONG else value


def _field(name: str, schema: Schema) -> Schema | None:
    """The schema of what a map has under a name."""
    properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
    found = properties.get(name, more)
    return found if isinstance(found, dict) else None


def defaulted(value: Any, schema: Schema) -> Any:
    """A value with the defaults of its schema where it has nothing (or a null that may not be)."""
    if isinstance(value, list):
        items = schema.get("items")
        return [_instead(item, items) for item in value] if isinstance(items, dict) else value
    if not isinstance(value, dict):
        return value
    result = {name: _instead(item, _field(name, schema)) for name, item in value.items()}
    for name, inner in (schema.get("properties") or {}).items():
        if name not in result and inner.get("default") is not None:
            result[name] = defaulted(inner["default"], inner)
    return result


def _instead(value: Any, schema: Schema | None) -> Any:
    if schema is None:
        return value
    return defaulted(schema.get("default") if value is None and not schema.get(_NULLABLE) else value, schema)


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
        raise ValueError(f"error parsing regexp: {_in_go(why.decode() if isinstance(why, bytes) else why)}") from error


#: What RE2 says of a pattern, and what Go says instead.
_GO_WORDS = {
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "trailing \\": "trailing backslash at end of expression",
}


def _in_go(fault: str) -> str:
    """What RE2 says of a pattern, as Go says it."""
    words, _, part = fault.partition(": ")
    return f"{_GO_WORDS.get(words, words)}: `{part}`"
