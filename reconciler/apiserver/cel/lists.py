"""Functions of lists, sets, numbers and optional values, as cel-go and Kubernetes have them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from reconciler.apiserver.cel.functions import function, ordered, sorted_by
from reconciler.apiserver.cel.values import (
    NOTHING,
    OPERATORS,
    CelError,
    Optional,
    contains,
    equal,
)


@function("isSorted", list)
def _is_sorted(items: list[Any]) -> bool:
    return all(ordered(one, other) <= 0 for one, other in pairwise(items))


@function("sum", list)
def _sum(items: list[Any]) -> Any:
    total = items[0] if items else 0
    for each in items[1:]:
        total = OPERATORS["+"](total, each)
    return total


def _extreme(name: str) -> Callable[[list[Any]], Any]:
    def find(items: list[Any]) -> Any:
        if not items:
            raise CelError(f"{name} called on empty list")
        return sorted_by(items, lambda item: item)[0 if name == "min" else -1]

    return find


@function("flatten", list)
def _flat(items: list[Any]) -> list[Any]:
    return [inner for each in items for inner in (each if isinstance(each, list) else [each])]


@function("distinct", list)
def _distinct(items: list[Any]) -> list[Any]:
    found: list[Any] = []
    for each in items:
        if not contains(each, found):
            found.append(each)
    return found


@function("slice", list, int, int)
def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if not 0 <= start <= end <= len(items):
        raise CelError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


def _places(items: list[Any], item: Any) -> list[int]:
    return [at for at, each in enumerate(items) if equal(each, item)]


@function("lists.range", int)
def _range(count: int) -> list[int]:
    if count > 10_000:
        raise CelError(f"lists.range({count}) is too long")
    return list(range(count))


function("max", list)(_extreme("max"))
function("min", list)(_extreme("min"))
function("first", list)(lambda items: Optional(items[0]) if items else NOTHING)
function("last", list)(lambda items: Optional(items[-1]) if items else NOTHING)
function("indexOf", list, None)(lambda items, item: next(iter(_places(items, item)), -1))
function("lastIndexOf", list, None)(lambda items, item: next(reversed(_places(items, item)), -1))
function("reverse", list)(lambda items: items[::-1])
function("sort", list)(lambda items: sorted_by(items, lambda item: item))
function("sets.contains", list, list)(lambda items, part: all(contains(each, items) for each in part))
function("sets.intersects", list, list)(lambda items, other: any(contains(each, items) for each in other))
function("sets.equivalent", list, list)(
    lambda one, other: all(contains(each, one) for each in other) and all(contains(each, other) for each in one)
)


function("optional.of", None)(Optional)
function("optional.none")(lambda: NOTHING)
function("optional.ofNonZeroValue", None)(lambda value: Optional(value) if value else NOTHING)
function("hasValue", Optional)(lambda of: of.has_value)
function("orValue", Optional, None)(lambda of, other: of.value if of.has_value else other)
function("or", Optional, Optional)(lambda of, other: of if of.has_value else other)


@function("value", Optional)
def _value(of: Optional) -> Any:
    if not of.has_value:
        raise CelError("optional.none() dereference")
    return of.value
