"""Macros, which bind names: ``all``, ``exists``, ``map`` and their kin; and how far evaluations may go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

from reconciler.apiserver.cel import functions
from reconciler.apiserver.cel.tree import Call, Ident
from reconciler.apiserver.cel.values import NO_OVERLOAD, NOTHING, CelBudgetError, CelError, Optional

Scope: TypeAlias = dict[str, Any]
Step: TypeAlias = Callable[[Scope], Any]
#: Steps that one evaluation may take: Kubernetes' limit for one expression, in its units of cost.
BUDGET = 1_000_000
OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
#: Where a scope has its ``Steps``: no name of the language.
STEPS = "\0steps"
#: Macros with one variable, and with two (key or index, and value).
_ITERATING = frozenset(
    ["all", "exists", "exists_one", "existsOne", "filter", "map", "transformList", "transformMap", "transformMapEntry"]
)


class Steps:
    """How much evaluations may still do; several may share it."""

    __slots__ = ("left",)

    def __init__(self, left: int = BUDGET) -> None:
        self.left = left

    def take(self, count: int = 1) -> None:
        """Counts.

        Raises:
            CelBudgetError: it was too much.
        """
        self.left -= count
        if self.left < 0:
            raise CelBudgetError(OUT_OF_BUDGET)


def bound_by(node: Call) -> frozenset[str]:
    """The variables that a macro declares; empty if it is none."""
    if node.target is None or not node.args or not isinstance(node.args[0], Ident):
        return frozenset()
    first = node.args[0].name
    if node.name in ("optMap", "optFlatMap", "sortBy") and len(node.args) == 2:
        return frozenset({first})
    if node.name not in _ITERATING or len(node.args) < 2:
        return frozenset()
    second = node.args[1]
    is_double = len(node.args) >= 3 and isinstance(second, Ident) and node.name != "map"
    if node.name == "existsOne" and not is_double:
        return frozenset()
    return frozenset({first, second.name}) if is_double and isinstance(second, Ident) else frozenset({first})


def truth(value: Any) -> bool:
    """A condition's value.

    Raises:
        CelError: it is none.
    """
    if not isinstance(value, bool):
        raise CelError(NO_OVERLOAD)
    return value


def macro(node: Call, target: Step, rest: list[Step]) -> Step:
    """A macro as a step; ``rest`` are its arguments but for the variables."""
    count = len(bound_by(node))
    names = [each.name for each in node.args[:count] if isinstance(each, Ident)]
    if node.name in ("optMap", "optFlatMap"):
        return _optional_map(target, names[0], rest[0], is_flat=node.name == "optFlatMap")
    if node.name == "sortBy":
        return lambda scope: functions.sorted_by(target(scope), lambda item: rest[0]({**scope, names[0]: item}))
    find = _FINDING[node.name]

    def do(scope: Scope) -> Any:
        steps = scope[STEPS]

        def inner() -> Iterator[Scope]:
            for key, value in _pairs(target(scope), has_keys=count == 2):
                steps.take()
                yield {**scope, names[0]: key, names[-1]: value} if count == 2 else {**scope, names[0]: value}

        return find(inner(), rest, names)

    return do


def _pairs(of: Any, *, has_keys: bool) -> Iterator[tuple[Any, Any]]:
    if isinstance(of, list):
        return iter(enumerate(of))
    if isinstance(of, dict):
        return iter(of.items()) if has_keys else ((key, key) for key in of)
    raise CelError(NO_OVERLOAD)


def _optional_map(target: Step, name: str, step: Step, *, is_flat: bool) -> Step:
    def do(scope: Scope) -> Any:
        of = target(scope)
        if not isinstance(of, Optional):
            raise CelError(NO_OVERLOAD)
        if not of.has_value:
            return NOTHING
        found = step({**scope, name: of.value})
        return found if is_flat else Optional(found)

    return do


_Scopes: TypeAlias = Iterator[Scope]


def decided(sides: Iterable[Callable[[], Any]], *, decisive: bool) -> bool:
    """Whether one of the sides is ``decisive``: then the errors of others don't count.

    Raises:
        CelError: none is, and one has no value.
    """
    error: CelError | None = None
    for side in sides:
        try:
            if truth(side()) is decisive:
                return decisive
        except CelBudgetError:
            raise
        except CelError as caught:
            error = error or caught
    if error is not None:
        raise error
    return not decisive


def _any(scopes: _Scopes, rest: list[Step], _: list[str]) -> bool:
    return decided((partial(rest[0], scope) for scope in scopes), decisive=True)


def _all(scopes: _Scopes, rest: list[Step], _: list[str]) -> bool:
    return decided((partial(rest[0], scope) for scope in scopes), decisive=False)


def _exactly_one(scopes: _Scopes, rest: list[Step], _: list[str]) -> bool:
    return sum(truth(rest[0](scope)) for scope in scopes) == 1


def _filtered(scopes: _Scopes, rest: list[Step], names: list[str]) -> list[Any]:
    return [scope[names[0]] for scope in scopes if truth(rest[0](scope))]


def _mapped(scopes: _Scopes, rest: list[Step], _: list[str]) -> list[Any]:
    """``map`` and ``transformList``, with a condition or without."""
    return [rest[-1](scope) for scope in scopes if len(rest) == 1 or truth(rest[0](scope))]


def _mapped_map(scopes: _Scopes, rest: list[Step], names: list[str]) -> dict[Any, Any]:
    return {scope[names[0]]: rest[-1](scope) for scope in scopes if len(rest) == 1 or truth(rest[0](scope))}


def _mapped_entries(scopes: _Scopes, rest: list[Step], _: list[str]) -> dict[Any, Any]:
    """A map of what are maps of one entry each."""
    found: dict[Any, Any] = {}
    for entry in _mapped(scopes, rest, []):
        if not isinstance(entry, dict):
            raise CelError(NO_OVERLOAD)
        if entry.keys() & found.keys():
            raise CelError(f"insert failed: key {next(iter(entry))} already exists")
        found |= entry
    return found


_FINDING: Mapping[str, Callable[[_Scopes, list[Step], list[str]], Any]] = {
    "all": _all,
    "exists": _any,
    "exists_one": _exactly_one,
    "existsOne": _exactly_one,
    "filter": _filtered,
    "map": _mapped,
    "transformList": _mapped,
    "transformMap": _mapped_map,
    "transformMapEntry": _mapped_entries,
}
