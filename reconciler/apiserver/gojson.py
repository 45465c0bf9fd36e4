"""What Go's ``encoding/json`` says about text that is no JSON, for messages that have to be the API server's."""

from __future__ import annotations

_SPACE = b" \t\r\n"
_LITERALS = {b"t": b"true", b"f": b"false", b"n": b"null"}
_HEX = b"0123456789abcdefABCDEF"
_ESCAPED = b'bfnrt\\/"'
_DIGITS = b"0123456789"


class _Fault(Exception):  # noqa: N818 - caught in this module, never seen outside
    """The scan ends here; the message is Go's."""


def syntax_error(text: bytes) -> str:
    """Go's message about the first fault of a text; "" if there is none."""
    scanner = _Scanner(text)
    try:
        scanner.value(0)
        scanner.end()
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
    #: Levels after which Go gives up.
    MAX_DEPTH = 10_000

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = 0

    def _peek(self) -> bytes:
        while self._at < len(self._text) and self._text[self._at] in _SPACE:
            self._at += 1
        return self._char()

    def _char(self) -> bytes:
        if self._at >= len(self._text):
            raise _Fault("unexpected end of JSON input")
        return self._text[self._at : self._at + 1]

    def _wrong(self, where: str) -> _Fault:
        return _Fault(f"invalid character {quoted_byte(self._char())} {where}")

    def end(self) -> None:
        """Nothing may follow the value."""
        rest = self._text[self._at :].lstrip(_SPACE)
        if rest:
            raise _Fault(f"invalid character {quoted_byte(rest[:1])} after top-level value")

    def value(self, depth: int) -> None:
        if depth > min(self.MAX_DEPTH, 900):
            raise _Fault("exceeded max depth")
        char = self._peek()
        if char == b"{":
            self._object(depth)
        elif char == b"[":
            self._array(depth)
        elif char == b'"':
            self._string()
        elif char in _LITERALS:
            self._literal(_LITERALS[char])
        elif char == b"-" or char in _DIGITS:
            self._number()
        else:
            raise self._wrong("looking for beginning of value")

    def _object(self, depth: int) -> None:
        self._at += 1
        if self._peek() == b"}":
            self._at += 1
            return
        while True:
            if self._peek() != b'"':
                raise self._wrong("looking for beginning of object key string")
            self._string()
            if self._peek() != b":":
                raise self._wrong("after object key")
            self._at += 1
            self.value(depth + 1)
            char = self._peek()
            if char == b"}":
                self._at += 1
                return
            if char != b",":
                raise self._wrong("after object key:value pair")
            self._at += 1

    def _array(self, depth: int) -> None:
        self._at += 1
        if self._peek() == b"]":
            self._at += 1
            return
        while True:
            self.value(depth + 1)
            char = self._peek()
            if char == b"]":
                self._at += 1
                return
            if char != b",":
                raise self._wrong("after array element")
            self._at += 1

    def _string(self) -> None:
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
