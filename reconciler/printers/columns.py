"""What a printer is: the columns of a kind, and how an object fills them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from reconciler.printers.cells import since

#: What stands in a row: the JSON types that Kubernetes sends.
Cell = str | int | bool
Cells = Callable[[Any, int], Sequence[Cell]]


class Column(NamedTuple):
    """One column as the API server names it: an OpenAPI type and format, and whether only ``-o wide`` shows it."""

    name: str
    type: str
    format: str
    is_wide: bool


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one kind.

    ``cells(obj, now)`` gives a cell for each of ``all`` (``now`` in µs since the epoch). The cells of ``coloured`` get
    the colour of what they say. Lists of objects are sorted by ``order`` first, if there is one.
    """

    all: tuple[Column, ...]
    cells: Cells
    coloured: str
    order: Callable[[Any], Any] | None

    @property
    def headers(self) -> tuple[str, ...]:
        """The names as kubectl prints them."""
        return tuple(column.name.upper() for column in self.all)

    def texts(self, obj: Any, now: int) -> list[str]:
        """The cells as kubectl prints them."""
        return [str(cell).lower() if isinstance(cell, bool) else str(cell) for cell in self.cells(obj, now)]


def columns(
    names: str,
    cells: Cells,
    *,
    name: Callable[[Any], str] = lambda obj: obj.metadata.name,
    coloured: str = "",
    order: Callable[[Any], Any] | None = None,
) -> Columns:
    """Columns from their names, separated by commas.

    ``+Name`` is one for ``-o wide``, ``Name:integer`` one of another type than string. ``cells`` gives all cells but
    those of ``Name`` and ``Age``.
    """
    every = tuple(map(_column, names.split(",")))
    titles = [column.name for column in every]
    at, age = titles.index("Name"), titles.index("Age") if "Age" in titles else None

    def row(obj: Any, now: int) -> Sequence[Cell]:
        found = [*cells(obj, now)]
        found.insert(at, name(obj))
        if age is not None:
            found.insert(age, since(obj.metadata.creation_timestamp, now))
        return found

    return Columns(every, row, coloured.upper(), order)


def _column(text: str) -> Column:
    name, _, kind = text.removeprefix("+").partition(":")
    form = "name" if "name" in (name.lower(), kind) else ""
    return Column(name, "string" if kind in ("", "name") else kind, form, text.startswith("+"))
