"""The Common Expression Language's syntax: text in, a tree of nodes out.

With what Kubernetes turns on beside the standard: optional fields (``a.?b``, ``a[?0]``, ``{?"a": b}``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from reconciler.apiserver.cel.tree import (
    Call,
    CelSyntaxError,
    Entry,
    Ident,
    Index,
    Items,
    Literal,
    Node,
    Select,
)
from reconciler.apiserver.cel.values import UInt

#: Deepest nesting of an expression; Python's own stack ends not far beyond.
MOST_DEEP = 60
#: Longest text of an expression that is read (Kubernetes' own bound of a rule's stored size is far above).
MOST_LONG = 64 * 1024


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<float>(?:\d+\.\d+|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
  | (?P<int>(?:0x[0-9a-fA-F]+|\d+)[uU]?)
  | (?P<text>(?:[bB]?[rR]|[rR]?[bB])?(?:'{3}(?:\\.|(?!'{3})[\s\S])*'{3}|"{3}(?:\\.|(?!"{3})[\s\S])*"{3}
            |'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
  | (?P<rawtext>[bB]?[rR][bB]?(?:'[^'\n]*'|"[^"\n]*"))
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<quoted>`[A-Za-z0-9_./-]+(?:[ ][A-Za-z0-9_./-]+)*`)
  | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_LETTERS = dict(zip("abfnrtv\\'\"`?", "\a\b\f\n\r\t\v\\'\"`?", strict=True))
_WORDS = {"true": True, "false": False, "null": None}
_RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "namespace",
        "package",
        "return",
        "var",
        "void",
        "while",
    }
)
#: Operators by their binding, loosest first; each level knows the names of its functions.
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",),
    ("&&",),
    ("<", "<=", ">=", ">", "==", "!=", "in"),
    ("+", "-"),
    ("*", "/", "%"),
)
#: So many levels are of operators whose order doesn't matter.
_LOGICAL = 2
_INT64 = 2**63
#: How many arguments macros have that bind one name, and those that bind two.
_MACROS: dict[str, tuple[int, ...]] = {
    "all": (2, 3),
    "exists": (2, 3),
    "existsOne": (3,),
    "exists_one": (2, 3),
    "filter": (2,),
    "map": (2,),
}
_CLOSING = frozenset(")]")
#: What an expression begins with, as its grammar says it.
_EXPRESSION = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)


def parse(text: str) -> Node:
    """The expression as a tree.

    Raises:
        CelSyntaxError: it is none.
    """
    if len(text) > MOST_LONG:
        raise CelSyntaxError(text[:40], 0, f"expression code point size exceeds limit: {MOST_LONG}")
    return _Parser(text).whole()


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise CelSyntaxError(text, at, f"Syntax error: token recognition error at: '{text[at]}'")
        kind = found.lastgroup or ""
        if kind != "space":
            yield _Token(kind, found.group(), at)
        at = found.end()
    yield _Token("end", "<EOF>", at)


class _Parser:
    """Reads one expression, by recursive descent."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = self._depth = 0

    def whole(self) -> Node:
        """The expression, and nothing after it."""
        node = self._expression()
        if self._token.kind != "end":
            is_alone = self._tokens[self._next + 1].kind == "end"
            raise self._unexpected("<EOF>", "extraneous" if is_alone else "mismatched")
        return node

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _unexpected(self, wanted: str, how: str = "mismatched") -> CelSyntaxError:
        found = self._token
        why = f"Syntax error: {how} input '{found.text}' expecting {wanted}"
        return CelSyntaxError(self._text, found.at, why)

    def _takes(self, sign: str) -> bool:
        if self._token.kind in ("sign", "name") and self._token.text == sign:
            self._next += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if self._takes(sign):
            return
        if self._token.kind == "end" and sign in _CLOSING:
            raise CelSyntaxError(self._text, self._token.at, f"Syntax error: missing '{sign}' at '<EOF>'")
        raise self._unexpected(f"'{sign}'")

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MOST_DEEP:
            raise CelSyntaxError(self._text, self._token.at, f"expression recursion limit exceeded: {MOST_DEEP}")
        node = self._binary(0)
        at = self._token.at
        if self._takes("?"):
            yes = self._binary(0)
            self._expect(":")
            node = Call(at, "?:", None, (node, yes, self._expression()))
        self._depth -= 1
        return node

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        nodes, signs = [self._binary(level + 1)], []
        while self._token.kind in ("sign", "name") and self._token.text in _LEVELS[level]:
            signs.append(self._token)
            self._next += 1
            nodes.append(self._binary(level + 1))
        if level < _LOGICAL:
            return _balanced(nodes, signs)
        node = nodes[0]
        for token, right in zip(signs, nodes[1:], strict=True):
            node = Call(token.at, token.text, None, (node, right))
        return node

    def _unary(self) -> Node:
        token = self._token
        for sign in ("!", "-"):
            if self._takes(sign):
                if sign == "-" and self._token.kind in ("int", "float"):
                    return self._members(self._number(negative=True))
                self._depth += 1
                if self._depth > MOST_DEEP:
                    raise CelSyntaxError(self._text, token.at, f"expression recursion limit exceeded: {MOST_DEEP}")
                node = Call(token.at, f"{sign}_", None, (self._unary(),))
                self._depth -= 1
                return node
        return self._members(self._primary())

    def _members(self, node: Node) -> Node:
        while True:
            at = self._token.at
            if self._takes("."):
                is_optional = self._takes("?")
                name, opens = self._field(), self._token.at
                if not is_optional and self._takes("("):
                    node = self._method(Call(opens, name, node, self._arguments(")")))
                elif not is_optional and self._token.text == "{" and _is_name(node):
                    node = self._object(at, f"{_dotted(node)}.{name}")
                else:
                    node = Select(at, node, name, is_optional)
            elif self._takes("["):
                is_optional = self._takes("?")
                key = self._expression()
                self._expect("]")
                node = Index(at, node, key, is_optional)
            else:
                return node

    def _method(self, call: Call) -> Call:
        """A call of a method; of a macro, which has variables."""
        counts = _MACROS.get(call.name, ())
        if len(call.args) in counts:
            for each in call.args[: 1 + counts.index(len(call.args))]:
                if not isinstance(each, Ident):
                    raise CelSyntaxError(self._text, each.at, "argument must be a simple name")
        return call

    def _field(self) -> str:
        token = self._token
        if token.kind not in ("name", "quoted") or token.text in _WORDS or token.text == "in":
            raise self._unexpected("IDENTIFIER")
        self._next += 1
        return token.text.strip("`")

    def _arguments(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._takes(end):
            if found:
                self._expect(",")
                if end == "]" and self._takes(end):
                    break
            found.append(self._expression())
        return tuple(found)

    def _primary(self) -> Node:
        token = self._token
        if token.kind in ("int", "float"):
            return self._number(negative=False)
        if token.kind in ("text", "rawtext"):
            self._next += 1
            return Literal(token.at, _text(token, self._text))
        if self._takes("("):
            node = self._expression()
            self._expect(")")
            return node
        if self._takes("["):
            return Items(token.at, "[", self._entries("]"))
        if self._takes("{"):
            return Items(token.at, "{", self._entries("}"))
        self._takes(".")
        token = self._token
        if token.kind != "name" or token.text == "in":
            raise self._unexpected(_EXPRESSION)
        self._next += 1
        if token.text in _WORDS:
            return Literal(token.at, _WORDS[token.text])
        if token.text in _RESERVED:
            raise CelSyntaxError(self._text, token.at, f"reserved identifier: {token.text}")
        opens = self._token.at
        if self._takes("("):
            arguments = self._arguments(")")
            if token.text == "has" and len(arguments) == 1 and not isinstance(arguments[0], Select):
                raise CelSyntaxError(self._text, arguments[0].at, "invalid argument to has() macro")
            return Call(opens, token.text, None, arguments)
        if self._token.text == "{":
            return self._object(token.at, token.text)
        return Ident(token.at, token.text)

    def _object(self, at: int, name: str) -> Node:
        self._expect("{")
        entries: list[Entry] = []
        while not self._takes("}"):
            if entries:
                self._expect(",")
                if self._takes("}"):
                    break
            is_optional = self._takes("?")
            field = self._field()
            self._expect(":")
            entries.append(Entry(field, self._expression(), is_optional))
        return Items(at, name, tuple(entries))

    def _entries(self, end: str) -> tuple[Entry, ...]:
        entries: list[Entry] = []
        while not self._takes(end):
            if entries:
                self._expect(",")
                if self._takes(end):
                    break
            is_optional = self._takes("?")
            value = self._expression()
            key = None
            if end == "}":
                key = value
                self._expect(":")
                value = self._expression()
            entries.append(Entry(key, value, is_optional))
        return tuple(entries)

    def _number(self, *, negative: bool) -> Node:
        token = self._token
        self._next += 1
        sign = -1 if negative else 1
        if token.kind == "float":
            return Literal(token.at, sign * float(token.text))
        digits = token.text.rstrip("uU")
        number = int(digits, 16 if digits.startswith("0x") else 10) if len(digits) <= 25 else 2 * _INT64
        if digits != token.text:
            if number >= 2 * _INT64 or negative:
                raise CelSyntaxError(self._text, token.at, "invalid uint literal")
            return Literal(token.at, UInt(number))
        if not -_INT64 <= sign * number < _INT64:
            raise CelSyntaxError(self._text, token.at, "invalid int literal")
        return Literal(token.at, sign * number)


def _balanced(nodes: list[Node], signs: list[_Token]) -> Node:
    """A row of ``&&`` or ``||`` as a tree that isn't deeper than it must be."""
    if not signs:
        return nodes[0]
    middle = len(signs) // 2
    sides = (_balanced(nodes[: middle + 1], signs[:middle]), _balanced(nodes[middle + 1 :], signs[middle + 1 :]))
    return Call(signs[middle].at, signs[middle].text, None, sides)


def _is_name(node: Node) -> bool:
    return isinstance(node, Ident) or (isinstance(node, Select) and not node.is_optional and _is_name(node.of))


def _dotted(node: Node) -> str:
    if isinstance(node, Select):
        return f"{_dotted(node.of)}.{node.name}"
    assert isinstance(node, Ident)
    return node.name


def _text(token: _Token, whole: str) -> str | bytes:
    body = token.text.lstrip("rRbB")
    prefix = token.text[: len(token.text) - len(body)].lower()
    quotes = 3 if body[:3] in ("'''", '"""') and len(body) >= 6 else 1
    body = body[quotes:-quotes]
    if "r" not in prefix:
        body = _ESCAPE.sub(lambda found: _unescaped(found, whole, token.at), body)
    return body.encode("latin-1" if "\\x" in token.text else "utf-8", "replace") if "b" in prefix else body


def _unescaped(found: re.Match[str], whole: str, at: int) -> str:
    two, four, eight, octal, letter = found.groups()
    code = int(two or four or eight or "0", 16) if octal is None else int(octal, 8)
    if letter is not None:
        if letter not in _LETTERS:
            raise CelSyntaxError(whole, at, f"Syntax error: token recognition error at: '\\{letter}'")
        return _LETTERS[letter]
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise CelSyntaxError(whole, at, "invalid unicode code point")
    return chr(code)
