"""YAML text as plain values, read as kubectl reads it, with what is dangerous or surprising in it made known.

Works on libyaml's events instead of PyYAML's constructors: duplicate keys keep their line, unquoted text follows
``state.yaml_scalars``, dates stay text, and aliases and nesting are bounded, so that no document can exhaust the
machine.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

from state.objects import DEPTH_LIMIT
from state.paths import MapKey, Path
from state.yaml_scalars import resolve, trap

#: Values that aliases may add to one document by repeating anchored ones (go-yaml's bound for documents that are mostly
#: aliases).
ALIAS_LIMIT = 400_000
#: How often one document is read anew after repairing an escape that only go-yaml knows.
_REPAIRS = 100
_TAG = "tag:yaml.org,2002:"
_TYPES: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "bool": bool,
    "null": type(None),
}
#: Tags that change nothing: what they say is so anyway.
_HARMLESS = {None, "!", *(_TAG + name for name in ("str", "timestamp", "map", "seq"))}
#: How libyaml, from 0.2.6 on, refuses more than a thousand levels.
_TOO_DEEP = "exceeded maximum nesting depth"
_DEEPER = f"nested deeper than {DEPTH_LIMIT} levels"
_NO_KEY = object()
#: The key ``<<``, as opposed to a quoted one.
_MERGE = MapKey("<<")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Trap(NamedTuple):
    """Unquoted text that YAML reads in a surprising way: the line where it stands, and why."""

    line: int
    why: str


class YamlDocument(NamedTuple):
    """One document: its value and what is to be known about places in it; or ``problem``, why it could not be read."""

    value: Any = None
    duplicates: Mapping[Path, str] = MappingProxyType({})
    traps: Mapping[Path, Trap] = MappingProxyType({})
    problem: str | None = None


class _Unreadable(Exception):  # noqa: N818 - caught in this module, never seen outside
    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


class _Anchored(NamedTuple):
    """A value that can be repeated, with its number of values and of levels."""

    value: Any
    size: int
    levels: int


class _Frame:
    """A list or map that is being read."""

    __slots__ = ("anchor", "container", "deepest", "key", "merged", "start")

    def __init__(self, container: list[Any] | dict[str, Any], anchor: str | None, start: int, depth: int) -> None:
        self.container = container
        self.anchor = anchor
        self.start = start
        self.deepest = depth
        self.key: Any = _NO_KEY
        self.merged: list[dict[str, Any]] = []


def read_yaml(text: str, first_line: int = 1) -> Iterator[YamlDocument]:
    """The documents of a text; where one is broken, its problem and nothing after it. Empty documents are left out."""
    for _ in range(_REPAIRS):
        documents: list[YamlDocument] = []
        try:
            documents.extend(doc for doc in _Reader(text, first_line).documents() if doc.value is not None)
        except yaml.YAMLError as error:
            repaired = _repaired(text, error)
            if repaired is not None:
                text = repaired
                continue
            documents.append(YamlDocument(problem=_told(text, error, first_line)))
        except (_Unreadable, UnicodeEncodeError) as error:
            documents.append(YamlDocument(problem=str(error)))
        yield from documents
        return
    yield YamlDocument(problem=f"more than {_REPAIRS} scalars with the escape \\', which is not YAML")


class _Reader:
    """Builds the values of a text from the parser's events."""

    def __init__(self, text: str, first_line: int) -> None:
        self._next = _Loader(text).get_event
        self._first_line = first_line
        self._keys: dict[str, str] = {}
        self._begin()

    def _begin(self) -> None:
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._root: Any = None
        self._count = 0
        self._aliased = 0
        self._duplicates: dict[Path, str] = {}
        self._traps: dict[Path, Trap] = {}

    def documents(self) -> Iterator[YamlDocument]:
        """The documents, one after the other."""
        handlers: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.SequenceStartEvent: self._start_list,
            yaml.MappingStartEvent: self._start_map,
            yaml.SequenceEndEvent: self._end,
            yaml.MappingEndEvent: self._end,
        }
        while (event := self._next()) is not None:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)
            elif type(event) is yaml.DocumentEndEvent:
                yield YamlDocument(self._root, self._duplicates, self._traps)
                self._begin()

    def _line(self, event: Any) -> int:
        return int(event.start_mark.line) + self._first_line

    def _place(self, *last: str) -> Path:
        """The path of what is being read; ``last`` stands for the key of the innermost map."""
        steps = [len(frame.container) if isinstance(frame.container, list) else frame.key for frame in self._stack]
        return (*steps[:-1], *last) if last else tuple(steps)

    def _scalar(self, event: Any) -> None:
        self._count += 1
        text: str = event.value
        plain = event.implicit[0] and event.tag is None
        stack = self._stack
        if stack and stack[-1].key is _NO_KEY and type(stack[-1].container) is dict:
            stack[-1].key = self._key(event, text, plain=plain)
            return
        value: Any = resolve(text) if plain else text if event.tag is None else self._tagged(event)
        if plain and value is not text:
            self._look_for_trap(event, text, self._place())
            if isinstance(value, float) and not math.isfinite(value):
                raise _Unreadable(self._line(event), f"{text} is no JSON value")
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, 1, 0)
        self._add(event, value)

    def _key(self, event: Any, text: str, *, plain: bool) -> Any:
        """The key of a map as text; numbers and booleans become what JSON would write (sigs.k8s.io/yaml)."""
        if plain:
            if text == "<<":
                return _MERGE
            value = resolve(text)
            if value is None:
                raise _Unreadable(self._line(event), "the key of a map must not be null")
            if not isinstance(value, str):
                key = str(value).lower() if isinstance(value, bool) else str(value)
                self._look_for_trap(event, text, self._place(key), what="the key ")
                text = key
        text = self._keys.setdefault(text, text)
        frame = self._stack[-1]
        if text in frame.container:
            self._duplicates[self._place(text)] = f'line {self._line(event)}: key "{text}" already set in map'
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(text, 1, 0)
        return text

    def _look_for_trap(self, event: Any, text: str, place: Path, what: str = "") -> None:
        why = trap(text)
        if why is not None and not _is_file_mode(place, why):
            self._traps[place] = Trap(self._line(event), why.replace("reads ", f"reads {what}", 1))

    def _tagged(self, event: Any) -> Any:
        """The value of a scalar with an explicit type, as in ``!!str 5``. Types that aren't YAML's own are text."""
        tag, text = event.tag, event.value
        if tag in _HARMLESS:
            return text
        name = tag.removeprefix(_TAG)
        if name == "binary":
            try:
                return base64.b64decode("".join(text.split()), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise _Unreadable(self._line(event), f"!!binary value is not text in base64: {error}") from error
        if name in _TYPES:
            value = resolve(text)
            if isinstance(value, _TYPES[name]) and (name == "bool" or not isinstance(value, bool)):
                return value
            raise _Unreadable(self._line(event), f"cannot read {text!r} as !!{name}")
        self._ignore_tag(event, self._place())
        return text

    def _ignore_tag(self, event: Any, place: Path) -> None:
        self._traps[place] = Trap(self._line(event), f"YAML's tag {event.tag} is ignored")

    def _alias(self, event: Any) -> None:
        name = event.anchor
        if name not in self._anchors:
            raise _Unreadable(self._line(event), f"unknown anchor '{name}' referenced")
        anchored = self._anchors[name]
        if anchored is None:
            raise _Unreadable(self._line(event), f"anchor '{name}' value contains itself")
        self._count += anchored.size
        self._aliased += anchored.size
        if self._aliased > ALIAS_LIMIT:
            raise _Unreadable(
                self._line(event), f"excessive aliasing: aliases add more than {ALIAS_LIMIT} values to the document"
            )
        self._check_depth(event, len(self._stack) + anchored.levels)
        frame = self._stack[-1]
        if frame.key is _NO_KEY and type(frame.container) is dict:
            if not isinstance(anchored.value, str):
                raise _Unreadable(self._line(event), "the key of a map must be a scalar")
            frame.key = anchored.value
            return
        frame.deepest = max(frame.deepest, len(self._stack) + anchored.levels)
        self._add(event, anchored.value)

    def _start_list(self, event: Any) -> None:
        self._start(event, [])

    def _start_map(self, event: Any) -> None:
        self._start(event, {})

    def _start(self, event: Any, container: list[Any] | dict[str, Any]) -> None:
        stack = self._stack
        if stack and stack[-1].key is _NO_KEY and type(stack[-1].container) is dict:
            raise _Unreadable(self._line(event), "the key of a map must be a scalar")
        if event.tag not in _HARMLESS:
            self._ignore_tag(event, self._place())
        self._check_depth(event, len(stack) + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        stack.append(_Frame(container, event.anchor, self._count, len(stack) + 1))
        self._count += 1

    def _check_depth(self, event: Any, depth: int) -> None:
        if depth > DEPTH_LIMIT:
            raise _Unreadable(self._line(event), _DEEPER)

    def _end(self, event: Any) -> None:
        frame = self._stack.pop()
        container = frame.container
        if frame.merged:
            assert isinstance(container, dict)
            container = _merge(container, frame.merged)
        if frame.anchor is not None:
            levels = frame.deepest - len(self._stack)
            self._anchors[frame.anchor] = _Anchored(container, self._count - frame.start, levels)
        if self._stack:
            self._stack[-1].deepest = max(self._stack[-1].deepest, frame.deepest)
        self._add(event, container)

    def _add(self, event: Any, value: Any) -> None:
        """Puts a finished value where it belongs."""
        if not self._stack:
            self._root = value
            return
        frame = self._stack[-1]
        if isinstance(frame.container, list):
            frame.container.append(value)
        elif frame.key is _MERGE:
            maps = value if isinstance(value, list) else [value]
            if not all(isinstance(each, dict) for each in maps):
                raise _Unreadable(self._line(event), "map merge requires map or sequence of maps as the value")
            frame.merged.extend(maps)
            frame.key = _NO_KEY
        else:
            frame.container[frame.key] = value
            frame.key = _NO_KEY


def _merge(own: dict[str, Any], merged: list[dict[str, Any]]) -> dict[str, Any]:
    """A map with what ``<<`` adds to it: its own keys win, then those of the maps named first."""
    result: dict[str, Any] = {}
    for other in reversed(merged):
        result.update(other)
    result.update(own)
    return result


def _is_file_mode(place: Path, why: str) -> bool:
    """Whether an octal number is what everybody means: ``defaultMode: 0644``."""
    field = place[-1] if place else None
    return isinstance(field, str) and field.lower().endswith("mode") and "octal" in why


def _told(text: str, error: yaml.YAMLError, first_line: int) -> str:
    """A syntax error of YAML in one line, with its place."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text.encode()[: error.position].decode(errors="replace")
        line = before.count("\n") + first_line
        return f"line {line}, column {len(before) - before.rfind(chr(10))}: {error.reason} (U+{error.character:04X})"
    assert isinstance(error, yaml.MarkedYAMLError)
    mark = error.problem_mark or error.context_mark
    assert mark is not None
    if error.problem == _TOO_DEEP:  # libyaml's scanner can be far ahead of its first event
        return f"line {mark.line + first_line}: {_DEEPER}"
    context = f" {error.context}" if error.context else ""
    return f"line {mark.line + first_line}, column {mark.column + 1}: {error.problem}{context}"


def _repaired(text: str, error: yaml.YAMLError) -> str | None:
    r"""The text with ``\'`` in the broken double-quoted scalar replaced by ``'``, as go-yaml reads it."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.context_mark is None or error.problem_mark is None:
        return None
    if text[error.problem_mark.index : error.problem_mark.index + 2] != "\\'":
        return None
    start = error.context_mark.index
    scalar = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL).match(text, start)
    if scalar is None:
        return None
    repaired = re.sub(r"\\(.)", lambda escape: "'" if escape[1] == "'" else escape[0], scalar[0], flags=re.DOTALL)
    return text[:start] + repaired + text[scalar.end() :]
