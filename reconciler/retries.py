"""When to try again what failed: doubling delays per key, as client-go's rate-limited queues."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Failed:
    attempts: int
    due: int


class Retries(Generic[K]):
    """The failures of one component. All times and delays are microseconds.

    Example:
        >>> retries = Retries(first=100, longest=350)
        >>> [retries.failed("a", now=0) for _ in range(4)]
        [100, 200, 350, 350]
        >>> retries.due("a", now=349), retries.due("a", now=350), retries.due("b", now=0)
        (False, True, True)
    """

    def __init__(self, *, first: int, longest: int) -> None:
        self._first = first
        self._longest = longest
        self._failures: dict[K, _Failed] = {}

    def due(self, key: K, now: int) -> bool:
        """Says whether it may be tried: it never failed, or its delay is over."""
        failure = self._failures.get(key)
        return failure is None or failure.due <= now

    def failed(self, key: K, now: int) -> int:
        """Notes a failure; returns when to try again."""
        attempts = self._failures[key].attempts if key in self._failures else 0
        due = now + min(self._first << min(attempts, 40), self._longest)
        self._failures[key] = _Failed(attempts + 1, due)
        return due

    def forget(self, key: K) -> None:
        """It worked, or isn't wanted any more."""
        self._failures.pop(key, None)

    @property
    def next(self) -> int | None:
        """When the first of them is due; None if nothing failed."""
        return min((failure.due for failure in self._failures.values()), default=None)
