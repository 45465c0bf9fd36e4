"""JSON as Go's ``encoding/json`` reads it where others don't, and what it says about text that is none."""

from __future__ import annotations

import re
from typing import Any

import orjson

_LITERALS = {b"t": b"true", b"f": b"false", b"n": b"null"}
_HEX = b"0123456789abcdefABCDEF"
_ESCAPED = b'bfnrt\\/"'
_DIGITS = b"0123456789"
#: Levels of lists and maps after which Go gives up.
_MAX_DEPTH = 10_000
_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\(?:[bfnrt\\/"]|u[0-9a-fA-F]{4}))*+"')
_NUMBER = re.compile(rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+")
#: An escape: a pair of surrogates, half of one, or any other.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
#: Levels that any JSON may have which orjson writes.
_WRITABLE = 250
_TOO_DEEP = "exceeded max depth"


class GoJsonError(ValueError):
    """Text that Go can't read; the message is Go's."""


def loads(text: bytes) -> Any:
    """What a text says. Halves of surrogates and bytes that aren't UTF-8 are replaced by U+FFFD, as Go does.

    Raises:
        GoJsonError: it is no JSON, or its nesting or its numbers are out of all bounds.
    """
    try:
        return _bounded(text, orjson.loads(text))
    except orjson.JSONDecodeError:
        fault = syntax_error(text)
    if fault:
        raise GoJsonError(fault)
    sound = well_formed(text)
    try:
        return _bounded(sound, orjson.loads(sound))
    except orjson.JSONDecodeError as error:
        number = _NUMBER.search(sound, error.pos)
        if "infinity" not in error.msg or number is None:
            raise GoJsonError(_TOO_DEEP) from error
        message = f"json: cannot unmarshal number {number[0][:400].decode()} into Go value of type float64"
        raise GoJsonError(message) from error


def _bounded(text: bytes, value: Any) -> Any:
    """The value, if it is no deeper than what can be written again."""
    if text.count(b"{") + text.count(b"[") > _WRITABLE:
        try:
            orjson.dumps(value)
        except orjson.JSONEncodeError as error:
            raise GoJsonError(_TOO_DEEP) from error
    return value


def well_formed(text: bytes) -> bytes:
    """A JSON text with U+FFFD for what is no text in it."""
    whole = text.decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], whole)


class _Fault(Exception):  # noqa: N818 - caught in this module, never seen outside
    """The scan ends here; the message is Go's."""


def syntax_error(text: bytes) -> str:
    """Go's message about the first fault of a text; "" if there is none."""
    try:
        _Scanner(text).scan()
    except _Fault as fault:
        return str(fault)
    return ""


def quoted_byte(byte: bytes) -> str:
    """A character as Go's scanner shows it."""
    if byte == b"'":
        return r"'\''"
    if byte == b'"':
        return "'\"'"
    char = byte.decode("latin-1")
    if char.isprintable():
        return f"'{char}'"
    return {"\n": r"'\n'", "\r": r"'\r'", "\t": r"'\t'"}.get(char, f"'\\x{byte[0]:02x}'")


class _Scanner:
    """Reads without recursion, so that nesting costs no more than its brackets."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = 0

    def scan(self) -> None:
        """One value, and nothing after it."""
        closers: list[bytes] = []  # of the lists and maps that are open
        while True:
            self._value(closers)
            while closers:
                char = self._peek()
                if char == b",":
                    self._at += 1
                    if closers[-1] == b"}":
                        self._key()
                    break
                if char != closers[-1]:
                    raise self._wrong("after array element" if closers[-1] == b"]" else "after object key:value pair")
                self._at += 1
                closers.pop()
            else:
                self._end()
                return

    def _value(self, closers: list[bytes]) -> None:
        """A value, up to the first one inside of it that is neither list nor map."""
        while (char := self._peek()) in (b"{", b"["):
            closers.append(b"}" if char == b"{" else b"]")
            if len(closers) > _MAX_DEPTH:
                raise self._wrong(_TOO_DEEP)
            self._at += 1
            if self._peek() == closers[-1]:
                self._at += 1
                closers.pop()
                return
            if char == b"{":
                self._key()
        if char == b'"':
            self._string()
        elif char in _LITERALS:
            self._literal(_LITERALS[char])
        elif char == b"-" or char in _DIGITS:
            self._number()
        else:
            raise self._wrong("looking for beginning of value")

    def _peek(self) -> bytes:
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()
        return self._char()

    def _char(self) -> bytes:
        if self._at >= len(self._text):
            raise _Fault("unexpected end of JSON input")
        return self._text[self._at : self._at + 1]

    def _wrong(self, where: str) -> _Fault:
        return _Fault(f"invalid character {quoted_byte(self._char())} {where}")

    def _end(self) -> None:
        rest = self._text[self._at :].lstrip(b" \t\r\n")
        if rest:
            raise _Fault(f"invalid character {quoted_byte(rest[:1])} after top-level value")

    def _key(self) -> None:
        if self._peek() != b'"':
            raise self._wrong("looking for beginning of object key string")
        self._string()
        if self._peek() != b":":
            raise self._wrong("after object key")
        self._at += 1

    def _string(self) -> None:
        whole = _STRING.match(self._text, self._at)
        if whole is not None:
            self._at = whole.end()
            return
        self._at += 1
        while (char := self._char()) != b'"':
            if char[0] < 0x20:
                raise self._wrong("in string literal")
            self._at += 1
            if char == b"\\":
                self._escape()
        self._at += 1

    def _escape(self) -> None:
        char = self._char()
        if char == b"u":
            for _ in range(4):
                self._at += 1
                if self._char() not in _HEX:
                    raise self._wrong(r"in \u hexadecimal character escape")
        elif char not in _ESCAPED:
            raise self._wrong("in string escape code")
        self._at += 1

    def _literal(self, word: bytes) -> None:
        for index in range(1, len(word)):
            self._at += 1
            if self._char() != word[index : index + 1]:
                expected = quoted_byte(word[index : index + 1])
                raise self._wrong(f"in literal {word.decode()} (expecting {expected})")
        self._at += 1

    def _number(self) -> None:
        if self._char() == b"-":
            self._at += 1
            if self._char() not in _DIGITS:
                raise self._wrong("in numeric literal")
        if self._char() == b"0":
            self._at += 1
        else:
            self._digits()
        if self._next_is(b"."):
            self._at += 1
            if self._char() not in _DIGITS:
                raise self._wrong("after decimal point in numeric literal")
            self._digits()
        if self._next_is(b"e") or self._next_is(b"E"):
            self._at += 1
            if self._char() in b"+-":
                self._at += 1
            if self._char() not in _DIGITS:
                raise self._wrong("in exponent of numeric literal")
            self._digits()

    def _digits(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in _DIGITS:
            self._at += 1

    def _next_is(self, char: bytes) -> bool:
        return self._text[self._at : self._at + 1] == char
