"""How much a definition's rules may cost: estimated from what its schema allows, and limited, when it is stored.

As apiextensions-apiserver's ``validateCustomResourceDefinitionValidation``, with the sizes of apiserver's
``SchemaDeclType``: what the schema doesn't limit may fill a whole request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciler.apiserver.cel.estimates import times
from reconciler.apiserver.cel.types import declared, escaped, is_embedded, properties_of
from state.errors import Problem, forbidden

Schema = Mapping[str, Any]
#: Bytes of the largest request.
_REQUEST = 3 * 1024 * 1024
#: What one rule may cost, and all of a schema.
_RULE_LIMIT, _SCHEMA_LIMIT = 10_000_000, 100_000_000
#: How many of the dearest rules are named.
_NAMED = 4
#: By format of a string: bytes of the shortest and of the longest value in JSON.
_FORMATS = {"duration": (3, 32), "date": (12, 12), "date-time": (21, 32)}
#: By type: bytes of the shortest value in JSON.
_SHORTEST = {"array": 2, "boolean": 4, "integer": 1, "number": 1, "string": 2}
_ADVICE = "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings"
_CONTRIBUTED = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"


class Extents:
    """How long the values of a schema may be: ``cel.estimates.Lengths``."""

    def __init__(self, schema: Schema, *, is_root: bool) -> None:
        self._schema, self._is_root = schema, is_root
        self._known: dict[tuple[str, ...], int | None] = {}

    def __call__(self, names: Sequence[str]) -> int | None:
        """The number of items or characters at a path, None if there is nothing."""
        key = tuple(names)
        if key not in self._known:
            self._known[key] = self._at(key)
        return self._known[key]

    def _at(self, names: tuple[str, ...]) -> int | None:
        schema, is_root = self._schema, self._is_root
        for index, name in enumerate(names):
            inner = _items(schema)
            if name == "@keys":
                is_last = index == len(names) - 1
                return 0 if is_last and inner is not None and schema.get("type") == "object" else None
            if name not in ("@items", "@values"):
                inner = None if inner is not None else _field(schema, name, is_root=is_root)
            if inner is None:
                return None
            schema, is_root = inner, is_embedded(inner)
        return _longest(schema)

    @property
    def most(self) -> int:
        """How many values of the schema can be in a request."""
        return _REQUEST // (_shortest(self._schema, is_root=self._is_root) + 1)


def _items(schema: Schema) -> Schema | None:
    """The schema of the items of a list or map, None of what is neither."""
    if schema.get("x-kubernetes-int-or-string"):
        return None
    inner = schema.get({"array": "items", "object": "additionalProperties"}.get(schema.get("type", ""), ""))
    return inner if isinstance(inner, Mapping) else None


def _field(schema: Schema, name: str, *, is_root: bool) -> Schema | None:
    if schema.get("type") != "object":
        return None
    found = (inner for own, inner in properties_of(schema, is_root=is_root).items() if escaped(own) == name)
    inner: Schema | None = next(found, None)
    return inner if inner is not None and declared(inner, is_root=is_embedded(inner)) is not None else None


def _longest(schema: Schema) -> int:
    """The most items or bytes of a value; 0 of what has none."""
    kind, form = schema.get("type"), schema.get("format")
    limit = schema.get({"array": "maxItems", "object": "maxProperties"}.get(str(kind), "maxLength"))
    if schema.get("x-kubernetes-int-or-string"):
        limit = schema.get("maxLength")
        return _REQUEST - 2 if limit is None else max(limit, 0) * 4
    items = _items(schema)
    if items is not None:
        around = 1 if kind == "array" else 6  # a comma; and a key
        count = (_REQUEST - 2) // (_shortest(items, is_root=is_embedded(items)) + around)
        return count if limit is None else max(limit, 0)
    if kind != "string":
        return 0
    if form in _FORMATS:
        return _FORMATS[form][1]
    if isinstance(limit, int):
        return max(limit, 0) * (1 if form == "byte" else 4)
    values = schema.get("enum")
    if values and form != "byte":
        return max((len(each.encode()) for each in values if isinstance(each, str)), default=0)
    return _REQUEST - 2


def _shortest(schema: Schema, *, is_root: bool) -> int:
    """The bytes of the shortest value in JSON."""
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        return 1
    if kind == "string" and schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]][0]
    if kind != "object" or _items(schema) is not None:
        return _SHORTEST.get(str(kind), 2)
    total, properties = 2, properties_of(schema, is_root=is_root)
    for name in set(schema.get("required") or ()) & properties.keys():
        inner = properties[name]
        if inner.get("default") is None and declared(inner, is_root=is_embedded(inner)) is not None:
            total += len(name.encode()) + _shortest(inner, is_root=is_embedded(inner)) + 4
    return total


def inside(schema: Schema, count: int | None) -> int | None:
    """How often a part of a schema can be there if the schema is there ``count`` times; None if without limit."""
    kind = schema.get("type")
    if kind == "array":
        most = schema.get("maxItems")
    elif kind == "object" and schema.get("additionalProperties") is not None:
        most = schema.get("maxProperties")
    else:
        most = 1
    return None if count is None or most is None else times(count, max(most, 0))


class Budget:
    """What the rules of one schema may cost, and do."""

    def __init__(self, *, is_each_limited: bool) -> None:
        self._is_each_limited = is_each_limited
        self._total = 0
        self._dearest: list[tuple[int, str]] = []

    def spent(self, cost: int, path: str, what: str) -> Iterator[Problem]:
        """Counts an expression; it may be too dear by itself."""
        self._total += cost
        if cost >= _SCHEMA_LIMIT // 100:
            self._dearest = sorted([*self._dearest, (cost, path)], key=lambda each: -each[0])[:_NAMED]
        if cost > _RULE_LIMIT and self._is_each_limited:
            yield forbidden(path, _too_dear(f"estimated {what} cost", cost, _RULE_LIMIT))

    def problems(self, path: str) -> Iterator[Problem]:
        """What is said of all together."""
        if self._total > _SCHEMA_LIMIT:
            yield from (forbidden(place, _CONTRIBUTED) for _, place in self._dearest)
            what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
            yield forbidden(path, _too_dear(what, self._total, _SCHEMA_LIMIT))


def _too_dear(what: str, cost: int, limit: int) -> str:
    factor = cost / limit
    shown = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return f"{what} exceeds budget by factor of {shown} ({_ADVICE} are declared)"
