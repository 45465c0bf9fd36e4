"""What calls of functions and operators may cost: cel-go's costs, and Kubernetes' for its libraries.

As ``checker.functionCost`` and ``CostEstimator.EstimateCallCost``, where each number can be found. What isn't here
costs 1. If types leave open what is called, the dearest counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import NamedTuple, TypeAlias

from reconciler.apiserver.cel.estimates import (
    ANY,
    MOST,
    NEW_LIST,
    PATTERN,
    READING,
    Lengths,
    Part,
    Size,
    added,
    exactly,
    length_at,
    scaled,
    times,
)
from reconciler.apiserver.cel.types import DYN, Type

#: A cost and, for what has one, the size of the result.
Estimate: TypeAlias = tuple[int, Size | None]
_ONE: Estimate = (1, None)
_TEXTS = ("bytes", "string")
#: Of these no two values are alike by more than a look.
_OPAQUE = frozenset({"kubernetes.Quantity", "kubernetes.Semver", "net.CIDR", "net.IP"})
#: Of these one is read, which is so long if that isn't known.
_READ_WHOLE = {"kubernetes.NamedFormat": 64, "kubernetes.URL": 1}
#: Characters of the longest pattern of a named format.
_FORMAT_PATTERN = 128
#: Bytes of an address.
_ADDRESS = Size(4, 16)


class Called(NamedTuple):
    """A call: of a method with its target, or of a function."""

    target: Part | None
    args: list[Part]
    lengths: Lengths

    @property
    def whole(self) -> list[Part]:
        """The target, if there is one, and the arguments."""
        return self.args if self.target is None else [self.target, *self.args]


def call_cost(name: str, call: Called) -> Estimate:
    """What a call costs beside its parts, and how long its result is."""
    rule = _RULES.get(name)
    return _ONE if rule is None else rule(call)


def _may_be(part: Part, *kinds: str) -> bool:
    return part.kind.name in (*kinds, "dyn")


def _highest(*estimates: tuple[bool, Estimate]) -> Estimate:
    """The dearest of the calls that are possible, with any of their sizes."""
    possible = [estimate for is_possible, estimate in estimates if is_possible]
    sizes = [size for _, size in possible if size is not None]
    return max(cost for cost, _ in possible), reduce(Size.or_, sizes) if sizes else None


# -- texts -------------------------------------------------------------------------------------------------------------


def _reading(index: int, factor: float = READING, *, is_kept: bool = False) -> Callable[[Called], Estimate]:
    """A call that reads one of its parts, whose size its result may have."""

    def rule(call: Called) -> Estimate:
        if index >= len(call.whole):
            return _ONE
        size = call.whole[index].extent
        return size.read(factor), size if is_kept else None

    return rule


def _searched(text: Size, pattern: Size) -> int:
    """The cost of a match; an empty text costs something, too."""
    return times(text.plus(exactly(1)).read(), pattern.read(PATTERN))


def _matches(call: Called) -> Estimate:
    return _ONE if call.target is None else (_searched(call.target.extent, call.args[0].extent), None)


def _found(call: Called) -> Estimate:
    text, pattern = (each.extent for each in call.whole[:2])
    return _searched(text, pattern), Size(0, text.most)


def _contains(call: Called) -> Estimate:
    text, part = (each.extent for each in call.whole)
    return times(text.read(), part.read()), None


def _quoted(call: Called) -> Estimate:
    """At most all is escaped; quotes are added."""
    size = call.args[0].extent
    return size.read(), Size(size.least + 2, (size.most * 2 + 2) % (MOST + 1))


def _ceiling(count: int, parts: int) -> int:
    """A division rounded up, with the precision of floating point."""
    return min(math.ceil(float(count) / float(parts)), MOST)


def _replace(call: Called) -> Estimate:
    """The longest result is of the longest replacements of the shortest parts, and the other way round."""
    text, part, instead = (each.extent for each in call.whole[:3])
    if part.least == 0:
        most = added(times(added(text.most, 1), instead.most), text.most)
    elif instead.most <= part.least:
        most = text.most
    else:
        most = times(_ceiling(text.most, part.least), instead.most)
    if part.most == 0:
        least = added(times(added(text.least, 1), instead.least), text.least)
    elif part.most <= instead.least:
        least = text.least
    else:
        least = times(_ceiling(text.least, part.most), instead.least)
    return text.read(2 * READING), Size(least, most)


def _split(call: Called) -> Estimate:
    text, limit = call.whole[0].extent, call.whole[2].literal if len(call.whole) > 2 else None
    most = limit % (MOST + 1) if type(limit) is int else text.most
    return text.read(2 * READING), Size(0, most)


def _join(call: Called) -> Estimate:
    count, item = call.whole[0].extent, _item(call, call.whole[0])
    size = exactly(0) if item is None else count.by(item[1])
    if call.args:
        between = Size(max(count.least - 1, 0), max(count.most - 1, 0))
        size = size.plus(call.args[0].extent.by(between))
    return size.read(), size


def _to_text(call: Called) -> Estimate:
    of = call.args[0]
    from_bytes = (of.extent.read(), Size(of.extent.least // 4, of.extent.most))
    return _highest((_may_be(of, "bytes"), from_bytes), (of.kind.name != "bytes", _ONE))


def _to_bytes(call: Called) -> Estimate:
    of = call.args[0]
    from_text = (of.extent.read(), Size(of.extent.least, of.extent.most * 4 % (MOST + 1)))
    return _highest((_may_be(of, "string"), from_text), (of.kind.name != "string", _ONE))


# -- lists -------------------------------------------------------------------------------------------------------------


def _item(call: Called, part: Part) -> tuple[Type, Size] | None:
    """Type and size of the items of something, None if it has none."""
    if not part.kind.of:
        return None
    names = part.path.names
    size = length_at(call.lengths, [*names, "@items"]) if names else None
    return part.kind.of[0], ANY if size is None else size


def _each_item(call: Called) -> Estimate:
    """A look at each item of a list, or each character of a text."""
    of = call.whole[0]
    item = _item(call, of)
    if item is None:
        return of.extent.read(), None
    kind, size = item
    return times(added(1, size.read() if kind.name in _TEXTS else 0), of.extent.most), None


def _new_list(size: Size, factor: float = 1) -> Estimate:
    return added(size.read(factor), NEW_LIST, 1), size


def _compared_with_each_other(size: Size, kind: Type) -> Estimate:
    return _new_list(size.by(size), 2 + READING if kind.name in (*_TEXTS, "dyn") else 2)


def _whole_number(part: Part, otherwise: int) -> int:
    return max(part.literal, 0) if type(part.literal) is int else otherwise


def _slice(call: Called) -> Estimate:
    start, end = call.args
    count = _whole_number(end, call.whole[0].extent.most) - _whole_number(start, 0)
    return _new_list(exactly(count % (MOST + 1)))


def _flatten(call: Called) -> Estimate:
    return _new_list(call.whole[0].extent, _whole_number(call.args[0], MOST) if call.args else 1)


def _distinct(call: Called) -> Estimate:
    kind = call.whole[0].kind
    texts = kind.of[0] if kind.of and kind.of[0].name != "dyn" else Type("int")
    return _compared_with_each_other(call.whole[0].extent, texts)


def _sort(call: Called) -> Estimate:
    kind = call.whole[0].kind
    return _compared_with_each_other(call.whole[0].extent, kind.of[0] if kind.of else DYN)


def _sort_by(call: Called) -> Estimate:
    keys = call.args[0]
    return _compared_with_each_other(keys.extent, keys.kind.of[0])


def _sets(factor: int) -> Callable[[Called], Estimate]:
    def rule(call: Called) -> Estimate:
        one, other = (each.extent for each in call.args)
        return added(one.by(other).read(factor), 1), None

    return rule


# -- operators ---------------------------------------------------------------------------------------------------------


def _compared(call: Called) -> Estimate:
    """As much as has to be read of both; numbers are one item long."""
    one, other = (each.extent.most for each in call.args)
    return scaled(min(one, other), READING), None


def _equal(call: Called) -> Estimate:
    one, other = call.args
    if one.kind == other.kind and one.kind.name in _OPAQUE:
        return _ONE
    if one.kind == other.kind and one.kind.name in _READ_WHOLE:
        return (other.size or exactly(_READ_WHOLE[one.kind.name])).read(), None
    return _compared(call)


def _ordered(call: Called) -> Estimate:
    kinds = {each.kind.name for each in call.args} - {"dyn"}
    is_text = not kinds or bool(kinds & set(_TEXTS))
    return _highest((is_text, _compared(call)), (not kinds or not is_text, _ONE))


def _plus(call: Called) -> Estimate:
    one, other = call.args
    size = one.extent.plus(other.extent)
    kinds = {one.kind.name, other.kind.name} - {"dyn"}
    return _highest(
        (not kinds or bool(kinds & set(_TEXTS)), (size.read(), size)),
        (not kinds or "list" in kinds, (1, size)),
        (not kinds & {*_TEXTS, "list"}, _ONE),
    )


def _in(call: Called) -> Estimate:
    of = call.args[1]
    return _highest((_may_be(of, "list"), (of.extent.most, None)), (of.kind.name != "list", _ONE))


def _in_network(more: int) -> Callable[[Called], Estimate]:
    """Whether an address or network is in one: its bytes are compared, if it is a text that is read before."""

    def rule(call: Called) -> Estimate:
        other = call.args[0]
        text = other.extent.read() if _may_be(other, "string") else 0
        return added(_ADDRESS.plus(_ADDRESS).read(), more, text), None

    return rule


_RULES: Mapping[str, Callable[[Called], Estimate]] = {
    "==": _equal,
    "!=": _compared,
    **dict.fromkeys(("<", "<=", ">", ">="), _ordered),
    "+": _plus,
    "in": _in,
    **dict.fromkeys(("lowerAscii", "substring", "trim", "upperAscii", "url"), _reading(0, is_kept=True)),
    **dict.fromkeys(("cidr", "format", "isCIDR", "isIP", "isQuantity", "isSemver", "quantity", "semver"), _reading(0)),
    **dict.fromkeys(("endsWith", "startsWith"), _reading(1)),
    "bytes": _to_bytes,
    "contains": _contains,
    "containsCIDR": _in_network(_ADDRESS.read() + 1),
    "containsIP": _in_network(0),
    "distinct": _distinct,
    **dict.fromkeys(("find", "findAll"), _found),
    "flatten": _flatten,
    **dict.fromkeys(("indexOf", "isSorted", "lastIndexOf", "max", "min", "sum"), _each_item),
    "ip": lambda call: _ONE if call.target is not None else _reading(0)(call),
    "ip.isCanonical": _reading(0, 2 * READING),
    "join": _join,
    "lists.range": lambda call: _new_list(exactly(_whole_number(call.args[0], MOST))),
    "matches": _matches,
    "replace": _replace,
    "reverse": lambda call: _new_list(call.whole[0].extent),
    **dict.fromkeys(("sets.contains", "sets.intersects"), _sets(1)),
    "sets.equivalent": _sets(2),
    "slice": _slice,
    "sort": _sort,
    "sortBy": _sort_by,
    "split": _split,
    "string": _to_text,
    "strings.quote": _quoted,
    "validate": lambda call: (scaled(call.args[0].extent.read(), _FORMAT_PATTERN * PATTERN), None),
}
