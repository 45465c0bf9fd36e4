"""Events as API objects: what rules and drivers report, counted when it is the same again, forgotten after an hour."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from rules.actions import Event as Reported
from state.identity import make_uid
from state.objects import KINDS, Event, EventSource, ObjectMeta, ObjectReference, replace
from state.snapshot import Key
from state.times import format_micro_time, format_time, parse_time
from state.workspace import Workspace

#: How the message begins of an event that stands for all further ones like it.
COMBINED = "(combined from similar events): "
#: How long the API server keeps an event (``--event-ttl``).
TTL = 3_600_000_000
#: More than this many are not kept, whatever their age; the oldest go.
MOST = 10_000
#: How many more than that there may be for a while, so that not every new one costs a look at all.
_SLACK = 1_000
#: How often they are looked through for old ones (µs).
_SWEEP = 60_000_000


class Recorder:
    """Writes events into a workspace, as client-go's recorder writes them to an API server."""

    def __init__(self) -> None:
        self._swept_at = 0
        #: Events of one second are in order by their ``eventTime``, which no two have in common.
        self._last = 0

    def record(self, ws: Workspace, reported: Iterable[Reported], now: int) -> list[Event]:
        """Stores what was reported at ``now`` (µs since the epoch); returns the events as stored."""
        stored = []
        for item in reported:
            self._last = max(now, self._last + 1)
            stored.append(self._store(ws, item, self._last))
        if now >= self._swept_at + _SWEEP:
            self._swept_at = now
            _forget(ws, [event for event in ws.objects(Event) if _heard_of(event, now) + TTL <= now])
        if len(ws.table("Event")) > MOST + _SLACK:
            _forget(ws, in_order(ws.objects(Event))[:-MOST])
        return stored

    def _store(self, ws: Workspace, reported: Reported, now: int) -> Event:
        target = reported.target
        key = Key("Event", target.namespace or "default", _name(reported))
        at, exactly = format_time(now), format_micro_time(now)
        known = ws.find(Event, key.namespace, key.name)
        if known is not None:
            count = (known.count or 1) + 1
            said = reported.message
            return ws.put(replace(known, message=said, count=count, last_timestamp=at, event_time=exactly))
        subject = ws.get(target)
        api_version = subject.api_version if subject is not None else None
        if api_version is None and target.kind in KINDS:
            api_version = KINDS[target.kind].api_version
        return ws.put(
            Event(
                metadata=ObjectMeta(
                    name=key.name, namespace=key.namespace, uid=make_uid(key, now), creation_timestamp=at
                ),
                involved_object=ObjectReference(
                    api_version=api_version,
                    kind=target.kind.partition(".")[0],
                    namespace=target.namespace or None,
                    name=target.name,
                    uid=subject.metadata.uid if subject is not None else None,
                ),
                type=reported.type,
                reason=reported.reason,
                message=reported.message,
                source=EventSource(component=reported.source or None),
                reporting_component=reported.source or None,
                count=1,
                event_time=exactly,
                first_timestamp=at,
                last_timestamp=at,
            )
        )


def _forget(ws: Workspace, events: Iterable[Event]) -> None:
    for event in events:
        ws.remove(Key.of(event))


def in_order(events: Iterable[Event]) -> list[Event]:
    """Events, the oldest first."""
    return sorted(events, key=lambda it: (it.last_timestamp or "", it.event_time or "", it.metadata.name))


def _heard_of(event: Event, now: int) -> int:
    """When an event was last written, as far as its own times tell; those that are yet to come tell nothing."""
    series = None if event.series is None else event.series.last_observed_time
    said = (event.metadata.creation_timestamp, event.last_timestamp, event.event_time, series)
    return max((at for text in said if text and (at := parse_time(text)) <= now), default=0)


def _name(reported: Reported) -> str:
    """The object's name and what was said about it: the same event has the same name, and so have combined ones."""
    message = COMBINED if reported.message.startswith(COMBINED) else reported.message
    said = "\0".join((str(reported.target), reported.type, reported.reason, message, reported.source))
    return f"{reported.target.name[:200]}.{blake2b(said.encode(), digest_size=8).hexdigest()}"
