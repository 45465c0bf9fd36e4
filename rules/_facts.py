"""Checks facts and turns them into the JSON that the C engine reads.

The C engine stops silently, hangs or crashes on facts that it does not like, so nothing reaches it
unchecked. Every property of every fact is checked, whether or not a rule reads it; only the properties
that a rule reads are passed on, which is most of the engine's speed. All checks of the common, good
case run in msgspec's C code over a whole slice; the fact at fault is looked for only when one fails.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from rules._program import (
    INT_MAX,
    INT_MIN,
    MAX_TEXT,
    NAME,
    PARTITION,
    RESERVED_NAMES,
    EngineError,
    Fact,
    FactError,
    Kind,
    Program,
)

#: Facts given to the C engine at once: its time per fact grows with what it holds (512 hash buckets).
CHUNK = 1000

#: Properties of a fact. A fact is a projection of about 20 scalars; the C engine's own limit is 253.
MAX_PROPERTIES = 100

_MAX_KNOWN_NAMES = 10_000

_Int = Annotated[int, msgspec.Meta(ge=INT_MIN, le=INT_MAX)]
_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
_Properties = Annotated[dict[str, _Int | _Text | bool | None], msgspec.Meta(min_length=1, max_length=MAX_PROPERTIES)]

_TYPES: dict[Kind, Any] = {
    "any": _Int | _Text | bool | None,
    "text": _Text | None,
    "number": _Int | bool | None,
    "int": _Int | None,
    "bool": bool | None,
}
_KINDS: dict[type, Kind] = {str: "text", int: "int", bool: "bool"}
_EXPECTED: dict[Kind, str] = {
    "any": f"an int of 64 bits, a string of at most {MAX_TEXT} characters, a bool or None",
    "text": f"a string of at most {MAX_TEXT} characters or None, as the rules or other facts have it",
    "number": "an int of 64 bits, a bool or None, as the rules have it",
    "int": "an int of 64 bits or None, as the rules or other facts have it",
    "bool": "a bool or None, as the rules or other facts have it",
}


class FactReader:
    """Checks the facts of one rule set and projects them to rows: structs with the properties that its rules read."""

    def __init__(self, program: Program) -> None:
        self._rule_set = program.name
        self._kinds = program.kinds
        self._joined = program.joined
        self._partitioned = program.joins
        self._known_names: set[str] = set()
        self._rows_types: dict[tuple[Kind, ...], tuple[Any, dict[str, Kind]]] = {}

    def read(self, facts: list[Fact]) -> list[Any]:
        """Check all facts, in order. Returns a row for each, or raises `FactError` for the first bad one."""
        rows_type, kinds = self._rows_type(facts)
        rows: list[Any] = []
        for start in range(0, len(facts), CHUNK):
            part = facts[start : start + CHUNK]
            try:
                plain = msgspec.convert(part, list[_Properties])
                msgspec.json.encode(plain)
                self._check_names(plain)
                rows += msgspec.convert(plain, rows_type)
            except (msgspec.ValidationError, UnicodeEncodeError, _NameError) as error:
                raise self._explain(part, start, kinds) from error
        return rows

    def _rows_type(self, facts: Iterable[Any]) -> tuple[Any, dict[str, Kind]]:
        """The type of a list of rows, and the kind of each field: for joined properties the facts decide."""
        found = tuple(_first_kind(facts, names) for names in self._joined)
        if found not in self._rows_types:
            kinds = dict(self._kinds)
            for names, kind in zip(self._joined, found, strict=True):
                kinds |= dict.fromkeys(names, kind)
            fields: list[Any] = [("id", str, "")]
            fields += [
                (f"f{i}", _TYPES[kinds[name]] | msgspec.UnsetType, msgspec.UNSET) for i, name in enumerate(kinds)
            ]
            rename = {f"f{i}": name for i, name in enumerate(kinds)}
            if self._partitioned:
                fields.append(("partition", int, 0))
                rename["partition"] = PARTITION
            self._rows_types[found] = list[msgspec.defstruct("Row", fields, rename=rename, gc=False)], kinds  # type: ignore[misc]
        return self._rows_types[found]

    def _check_names(self, facts: Iterable[Mapping[str, object]]) -> None:
        new = set().union(*facts) - self._known_names
        for name in new:
            if name in RESERVED_NAMES or not NAME.fullmatch(name):
                raise _NameError(name)
        if len(self._known_names) > _MAX_KNOWN_NAMES:
            self._known_names.clear()
        self._known_names |= new

    def _explain(self, facts: Iterable[Any], start: int, kinds: Mapping[str, Kind]) -> EngineError:
        """The error for the first bad fact among those that failed the fast check."""
        for slot, fact in enumerate(facts, start):
            if not isinstance(fact, Mapping):
                return FactError(self._rule_set, slot, None, fact, "a flat mapping")
            if not 1 <= len(fact) <= MAX_PROPERTIES:
                expected = f"1 to {MAX_PROPERTIES} properties, not {len(fact)}"
                return FactError(self._rule_set, slot, None, fact, expected)
            for name, value in fact.items():
                if not isinstance(name, str):
                    return FactError(self._rule_set, slot, repr(name), value, "a string for its name")
                if name in RESERVED_NAMES or not NAME.fullmatch(name):
                    return FactError(self._rule_set, slot, name, value, "a name like node_missing, not id or sid")
                kind = kinds.get(name, "any")
                if not _is_valid(value, kind):
                    return FactError(self._rule_set, slot, name, value, _EXPECTED[kind])
        return EngineError(self._rule_set, "the facts were refused, but none is at fault")


class _NameError(Exception):
    """A property has a name that the C engine would misunderstand."""


def _first_kind(facts: Iterable[Any], names: Sequence[str]) -> Kind:
    for fact in facts:
        if isinstance(fact, Mapping):
            for name in names:
                value = fact.get(name)
                if value is not None:
                    return _KINDS.get(type(value), "any")
    return "any"


def _is_valid(value: object, kind: Kind) -> bool:
    try:
        msgspec.convert(value, _TYPES[kind])
        msgspec.json.encode(value)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return False
    return True
