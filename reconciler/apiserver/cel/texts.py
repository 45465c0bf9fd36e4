"""Functions of text, as cel-go and Kubernetes have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.apiserver.cel.functions import function, pattern_of
from reconciler.apiserver.cel.values import NO_OVERLOAD, CelError

_ESCAPES = str.maketrans(dict(zip('\a\b\f\n\r\t\v\\"', [f"\\{each}" for each in 'abfnrtv\\"'], strict=True)))


@function("charAt", str, int)
def _char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise CelError(f"index out of range: {at}")
    return text[at : at + 1]


@function("substring", str, int)
def _end_of(text: str, start: int) -> str:
    return _substring(text, start, len(text))


@function("substring", str, int, int)
def _substring(text: str, start: int, end: int) -> str:
    for at in (start, end):
        if not 0 <= at <= len(text):
            raise CelError(f"index out of range: {at}")
    if start > end:
        raise CelError(f"invalid substring range. start: {start}, end: {end}")
    return text[start:end]


@function("split", str, str)
def _split(text: str, by: str) -> list[str]:
    return text.split(by) if by else list(text)


@function("split", str, str, int)
def _split_some(text: str, by: str, most: int) -> list[str]:
    parts = _split(text, by)
    if most < 0 or len(parts) <= most:
        return parts
    return [*parts[: most - 1], by.join(parts[most - 1 :])] if most else []


@function("find", str, str)
def _find(text: str, pattern: str) -> str:
    found = pattern_of(pattern).search(text)
    return found.group(0) if found else ""


@function("findAll", str, str)
def _find_all(text: str, pattern: str) -> list[str]:
    return [each.group(0) for each in pattern_of(pattern).finditer(text)]


def _ascii(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(change(each) if each.isascii() else each for each in text)


@function("join", list)
def _joined(items: list[Any]) -> str:
    return _join(items, "")


@function("join", list, str)
def _join(items: list[Any], by: str) -> str:
    if not all(isinstance(each, str) for each in items):
        raise CelError(NO_OVERLOAD)
    return by.join(items)


@function("strings.quote", str)
def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


function("findAll", str, str, int)(lambda text, pattern, most: _find_all(text, pattern)[: most if most >= 0 else None])
function("indexOf", str, str)(lambda text, part: text.find(part))
function("indexOf", str, str, int)(lambda text, part, start: text.find(part, start))
function("lastIndexOf", str, str)(lambda text, part: text.rfind(part))
function("lastIndexOf", str, str, int)(lambda text, part, end: text.rfind(part, 0, end + len(part)))
function("lowerAscii", str)(_ascii(str.lower))
function("upperAscii", str)(_ascii(str.upper))
function("replace", str, str, str)(lambda text, old, new: text.replace(old, new))
function("replace", str, str, str, int)(lambda text, old, new, most: text.replace(old, new, most))
function("reverse", str)(lambda text: text[::-1])
function("trim", str)(lambda text: text.strip())
