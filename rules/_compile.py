"""From rules written with durable.lang to the `Program` that both matchers run.

durable.lang's expressions are nested JSON. `a | b` is multiplied out into two alternatives of the same
rule, because the C engine fires twice when both sides of its `$or` hold. What the C engine gets wrong,
or what makes it hang, is refused: `none`, a lone not, arrays, regular expressions, arithmetic, order
of strings.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from rules._native import lang
from rules._program import (
    INT_MAX,
    INT_MIN,
    MAX_ALTERNATIVES,
    MAX_BRANCHES,
    MAX_EQUAL,
    MAX_JOINS,
    MAX_LACKS,
    MAX_LIVE,
    MAX_PATTERNS,
    MAX_RULES,
    MAX_TEXT,
    NAME,
    RESERVED_NAMES,
    Alternative,
    Condition,
    Join,
    Kind,
    Pattern,
    Program,
    Rule,
    RuleError,
    Value,
    shorten,
)
from state.paths import is_unicode

_SIGNS = {
    "$lt": "<",
    "$lte": "<=",
    "$gt": ">",
    "$gte": ">=",
    "$neq": "!=",
    "$ex": "has",
    "$nex": "lacks",
}
_ORDERINGS = frozenset({"<", "<=", ">", ">="})
_FNV_BASIS, _FNV_PRIME = 2166136261, 16777619

#: Rule sets that stay taken apart; a program has a score of them.
_REMEMBERED = 128


class _RefusedError(Exception):
    """Why a rule is refused; becomes a `RuleError` where the rule's name is known."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """A property of the fact of another pattern, not yet resolved: durable.lang's `c.alias.name`."""

    name: str
    operator: str
    alias: str
    other: str


_Leaf = Condition | _Reference


def compile_rules(name: str, rules: Sequence[Rule]) -> Program:
    """Take the rules apart and check them. Raises `RuleError` for anything the C engine cannot do right.

    The same rules, which are constants of their modules, are taken apart once: a short-lived loop has a score of
    rule sets, and would spend most of its time here.
    """
    return _compiled(name, tuple(rules))


@lru_cache(_REMEMBERED)
def _compiled(name: str, rules: tuple[Rule, ...]) -> Program:
    seen: set[str] = set()
    alternatives: list[Alternative] = []
    for index, rule in enumerate(rules):
        if not rule.name or rule.name in seen:
            problem = "the name is used twice" if rule.name else "a rule must have a name"
            raise RuleError(name, problem, rule=rule.name)
        seen.add(rule.name)
        try:
            alternatives += [Alternative(index, patterns) for patterns in _read_rule(rule.when)]
        except _RefusedError as refusal:
            raise RuleError(name, str(refusal), rule=rule.name) from refusal.__cause__
    try:
        kinds, joined = _infer_kinds(alternatives)
        _check_hashes(kinds)
        _check_limits(alternatives)
    except _RefusedError as refusal:
        raise RuleError(name, str(refusal)) from None
    return Program(name, rules, tuple(alternatives), kinds, joined)


# From expressions to alternatives


def _read_rule(when: object) -> list[tuple[Pattern, ...]]:
    parts = when if isinstance(when, tuple) else (when,)
    if not 1 <= len(parts) <= MAX_PATTERNS:
        raise _RefusedError(f"a rule joins 1 to {MAX_PATTERNS} patterns, this one has {len(parts)}")
    definitions = [_define(part) for part in parts]
    aliases = [part.alias for part in parts]
    if len(parts) > 1 and (None in aliases or len(set(aliases)) < len(parts)):
        raise _RefusedError("each pattern of a join needs a name of its own, as in c.pod << (m.kind == 'Pod')")
    choices = [_multiply_out(definition) for definition in definitions]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MAX_ALTERNATIVES:
        raise _RefusedError(
            f"it multiplies out to {count} alternatives, at most {MAX_ALTERNATIVES}: make it several rules"
        )
    return [_resolve(combination, aliases) for combination in itertools.product(*choices)]


def _define(part: object) -> Any:
    """The JSON of a durable.lang expression. Asks for no attribute before: its classes answer to any."""
    if not isinstance(part, lang.value):
        raise _RefusedError(f"expected a durable.lang expression such as m.kind == 'Pod', got {shorten(part)}")
    try:
        return part.define()
    except Exception as error:
        raise _RefusedError(f"durable.lang refuses the expression: {error}") from error


def _multiply_out(node: Any) -> list[tuple[_Leaf, ...]]:
    """The disjunctive normal form: a list of different alternatives, each a tuple of different leaves."""
    if not isinstance(node, dict) or len(node) != 1:
        raise _RefusedError(f"expected a comparison, got {shorten(node)}: write & and |, not `and`, `or`, `not`")
    [(key, body)] = node.items()
    if key not in ("$and", "$or"):
        return [(_read_leaf(key, body),)]
    branches = [_multiply_out(child) for child in body]
    if key == "$or":
        result = list(itertools.chain.from_iterable(branches))
    else:
        result = [()]
        for branch in branches:
            result = [(*left, *right) for left in result for right in branch]
            if len(result) > MAX_ALTERNATIVES:
                break
    if len(result) > MAX_ALTERNATIVES:
        raise _RefusedError(f"it multiplies out to over {MAX_ALTERNATIVES} alternatives: make it several rules")
    return list({frozenset(leaves): tuple(dict.fromkeys(leaves)) for leaves in result}.values())


def _read_leaf(key: str, body: Any) -> _Leaf:
    if key == "$m":
        raise _RefusedError(
            f"{body!r} stands alone: compare it, or write +m.{body} (it is there) or -m.{body} (it is not)"
        )
    if not key.startswith("$"):
        return _read_comparison(key, "==", body)
    if key not in _SIGNS:
        raise _RefusedError(f"{key} is not supported: compute a boolean property instead")
    [(name, value)] = body.items()
    sign = _SIGNS[key]
    if sign in ("has", "lacks"):
        return Condition(_checked_name(name), sign)
    return _read_comparison(name, sign, value)


def _read_comparison(name: str, sign: str, value: Any) -> _Leaf:
    _checked_name(name)
    if not isinstance(value, dict):
        return Condition(name, sign, _checked_constant(name, sign, value))
    [(alias, other)] = value.items()
    if alias == "$m" or not isinstance(other, str) or alias.startswith("$"):
        raise _RefusedError(f"{name!r} is compared with {shorten(value)}: compute the difference in the fact instead")
    return _Reference(name, sign, alias, _checked_name(other))


def _checked_name(name: str) -> str:
    if name in RESERVED_NAMES or not NAME.fullmatch(name):
        raise _RefusedError(f"{name!r} cannot be a property: expected a name like node_missing, not id or sid")
    return name


def _checked_constant(name: str, sign: str, value: Any) -> Value:
    text = f"{name} {sign} {shorten(value)}"
    if value is None or isinstance(value, str):
        if sign in _ORDERINGS:
            raise _RefusedError(f"{text}: only integers have an order here")
        if value is not None and len(value) > MAX_TEXT:
            raise _RefusedError(f"{text}: at most {MAX_TEXT} characters")
        if value is not None and not is_unicode(value):
            raise _RefusedError(f"{text}: a lone surrogate is no text")
        return value
    if isinstance(value, int):
        if not INT_MIN <= value <= INT_MAX:
            raise _RefusedError(f"{text}: beyond 64 bits")
        return value
    raise _RefusedError(f"{text}: expected an int, a string, a bool or None")


def _resolve(combination: Sequence[tuple[_Leaf, ...]], aliases: Sequence[str | None]) -> tuple[Pattern, ...]:
    """Patterns with joins by position, and with the guards that keep missing and None values out of joins."""
    conditions: list[dict[Condition, None]] = []
    joins: list[list[Join]] = []
    for position, leaves in enumerate(combination):
        conditions.append({leaf: None for leaf in leaves if isinstance(leaf, Condition)})
        joins.append([_resolve_join(leaf, aliases[:position]) for leaf in leaves if isinstance(leaf, _Reference)])
        if not any(condition.operator != "lacks" for condition in conditions[-1]):
            raise _RefusedError("a pattern needs a condition on a property that is there, not only -m.x or a join")
        if position and not any(join.operator == "==" for join in joins[-1]):
            raise _RefusedError(
                f"pattern {aliases[position]!r} has no == with an earlier pattern: every pair would match"
            )
        if len(joins[-1]) > MAX_JOINS:
            raise _RefusedError(f"pattern {aliases[position]!r} has {len(joins[-1])} joins, at most {MAX_JOINS}")
        for join in joins[-1]:
            conditions[-1] |= _guard(conditions[-1], join.name)
            conditions[join.pattern] |= _guard(conditions[join.pattern], join.other)
    return tuple(Pattern(tuple(c), tuple(j)) for c, j in zip(conditions, joins, strict=True))


def _resolve_join(reference: _Reference, earlier: Sequence[str | None]) -> Join:
    if reference.alias not in earlier:
        known = ", ".join(f"c.{alias}" for alias in earlier) or "none"
        raise _RefusedError(f"c.{reference.alias}.{reference.other} names no earlier pattern (earlier ones: {known})")
    return Join(reference.name, reference.operator, earlier.index(reference.alias), reference.other)


def _guard(conditions: Iterable[Condition], name: str) -> dict[Condition, None]:
    """`name != None`, unless a condition on it says as much already."""
    for condition in conditions:
        if condition.name == name and condition.operator not in ("has", "lacks") and condition.value is not None:
            return {}
    return {Condition(name, "!="): None}


# Types of properties


def _infer_kinds(alternatives: Iterable[Alternative]) -> tuple[dict[str, Kind], tuple[tuple[str, ...], ...]]:
    """The type of each property that is read, and the joined groups for which the rules do not tell it.

    The C engine holds "5" equal to 5 and joins True with "true", so a property has one type in a rule
    set, and so have properties that are joined.
    """
    parent: dict[str, str] = {}
    told: dict[str, set[Kind]] = {}
    joined: set[str] = set()

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for pattern in _patterns(alternatives):
        for condition in pattern.conditions:
            root(condition.name)
            if condition.value is not None:
                told.setdefault(condition.name, set()).add(_kind_of(condition.value))
        for join in pattern.joins:
            parent[root(join.name)] = root(join.other)
            joined |= {join.name, join.other}
            if join.operator in _ORDERINGS:
                told.setdefault(join.name, set()).add("int")
    groups: dict[str, list[str]] = {}
    for name in sorted(parent):
        groups.setdefault(root(name), []).append(name)
    kinds: dict[str, Kind] = {}
    open_groups: list[tuple[str, ...]] = []
    for names in groups.values():
        kind = _common_kind(
            names, set().union(*(told.get(name, set()) for name in names)), not joined.isdisjoint(names)
        )
        kinds |= dict.fromkeys(names, kind)
        if kind == "any" and not joined.isdisjoint(names):
            open_groups.append(tuple(names))
    return kinds, tuple(open_groups)


def _common_kind(names: Sequence[str], told: set[Kind], is_joined: bool) -> Kind:
    if not told:
        return "any"
    if len(told) == 1 and (is_joined or told == {"text"}):
        return next(iter(told))
    if "text" not in told and not is_joined:
        return "number"
    raise _RefusedError(f"{', '.join(names)}: compared with {' and '.join(sorted(told))}, one property has one type")


def _kind_of(constant: int | str | bool) -> Kind:
    if isinstance(constant, bool):
        return "bool"
    return "int" if isinstance(constant, int) else "text"


def _patterns(alternatives: Iterable[Alternative]) -> Iterator[Pattern]:
    for alternative in alternatives:
        yield from alternative.patterns


# Limits of the C engine


def _check_hashes(names: Iterable[str]) -> None:
    """The C engine knows properties by their 32-bit FNV-1a hash only."""
    found: dict[int, str] = {}
    for name in (*sorted(RESERVED_NAMES), *sorted(names)):
        value = _FNV_BASIS
        for byte in name.encode():
            value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFF
        if value in found:
            raise _RefusedError(f"the properties {found[value]!r} and {name!r} have the same hash: rename one")
        found[value] = name


class _Branch(NamedTuple):
    """What distinguishes a condition in the C engine's tree. `serial` is 0 for those that rules share."""

    name: str
    operator: str
    type: type
    value: Value
    serial: int


@dataclass(slots=True)
class _Node:
    """A condition in the C engine's tree (its alpha network), with the conditions that follow it."""

    branches: "dict[_Branch, _Node]" = field(default_factory=dict)
    patterns: int = 0


def _check_limits(alternatives: Sequence[Alternative]) -> None:
    """Build the tree as rete.c does: equal conditions after equal conditions are one node, joins never are."""
    if len(alternatives) >= MAX_RULES:
        raise _RefusedError(f"{len(alternatives)} alternatives, fewer than {MAX_RULES} are allowed")
    top = _Node()
    serial = itertools.count(1)
    for pattern in _patterns(alternatives):
        node = top
        parts: list[Condition | Join] = [*pattern.conditions, *pattern.joins]
        for part in parts:
            value = part.value if isinstance(part, Condition) else None
            shared = value is not None or part.operator in ("has", "lacks")
            branch = _Branch(part.name, part.operator, type(value), value, 0 if shared else next(serial))
            node = node.branches.setdefault(branch, _Node())
        node.patterns += 1
    live = _most_live(top)
    if live > MAX_LIVE:
        raise _RefusedError(
            f"one fact could satisfy {live} conditions side by side, at most {MAX_LIVE}: "
            "begin the rules with an == on a common property (m.kind == ...), or split the rule set"
        )


def _most_live(node: _Node) -> int:
    """The most conditions that wait on the C engine's stack while one fact goes through the tree below `node`."""
    if node.patterns > MAX_EQUAL:
        raise _RefusedError(f"{node.patterns} patterns have the same conditions, at most {MAX_EQUAL}")
    lacking = sum(key.operator == "lacks" for key in node.branches)
    if lacking > MAX_LACKS:
        raise _RefusedError(
            f"{lacking} properties are tested for absence after the same conditions, at most {MAX_LACKS}"
        )
    if len(node.branches) - lacking > MAX_BRANCHES:
        [(name, count)] = Counter(key.name for key in node.branches).most_common(1)
        raise _RefusedError(f"{count} different conditions on {name!r} side by side, at most {MAX_BRANCHES} in all")
    exclusive = [key.name for key in node.branches if key.operator == "==" and not key.serial]
    width = len(node.branches) - len(exclusive) + len(set(exclusive))
    return max((width - 1 + _most_live(branch) for branch in node.branches.values()), default=1)
