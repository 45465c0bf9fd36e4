"""Text of values (``format``), and the named formats of Kubernetes' names (``format.named``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from reconciler.apiserver.cel.functions import function, number_text, string
from reconciler.apiserver.cel.values import NOTHING, CelError, Optional, is_number
from state import names

_PLACE = re.compile(r"%(?:%|(?:\.(\d+))?([a-zA-Z]))")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", re.ASCII)
_UUID = re.compile("[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}")
_MOST_DIGITS = 100


@function("format", str, list)
def _format(text: str, values: list[Any]) -> str:
    left = iter(values)

    def shown(found: re.Match[str]) -> str:
        digits, verb = found.groups()
        if verb is None:
            return "%"
        try:
            value = next(left)
        except StopIteration as error:
            raise CelError("index out of range: not enough arguments for format") from error
        return _shown(verb, value, min(int(digits), _MOST_DIGITS) if digits else None)

    return _PLACE.sub(shown, text)


def _shown(verb: str, value: Any, digits: int | None) -> str:
    if verb == "s":
        return _as_text(value)
    if verb in "dbo" and isinstance(value, int):
        return format(value, verb)
    if verb == "d" and isinstance(value, float):
        return number_text(value)
    if verb in "xX" and isinstance(value, int | str | bytes):
        raw = value.encode() if isinstance(value, str) else value
        found = raw.hex() if isinstance(raw, bytes) else format(raw, "x")
        return found.upper() if verb == "X" else found
    if verb in "fe" and is_number(value):
        return format(float(value), f".{6 if digits is None else digits}{verb}")
    raise CelError(f'error during formatting: unrecognized formatting clause "{verb}" for that value')


def _as_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(map(_as_text, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_as_text(key)}: {_as_text(each)}" for key, each in sorted(value.items())) + "}"
    return string(value)


class NamedFormat(msgspec.Struct, frozen=True):
    """A format of text; ``check`` says what is wrong."""

    cel_type: ClassVar[str] = "kubernetes.NamedFormat"
    check: Callable[[str], list[str]]


def _prefix(check: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    return lambda text: check(text.removesuffix("-"))


def _like(pattern: re.Pattern[str], why: str) -> Callable[[str], list[str]]:
    return lambda text: [] if pattern.fullmatch(text) else [why]


_FORMATS: Mapping[str, NamedFormat] = {
    name: NamedFormat(check)
    for name, check in (
        ("dns1123Label", names.dns1123_label),
        ("dns1123Subdomain", names.dns1123_subdomain),
        ("dns1035Label", names.dns1035_label),
        ("qualifiedName", names.qualified_name),
        ("dns1123LabelPrefix", _prefix(names.dns1123_label)),
        ("dns1123SubdomainPrefix", _prefix(names.dns1123_subdomain)),
        ("dns1035LabelPrefix", _prefix(names.dns1035_label)),
        ("labelValue", names.label_value),
        ("uri", _like(_URI, "invalid URI")),
        ("uuid", _like(_UUID, "does not match the UUID format")),
    )
}


@function("format.named", str)
def _named(name: str) -> Optional:
    found = _FORMATS.get(name)
    return NOTHING if found is None else Optional(found)


@function("validate", NamedFormat, str)
def _validate(of: NamedFormat, text: str) -> Optional:
    found = of.check(text)
    return Optional(found) if found else NOTHING


def _add_formats() -> None:
    for name, found in _FORMATS.items():
        function(f"format.{name}")(lambda found=found: found)


_add_formats()


@function("jsonpatch.escapeKey", str)
def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
