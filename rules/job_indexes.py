"""Completion indexes of a Job, as its status and its pods have them: "0-3,5"."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from state.objects import Pod

INDEX = "batch.kubernetes.io/job-completion-index"
#: As many digits as the largest number has of which a Job can have so many completions.
_DIGITS = 10


def index_of(pod: Pod) -> int | None:
    """The pod's completion index; None without one."""
    return number(pod.metadata.annotations.get(INDEX, ""))


def number(text: str) -> int | None:
    """What a text counts; None if it is no such number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


@dataclass(frozen=True, slots=True)
class Indexes:
    """A set of indexes. It takes no more room than its text, however many there are: a Job can have two billion.

    ``runs`` are the first and the last index of each run, in order; between two runs something is missing.
    """

    runs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, indexes: Iterable[int]) -> Indexes:
        """A set of single indexes."""
        return cls._merged((index, index) for index in indexes)

    @classmethod
    def parse(cls, text: str | None, completions: int) -> Indexes:
        """The indexes below ``completions`` that a text lists; parts that aren't numbers or ranges are left out."""
        return cls._merged(_read(text or "", completions))

    @classmethod
    def _merged(cls, runs: Iterable[tuple[int, int]]) -> Indexes:
        merged: list[tuple[int, int]] = []
        for first, last in sorted(runs):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    def __or__(self, other: Indexes) -> Indexes:
        return self._merged((*self.runs, *other.runs)) if self.runs and other.runs else self if self.runs else other

    def __and__(self, other: Indexes) -> Indexes:
        """What both have."""
        common, mine, theirs = [], list(reversed(self.runs)), list(reversed(other.runs))
        while mine and theirs:
            first, last = max(mine[-1][0], theirs[-1][0]), min(mine[-1][1], theirs[-1][1])
            if first <= last:
                common.append((first, last))
            (mine if mine[-1][1] == last else theirs).pop()
        return Indexes(tuple(common))

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.runs)

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self.runs, index, key=_first) - 1
        return at >= 0 and index <= self.runs[at][1]

    def __str__(self) -> str:
        """As text: three or more in a row as a range."""
        return ",".join(
            str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}"
            for first, last in self.runs
        )

    def first_free(self, completions: int, count: int) -> list[int]:
        """The lowest ``count`` indexes that aren't in it."""
        free: list[int] = []
        start = 0
        for first, last in (*self.runs, (completions, completions)):
            free += range(start, min(first, completions, start + count - len(free)))
            start = last + 1
        return free


NO_INDEXES = Indexes()


def _first(run: tuple[int, int]) -> int:
    return run[0]


def _read(text: str, completions: int) -> Iterator[tuple[int, int]]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = number(first), number(last or first)
        if start is not None and end is not None and start <= (end := min(end, completions - 1)):
            yield start, end
