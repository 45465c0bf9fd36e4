"""How many events are worth recording: similar ones are put together after a while, and of an object that has very
many the further ones are dropped, as client-go's correlator does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from reconciler.live.events import COMBINED
from rules.actions import Event
from state.objects import Namespace, replace
from state.snapshot import Key
from state.times import SECOND
from state.workspace import Workspace

_KeyT = TypeVar("_KeyT")
_ValueT = TypeVar("_ValueT")

#: So many events about one object that differ in their message alone are not recorded one by one any more.
_SIMILAR = 10
#: They count as similar if they come within this time of each other.
_INTERVAL = 600 * SECOND
#: How many events one source records about one object at once, and how long it takes until it may record one more.
_BURST = 25
_REFILL = 300 * SECOND
#: Groups, and objects, that are remembered; older ones start anew.
_REMEMBERED = 4096

_Subject = tuple[Key, str | None, str]
_Group = tuple[_Subject, str, str]


class _Similar:
    """The messages of one group, and when the last of them came."""

    __slots__ = ("last", "messages")

    def __init__(self, now: int) -> None:
        self.last = now
        self.messages: set[str] = set()


class _Allowance:
    """What one source may still record about one object: whole events and parts of one, as of a time."""

    __slots__ = ("at", "events")

    def __init__(self, now: int) -> None:
        self.at = now
        self.events = float(_BURST)

    def take(self, now: int) -> bool:
        """Whether there is one left, which is gone then."""
        self.events = min(float(_BURST), self.events + (now - self.at) / _REFILL)
        self.at = now
        if self.events < 1:
            return False
        self.events -= 1
        return True


class EventLimits:
    """Decides what becomes of the events that controllers report."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._groups: dict[_Group, _Similar] = {}
        self._allowances: dict[_Subject, _Allowance] = {}

    def worth_recording(self, reported: Iterable[Event], now: int) -> Iterator[Event]:
        """The events as they are to be recorded at ``now`` (µs since the epoch).

        In a namespace that is gone, or about to go, nothing can be created.
        """
        for event in reported:
            namespace = self._ws.find(Namespace, "", event.target.namespace or "default")
            if namespace is None or namespace.metadata.deletion_timestamp is not None:
                continue
            obj = self._ws.get(event.target)
            subject = (event.target, None if obj is None else obj.metadata.uid, event.source)
            combined = self._combined(event, subject, now)
            if _remembered(self._allowances, subject, _Allowance, now).take(now):
                yield combined

    def _combined(self, event: Event, subject: _Subject, now: int) -> Event:
        similar = _remembered(self._groups, (subject, event.type, event.reason), _Similar, now)
        if now - similar.last > _INTERVAL:
            similar.messages.clear()
        similar.last = now
        if event.message in similar.messages:
            return event
        if len(similar.messages) < _SIMILAR - 1:
            similar.messages.add(event.message)
            return event
        return replace(event, message=f"{COMBINED}{event.message}")


def _remembered(memory: dict[_KeyT, _ValueT], key: _KeyT, fresh: Callable[[int], _ValueT], now: int) -> _ValueT:
    value = memory.get(key)
    if value is None:
        if len(memory) >= _REMEMBERED:
            memory.clear()
        value = memory[key] = fresh(now)
    return value
