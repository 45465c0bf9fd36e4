"""Reading of parts of an object that have no type of their own, with their types checked on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from state.objects import Opaque
from state.validation._report import Report

T = TypeVar("T", int, bool, str)

_EXPECTED: dict[type, str] = {int: "an integer", bool: "a boolean", str: "a string"}


class Fields:
    """The fields of an opaque value, by JSON name; those of a wrong type are reported and then absent."""

    __slots__ = ("_found", "_values", "path")

    def __init__(self, found: Report, path: str, value: object) -> None:
        self._found = found
        self.path = path
        plain = value.value if isinstance(value, Opaque) else value
        self._values: dict[str, Any] = plain if isinstance(plain, dict) else {}
        if not isinstance(plain, dict) and plain is not None:
            found.mistyped(path, plain, "must be an object")

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def names(self) -> list[str]:
        """The names of all fields, sorted."""
        return sorted(self._values)

    def integer(self, name: str) -> int | None:
        """A whole number, or None."""
        return self._typed(f"{self.path}.{name}", self._values.get(name), int)

    def flag(self, name: str) -> bool | None:
        """True, false, or None."""
        return self._typed(f"{self.path}.{name}", self._values.get(name), bool)

    def text(self, name: str) -> str | None:
        """A text, or None."""
        return self._typed(f"{self.path}.{name}", self._values.get(name), str)

    def section(self, name: str) -> Fields | None:
        """An object inside, or None."""
        value = self._values.get(name)
        return None if value is None else Fields(self._found, f"{self.path}.{name}", value)

    def items(self, name: str) -> list[Any]:
        """The items of a list; none if it's absent."""
        value = self._values.get(name)
        if value is None or isinstance(value, list):
            return value or []
        self._found.mistyped(f"{self.path}.{name}", value, "must be an array")
        return []

    def sections(self, name: str) -> Iterator[Fields]:
        """The objects of a list."""
        for index, item in enumerate(self.items(name)):
            yield Fields(self._found, f"{self.path}.{name}[{index}]", item)

    def texts(self, name: str) -> list[str]:
        """The texts of a list."""
        return self._list(name, str)

    def integers(self, name: str) -> list[int]:
        """The whole numbers of a list."""
        return self._list(name, int)

    def _list(self, name: str, kind: type[T]) -> list[T]:
        items = [self._typed(f"{self.path}.{name}[{index}]", item, kind) for index, item in enumerate(self.items(name))]
        return [item for item in items if item is not None]

    def _typed(self, path: str, value: object, kind: type[T]) -> T | None:
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
        if value is not None:
            self._found.mistyped(path, value, f"must be {_EXPECTED[kind]}")
        return None
