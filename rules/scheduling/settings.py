"""Reads a configuration field by field: what isn't known, or isn't right, is an error that names its path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import msgspec

from state.errors import StateError
from state.objects import decode_hook

S = TypeVar("S", bound=msgspec.Struct)
#: The largest number of 32 bits: no bound at all.
_MOST = 2**31 - 1


class ConfigurationError(StateError):
    """A scheduler configuration that can't be honoured; ``path`` says where."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class Reader:
    """One object of a configuration. ``done`` refuses the fields that nobody asked for."""

    def __init__(self, value: object, path: str) -> None:
        self.path = path
        if not isinstance(value, Mapping):
            raise ConfigurationError(path, f"Invalid value: expected an object, found {_type(value)}")
        self._value: Mapping[str, Any] = value
        self._read: set[str] = {"kind", "apiVersion"}

    def fail(self, name: str, message: str) -> NoReturn:
        """Refuses a field."""
        raise ConfigurationError(f"{self.path}.{name}" if self.path else name, message)

    def get(self, name: str) -> Any:
        """A field as it is; None if absent."""
        self._read.add(name)
        return self._value.get(name)

    def convert(self, name: str, kind: type[S]) -> S | None:
        """An object of the API; None if absent."""
        value = self.get(name)
        if value is None:
            return None
        try:
            return msgspec.convert(value, kind, dec_hook=decode_hook)
        except msgspec.ValidationError as error:
            self.fail(name, f"Invalid value: {error}")

    def text(self, name: str, default: str | None = None) -> str:
        """A string; required without a default."""
        value = self.get(name)
        if value in (None, ""):
            if default is None:
                self.fail(name, "Required value")
            return default
        if not isinstance(value, str):
            self.fail(name, f"Invalid value: expected a string, found {_type(value)}")
        return value

    def one_of(self, name: str, known: Sequence[str], default: str | None) -> str:
        """One of some words."""
        value = self.text(name, default)
        if value not in known:
            supported = ", ".join(f'"{word}"' for word in known)
            self.fail(name, f'Unsupported value: "{value}": supported values: {supported}')
        return value

    def integer(
        self, name: str, default: int, least: int = 0, most: int = _MOST, message: str = "not in valid range [{}, {}]"
    ) -> int:
        """A whole number within bounds; ``message`` is what is said of others, with the bounds in it."""
        value = self.get(name)
        if value is None:
            value = default
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(name, f"Invalid value: expected an integer, found {_type(value)}")
        if not least <= value <= most:
            self.fail(name, f"Invalid value: {value}: {message.format(least, 'inf' if most == _MOST else most)}")
        return value

    def boolean(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fail(name, f"Invalid value: expected a boolean, found {_type(value)}")
        return value

    def strings(self, name: str) -> list[str]:
        """A list of strings."""
        values = self._list(name)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                self.fail(f"{name}[{index}]", f"Invalid value: expected a string, found {_type(value)}")
        return values

    def child(self, name: str) -> Reader | None:
        """An object in this one."""
        value = self.get(name)
        return None if value is None else Reader(value, self._below(name))

    def children(self, name: str) -> list[Reader]:
        """A list of objects."""
        return [Reader(value, f"{self._below(name)}[{index}]") for index, value in enumerate(self._list(name))]

    def rest(self) -> dict[str, Any]:
        """The fields that weren't read; they count as read from now on."""
        names = [name for name in self._value if name not in self._read]
        self._read.update(names)
        return {str(name): self._value[name] for name in names}

    def done(self) -> None:
        """Refuses fields that weren't read."""
        unknown = sorted(str(name) for name in set(self._value) - self._read)
        if unknown:
            self.fail(unknown[0], "Forbidden: unknown field")

    def _list(self, name: str) -> list[Any]:
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self.fail(name, f"Invalid value: expected a list, found {_type(value)}")
        return list(value)

    def _below(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def _type(value: object) -> str:
    return "null" if value is None else type(value).__name__
