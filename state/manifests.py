"""Text with manifests, JSON or YAML, one or many, as plain values.

A text is cut at its ``---`` lines first, as kubectl does, so that a broken document costs only itself. What looks like
JSON is read by orjson, the rest by ``state.yaml_reader``. Time grows with the length of the text and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from state.errors import NO_VALUE, Problem, invalid, quoted
from state.paths import Path
from state.yaml_reader import Trap, read_yaml

_SEPARATOR = "\n---"
#: An object or a list of objects in JSON. In YAML alone, the first key would hardly be quoted.
_JSON = re.compile(r'(?:\[\s*)*\{\s*["}]|\[\s*\]')
_NO_NUMBER = re.compile(r"-?(?:NaN|Infinity)")
_SPACE = re.compile(r"\s*")
_BOM = "\ufeff"
#: Keys of JSON are counted by the quote and colon after them; these may stand between or for the two.
_MISCOUNTED = (" :", "\t:", "\n:", "\r:", "\\u0022", "\\u003a", "\\u003A")


class Document(NamedTuple):
    """One document of a text, or the problem why it can't be read.

    ``number`` counts from 1; ``duplicates`` are keys that a map has twice (the last one counts), with a sentence each;
    for JSON their place is not known. ``traps`` are surprising readings of unquoted text, None for JSON.
    """

    number: int
    value: Any = None
    problem: Problem | None = None
    duplicates: Mapping[Path, str] = MappingProxyType({})
    traps: Mapping[Path, Trap] | None = None


def documents(text: str | bytes) -> Iterator[Document]:
    """The documents of a text in order. Empty ones are passed over."""
    if not isinstance(text, str):
        try:
            text = bytes(text).decode()
        except UnicodeDecodeError as error:
            yield Document(1, problem=_unreadable(f"byte {error.start + 1} is not UTF-8: {error.reason}"))
            return
    number = 0
    for line, chunk in _chunks(text.removeprefix(_BOM)):
        for document in _read(chunk, line):
            number += 1
            yield document._replace(number=number)


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """The parts of a text between lines that begin with ``---``, each with the number of its first line."""
    start, line = 0, 1
    while start < len(text):
        cut = text.find(_SEPARATOR, start)
        while cut >= 0 and not text[cut + 4 : cut + 5].isspace() and cut + 4 < len(text):
            cut = text.find(_SEPARATOR, cut + 4)
        end = cut + 1 if cut >= 0 else len(text)
        chunk = text[start:end]
        yield line, chunk
        line += chunk.count("\n")
        start = end


def _read(chunk: str, line: int) -> Iterator[Document]:
    start = 3 if chunk.startswith("---") else 0
    first = _SPACE.match(chunk, start)
    assert first is not None
    if first.end() == len(chunk):
        return
    if _JSON.match(chunk, first.end()):
        yield from _read_json(chunk, first.end(), line)
        return
    for value, duplicates, traps, problem in read_yaml(chunk, line):
        if problem is None:
            yield Document(0, value, None, duplicates, traps)
        else:
            yield Document(0, problem=_unreadable(problem))


def _read_json(chunk: str, start: int, line: int) -> Iterator[Document]:
    """One JSON document, or several after each other, with white space between or none."""
    text = chunk[start:] if start else chunk
    line += chunk.count("\n", 0, start)
    document = _json_document(text, line)
    if document.problem is None:
        yield document
        return
    for part in _parts(text):
        yield _json_document(part, line)
        line += part.count("\n")


def _json_document(text: str, line: int) -> Document:
    try:
        value = orjson.loads(text)
        return Document(0, value, None, _repeated(text, orjson.dumps(value)))
    except orjson.JSONDecodeError as error:
        number = _NO_NUMBER.match(text, error.pos)
        reason = error.msg if number is None else f"{number[0]} is no JSON value"
        return Document(0, problem=_unreadable(f"line {line + error.lineno - 1}, column {error.colno}: {reason}"))
    except orjson.JSONEncodeError:  # its nesting can be read, but not written
        return Document(0, problem=_unreadable("nested too deeply"))


def _parts(text: str) -> Iterator[str]:
    """Cuts a text into JSON documents, each with the white space after it.

    Where a document is broken, the next one begins on the next line if the fault shows on the line where the broken
    one began (one document a line); otherwise nobody can tell, and the rest of the text is part of it.
    """
    decoder = json.JSONDecoder()
    position = 0
    while position < len(text):
        try:
            end = decoder.raw_decode(text, position)[1]
        except (json.JSONDecodeError, RecursionError) as error:
            newline = text.find("\n", position)
            fault = error.pos if isinstance(error, json.JSONDecodeError) else position
            end = newline + 1 if newline >= 0 and fault <= newline + 1 else len(text)
        space = _SPACE.match(text, end)
        assert space is not None
        yield text[position : space.end()]
        position = space.end()


def _repeated(text: str, printed: bytes) -> Mapping[Path, str]:
    """The keys that a map of a JSON text has twice.

    A parser keeps one of them, so that what is printed from the parsed value has fewer keys than the text. Only if it
    has, or if the text is written so that counting fails, the text is read again by a slow parser that tells which.
    """
    if text.count('":') == printed.count(b'":') and not any(mark in text for mark in _MISCOUNTED):
        return {}
    repeated: dict[str, None] = {}

    def check(pairs: list[tuple[str, Any]]) -> None:
        seen = set()
        for key, _ in pairs:
            if key in seen:
                repeated[key] = None
            seen.add(key)

    json.loads(text, object_pairs_hook=check)
    return {(): f"already set in map: key {', '.join(map(quoted, repeated))}"} if repeated else {}


def _unreadable(message: str) -> Problem:
    return invalid("", NO_VALUE, message)
