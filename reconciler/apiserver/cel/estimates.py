"""How costs and sizes are estimated: as cel-go's checker counts them.

Numbers stay below 2^64; more is ``MOST``, which also stands for what nobody can tell. Of costs only the highest
possible one is kept, of sizes (characters of a text, items of a list or map) both ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from reconciler.apiserver.cel.types import Type

MOST = 2**64 - 1
#: Cost of reading a character, and of one of a pattern for each that is read.
READING, PATTERN = 0.1, 0.25
#: What makes a list costs, beside its items.
NEW_LIST = 10
#: How many items what is at a path may have (fields, "@items", "@keys", "@values"), None if that isn't declared.
Lengths: TypeAlias = Callable[[Sequence[str]], int | None]
_SCALARS = frozenset({"bool", "double", "duration", "int", "timestamp", "uint"})


def added(*costs: int) -> int:
    """A sum, at most ``MOST``."""
    return min(sum(costs), MOST)


def times(cost: int, count: int) -> int:
    """A product, at most ``MOST``."""
    return min(cost * count, MOST)


def scaled(number: int, factor: float) -> int:
    """A product with a fraction, rounded up, as floating point has it."""
    return min(math.ceil(number * factor), MOST)


class Size(NamedTuple):
    """How long something is, at least and at most."""

    least: int
    most: int

    def plus(self, other: Size) -> Size:
        """Both one after the other."""
        return Size(added(self.least, other.least), added(self.most, other.most))

    def by(self, other: Size) -> Size:
        """One for each of the other."""
        return Size(times(self.least, other.least), times(self.most, other.most))

    def or_(self, other: Size) -> Size:
        """One or the other."""
        return Size(min(self.least, other.least), max(self.most, other.most))

    def read(self, factor: float = READING) -> int:
        """What reading it costs."""
        return scaled(self.most, factor)


ANY = Size(0, MOST)


def exactly(count: int) -> Size:
    """A size that is known."""
    return Size(count, count)


class Entry(NamedTuple):
    """What is known of the items of a list or map that an expression makes."""

    kind: str
    key: Size
    value: Size


def either(one: Entry | None, other: Entry | None) -> Entry | None:
    """What is known of the items of either."""
    if one is None or other is None:
        return None
    return Entry(one.kind, one.key.or_(other.key), one.value.or_(other.value))


class Path:
    """Where in the data a value is from; it starts with a variable.

    It grows as a slice of Go does: while there is room behind it, the last one that was made of it is in all that were
    made of it before. In Kubernetes' estimates it is so, and decides which definitions are refused.
    """

    __slots__ = ("_cells", "_length")

    def __init__(self, cells: list[str] | None = None, length: int = 0) -> None:
        self._cells: list[str] = [] if cells is None else cells
        self._length = length

    @property
    def names(self) -> list[str]:
        """The steps, with the variable."""
        return self._cells[: self._length]

    def plus(self, name: str) -> Path:
        """The path with one step more."""
        cells, length = self._cells, self._length
        if length == len(cells):
            cells = [*cells, *[""] * max(length, 1)]
        cells[length] = name
        return Path(cells, length + 1)


@dataclass(slots=True)
class Part:
    """A part of an expression that was looked at.

    Attributes:
        cost: what it costs at most, with its parts.
        kind: its type.
        path: where it is from, empty if from nowhere.
        size: how long it is, None while or if that isn't known.
        entry: what is known of its items.
        otherwise: its size if nothing else tells it.
        literal: its value if it is written out.
    """

    cost: int
    kind: Type
    path: Path
    size: Size | None = None
    entry: Entry | None = None
    otherwise: Size | None = None
    literal: Any = None

    @property
    def extent(self) -> Size:
        """Its size, or any."""
        return ANY if self.size is None else self.size


def length_at(lengths: Lengths, names: Sequence[str]) -> Size | None:
    """How long what is at a path may be; the variable that it starts with is the whole."""
    found = lengths(names[1:]) if names else None
    return None if found is None else Size(0, found)


def is_scalar(kind: Type) -> bool:
    """Whether values have one size, whatever they are."""
    return kind.name in _SCALARS or (kind.name == "opt" and is_scalar(kind.of[0]))
