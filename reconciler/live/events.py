"""Events as API objects: what rules and drivers report, recorded as Kubernetes' own components record it.

Most use client-go's first recorder: an event that comes again is counted, many that are alike are put together, and of
an object that has very many the further ones are only counted. The scheduler and who looks after cluster IPs use its
second one (events.k8s.io): an event that goes on becomes a series. All are forgotten after an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from rules.actions import Event as Reported
from state.identity import make_uid
from state.objects import KINDS, Event, EventSeries, EventSource, Namespace, ObjectMeta, ObjectReference, replace
from state.snapshot import Key
from state.times import SECOND, format_micro_time, format_time, parse_time
from state.workspace import Workspace

#: How the message begins of an event that stands for all further ones like it.
COMBINED = "(combined from similar events): "
#: So many events about one object that differ in their message alone are not recorded one by one any more.
_SIMILAR = 10
#: They count as similar if they come within this time of each other.
_INTERVAL = 600 * SECOND
#: How many events one source records about one object at once, and how long it takes until it may record one more.
_BURST = 25
_REFILL = 300 * SECOND
#: A series ends when nothing was heard of it for so long.
_SERIES = 360 * SECOND
#: Groups, objects and events that are remembered; older ones start anew.
_REMEMBERED = 4096
#: How long the API server keeps an event (``--event-ttl``).
TTL = 3_600 * SECOND
#: More than this many are not kept, whatever their age; the oldest go.
MOST = 10_000
#: How many more than that there may be for a while, so that not every new one costs a look at all.
_SLACK = 1_000
#: How often they are looked through for old ones.
_SWEEP = 60 * SECOND
#: What those were about that use the second recorder, by the reason of what they report.
_ACTIONS = {
    "ClusterIPAlreadyAllocated": "ClusterIPAllocation",
    "ClusterIPNotAllocated": "ClusterIPAllocation",
    "ClusterIPOutOfRange": "ClusterIPAllocation",
    "FailedScheduling": "Scheduling",
    "IPAddressNotAllocated": "IPAddressAllocation",
    "IPAddressWrongReference": "IPAddressAllocation",
    "Preempted": "Preempting",
    "Scheduled": "Binding",
}

#: The machine of who reports without naming one.
_HOST = "localhost"

_KeyT = TypeVar("_KeyT")
_ValueT = TypeVar("_ValueT")
_Subject = tuple[Key, str | None, str]
_Group = tuple[_Subject, str, str]


@dataclass(slots=True)
class _Similar:
    """The messages of one group, and when the last of them came."""

    last: int
    messages: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Allowance:
    """What one source may still record about one object: whole events and parts of one, as of a time."""

    at: int
    events: float = _BURST

    def take(self, now: int) -> bool:
        """Whether there is one left, which is gone then."""
        self.events = min(_BURST, self.events + (now - self.at) / _REFILL)
        self.at = now
        if self.events < 1:
            return False
        self.events -= 1
        return True


@dataclass(slots=True)
class _Seen:
    """An event that was reported before: when first and last, and how often."""

    first: int
    last: int = 0
    count: int = 0


class Recorder:
    """Writes events into a workspace."""

    def __init__(self) -> None:
        self._groups: dict[_Group, _Similar] = {}
        self._allowances: dict[_Subject, _Allowance] = {}
        self._seen: dict[tuple[_Group, str, str], _Seen] = {}
        self._swept_at = 0
        #: No two events have a time in common: they are in order by the names that are made from it.
        self._last = 0

    def record(self, ws: Workspace, reported: Iterable[Reported], now: int) -> list[Event]:
        """Stores what was reported at ``now`` (µs since the epoch); returns the events as stored.

        In a namespace that is gone, or about to go, nothing can be created.
        """
        stored = []
        for item in reported:
            namespace = ws.find(Namespace, "", item.target.namespace or "default")
            if namespace is None or namespace.metadata.deletion_timestamp is not None:
                continue
            self._last = max(now, self._last + 1)
            event = self._event(ws, item, self._last)
            if event is not None:
                stored.append(ws.put(event))
        if now >= self._swept_at + _SWEEP:
            self._swept_at = now
            _forget(ws, [event for event in ws.objects(Event) if _heard_of(event, now) + TTL <= now])
        if len(ws.table("Event")) > MOST + _SLACK:
            _forget(ws, in_order(ws.objects(Event))[:-MOST])
        return stored

    def _event(self, ws: Workspace, reported: Reported, now: int) -> Event | None:
        """The event to be written, None if there have been too many."""
        subject = ws.get(reported.target)
        uid = None if subject is None else subject.metadata.uid
        group = ((reported.target, uid, reported.source), reported.type, reported.reason)
        is_series = reported.reason in _ACTIONS
        message = reported.message if is_series else self._combined(group, reported.message, now)
        key = (group, COMBINED if message.startswith(COMBINED) else message, reported.part)
        seen = _remembered(self._seen, key, _Seen, now)
        if is_series and seen.count and now - seen.last > _SERIES:
            seen = self._seen[key] = _Seen(now)
        seen.count, seen.last = seen.count + 1, now
        if not is_series and not _remembered(self._allowances, group[0], _Allowance, now).take(now):
            return None
        name = f"{reported.target.name[:200]}.{seen.first * 1000:x}"
        known = ws.find(Event, reported.target.namespace or "default", name)
        if is_series:
            if known is None:
                return _in_series(_new(ws, reported, name, now), reported, now)
            return replace(known, series=EventSeries(count=seen.count, last_observed_time=format_micro_time(now)))
        known = known or replace(
            _new(ws, reported, name, now),
            first_timestamp=format_time(seen.first),
            source=EventSource(component=reported.source or None, host=reported.host or None),
            reporting_component=reported.source or None,
            reporting_instance=reported.host or None,
        )
        return replace(known, message=message, count=seen.count, last_timestamp=format_time(now))

    def _combined(self, group: _Group, message: str, now: int) -> str:
        """The message, or what stands for it after many similar ones."""
        similar = _remembered(self._groups, group, _Similar, now)
        if now - similar.last > _INTERVAL:
            similar.messages.clear()
        similar.last = now
        if message in similar.messages:
            return message
        if len(similar.messages) < _SIMILAR - 1:
            similar.messages.add(message)
            return message
        return f"{COMBINED}{message}"


def _in_series(event: Event, reported: Reported, now: int) -> Event:
    return replace(
        event,
        action=_ACTIONS[reported.reason],
        event_time=format_micro_time(now),
        reporting_component=reported.source,
        reporting_instance=f"{reported.source}-{reported.host or _HOST}",
    )


def _new(ws: Workspace, reported: Reported, name: str, now: int) -> Event:
    """An event without what the two recorders do in different ways."""
    target = reported.target
    subject = ws.get(target)
    api_version = subject.api_version if subject is not None else None
    if api_version is None and target.kind in KINDS:
        api_version = KINDS[target.kind].api_version
    key = Key("Event", target.namespace or "default", name)
    return Event(
        metadata=ObjectMeta(
            name=name, namespace=key.namespace, uid=make_uid(key, now), creation_timestamp=format_time(now)
        ),
        involved_object=ObjectReference(
            api_version=api_version,
            kind=target.kind.partition(".")[0],
            namespace=target.namespace or None,
            name=target.name,
            uid=subject.metadata.uid if subject is not None else None,
            # what the recorder knew; the object may have been written since
            resource_version=subject.metadata.resource_version if subject is not None else None,
            field_path=reported.part or None,
        ),
        type=reported.type,
        reason=reported.reason,
        message=reported.message,
    )


def _remembered(memory: dict[_KeyT, _ValueT], key: _KeyT, fresh: Callable[[int], _ValueT], now: int) -> _ValueT:
    value = memory.get(key)
    if value is None:
        if len(memory) >= _REMEMBERED:
            del memory[next(iter(memory))]
        value = memory[key] = fresh(now)
    return value


def _forget(ws: Workspace, events: Iterable[Event]) -> None:
    for event in events:
        ws.remove(Key.of(event))


def in_order(events: Iterable[Event]) -> list[Event]:
    """Events, the oldest first."""
    return sorted(events, key=lambda event: (last_seen(event)[:19], event.metadata.name.rpartition(".")[2]))


def last_seen(event: Event) -> str:
    """When it last happened, as far as it says."""
    series = None if event.series is None else event.series.last_observed_time
    return series or event.last_timestamp or event.event_time or ""


def times(event: Event) -> int:
    """How often it happened."""
    return (event.count if event.series is None else event.series.count) or 1


def _heard_of(event: Event, now: int) -> int:
    """When an event was last written, as far as its own times tell; those that are yet to come tell nothing."""
    said = (event.metadata.creation_timestamp, event.last_timestamp, event.event_time, last_seen(event))
    return max((at for text in said if text and (at := parse_time(text)) <= now), default=0)
