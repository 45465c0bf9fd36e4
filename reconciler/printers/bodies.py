"""Cells from objects that are carried without a type. Nothing is supposed about what they hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.printers.cells import NONE
from reconciler.printers.columns import Cell, Columns, columns
from state.objects import CustomObject

#: What finds a cell in the fields of an object.
Finder = Callable[[dict[str, Any]], Cell]


def at(value: Any, path: str) -> Any:
    """What is at a path (``spec.paramKind``) of maps; None where there is nothing."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def items(value: Any, path: str) -> list[Any]:
    """The list at a path; empty where there is none."""
    found = at(value, path)
    return found if isinstance(found, list) else []


def text(value: Any, absent: str = NONE) -> str:
    """A value as it is printed, or what stands for none."""
    return absent if value is None or value == "" else str(value)


def path(where: str, absent: str = NONE) -> Finder:
    """The cell with what is at a path."""
    return lambda body: text(at(body, where), absent)


def number(where: str, absent: Cell = 0) -> Finder:
    """The cell with the number at a path."""

    def cell(body: dict[str, Any]) -> Cell:
        found = at(body, where)
        return found if isinstance(found, int) else absent

    return cell


def amount(where: str) -> Finder:
    """The cell that says how many items a list has."""
    return lambda body: len(items(body, where))


def condition(body: dict[str, Any], kind: str, where: str = "status.conditions") -> Any:
    """The first condition of a type; None if there is none."""
    return next((each for each in items(body, where) if at(each, "type") == kind), None)


def table(names: str, *finders: Finder, order: Callable[[Any], Any] | None = None) -> Columns:
    """Columns that ``finders`` fill."""

    def cells(obj: CustomObject, _: int) -> list[Cell]:
        return [find(obj.body.value) for find in finders]

    return columns(names, cells, order=order)
