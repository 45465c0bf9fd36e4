"""Validation rules of custom resources (``x-kubernetes-validations``), which are written in the Common Expression
Language.

The language is ``common-expression-language``'s; the functions that Kubernetes adds for strings and lists are here. A
rule that needs more (optional values, ``quantity``, ``url``, ``sets``) isn't enforced, and the log says so, once.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import re2
import structlog

from state.errors import Problem
from state.times import parse_duration

log = structlog.get_logger("reconciler")

Json = dict[str, Any]
Schema = Mapping[str, Any]
RULES = "x-kubernetes-validations"
#: Steps that the rules of one value may take, roughly: half a second's worth. Kubernetes has a budget, too.
BUDGET = 1_000_000
_MACRO = re.compile(r"\.(?:all|exists|exists_one|filter|map)\($")
_OLD = re.compile(r"\boldSelf\b")
_RESERVED = re.compile(
    "true|false|null|in|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void|"
    "while"
)
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
_UNSUPPORTED = "Undefined variable or function"
#: What a refusal may be, as rules say it, and as a ``Problem`` does.
REASONS = {f"FieldValue{reason}": reason for reason in ("Duplicate", "Forbidden", "Invalid", "Required")}


class _Value(NamedTuple):
    """A part of an object, what it was before if that can be told, and where it is."""

    new: Any
    old: Any
    schema: Schema
    path: str


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
    is_transition = bool(_OLD.search(text))
    if is_transition and value.old is None:
        return
    names = {"self": _native(value.new, value.schema)}
    if is_transition:
        names["oldSelf"] = _native(value.old, value.schema)
    try:
        if _longest(value.new) ** _nesting(text) > BUDGET:
            why = "validation failed due to running out of cost budget, no further validation rules will be run"
        elif _evaluated(text, names):
            return
        else:
            why = _message(rule, text, names)
    except _UnsupportedError:
        return
    except _EvaluationError as error:
        why = f"{error} evaluating rule: {rule.get('message') or text}"
    reason = REASONS.get(rule.get("reason", ""), "Invalid")
    path = f"{value.path}{rule.get('fieldPath') or ''}".removeprefix(".") or "<nil>"
    yield Problem(path, why, reason, value.schema.get("type", "object"))


def _message(rule: Json, text: str, names: Mapping[str, Any]) -> str:
    told = rule.get("messageExpression")
    if told:
        try:
            found = _evaluated(told, names)
        except (_EvaluationError, _UnsupportedError):
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
            (_escaped(name) if name in properties else name): _native(item, properties.get(name) or _mapping(more))
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


def _escaped(name: str) -> str:
    """A property's name as rules write it."""
    if _RESERVED.fullmatch(name):
        return f"__{name}__"
    for text, instead in _ESCAPES:
        name = name.replace(text, instead)
    return name


# -- evaluation --------------------------------------------------------------------------------------------------------


class _EvaluationError(Exception):
    """A rule that can't be told: a field that isn't there, a type that doesn't fit."""


class _UnsupportedError(Exception):
    """A rule that needs what isn't here."""


def _evaluated(text: str, names: Mapping[str, Any]) -> Any:
    program = _compiled(text)
    if program is None:
        raise _UnsupportedError
    context = _language().Context(dict(names))
    for name, function in _FUNCTIONS.items():
        context.add_function(name, function)
    try:
        return program.execute(context)
    except KeyError as error:
        raise _EvaluationError(f"no such key: {error.args[0]}") from error
    except RuntimeError as error:
        if str(error).startswith(_UNSUPPORTED):
            _give_up(text, str(error))
            raise _UnsupportedError from error
        raise _EvaluationError(str(error)) from error
    except (TypeError, ValueError) as error:
        raise _EvaluationError(str(error).partition(". ")[0]) from error


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Any:
    """A rule that can be evaluated, or None."""
    try:
        return _language().compile(text)
    except ValueError as error:
        _give_up(text, str(error))
        return None


@lru_cache(maxsize=4096)
def _give_up(rule: str, cause: str) -> None:
    """Says that a rule isn't enforced; once."""
    log.warning("a validation rule can't be evaluated and isn't enforced", rule=rule, cause=cause.partition("\n")[0])


@cache
def _language() -> Any:
    """The language, loaded for the first rule: most servers have none."""
    return importlib.import_module("cel")


@lru_cache(maxsize=4096)
def _nesting(text: str) -> int:
    """How deep a rule goes through lists within lists."""
    deepest, open_macros = 0, []
    for at, letter in enumerate(text):
        if letter == "(":
            open_macros.append(bool(_MACRO.search(text[max(0, at - 12) : at + 1])))
            deepest = max(deepest, sum(open_macros))
        elif letter == ")" and open_macros:
            open_macros.pop()
    return deepest


def _longest(value: Any) -> int:
    """The length of the longest list or map in a value."""
    if not isinstance(value, dict | list):
        return 1
    items = value.values() if isinstance(value, dict) else value
    return max(len(value), *map(_longest, items)) if value else 1


# -- what Kubernetes adds to the language ------------------------------------------------------------------------------


def _split(text: str, by: str, most: int = -1) -> list[str]:
    if not most:
        return []
    parts = text.split(by) if by else list(text)
    return parts if most < 0 or len(parts) <= most else [*parts[: most - 1], by.join(parts[most - 1 :])]


def _index(of: Any, item: Any, start: int = 0) -> int:
    if isinstance(of, str):
        return of.find(item, start)
    return of.index(item) if item in of else -1


def _last_index(of: Any, item: Any) -> int:
    if isinstance(of, str):
        return of.rfind(item)
    return len(of) - 1 - of[::-1].index(item) if item in of else -1


def _find(text: str, pattern: str) -> str:
    found = re2.search(pattern, text)
    return found.group(0) if found else ""


def _find_all(text: str, pattern: str, most: int = -1) -> list[str]:
    found = [each.group(0) for each in re2.finditer(pattern, text)]
    return found if most < 0 else found[:most]


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "charAt": lambda text, at: text[at : at + 1],
    "find": _find,
    "findAll": _find_all,
    "indexOf": _index,
    "isSorted": lambda items: all(one <= other for one, other in pairwise(items)),
    "join": lambda items, by="": by.join(items),
    "lastIndexOf": _last_index,
    "lowerAscii": lambda text: "".join(each.lower() if each.isascii() else each for each in text),
    "replace": lambda text, old, new, most=-1: text.replace(old, new, most),
    "reverse": lambda text: text[::-1],
    "split": _split,
    "substring": lambda text, start, end=None: text[start:end],
    "sum": lambda items: sum(items) if items else 0,
    "trim": lambda text: text.strip(),
    "upperAscii": lambda text: "".join(each.upper() if each.isascii() else each for each in text),
}
