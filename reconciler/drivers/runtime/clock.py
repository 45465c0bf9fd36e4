"""Time as an argument: the wall clock, and one that stands still until it is told to move."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> int:
        """Microseconds since the epoch."""


class WallClock:
    """The machine's time."""

    def now(self) -> int:
        """Microseconds since the epoch."""
        return time.time_ns() // 1000


class VirtualClock:
    """Time that moves when ``advance`` or ``set`` says so, never back."""

    def __init__(self, now: int = 0) -> None:
        self._now = now

    def now(self) -> int:
        """Microseconds since the epoch."""
        return self._now

    def set(self, now: int) -> None:
        """Moves to a time; an earlier one is an error."""
        if now < self._now:
            raise ValueError(f"time does not go back: it is {self._now}, asked for {now}")
        self._now = now

    def advance(self, microseconds: int) -> None:
        """Moves on."""
        self.set(self._now + microseconds)
