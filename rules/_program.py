"""What the two matchers share: rules, firings, errors, limits, and the form into which rules are compiled.

A compiled rule set is a list of *alternatives*: each is a list of patterns (one per fact that takes
part), each pattern a list of plain conditions that must all hold. The C engine and the pure-Python
matcher both start from this form, so they cannot differ in how they read a rule.

The limits are those of the C engine's tables (rete.c, events.c in durable_rules 2.0.28). Beyond them
it hangs, overruns its memory or refuses facts at run time, so a rule set beyond them is refused when
it is made, by both matchers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

Value = int | str | bool | None
Fact = Mapping[str, Value]
Kind = Literal["any", "text", "number", "int", "bool"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*", re.ASCII)
#: Names that the C engine gives a meaning of its own.
RESERVED_NAMES = frozenset({"id", "sid"})

#: Integers beyond these saturate in the C engine.
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

#: Characters of a string. The C engine compares with 16-bit lengths, in JSON bytes (up to six a character).
MAX_TEXT = 1024

#: Property of the sentinel fact.
END = "$end"

#: Property that holds a fact's partition number in rule sets that join.
PARTITION = "$p"

#: Alternatives of one rule after `|` is multiplied out. A longer rule is better written as several.
MAX_ALTERNATIVES = 64

#: Alternatives of a rule set, the sentinel's among them (MAX_ACTIONS is 4,096).
MAX_RULES = 4000

#: Facts that one rule joins (MAX_MESSAGE_FRAMES is 16).
MAX_PATTERNS = 8

#: Comparisons of one pattern with earlier ones (MAX_SEQUENCE_EXPRESSIONS is 32, markers included).
MAX_JOINS = 16

#: Different conditions that may follow the same ones (NEXT_BUCKET_LENGTH is 512: one is the sentinel's, one is free).
MAX_BRANCHES = 510

#: As MAX_BRANCHES, for "lacks" conditions (NEXT_LIST_LENGTH is 128, and one must stay free).
MAX_LACKS = 127

#: Patterns with the same conditions (BETA_LIST_LENGTH is 256, and one must stay free).
MAX_EQUAL = 255

#: Conditions that one fact can leave waiting at the same time (MAX_STACK_SIZE).
MAX_LIVE = 64


class EngineError(Exception):
    """A rule set could not be made or run. Carries the rule set's name and, where known, rule and slots."""

    def __init__(self, rule_set: str, message: str, *, rule: str = "", slots: tuple[int, ...] = ()) -> None:
        self.rule_set = rule_set
        self.rule = rule
        self.slots = slots
        where = f"rule set {rule_set!r}"
        if rule:
            where += f", rule {rule!r}"
        if slots:
            where += f", slot{'s' if len(slots) > 1 else ''} {', '.join(map(str, slots))}"
        super().__init__(f"{where}: {message}")


class RuleError(EngineError):
    """A rule is refused when it is made, or (raised by the owner) its consequent failed on these slots."""


class FactError(EngineError):
    """A fact is refused. `slot` is its index; `property` is None when the fact as a whole is wrong."""

    def __init__(self, rule_set: str, slot: int, property: str | None, value: object, expected: str) -> None:  # noqa: A002  named as in the message
        self.slot = slot
        self.property = property
        self.value = value
        self.expected = expected
        what = "the fact" if property is None else f"property {property!r}"
        super().__init__(rule_set, f"{what} is {shorten(value)}: expected {expected}", slots=(slot,))


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One line of a rule table.

    `when` is a durable.lang expression over one flat fact, such as
    `(m.kind == "ReplicaSet") & (m.missing > 0)`; or a tuple of named ones, a join over several facts of
    the same partition: `(c.node << m.kind == "Node", c.pod << (m.kind == "Pod") & (m.node == c.node.name))`.
    Write `&` and `|` with parentheses: `and`, `or` and chained comparisons cannot be seen by durable.lang
    and silently lose their left side. A comparison with a missing property or with None is false, `!=`
    too; only `== None` matches a None, and `!= None` every other value.

    `then` is the pure consequent. It is called by the owner of the engine, never by the engine.
    `why` is a `str.format` template over the fact: one sentence for a person.
    """

    name: str
    when: object
    then: Callable[..., None]
    why: str


class Firing(msgspec.Struct, frozen=True, gc=False):
    """A rule and the facts that it matched: indexes into the facts given, in the order of its patterns."""

    rule: Rule
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A property compared with a constant, or its presence ("has") or absence ("lacks")."""

    name: str
    operator: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class Join:
    """A property compared with one of the fact of an earlier pattern, given by position."""

    name: str
    operator: str
    pattern: int
    other: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """What one fact must satisfy."""

    conditions: tuple[Condition, ...]
    joins: tuple[Join, ...] = ()


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way in which a rule can match."""

    rule: int
    patterns: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled rule set.

    `kinds` has the type of each property that the rules read; `joined` the groups of properties that
    are joined with each other and whose type no rule tells: it is that of the first fact that has one.
    """

    name: str
    rules: tuple[Rule, ...]
    alternatives: tuple[Alternative, ...]
    kinds: dict[str, Kind]
    joined: tuple[tuple[str, ...], ...]

    @property
    def joins(self) -> bool:
        """Whether any rule needs more than one fact."""
        return any(len(alternative.patterns) > 1 for alternative in self.alternatives)


def shorten(value: object) -> str:
    """A value for an error message: its repr, at most 60 characters of it, and its type if that is cut."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}... ({type(value).__name__})"
