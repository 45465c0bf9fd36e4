"""The nodes of an expression's tree, and how a place in its text is shown."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class CelSyntaxError(ValueError):
    """An expression that can't be read, in the form of cel-go's errors."""

    def __init__(self, text: str, at: int, why: str) -> None:
        super().__init__(located(text, at, why))


def located(text: str, at: int, why: str) -> str:
    """What is wrong at a place of an expression, with the line and a mark below it."""
    line = text.count("\n", 0, at) + 1
    start = text.rfind("\n", 0, at) + 1
    shown = text[start:].partition("\n")[0]
    return f"ERROR: <input>:{line}:{at - start + 1}: {why}\n | {shown}\n | {'.' * (at - start)}^"


class Node(msgspec.Struct, frozen=True):
    """A part of an expression; ``at`` is where it is in the text."""

    at: int


class Literal(Node, frozen=True):
    """A value."""

    value: Any


class Ident(Node, frozen=True):
    """A name."""

    name: str


class Select(Node, frozen=True):
    """A field of something, perhaps an optional one."""

    of: Node
    name: str
    is_optional: bool = False


class Index(Node, frozen=True):
    """An item of something, perhaps an optional one."""

    of: Node
    key: Node
    is_optional: bool = False


class Call(Node, frozen=True):
    """A function or operator with its arguments, perhaps a method."""

    name: str
    target: Node | None
    args: tuple[Node, ...]


class Entry(NamedTuple):
    """An item of a list (which has no key), a map or an object."""

    key: Node | str | None
    value: Node
    is_optional: bool


class Items(Node, frozen=True):
    """A list, a map, or (with a name) an object; ``kind`` is "[", "{" or the name."""

    kind: str
    entries: tuple[Entry, ...]
