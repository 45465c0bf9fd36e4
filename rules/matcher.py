"""A second matcher, in Python alone, with the interface of `rules.engine.Engine`.

It is the oracle against which the C engine is tested, and what `rules.engine.make_engine` falls back
to where the C engine does not load. It walks over all facts for each rule and, in joins, over those
that agree on the properties compared with `==`: right and plain before fast.
"""

import operator
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rules._compile import compile_rules
from rules._facts import FactReader
from rules._program import EngineError, Fact, Firing, Join, Pattern, Rule

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Matcher:
    """Matches rules against facts by brute force. See `rules.engine.Engine` for the meaning of it all."""

    backend = "python"

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        self._program = compile_rules(name, rules)
        self._reader = FactReader(self._program)
        self.name = name
        self.rules = self._program.rules

    def match(self, facts: Sequence[Fact], partition: Sequence[Hashable] | None = None) -> list[Firing]:
        """All firings, sorted by (rule order, slots)."""
        check_partition(self.name, facts, partition)
        self._reader.read(list(facts))
        keys = [None] * len(facts) if partition is None else partition
        found = {
            (alternative.rule, slots)
            for alternative in self._program.alternatives
            for slots in _search(alternative.patterns, facts, keys)
        }
        return [Firing(self.rules[rule], slots) for rule, slots in sorted(found)]

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_partition(name: str, facts: Sequence[Fact], partition: Sequence[Hashable] | None) -> None:
    """Raises `EngineError` unless there is one partition per fact, or none at all."""
    if partition is not None and len(partition) != len(facts):
        raise EngineError(name, f"{len(facts)} facts, but {len(partition)} partitions: expected one for each fact")


def _search(
    patterns: Sequence[Pattern], facts: Sequence[Fact], partition: Sequence[Hashable]
) -> Iterator[tuple[int, ...]]:
    """The slots of every combination of different facts that satisfies the patterns."""
    candidates = [[slot for slot, fact in enumerate(facts) if _holds(pattern, fact)] for pattern in patterns]
    combinations: list[tuple[int, ...]] = [(slot,) for slot in candidates[0]]
    for pattern, slots in zip(patterns[1:], candidates[1:], strict=True):
        equal = [join for join in pattern.joins if join.operator == "=="]
        index: dict[Hashable, list[int]] = {}
        for slot in slots:
            key = (partition[slot], *(facts[slot][join.name] for join in equal))
            index.setdefault(key, []).append(slot)
        combinations = [
            (*chosen, slot)
            for chosen in combinations
            for slot in index.get((partition[chosen[0]], *_others(equal, chosen, facts)), ())
            if slot not in chosen and _joins(pattern.joins, facts[slot], chosen, facts)
        ]
    yield from combinations


def _others(joins: Sequence[Join], chosen: Sequence[int], facts: Sequence[Fact]) -> Iterator[Hashable]:
    for join in joins:
        yield facts[chosen[join.pattern]][join.other]


def _joins(joins: Sequence[Join], fact: Fact, chosen: Sequence[int], facts: Sequence[Fact]) -> bool:
    return all(_COMPARE[join.operator](fact[join.name], facts[chosen[join.pattern]][join.other]) for join in joins)


def _holds(pattern: Pattern, fact: Mapping[str, Any]) -> bool:
    """Whether the fact satisfies the pattern's conditions. None equals only None, and has no order."""
    for condition in pattern.conditions:
        name, sign, wanted = condition.name, condition.operator, condition.value
        if sign in ("has", "lacks"):
            if (name in fact) != (sign == "has"):
                return False
        elif name not in fact:
            return False
        elif fact[name] is None:
            if wanted is not None or sign != "==":
                return False
        elif not _COMPARE[sign](fact[name], wanted):
            return False
    return True
