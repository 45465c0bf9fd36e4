"""Formats of texts and numbers in the schemas of custom resources, as kube-openapi's ``strfmt`` knows them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from email.utils import parseaddr
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import Any
from urllib.parse import urlsplit

from state.names import dns1123_label, dns1123_subdomain
from state.times import TimeError, parse_duration, parse_time

Schema = Mapping[str, Any]
_UUID = "(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?%s[0-9a-f]{3}-?%s[0-9a-f]{3}-?[0-9a-f]{12}"
_ANY, _VARIANT = "[0-9a-f]", "[89ab]"
_HOSTNAME = r"[a-zA-Z0-9](-?[a-zA-Z0-9]{0,62})?|([a-zA-Z0-9](([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)\.)+[a-zA-Z]{2,63}"
_CREDIT_CARD = (
    r"4\d{12}(\d{3})?|5[1-5]\d{14}|6(011|5\d\d)\d{12}|3[47]\d{13}|3(0[0-5]|[68]\d)\d{11}|(2131|1800|35\d{3})\d{11}"
)
_BYTE = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_COLOR = rf"rgb\(\s*{_BYTE}\s*,\s*{_BYTE}\s*,\s*{_BYTE}\s*\)"
#: Durations in words: ``2 days``.
_WORDED = r"(\d+)\s*(ns|nano|us|µs|micro|ms|milli|s|sec|second|m|min|minute|h|hr|hour|d|day|w|week|wk)\w*"
_FLOAT32 = 3.4028234663852886e38


def _like(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _takes(read: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            read(text)
        except (ValueError, TimeError, binascii.Error):
            return False
        return True

    return check


def _is_uri(text: str) -> bool:
    return text.startswith("/") or bool(urlsplit(text).scheme)


def _is_duration(text: str) -> bool:
    return _takes(parse_duration)(text) or re.search(_WORDED, text) is not None


def _isbn(*lengths: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        digits = re.sub(r"[\s-]", "", text)
        if len(digits) == 10 and 10 in lengths and re.fullmatch(r"\d{9}[\dX]", digits):
            return sum((10 - at) * (10 if each == "X" else int(each)) for at, each in enumerate(digits)) % 11 == 0
        if len(digits) == 13 and 13 in lengths and digits.isdecimal():
            return sum(int(each) * (3 if at % 2 else 1) for at, each in enumerate(digits)) % 10 == 0
        return False

    return check


#: By the format's name without hyphens.
_TEXTS: Mapping[str, Callable[[str], bool]] = {
    "bsonobjectid": _like("(?i)[0-9a-f]{24}"),
    "byte": _takes(lambda text: base64.b64decode(text, validate=True)),
    "cidr": lambda text: "/" in text and _takes(ip_interface)(text),
    "creditcard": lambda text: re.fullmatch(_CREDIT_CARD, re.sub(r"\D", "", text)) is not None,
    "date": lambda text: re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None and _takes(date.fromisoformat)(text),
    "datetime": _takes(parse_time),
    "duration": _is_duration,
    "email": lambda text: "@" in parseaddr(text)[1],
    "hexcolor": _like("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "hostname": _like(_HOSTNAME),
    "ipv4": _takes(IPv4Address),
    "ipv6": _takes(IPv6Address),
    "isbn": _isbn(10, 13),
    "isbn10": _isbn(10),
    "isbn13": _isbn(13),
    "k8slongname": lambda text: not dns1123_subdomain(text),
    "k8sshortname": lambda text: not dns1123_label(text),
    "mac": _like(r"(?i)[0-9a-f]{2}([:-][0-9a-f]{2}){5}([:-][0-9a-f]{2}){0,2}|([0-9a-f]{4}\.){2,3}[0-9a-f]{4}"),
    "password": lambda _: True,
    "rgbcolor": _like(_COLOR),
    "ssn": _like(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "uri": _is_uri,
    "uuid": _like(_UUID % (_ANY, _ANY)),
    "uuid3": _like(_UUID % ("3", _ANY)),
    "uuid4": _like(_UUID % ("4", _VARIANT)),
    "uuid5": _like(_UUID % ("5", _VARIANT)),
}
_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}


def has_format(text: str, name: str) -> bool:
    """Whether a text has a format; every text has one that nobody knows."""
    check = _TEXTS.get(name.replace("-", ""))
    return check is None or check(text)


def fits(value: float, kind: str, name: str) -> bool:
    """Whether a number has room in its type and format."""
    if kind == "integer":
        bound = 1 << (31 if name == "int32" else 63)
        return value == int(value) and -bound <= value < bound
    return name != "float" or abs(value) <= _FLOAT32


def unrecognized(schema: Any) -> Iterator[str]:
    """The formats in a schema that nothing is checked of."""
    if not isinstance(schema, Mapping):
        return
    name, kind = schema.get("format"), schema.get("type", "")
    if name:
        known = _TEXTS if kind in ("", "string") else _NUMBERS.get(kind, ())
        if (name.replace("-", "") if known is _TEXTS else name) not in known:
            yield str(name)
    for field in ("items", "additionalProperties", "not"):
        yield from unrecognized(schema.get(field))
    for field in ("allOf", "anyOf", "oneOf"):
        for inner in schema.get(field) or ():
            yield from unrecognized(inner)
    for inner in (schema.get("properties") or {}).values():
        yield from unrecognized(inner)
