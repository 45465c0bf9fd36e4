"""Reading of plain JSON, and checks of parts that several kinds have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from state import names
from state.objects import LabelSelector
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.metadata import path_segment as segment_messages

Json = dict[str, Any]
T = TypeVar("T")


def part(value: Json, name: str) -> Json:
    """A part of an object; {} if it isn't there."""
    found: Json = value.get(name) or {}
    return found


def items(value: Json, name: str, path: str) -> Iterator[tuple[str, Any]]:
    """The items of a list, each with its path; ``path`` is that of the list's parent, "" for the object itself."""
    where = f"{path}.{name}" if path else name
    for index, item in enumerate(value.get(name) or ()):
        yield f"{where}[{index}]", item


def text(value: Json, name: str) -> str:
    """A text; "" if it isn't there."""
    return value.get(name) or ""


def number(value: Json, name: str) -> int:
    """A number; 0 if it isn't there."""
    return value.get(name) or 0


def selector(found: Report, path: str, value: Json | None) -> None:
    """A label selector, if it is there."""
    if value is not None:
        checks.label_selector(found, path, msgspec.convert(value, LabelSelector))


def as_struct(value: Any, kind: type[T]) -> T:
    """A part of an object as that of typed kinds."""
    return msgspec.convert(value, kind)


def path_segment(found: Report, path: str, name: str, message: str = "") -> None:
    """A name that is there, and can stand in a URL."""
    if name:
        found.each_invalid(path, name, segment_messages(name))
    else:
        found.required(path, message)


_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"


def domain_prefixed(found: Report, path: str, value: str) -> None:
    """A path with a domain at its head, such as ``acme.io/foo``."""
    if not value:
        found.required(path)
        return
    host, slash, rest = value.partition("/")
    if not (host and slash and rest):
        found.invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    found.each_invalid(path, host, names.dns1123_subdomain(host))
    if not re.fullmatch(_HTTP_PATH, rest):
        found.invalid(path, rest, f"Invalid path (regex used for validation is '{_HTTP_PATH}')")
