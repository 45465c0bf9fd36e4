"""Validation rules of custom resources (``x-kubernetes-validations``), which are written in the Common Expression
Language.

``cel`` is the language; here is which rule is about which value, and how a value looks with the types of its schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from reconciler.apiserver.cel.types import escaped
from reconciler.apiserver.cel.values import NOTHING, Optional
from state.errors import NO_VALUE, Problem
from state.times import parse_duration

Json = dict[str, Any]
Schema = Mapping[str, Any]
RULES = "x-kubernetes-validations"
_OLD = re.compile(r"\boldSelf\b")
#: What a refusal may be, as rules say it, and as a ``Problem`` does.
REASONS = {f"FieldValue{reason}": reason for reason in ("Duplicate", "Forbidden", "Invalid", "Required")}


class _Value(NamedTuple):
    """A part of an object, what it was before if that can be told, and where it is."""

    new: Any
    old: Any
    schema: Schema
    path: str


def old_is_used(rule: str) -> bool:
    """Whether a rule compares a value with what it was before."""
    return bool(_OLD.search(rule))


def has_rules(schema: Any) -> bool:
    """Whether a schema has rules anywhere."""
    if isinstance(schema, Mapping):
        return bool(schema.get(RULES)) or any(map(has_rules, schema.values()))
    return isinstance(schema, list) and any(map(has_rules, schema))


def rule_problems(new: Json, old: Json | None, schema: Schema) -> Iterator[Problem]:
    """What of an object (with ``apiVersion``, ``kind`` and ``metadata``) the rules of its schema don't allow."""
    yield from _walk(_Value(new, old, schema, ""))


def _walk(value: _Value) -> Iterator[Problem]:
    new, old, schema, path = value
    if new is None:
        return
    if schema.get(RULES) and (old is None or old != new):  # what was there before may stay as it is
        for rule in schema[RULES]:
            yield from _checked(rule, value)
    if isinstance(new, dict):
        properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
        before = old if isinstance(old, dict) else {}
        for name in sorted(new):
            inner = properties.get(name, more)
            if isinstance(inner, Mapping):
                where = f"{path}.{name}" if path and name in properties else name if not path else f"{path}[{name}]"
                yield from _walk(_Value(new[name], before.get(name), inner, where))
    elif isinstance(new, list) and isinstance(schema.get("items"), Mapping):
        for index, item in enumerate(new):
            yield from _walk(_Value(item, _former(item, old, schema), schema["items"], f"{path}[{index}]"))


def _former(item: Any, old: Any, schema: Schema) -> Any:
    """What an item was before: only in a list with keys can that be told."""
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return None
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    same = (each for each in old if isinstance(each, dict) and all(each.get(key) == item.get(key) for key in keys))
    return next(same, None)


def _checked(rule: Json, value: _Value) -> Iterator[Problem]:
    text = str(rule.get("rule") or "").strip()
    is_transition, is_optional = old_is_used(text), bool(rule.get("optionalOldSelf"))
    if is_transition and value.old is None and not is_optional:
        return
    names = {"self": _native(value.new, value.schema)}
    if is_transition:
        old = None if value.old is None else _native(value.old, value.schema)
        names["oldSelf"] = old if not is_optional else NOTHING if old is None else Optional(old)
    cel = _language()
    steps = cel.Steps()
    try:
        if cel.compiled(text).evaluate(names, steps) is True:
            return
        why = _message(rule, text, names, steps)
    except cel.CelBudgetError as error:
        why = str(error)
    except (cel.CelError, cel.CelSyntaxError) as error:
        why = f"{error} evaluating rule: {rule.get('message') or text}"
        yield Problem(value.path or "<nil>", why, "Invalid", value.schema.get("type", "object"))
        return
    reason = REASONS.get(rule.get("reason", ""), "Invalid")
    path = f"{value.path}{rule.get('fieldPath') or ''}".removeprefix(".") or "<nil>"
    shown = NO_VALUE if isinstance(value.new, dict | list) else value.new
    yield Problem(path, why, reason, shown)


@cache
def _language() -> Any:
    """The language, loaded for the first rule: most servers have none."""
    return import_module("reconciler.apiserver.cel")


def _message(rule: Json, text: str, names: Mapping[str, Any], steps: Any) -> str:
    told, cel = rule.get("messageExpression"), _language()
    if told:
        try:
            found = cel.compiled(told).evaluate(names, steps)
        except (cel.CelError, cel.CelSyntaxError):
            found = None
        if isinstance(found, str) and found.strip() and "\n" not in found:
            return found
    return rule.get("message") or f"failed rule: {text}"


# -- values as the language has them -----------------------------------------------------------------------------------


def _native(value: Any, schema: Schema) -> Any:
    """A value with the types and names that its schema gives it."""
    if isinstance(value, dict):
        properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
        return {
            (escaped(name) if name in properties else name): _native(item, properties.get(name) or _mapping(more))
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_native(item, _mapping(schema.get("items"))) for item in value]
    kind, form = schema.get("type"), schema.get("format") or ""
    if kind == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and form in _FORMATS:
        try:
            return _FORMATS[form](value)
        except ValueError:
            return value
    return value


def _mapping(schema: Any) -> Schema:
    return schema if isinstance(schema, Mapping) else {}


def _duration(text: str) -> timedelta:
    return timedelta(microseconds=parse_duration(text))


_FORMATS: Mapping[str, Callable[[str], Any]] = {
    "date": datetime.fromisoformat,
    "date-time": datetime.fromisoformat,
    "duration": _duration,
}
