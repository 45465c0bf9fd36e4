"""What of a value the schema of a custom resource doesn't allow, in kube-openapi's words.

A part of an object that is as it was before may stay as it is, however wrong (ratcheting).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import orjson

from reconciler.apiserver.crd_formats import fits, has_format
from reconciler.apiserver.crd_schema import compiled
from state.errors import Problem, invalid, not_supported, required, too_long, too_many
from state.names import dns1035_label

Json = dict[str, Any]
Schema = Mapping[str, Any]
_EMBEDDED, _LIST = "x-kubernetes-embedded-resource", "x-kubernetes-list-type"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_TYPES: Mapping[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}
#: What wasn't there before, or of which nobody can tell.
ABSENT: Any = object()
_NOWHERE = "<nil>"
_ALMOST = 1e-9


class _Place(NamedTuple):
    """Where a value is, as its field is named and as the words of a refusal name it."""

    path: str
    body: str

    def field(self, name: str) -> _Place:
        """The place of a field of the value."""
        return _Place(*(f"{each}.{name}" if each else name for each in self))

    def item(self, index: int) -> _Place:
        """The place of an item of the value."""
        return _Place(*(f"{each}[{index}]" for each in self))


def problems(
    value: Any, schema: Schema, path: str = "", body: str | None = None, old: Any = ABSENT
) -> Iterator[Problem]:
    """What of a value its schema doesn't allow. ``body`` is the path in the words, if that is another one."""
    yield from _check(value, schema, _Place(path, path if body is None else body), old)
    yield from _embedded(value, schema, path)
    if old is ABSENT or next(_repeated(old, schema, path), None) is None:
        yield from _repeated(value, schema, path)


def _check(value: Any, schema: Schema, at: _Place, old: Any = ABSENT) -> Iterator[Problem]:
    if old is not ABSENT and old == value:
        return
    if value is None:
        if not schema.get("nullable") and schema.get("type") and at.path:
            yield _of_type(at, schema["type"], "null")
        return
    wrong = _type_problem(value, schema, at)
    if wrong is not None:
        yield wrong
    else:
        yield from _combined(value, schema, at, old)
    if isinstance(value, str) and wrong is None:
        yield from _text_problems(value, schema, at)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number_problems(value, schema, at, is_typed=wrong is None)
    elif isinstance(value, list) and wrong is None:
        yield from _list_problems(value, schema, at, old)
    if "enum" in schema and value not in schema["enum"]:
        yield not_supported(at.path, value, tuple(map(_shown, schema["enum"])))
    if isinstance(value, dict) and wrong is None:
        yield from _map_problems(value, schema, at, old)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _type_problem(value: Any, schema: Schema, at: _Place) -> Problem | None:
    if schema.get(_INT_OR_STRING):
        is_right = isinstance(value, int | str) and not isinstance(value, bool)
        return None if is_right else _of_type(at, "integer,string", _type_name(value))
    kind, form = schema.get("type"), schema.get("format")
    if not kind or _is_of_type(value, kind):
        return None
    if kind == "integer" and isinstance(value, float) and form in ("int32", "int64"):
        return _of_type(at, form, "float64")
    return _of_type(at, kind, _type_name(value))


def _is_of_type(value: Any, kind: str) -> bool:
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, ())) and (kind == "boolean" or not isinstance(value, bool))


def _type_name(value: Any) -> str:
    return next(name for name, types in _TYPES.items() if isinstance(value, types))


def _of_type(at: _Place, wanted: str, found: str) -> Problem:
    return Problem(at.path, f'{at.body} in body must be of type {wanted}: "{found}"', "TypeInvalid", found)


def _text_problems(value: str, schema: Schema, at: _Place) -> Iterator[Problem]:
    most, least, pattern, form = (schema.get(name) for name in ("maxLength", "minLength", "pattern", "format"))
    if most is not None and len(value) > most:
        yield too_long(at.path, most)
    if least is not None and len(value) < least:
        yield invalid(at.path, value, f"{at.body} in body should be at least {least} chars long")
    if pattern and not compiled(pattern).search(value):
        yield invalid(at.path, value, f"{at.body} in body should match '{pattern}'")
    if form and not has_format(value, form):
        yield Problem(at.path, f'{at.body} in body must be of type {form}: "{value}"', "TypeInvalid", value)


def _number_problems(value: float, schema: Schema, at: _Place, *, is_typed: bool) -> Iterator[Problem]:
    kind, form = schema.get("type", ""), schema.get("format") or ""
    if kind in ("integer", "number") and not fits(value, kind, form):
        how = f"with format {form}" if form else "(default format)"
        yield invalid(_NOWHERE, "", f"Checked value must be of type {kind} {how} in {at.body}")
    if not is_typed:
        return
    most, least, step = schema.get("maximum"), schema.get("minimum"), schema.get("multipleOf")
    if step and not _is_multiple(value, step):
        yield invalid(at.path, value, f"{at.body} in body should be a multiple of {_number(step)}")
    if most is not None and (value > most or (schema.get("exclusiveMaximum") and value == most)):
        words = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        yield invalid(at.path, value, f"{at.body} in body should be {words} {_number(most)}")
    if least is not None and (value < least or (schema.get("exclusiveMinimum") and value == least)):
        words = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        yield invalid(at.path, value, f"{at.body} in body should be {words} {_number(least)}")


def _number(value: float) -> float:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    times = value / step
    return abs(times - round(times)) <= _ALMOST * max(1.0, abs(times))


def _map_problems(value: Json, schema: Schema, at: _Place, old: Any) -> Iterator[Problem]:
    most, least = schema.get("maxProperties"), schema.get("minProperties")
    if most is not None and len(value) > most:
        yield too_many(at.path, len(value), most)
    if least is not None and len(value) < least:
        yield invalid(at.path, len(value), f"{at.body} in body should have at least {least} properties")
    yield from (required(at.field(name).path) for name in schema.get("required") or () if name not in value)
    before = old if isinstance(old, dict) else {}
    for name, item in value.items():
        inner = _field(name, schema)
        if inner is not None:
            yield from _check(item, inner, at.field(name), before.get(name, ABSENT))


def _field(name: str, schema: Schema) -> Schema | None:
    found = (schema.get("properties") or {}).get(name, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else None


def _list_problems(value: list[Any], schema: Schema, at: _Place, old: Any) -> Iterator[Problem]:
    most, least, items = schema.get("maxItems"), schema.get("minItems"), schema.get("items")
    if isinstance(items, dict):
        known = _by_keys(old, schema)
        for index, item in enumerate(value):
            yield from _check(item, items, at.item(index), known.get(_identity(item, schema), ABSENT))
    if least is not None and len(value) < least:
        yield invalid(at.path, len(value), f"{at.body} in body should have at least {least} items")
    if most is not None and len(value) > most:
        yield too_many(at.path, len(value), most)


def _by_keys(items: Any, schema: Schema) -> dict[bytes, Any]:
    """What the items of a keyed list were before; of other lists nobody can tell."""
    if schema.get(_LIST) != "map" or not isinstance(items, list):
        return {}
    return {_identity(item, schema): item for item in items}


def _identity(item: Any, schema: Schema) -> bytes:
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    found = {key: item.get(key) for key in keys} if keys and isinstance(item, dict) else item
    return orjson.dumps(found, option=orjson.OPT_SORT_KEYS)


def _combined(value: Any, schema: Schema, at: _Place, old: Any) -> Iterator[Problem]:
    what = f'"{at.body}" must'

    def faults(name: str) -> list[list[Problem]]:
        return [list(_check(value, each, at, old)) for each in schema.get(name) or ()]

    options = faults("anyOf")
    if options and all(options):
        yield invalid(_NOWHERE, "", f"{what} validate at least one schema (anyOf)")
        yield from options[0]
    options = faults("oneOf")
    valid = sum(not each for each in options)
    if options and valid != 1:
        found = f"Found {valid} valid alternatives" if valid else "Found none valid"
        yield invalid(_NOWHERE, "", f"{what} validate one and only one schema (oneOf). {found}")
        yield from options[0] if not valid else ()
    options = faults("allOf")
    if any(options):
        yield from chain.from_iterable(options)
        none = ". None validated" if all(options) else ""
        yield invalid(_NOWHERE, "", f"{what} validate all the schemas (allOf){none}")
    refused = schema.get("not")
    if isinstance(refused, dict) and not any(_check(value, refused, at)):
        yield invalid(_NOWHERE, "", f"{what} not validate the schema (not)")


# -- what isn't OpenAPI's ----------------------------------------------------------------------------------------------


def _embedded(value: Any, schema: Schema, path: str) -> Iterator[Problem]:
    """Whole objects within an object say what they are."""
    if isinstance(value, dict):
        if schema.get(_EMBEDDED):
            yield from _identity_problems(value, path)
        for name, item in value.items():
            yield from _embedded(item, _field(name, schema) or {}, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            yield from _embedded(item, schema["items"], f"{path}[{index}]")


def _identity_problems(value: Json, path: str) -> Iterator[Problem]:
    for name in ("apiVersion", "kind"):
        where, text = f"{path}.{name}", value.get(name)
        if text is None:
            yield required(where)
        elif not text:
            yield invalid(where, text, "must not be empty")
        elif name == "apiVersion" and str(text).count("/") > 1:
            yield invalid(where, text, f"unexpected GroupVersion string: {text}")
        elif name == "kind" and dns1035_label(str(text).lower()):
            why = ",".join(dns1035_label(str(text).lower()))
            yield invalid(where, text, f"may have mixed case, but should otherwise match: {why}")


def _repeated(value: Any, schema: Schema, path: str) -> Iterator[Problem]:
    """Items of sets and keyed lists that are there twice."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _repeated(item, _field(name, schema) or {}, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield from _repeated_here(value, schema, path)
        items = schema.get("items")
        for index, item in enumerate(value if isinstance(items, dict) else ()):
            yield from _repeated(item, schema["items"], f"{path}[{index}]")


def _repeated_here(value: list[Any], schema: Schema, path: str) -> Iterator[Problem]:
    kind, keys = schema.get(_LIST), schema.get("x-kubernetes-list-map-keys") or ()
    if kind not in ("set", "map"):
        return
    counts: dict[bytes, int] = {}
    for index, item in enumerate(value):
        if kind == "map" and item is not None and not isinstance(item, dict):
            yield invalid(f"{path}[{index}]", item, "must be an object for an array of list-type map")
            continue
        identity = _identity(item, schema)
        counts[identity] = counts.get(identity, 0) + 1
        if counts[identity] == 2:
            told = {key: item.get(key) for key in keys} if isinstance(item, dict) and keys else item
            yield Problem(f"{path}[{index}]", "", "Duplicate", told)
