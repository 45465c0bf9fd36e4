"""How many events are worth recording: similar ones are put together after a while, as client-go's correlator does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rules.actions import Event
from state.objects import Namespace, replace
from state.snapshot import Key
from state.times import SECOND
from state.workspace import Workspace

#: Events about one object that differ in their message alone; what comes after so many is one event, and counted.
_SIMILAR = 10
#: For how long they count as similar.
_INTERVAL = 600 * SECOND
#: Groups that are remembered; older ones start anew.
_GROUPS = 4096
_COMBINED = "(combined from similar events): "

_Group = tuple[Key, str, str, str]


class _Similar:
    """The events of one group since a time."""

    __slots__ = ("combined", "messages", "since")

    def __init__(self, since: int) -> None:
        self.since = since
        self.messages: set[str] = set()
        self.combined = ""


class EventLimits:
    """Decides what becomes of the events that controllers report."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._groups: dict[_Group, _Similar] = {}

    def worth_recording(self, reported: Iterable[Event], now: int) -> Iterator[Event]:
        """The events as they are to be recorded at ``now`` (µs since the epoch).

        In a namespace that is gone, or about to go, nothing can be created.
        """
        for event in reported:
            namespace = self._ws.find(Namespace, "", event.target.namespace or "default")
            if namespace is not None and namespace.metadata.deletion_timestamp is None:
                yield self._combined(event, now)

    def _combined(self, event: Event, now: int) -> Event:
        group = (event.target, event.source, event.type, event.reason)
        similar = self._groups.get(group)
        if similar is None or now - similar.since > _INTERVAL:
            if len(self._groups) >= _GROUPS:
                self._groups.clear()
            similar = self._groups[group] = _Similar(now)
        if event.message in similar.messages:
            return event
        if len(similar.messages) < _SIMILAR:
            similar.messages.add(event.message)
            return event
        similar.combined = similar.combined or f"{_COMBINED}{event.message}"
        return replace(event, message=similar.combined)
