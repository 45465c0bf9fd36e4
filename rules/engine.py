"""durable-rules made safe: the only way in which rules are run.

durable_rules is fast and exact, but its Python side loses firings, swallows exceptions and starts
threads, and its C side stops silently, hangs or crashes on input that it does not like. Here only the
expressions of `durable.lang` and the functions of the C module are used, in a loop that is ours:

    facts -> checked and projected -> chunks of JSON -> C engine -> firings -> sorted

- Of facts that differ in nothing that a rule reads, the C engine is given one, unless rules join: what fires for one
  fires for each of them. Ten thousand pods that wait to be placed are one question.

- A rule set is compiled once; what the C engine cannot do right is refused then.
- Facts are checked before any of them is matched (`FactError`).
- Each chunk ends in a sentinel fact whose rule comes last. It must fire exactly once and last, which
  proves that the whole chunk was parsed (the C engine skips the rest after something unreadable, with
  code 0) and that everything was delivered. A fact that no rule reads is no error: code 1, which stands
  for that, can only hide a doubled id, and ids are made here, unique, in an emptied working memory.
- Consequents never run inside the engine: `match` returns what fires, sorted by rule and slots, and the
  owner calls the consequents. So the order in which the C engine delivers is part of no contract.
- The working memory is emptied after each chunk, whatever happens.

An engine belongs to one thread. It is not re-entrant; use by two threads at a time is refused.
"""

import itertools
import re
import threading
import warnings
import weakref
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, Self

import msgspec

from rules._compile import compile_rules
from rules._facts import CHUNK, FactReader
from rules._native import lang, load_error, native
from rules._program import (
    END,
    MAX_PATTERNS,
    PARTITION,
    Alternative,
    Condition,
    EngineError,
    Fact,
    FactError,
    Firing,
    Join,
    Pattern,
    Rule,
    RuleError,
    Value,
)
from rules.matcher import Matcher, check_partition

__all__ = [
    "CHUNK",
    "Engine",
    "EngineError",
    "Fact",
    "FactError",
    "Firing",
    "Matcher",
    "Rule",
    "RuleError",
    "RuleMatcher",
    "Value",
    "c",
    "m",
    "make_engine",
]

#: durable.lang's message: ``m.kind == "Pod"``.
m = lang.m

#: durable.lang's context, which names the patterns of a join: ``c.pod << (m.kind == "Pod")``.
c = lang.c

_MAX_CHUNK = 999_999
_SENTINEL_ID = "999999"
_IDS = [f"{number:06d}" for number in range(CHUNK)]
_SENTINEL = f',{{"id":"{_SENTINEL_ID}","{END}":1}}]'.encode()
#: Where a firing names a fact. A quote inside a string is escaped, so this never matches inside a value.
_FOUND = re.compile(r'"p(\d)":\{"id":"(\d{6})"')

#: What asserting may answer: all is well, or some fact is read by no rule.
_ACCEPTED_CODES = (0, 1)

_POSITIONS = [str(position) for position in range(MAX_PATTERNS)]
_CODES = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte", "!=": "$neq", "has": "$ex", "lacks": "$nex"}


class RuleMatcher(Protocol):
    """What `Engine` and `Matcher` have in common."""

    name: str
    rules: tuple[Rule, ...]

    @property
    def backend(self) -> str:
        """Which implementation this is: "durable-rules" or "python"."""

    def match(self, facts: Sequence[Fact], partition: Sequence[Hashable] | None = None) -> list[Firing]:
        """All firings, sorted by (rule order, slots)."""

    def close(self) -> None:
        """Give back what is held outside Python."""


def make_engine(name: str, rules: Sequence[Rule]) -> RuleMatcher:
    """An `Engine`, or a `Matcher` where the C engine does not load: then with a RuntimeWarning that says why."""
    if native is not None:
        return Engine(name, rules)
    warnings.warn(
        f"durable_rules' C module does not load, matching in Python: {load_error}", RuntimeWarning, stacklevel=2
    )
    return Matcher(name, rules)


class Engine:
    """A rule set in the C engine.

    Args:
        name: names the rule set in errors.
        rules: in order of priority. Names must be unique.

    Raises:
        RuleError: a rule is nothing that the engine can run exactly.
        EngineError: the C module does not load (see `make_engine`) or has no handle left (131,071).
    """

    backend = "durable-rules"

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        if native is None:
            raise EngineError(name, f"durable_rules' C module does not load: {load_error}")
        self._program = compile_rules(name, rules)
        self._reader = FactReader(self._program)
        self._in_use = threading.Lock()
        self.name = name
        self.rules = self._program.rules
        self._widths = [1] * len(self.rules)
        for alternative in self._program.alternatives:
            self._widths[alternative.rule] = len(alternative.patterns)
        definition = msgspec.json.encode(_define(self._program.alternatives)).decode()
        try:
            self._handle = native.create_ruleset("rules", definition)
        except native.error as error:
            raise EngineError(name, f"the C engine refuses the rules: {error}") from error
        self._finalizer = weakref.finalize(self, _dispose, self._handle)
        self._finalizer.atexit = False
        # The C engine frees uninitialised pointers when a new rule set's first memory is emptied before
        # anything fired. One chunk that holds the sentinel alone makes them valid for good.
        self._run(_SENTINEL.replace(b",", b"[", 1).decode())

    def match(self, facts: Sequence[Fact], partition: Sequence[Hashable] | None = None) -> list[Firing]:
        """Every rule that matches, with the facts that it matches.

        Args:
            facts: flat mappings of 1 to 100 properties to 64-bit ints, strings of at most 1,024
                characters, bools or None. A property has one type in a rule set (ints and bools mix,
                unless they are joined).
            partition: for rules that join, one hashable per fact: only facts of the same partition are
                joined. Smaller partitions are faster: the C engine takes each whole. None is one
                partition with all facts.

        Returns:
            All firings, sorted by (rule order, slots). Equal facts fire each for itself. A fact never
            takes two places in one firing.

        Raises:
            FactError: a fact is refused; nothing was matched.
            EngineError: the C engine failed, or the engine is closed or in use. It can be used again.
        """
        check_partition(self.name, facts, partition)
        found: list[set[Any]] = [set() for _ in self.rules]
        with self._use():
            if not self._finalizer.alive:
                raise EngineError(self.name, "the engine is closed")
            rows = self._reader.read(list(facts))
            joins = self._program.joins
            alike = {} if joins else _alike(rows)
            for slots in self._partitions(rows, partition) if joins else _chunks(list(alike)):
                self._match_chunk([rows[slot] for slot in slots], slots, found)
        firings: list[Firing] = []
        for rule, width, hits in zip(self.rules, self._widths, found, strict=True):
            ordered = sorted(hits if joins else itertools.chain.from_iterable(alike[first] for first in hits))
            firings += [Firing(rule, slots) for slots in (zip(ordered, strict=True) if width == 1 else ordered)]
        return firings

    def close(self) -> None:
        """Free the rule set in the C engine. Done by itself when the engine is no longer referenced."""
        with self._use():
            self._finalizer()

    @contextmanager
    def _use(self) -> Iterator[None]:
        if not self._in_use.acquire(blocking=False):
            raise EngineError(self.name, "in use by another thread or call: make one engine for each thread")
        try:
            yield
        finally:
            self._in_use.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _partitions(self, rows: Sequence[Any], partition: Sequence[Hashable] | None) -> Iterator[Sequence[int]]:
        """Slots of each chunk where rules join: whole partitions."""
        groups: dict[Hashable, list[int]] = {}
        for slot, key in enumerate(itertools.repeat(None, len(rows)) if partition is None else partition):
            groups.setdefault(key, []).append(slot)
        chunk: list[int] = []
        for number, slots in enumerate(groups.values()):
            for slot in slots:
                rows[slot].partition = number
            if chunk and len(chunk) + len(slots) > CHUNK:
                yield chunk
                chunk = []
            chunk += slots
        if chunk:
            yield chunk

    def _match_chunk(self, rows: Sequence[Any], slots: Sequence[int], found: list[set[Any]]) -> None:
        """Add what fires on these rows to `found`: per rule a set of slots, or of tuples of slots for joins."""
        if len(rows) > _MAX_CHUNK:
            raise EngineError(self.name, f"a partition has {len(rows)} facts, at most {_MAX_CHUNK}")
        ids = _IDS if len(rows) <= CHUNK else [f"{number:06d}" for number in range(len(rows))]
        for row, number in zip(rows, ids, strict=False):
            row.id = number
        text = (msgspec.json.encode(rows)[:-1] + _SENTINEL).decode()
        for index, hits in self._run(text):
            rule = self._program.alternatives[index].rule
            width = self._widths[rule]
            if [position for position, _ in hits] != _POSITIONS[:width] * (len(hits) // width):
                raise EngineError(self.name, "the C engine mixed up the facts of a join", rule=self.rules[rule].name)
            places = [slots[int(number)] for _, number in hits]
            found[rule].update(places if width == 1 else zip(*[iter(places)] * width, strict=True))

    def _run(self, text: str) -> list[tuple[int, list[tuple[str, str]]]]:
        """Give one chunk to the C engine. Returns (alternative, [(pattern, id), ...]) as it delivers them."""
        try:
            try:
                return self._deliver(text)
            finally:
                _empty(self._handle)
        except native.error as error:
            raise EngineError(self.name, f"the C engine failed on a chunk of facts: {error}") from error

    def _deliver(self, text: str) -> list[tuple[int, list[tuple[str, str]]]]:
        results: list[tuple[int, list[tuple[str, str]]]] = []
        last = len(self._program.alternatives)
        ended = False
        code, _ = native.assert_facts(self._handle, text)
        if code not in _ACCEPTED_CODES:
            raise EngineError(self.name, f"the C engine refused a chunk of facts with code {code}")
        action = native.start_action(self._handle)
        message = action and action[1]
        while message is not None:
            index, hits = int(message[4 : message.index('"', 4)]), _FOUND.findall(message)
            if ended or (index == last and hits != [("0", _SENTINEL_ID)]):
                raise EngineError(self.name, "the C engine did not deliver the sentinel once and last")
            if index == last:
                ended = True
            else:
                results.append((index, hits))
            message = native.complete_and_start_action(self._handle, action[2])
        if not ended:
            raise EngineError(self.name, "the C engine did not read a chunk of facts to its end")
        return results


def _alike(rows: Sequence[Any]) -> dict[int, list[int]]:
    """The slots of rows that say the same, by the first of them. Where no rule joins, what one fires all fire."""
    slots: dict[bytes, list[int]] = {}
    for slot, text in enumerate(map(msgspec.json.encode, rows)):
        slots.setdefault(text, []).append(slot)
    return {same[0]: same for same in slots.values()}


def _chunks(slots: Sequence[int]) -> Iterator[Sequence[int]]:
    """The slots in chunks, as they come."""
    return (slots[start : start + CHUNK] for start in range(0, len(slots), CHUNK))


def _empty(handle: int) -> None:
    """Delete the working memory, if there is one (error 309: there is none)."""
    try:
        native.delete_state(handle, "0")
    except native.error as error:
        if "309" not in str(error):
            raise


def _dispose(handle: int) -> None:
    """Deleting a rule set alone leaks its facts, so they go first."""
    _empty(handle)
    native.delete_ruleset(handle)


def _define(alternatives: Sequence[Alternative]) -> dict[str, Any]:
    """The rules as the C engine reads them, named r_0, r_1, ..., with the sentinel's at the end.

    `pri` is unique and rising, so the sentinel fires last. `cap` makes the C engine deliver up to a
    chunk of firings at a time, which costs a third of one by one.
    """
    bodies = [
        [{f"p{position}": _define_pattern(pattern, position)} for position, pattern in enumerate(alternative.patterns)]
        for alternative in alternatives
    ]
    bodies.append([{"p0": {END: 1}}])
    return {f"r_{i}": {"all": body, "pri": i + 1, "cap": CHUNK} for i, body in enumerate(bodies)}


def _define_pattern(pattern: Pattern, position: int) -> dict[str, Any]:
    joins = [*pattern.joins, *([Join(PARTITION, "==", 0, PARTITION)] if position else [])]
    parts = [_define_condition(condition) for condition in pattern.conditions]
    parts += [_define_comparison(join.name, join.operator, {f"p{join.pattern}": join.other}) for join in joins]
    return {"$and": parts} if len(parts) > 1 else parts[0]


def _define_condition(condition: Condition) -> dict[str, Any]:
    value = 1 if condition.operator in ("has", "lacks") else condition.value
    return _define_comparison(condition.name, condition.operator, value)


def _define_comparison(name: str, sign: str, value: Any) -> dict[str, Any]:
    return {name: value} if sign == "==" else {_CODES[sign]: {name: value}}
