"""Expressions made ready to run: each node of the tree becomes a function of the names that are known where it stands.

An error of one side of ``&&`` and ``||`` doesn't count if the other side decides, as in cel-go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from reconciler.apiserver.cel import functions
from reconciler.apiserver.cel.checker import Checked
from reconciler.apiserver.cel.costs import highest_cost
from reconciler.apiserver.cel.estimates import Lengths
from reconciler.apiserver.cel.macros import STEPS, Scope, Step, Steps, bound_by, decided, macro, truth
from reconciler.apiserver.cel.syntax import parse
from reconciler.apiserver.cel.tree import Call, CelSyntaxError, Ident, Index, Items, Literal, Node, Select
from reconciler.apiserver.cel.types import Type, escaped
from reconciler.apiserver.cel.values import (
    KINDS,
    OPERATORS,
    CelError,
    field,
    key_of,
    negative,
    optional_field,
)

_TOO_DEEP = "expression recursion limit exceeded"
#: Characters or items that a function or operator makes or reads for one step.
_PER_STEP = 10


class Lazy:
    """A variable that is computed when it is first used."""

    __slots__ = ("_error", "_make", "_value")

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make: Callable[[], Any] | None = make
        self._value: Any = None
        self._error: CelError | None = None

    def get(self) -> Any:
        """The value.

        Raises:
            CelError: it has none.
        """
        make, self._make = self._make, None
        if make is not None:
            try:
                self._value = make()
            except CelError as error:
                self._error = error
        if self._error is not None:
            raise self._error
        return self._value


class Program:
    """An expression that can be evaluated again and again. Usable from any thread."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self.tree = parse(text)
            self._run = _step(self.tree, frozenset())
        except RecursionError as error:
            raise CelSyntaxError(text, 0, _TOO_DEEP) from error

    def evaluate(self, names: Mapping[str, Any], steps: Steps | None = None) -> Any:
        """The value, with what ``names`` are. A ``Lazy`` is asked when it is needed.

        Raises:
            CelError: there is none.
        """
        try:
            return self._run({**names, STEPS: steps or Steps()})
        except RecursionError as error:
            raise CelError(_TOO_DEEP) from error

    def checked(self, names: Mapping[str, Type]) -> Checked:
        """What it will be, and what of it can't ever be evaluated, if the names are of those types.

        Raises:
            CelSyntaxError: it is too deep.
        """
        try:
            return Checked(self.tree, self.text, names)
        except RecursionError as error:
            raise CelSyntaxError(self.text, 0, _TOO_DEEP) from error

    def highest_cost(self, checked: Checked, lengths: Lengths) -> int:
        """What evaluating it may cost; it has no faults, and ``lengths`` says how long the data may be.

        Raises:
            CelSyntaxError: it is too deep.
        """
        try:
            return highest_cost(self.tree, checked, lengths)
        except RecursionError as error:
            raise CelSyntaxError(self.text, 0, _TOO_DEEP) from error


@lru_cache(maxsize=4096)
def compiled(text: str) -> Program:
    """An expression, made ready once.

    Raises:
        CelSyntaxError: it is none.
    """
    return Program(text)


def _step(node: Node, bound: frozenset[str]) -> Step:
    match node:
        case Literal(_, value):
            return lambda _: value
        case Ident(_, name):
            return _name(name)
        case Select(_, of, name, is_optional):
            return _select(_step(of, bound), name, is_optional=is_optional)
        case Index(_, of, key, is_optional):
            return _field(_step(of, bound), _step(key, bound), is_optional=is_optional)
        case Items(_, kind, _):
            return _list(node, bound) if kind == "[" else _map(node, bound)
        case Call():
            return _call(node, bound)
    raise AssertionError(node)


def _name(name: str) -> Step:
    kind = KINDS.get(name)

    def look(scope: Scope) -> Any:
        try:
            value = scope[name]
        except KeyError as error:
            if kind is not None:
                return kind
            raise CelError(f"no such attribute(s): {name}") from error
        return value.get() if type(value) is Lazy else value

    return look


def _field(of: Step, key: Step, *, is_optional: bool) -> Step:
    find = optional_field if is_optional else field

    def look(scope: Scope) -> Any:
        scope[STEPS].take()
        return find(of(scope), key(scope))

    return look


def _select(of: Step, name: str, *, is_optional: bool) -> Step:
    find, other = optional_field if is_optional else field, escaped(name)

    def look(scope: Scope) -> Any:
        scope[STEPS].take()
        value = of(scope)
        return find(value, other if other != name and isinstance(value, dict) and name not in value else name)

    return look


def _list(node: Items, bound: frozenset[str]) -> Step:
    parts = [(_step(entry.value, bound), entry.is_optional) for entry in node.entries]

    def make(scope: Scope) -> list[Any]:
        found: list[Any] = []
        for step, is_optional in parts:
            value = step(scope)
            if not is_optional:
                found.append(value)
            elif value.has_value:
                found.append(value.value)
        return found

    return make


def _map(node: Items, bound: frozenset[str]) -> Step:
    parts: list[tuple[Step, Step, bool]] = []
    for entry in node.entries:
        key = entry.key
        named = _step(key, bound) if isinstance(key, Node) else _constant(key)
        parts.append((named, _step(entry.value, bound), entry.is_optional))

    def make(scope: Scope) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, step, is_optional in parts:
            name, value = key_of(key(scope)), step(scope)
            if name in found:
                raise CelError(f"Failed with repeated key: {name}")
            if not is_optional:
                found[name] = value
            elif value.has_value:
                found[name] = value.value
        return found

    return make


def _constant(value: Any) -> Step:
    return lambda _: value


def _call(node: Call, bound: frozenset[str]) -> Step:
    own = _OWN.get(node.name)
    if own is not None and node.target is None:
        return own(node, bound)
    operator = OPERATORS.get(node.name)
    if operator is not None and node.target is None and len(node.args) == 2:
        return _operation(operator, *(_step(each, bound) for each in node.args))
    variables = bound_by(node)
    if variables:
        return _macro(node, bound, variables)
    args = tuple(_step(each, bound) for each in node.args)
    name = node.name
    if isinstance(node.target, Ident) and node.target.name not in bound:
        package = f"{node.target.name}.{name}"
        if functions.is_known(package):
            return _function(package, args)
    if node.target is not None:
        args = (_step(node.target, bound), *args)
    return _function(name, args)


def _macro(node: Call, bound: frozenset[str], variables: frozenset[str]) -> Step:
    assert node.target is not None
    return macro(
        node, _step(node.target, bound), [_step(each, bound | variables) for each in node.args[len(variables) :]]
    )


def _operation(operator: Callable[[Any, Any], Any], left: Step, right: Step) -> Step:
    def do(scope: Scope) -> Any:
        found = operator(left(scope), right(scope))
        scope[STEPS].take(1 + _size(found))
        return found

    return do


def _size(value: Any) -> int:
    """What it costs to read or make a value."""
    return len(value) // _PER_STEP if isinstance(value, str | bytes | list) else 0


def _function(name: str, args: tuple[Step, ...]) -> Step:
    def do(scope: Scope) -> Any:
        values = [each(scope) for each in args]
        found = functions.call(name, values)
        scope[STEPS].take(1 + sum(map(_size, values)) + _size(found))
        return found

    return do


def _logical(node: Call, bound: frozenset[str]) -> Step:
    """``&&`` and ``||``: one side alone may decide."""
    sides = [_step(each, bound) for each in node.args]
    decisive = node.name == "||"
    return lambda scope: decided((partial(side, scope) for side in sides), decisive=decisive)


def _choice(node: Call, bound: frozenset[str]) -> Step:
    condition, yes, no = (_step(each, bound) for each in node.args)
    return lambda scope: yes(scope) if truth(condition(scope)) else no(scope)


def _negation(node: Call, bound: frozenset[str]) -> Step:
    of = _step(node.args[0], bound)
    return lambda scope: not truth(of(scope))


def _negative(node: Call, bound: frozenset[str]) -> Step:
    of = _step(node.args[0], bound)
    return lambda scope: negative(of(scope))


def _has(node: Call, bound: frozenset[str]) -> Step:
    if len(node.args) != 1 or not isinstance(node.args[0], Select):
        return _function("has", ())
    selected = node.args[0]
    look = _select(_step(selected.of, bound), selected.name, is_optional=True)
    return lambda scope: look(scope).has_value


#: Operators and macros that decide themselves which of their arguments are evaluated, and how.
_OWN: Mapping[str, Callable[[Call, frozenset[str]], Step]] = {
    "&&": _logical,
    "||": _logical,
    "?:": _choice,
    "!_": _negation,
    "-_": _negative,
    "has": _has,
}
