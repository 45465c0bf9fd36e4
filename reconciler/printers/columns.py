"""What a printer is: the columns of a kind, and how an object fills them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one kind.

    ``cells(obj, now)`` gives a cell for each of ``headers``; those in ``wide`` are shown by ``-o wide`` alone. The
    cells of ``coloured`` get the colour of what they say.
    """

    headers: tuple[str, ...]
    cells: Callable[[Any, int], tuple[str, ...]]
    wide: frozenset[str] = frozenset()
    coloured: str = ""


def columns(
    headers: str, cells: Callable[[Any, int], tuple[str, ...]], *, wide: str = "", coloured: str = ""
) -> Columns:
    """Columns from their headers, separated by commas."""
    extra = tuple(wide.split(",")) if wide else ()
    names = tuple(headers.split(","))
    return Columns((*names, *(name for name in extra if name not in names)), cells, frozenset(extra), coloured)
