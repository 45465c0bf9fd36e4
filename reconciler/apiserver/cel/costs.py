"""What evaluating an expression may cost at most: told when it is stored, as cel-go's ``checker.Cost`` tells it.

Macros count as what cel-go makes of them: a loop with a condition and a step for each item, or a bound variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from reconciler.apiserver.cel.call_costs import Called, call_cost
from reconciler.apiserver.cel.checker import Checked
from reconciler.apiserver.cel.estimates import (
    MOST,
    NEW_LIST,
    Entry,
    Lengths,
    Part,
    Path,
    Size,
    added,
    either,
    exactly,
    is_scalar,
    length_at,
    times,
)
from reconciler.apiserver.cel.macros import bound_by
from reconciler.apiserver.cel.tree import Call, Ident, Index, Items, Literal, Node, Select
from reconciler.apiserver.cel.types import DYN, Type

_NEW_MAP, _NEW_OBJECT = 30, 40
_NOTHING = Size(0, 0)
#: What selecting a field of costs; of what may be anything it is free.
_WITH_FIELDS = frozenset({"map", "object"})


class _Variable(NamedTuple):
    """What a macro binds."""

    path: Path
    size: Size | None
    entry: Entry | None


Names = Mapping[str, _Variable]


def highest_cost(tree: Node, checked: Checked, lengths: Lengths) -> int:
    """What an expression without faults costs at most; ``lengths`` says how long the data may be."""
    return _Costs(checked, lengths).of(tree, {}).cost


class _Costs:
    """The parts of one expression."""

    def __init__(self, checked: Checked, lengths: Lengths) -> None:
        self._checked, self._lengths = checked, lengths

    def of(self, node: Node, names: Names) -> Part:
        """A part with what is known of its size now."""
        return self._measured(self._part(node, names))

    def _measured(self, part: Part) -> Part:
        if part.size is None:
            part.size = length_at(self._lengths, part.path.names)
        if part.size is None:
            part.size = exactly(1) if is_scalar(part.kind) else part.otherwise
        return part

    def _part(self, node: Node, names: Names) -> Part:
        kind = self._checked.kinds.get(id(node), DYN)
        match node:
            case Literal(_, value):
                size = exactly(len(value) if isinstance(value, str | bytes) else 1)
                return Part(0, kind, Path(), size, literal=value)
            case Ident(_, name):
                variable = names.get(name) or _Variable(Path().plus(name), None, None)
                return Part(1, kind, variable.path, entry=variable.entry, otherwise=variable.size)
            case Select(_, of, name, is_optional):
                operand = self._part(of, names)
                if is_optional:
                    return Part(added(operand.cost, 1), kind, Path())
                cost = operand.kind.name in _WITH_FIELDS or "." in operand.kind.name
                return Part(added(operand.cost, int(cost)), kind, operand.path.plus(name))
            case Index():
                return self._index(node, kind, names)
            case Items():
                return self._items(node, kind, names)
            case Call():
                return self._call(node, kind, names)
        raise AssertionError(node)

    def _index(self, node: Index, kind: Type, names: Names) -> Part:
        of, key = self.of(node.of, names), self.of(node.key, names)
        found = Part(added(of.cost, key.cost, 1), kind, Path())
        if not node.is_optional and of.kind.name != "opt":
            found.path = of.path.plus("@items" if of.kind.name == "list" else "@values")
            found.size = of.entry.value if of.entry is not None else None
        return found

    def _items(self, node: Items, kind: Type, names: Names) -> Part:
        key = value = Size(MOST, 0) if node.entries else _NOTHING
        cost = {"[": NEW_LIST, "{": _NEW_MAP}.get(node.kind, _NEW_OBJECT)
        for entry in node.entries:
            if node.kind == "{" and isinstance(entry.key, Node):
                part = self.of(entry.key, names)
                cost, key = added(cost, part.cost), key.or_(part.extent)
            part = self.of(entry.value, names)
            cost, value = added(cost, part.cost), value.or_(part.extent)
        if node.kind == "[":
            return Part(cost, kind, Path(), exactly(len(node.entries)), Entry("list", exactly(1), value))
        if node.kind == "{":
            return Part(cost, kind, Path(), exactly(len(node.entries)), Entry("map", key, value))
        return Part(cost, kind, Path())

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _call(self, node: Call, kind: Type, names: Names) -> Part:
        name, target, args = node.name, node.target, node.args
        if target is None and name == "has" and isinstance(args[0], Select):
            return Part(self._part(args[0].of, names).cost, kind, Path())
        if bound_by(node):
            return self._macro(node, kind, names)
        if isinstance(target, Ident) and id(target) not in self._checked.kinds:
            name, target = f"{target.name}.{name}", None
        parts = [self.of(each, names) for each in args]
        of = None if target is None else self.of(target, names)
        return self._called(name, of, parts, kind)

    def _called(self, name: str, target: Part | None, args: list[Part], kind: Type) -> Part:
        whole = args if target is None else [*args, target]
        cost = added(*(each.cost for each in whole))
        if target is None and name in ("&&", "||"):
            return Part(cost, kind, Path())
        if target is None and name == "?:":
            condition, one, other = args
            cost = added(condition.cost, max(one.cost, other.cost))
            return Part(cost, kind, Path(), one.extent.or_(other.extent), either(one.entry, other.entry))
        if target is None and name == "dyn":
            return Part(added(cost, 1), kind, Path(), args[0].size, args[0].entry)
        own, size = call_cost(name, Called(target, args, self._lengths))
        entry = either(args[0].entry, args[1].entry) if target is None and name == "+" else None
        return Part(added(cost, own), kind, Path(), size, entry)

    # -- macros --------------------------------------------------------------------------------------------------------

    def _macro(self, node: Call, kind: Type, names: Names) -> Part:
        assert node.target is not None
        count = len(bound_by(node))
        variables = [each.name for each in node.args[:count] if isinstance(each, Ident)]
        rest = node.args[count:]
        if node.name in ("optMap", "optFlatMap"):
            return self._optional(node, kind, names, variables[0])
        target = self._part(node.target, names)
        if node.name == "sortBy":
            return self._bound(self._measured(target), lambda of: self._sorted(of, kind, variables, rest[0], names))
        if node.name == "filter":
            rest = (*rest, node.args[0])
        return self._looped(node.name, target, kind, {**names, **_iterated(target, variables)}, rest)

    def _bound(self, value: Part, make: Callable[[_Variable], Part]) -> Part:
        """What is made with a variable, as ``cel.bind`` does: its loop is over an empty list."""
        made = self._measured(make(_Variable(value.path, value.size, value.entry)))
        return Part(added(NEW_LIST, value.cost, made.cost), made.kind, Path(), made.size, made.entry)

    def _sorted(self, of: _Variable, kind: Type, variables: list[str], key: Node, names: Names) -> Part:
        def use() -> Part:
            return Part(1, kind, of.path, entry=of.entry, otherwise=of.size)

        keys_kind = Type("list", (self._checked.kinds.get(id(key), DYN),))
        over = use()
        keys = self._looped("map", over, keys_kind, {**names, **_iterated(over, variables)}, (key,))
        return self._called("sortBy", self._measured(use()), [self._measured(keys)], kind)

    def _optional(self, node: Call, kind: Type, names: Names, variable: str) -> Part:
        """A condition: the variable is bound to the value, if there is one."""
        assert node.target is not None
        target, body = self._part(node.target, names), node.args[1]

        def mapped() -> Part:
            inner = target.kind.of[0] if target.kind.name == "opt" else DYN
            value = self._measured(Part(2, inner, Path()))
            found = self._bound(value, lambda found: self.of(body, {**names, variable: found}))
            whole = found if node.name == "optFlatMap" else self._called("optional.of", None, [found], kind)
            nothing = Part(1, kind, Path())
            condition = Part(2, Type("bool"), Path())
            parts = [self._measured(each) for each in (condition, whole, nothing)]
            return self._called("?:", None, parts, kind)

        if isinstance(node.target, Ident):
            return mapped()
        return self._bound(self._measured(target), lambda _: mapped())

    def _looped(self, macro: str, over: Part, kind: Type, inside: Names, body: tuple[Node, ...]) -> Part:
        """A loop with its conditions and what is made of an item: how often is told when it has been looked through."""
        *conditions, last = body
        cost = added(*(self.of(each, inside).cost for each in conditions))
        made = self.of(last, inside)
        cost = added(cost, made.cost)
        count = self._measured(over).extent
        start, step, end = _LOOPS[macro]
        total = added(over.cost, start, times(added(cost, step), count.most), end)
        if start == 0:
            return Part(total, kind, Path(), exactly(1))
        entry = Entry("list", exactly(1), _NOTHING.or_(made.extent)) if start == NEW_LIST else None
        return Part(total, kind, Path(), count, entry)


#: By macro: what its loop costs at the start, for each item beside what is written there, and at the end.
_LOOPS: Mapping[str, tuple[int, int, int]] = {
    "all": (0, 3, 1),
    "exists": (0, 4, 1),
    "exists_one": (0, 2, 2),
    "existsOne": (0, 2, 2),
    **dict.fromkeys(("filter", "map", "transformList"), (NEW_LIST, NEW_LIST + 2, 1)),
    "transformMap": (_NEW_MAP, 3, 1),
    "transformMapEntry": (_NEW_MAP, 2, 1),
}


def _iterated(over: Part, variables: list[str]) -> dict[str, _Variable]:
    """The variables of a loop: an item or key, or index or key and value."""
    entry = over.entry
    is_list = (over.kind.name if entry is None else entry.kind) == "list"
    key, value = (None, None) if entry is None else (entry.key, entry.value)
    if len(variables) == 1:
        step, size = ("@items", value) if is_list else ("@keys", key)
        return {variables[0]: _Variable(over.path.plus(step), size, None)}
    first, second = ("@indices", "@items") if is_list else ("@keys", "@values")
    return {
        variables[0]: _Variable(over.path.plus(first), key, None),
        variables[1]: _Variable(over.path.plus(second), value, None),
    }
