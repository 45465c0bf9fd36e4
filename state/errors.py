"""What is wrong with an input, told the way the kube-apiserver tells it.

A ``Problem`` is one fault of one field (Kubernetes' ``field.Error``). Checks return problems, all of them at once;
whoever cannot go on without a valid object raises ``InvalidObject`` with the whole list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

#: The words with which Kubernetes opens the message of each kind of fault.
_TITLES = {
    "Duplicate": "Duplicate value",
    "Forbidden": "Forbidden",
    "InternalError": "Internal error",
    "Invalid": "Invalid value",
    "NotFound": "Not found",
    "NotSupported": "Unsupported value",
    "Required": "Required value",
    "TooLong": "Too long",
    "TooMany": "Too many",
    "TypeInvalid": "Invalid value",
}
#: Faults whose message never shows the value: there is none, or it would be too long.
_VALUELESS = frozenset({"Forbidden", "InternalError", "Required", "TooLong"})
_ESCAPES = {'"': '\\"', "\\": "\\\\"} | dict(zip("\a\b\f\n\r\t\v", ("\\" + c for c in "abfnrtv"), strict=True))

#: Stands for "no value to show"; ``None`` is a value and is written ``null``.
NO_VALUE = msgspec.UNSET


class StateError(Exception):
    """The root of every error that ``state`` raises about its input."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of one field.

    ``path`` is the field (``spec.containers[0].image``), ``message`` says what was expected ("must be greater than
    zero"; may be empty), ``reason`` is the kind of fault in metav1's short form, ``value`` is what was found.
    """

    path: str
    message: str = ""
    reason: str = "Invalid"
    value: object = NO_VALUE

    def __post_init__(self) -> None:
        if self.reason not in _TITLES:
            raise ValueError(f"unknown reason {self.reason!r}, expected one of {', '.join(sorted(_TITLES))}")

    @property
    def cause(self) -> str:
        """The reason as ``status.details.causes`` of a response spells it, such as ``FieldValueInvalid``."""
        return self.reason if self.reason == "InternalError" else f"FieldValue{self.reason}"

    @property
    def body(self) -> str:
        """The fault without its path, as a cause's message: ``Invalid value: -1: must be greater than zero``."""
        parts = [_TITLES[self.reason]]
        if self.value is not NO_VALUE and self.reason not in _VALUELESS:
            parts.append(shown(self.value))
        if self.message:
            parts.append(self.message)
        return ": ".join(parts)

    def to_dict(self) -> dict[str, object]:
        """The fault as plain data: ``path``, ``message`` (as ``body``), ``reason``, and ``value`` if there is one."""
        data: dict[str, object] = {"path": self.path, "message": self.body, "reason": self.reason}
        if self.value is not NO_VALUE:
            data["value"] = json.loads(json.dumps(self.value, default=_builtins))
        return data

    def __str__(self) -> str:
        return f"{self.path}: {self.body}" if self.path else self.body


class InvalidObject(StateError):  # noqa: N818 - it reads as what it says
    """An object cannot be used; ``problems`` says all that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(joined(self.problems))


def joined(problems: Iterable[Problem]) -> str:
    """Several problems in one line, each said once, as the API server puts it: ``[a, b]``, or ``a`` alone."""
    texts = list(dict.fromkeys(map(str, problems)))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def required(path: str, message: str = "") -> Problem:
    """A field is missing or empty that has to be given."""
    return Problem(path, message, "Required")


def invalid(path: str, value: object, message: str) -> Problem:
    """A value has the right type, but isn't well-formed or is out of bounds."""
    return Problem(path, message, "Invalid", value)


def type_invalid(path: str, value: object, message: str) -> Problem:
    """A value has the wrong type."""
    return Problem(path, message, "TypeInvalid", value)


def not_supported(path: str, value: object, supported: Iterable[str]) -> Problem:
    """A value is none of those that the field may take; a set of them is listed sorted, anything else in its order."""
    ordered = sorted(supported) if isinstance(supported, (set, frozenset)) else supported
    names = ", ".join(map(quoted, ordered))
    return Problem(path, f"supported values: {names}" if names else "", "NotSupported", value)


def duplicate(path: str, value: object) -> Problem:
    """A value occurs twice where it must be unique."""
    return Problem(path, "", "Duplicate", value)


def not_found(path: str, value: object) -> Problem:
    """A value names something that isn't there."""
    return Problem(path, "", "NotFound", value)


def forbidden(path: str, message: str) -> Problem:
    """A field may not be given or changed under these conditions."""
    return Problem(path, message, "Forbidden")


def too_long(path: str, limit: int) -> Problem:
    """A text has more than ``limit`` bytes."""
    return Problem(path, f"may not be more than {limit} {'byte' if limit == 1 else 'bytes'}", "TooLong")


def too_many(path: str, count: int, limit: int) -> Problem:
    """A list has ``count`` items, more than ``limit``."""
    return Problem(path, f"must have at most {limit} {'item' if limit == 1 else 'items'}", "TooMany", count)


def shown(value: object) -> str:
    """A value as messages show it: text quoted, everything else as JSON."""
    if isinstance(value, str):
        return quoted(value)
    return json.dumps(value, default=_builtins, ensure_ascii=False, separators=(",", ":"))


def quoted(text: str) -> str:
    """Text in double quotes with Go's escapes (``%q``), printable characters of every language left as they are."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'"{"".join(_ESCAPES.get(char) or (char if char.isprintable() else _escaped(char)) for char in text)}"'


def unknown_field(path: str) -> str:
    """What strict decoding says of a field that the kind doesn't have."""
    return f"unknown field {quoted(path)}"


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _builtins(value: object) -> object:
    return msgspec.to_builtins(value, enc_hook=_plain)


def _plain(value: object) -> object:
    # Types that JSON doesn't know (state.objects.Opaque) wrap the plain value they stand for.
    plain: object = getattr(value, "value", NO_VALUE)
    return f"<{type(value).__name__}>" if plain is NO_VALUE else plain
