"""Labelled lines, as kubectl's describe has them: a label, then its value beside it or, if that has parts, below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from reconciler.cli.tables import escape
from state.objects import Quantity
from state.quantity import canonical

NONE = "<none>"
Value: TypeAlias = "str | Sequence[tuple[str, Value]]"
Fields: TypeAlias = list[tuple[str, Value]]


def lines_of(fields: Sequence[tuple[str, Value]], indent: str = "") -> Iterator[str]:
    """The lines of some fields. Values stand in one column; a field without a label is a line as it is."""
    width = max((len(label) for label, value in fields if label and isinstance(value, str)), default=0) + 3
    for label, value in fields:
        if not isinstance(value, str):
            yield f"{indent}{label}:"
            yield from lines_of(value, indent + "  ")
        elif label:
            yield f"{indent}{f'{label}:':<{width}}{escape(value)}".rstrip()
        else:
            yield f"{indent}{value}".rstrip()


def pairs(found: Mapping[str, str], between: str = "=") -> Value:
    """Labels or annotations: one beside the label, several below it."""
    texts = [f"{name}{between}{found[name]}" for name in sorted(found)]
    return [("", escape(text)) for text in texts] if len(texts) > 1 else (texts or [NONE])[0]


def amounts(found: Mapping[str, Quantity]) -> Value:
    """Resources with their amounts."""
    return [(name, canonical(found[name])) for name in sorted(found)] or NONE
