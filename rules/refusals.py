"""When a controller tries again to make what wasn't let in, though nothing has changed: as its queue in Kubernetes has
it, after delays that double.

That is for a control plane whose clock goes on, whose users see by the event how often it was tried and when last. In
a plan nothing is tried again until something changes: the answer would be the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from state.times import SECOND


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delays of one controller, in µs: those of client-go's default rate limiter, if nothing else is said.

    ``most`` is how often an object is tried again before it is left alone until something changes; None stands for
    always. ``spacing`` keeps the retries of all objects apart, once a ``burst`` of them is used up.
    """

    first: int = SECOND // 200
    longest: int = 1000 * SECOND
    most: int | None = None
    spacing: int = SECOND // 10
    burst: int = 100

    def delay(self, tries: int) -> int | None:
        """How long to wait after so many tries; None if that was the last."""
        if self.most is not None and tries > self.most:
            return None
        return min(self.first << min(tries - 1, 40), self.longest)


DEFAULT_BACKOFF = Backoff()


class Limiter:
    """Hands out the times of one controller's retries."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff, self._taken = backoff, 0

    def at(self, tries: int, now: int) -> int | None:
        """When to try again what was tried so often, at ``now`` for the last time; None for never."""
        delay, spacing = self._backoff.delay(tries), self._backoff.spacing
        if delay is None:
            return None
        self._taken = max(self._taken, now - self._backoff.burst * spacing) + spacing
        return max(now + delay, self._taken)


class Refused(NamedTuple):
    """Something wasn't let in: why, how often it was tried, and when that is done again though nothing changes."""

    why: str
    tries: int = 0
    again: int | None = None
