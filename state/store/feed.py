"""The news of a store, for any number of watches: one list of events for each prefix that somebody watches, and a
revision as each watch's place in it.

A watch costs nothing but its place: there are no queues that a slow reader could fill, and a thousand watches of one
prefix share one list. What has become too old for the list is read from the store's history. Watches of a ``Part`` of a
prefix (the pods of one node, of all pods) have lists of their own, so that a thousand of them don't each look at all.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple, Self

from state.store.records import Event, StoreUnavailableError

#: ``(prefix, after, upto)`` gives the events in between that a feed doesn't have any more.
History = Callable[[str, int, int], Sequence[Event]]

_revision = attrgetter("revision")


class Part(NamedTuple):
    """Those events of a prefix to which a function gives this tag, among others perhaps. It is called once for each
    event, however many parts there are, and has to be quick.
    """

    tags: Callable[[Event], Iterable[str]]
    tag: str


class Feed:
    """The events from some revision on. The store appends, watches read.

    ``window_bytes`` bounds what is kept in memory; None keeps all until ``forget``.
    """

    def __init__(self, revision: int, window_bytes: int | None = None) -> None:
        #: The revision up to which everything is known here.
        self.revision = revision
        #: Guards everything in here, and whatever a store wants to change together with it.
        self.lock = threading.Lock()
        self._all = _Channel("", None, revision)
        self._channels: dict[str, _Channel] = {}
        #: Those of parts: by prefix and function, then by tag.
        self._parts: dict[tuple[str, Callable[[Event], Iterable[str]]], dict[str, _Channel]] = {}
        self._window = window_bytes
        self._bytes = 0
        #: Why there will be no more, once it is so.
        self.closed = ""

    def append(self, events: Sequence[Event], revision: int) -> None:
        """Publishes what happened up to a revision, oldest first. Never a part of what happened at one revision. If the
        first event doesn't follow on the last one, what is missing is skipped.
        """
        with self.lock:
            self.append_locked(events, revision)

    def append_locked(self, events: Sequence[Event], revision: int) -> None:
        """As ``append``, for a store that holds the lock."""
        assert revision >= self.revision, f"revision {revision} comes after {self.revision}"
        before = events[0].revision - 1 if events else revision
        if before > self.revision:
            self.skip_locked(before)
        self._all.events.extend(events)
        self.revision = revision
        for event in events:
            self._bytes += event.size
            for channel in self._channels_of(event):
                channel.wake(event.revision - 1)
                channel.events.append(event)
        if self._window is not None and self._bytes > self._window:
            half = self._all.events[len(self._all.events) // 2].revision
            self.forget_locked(half)

    def _channels_of(self, event: Event) -> list[_Channel]:
        """Those that an event is for."""
        key = event.key
        if len(self._channels) <= len(key):
            found = [channel for prefix, channel in self._channels.items() if key.startswith(prefix)]
        else:
            prefixes = (self._channels.get(key[:length]) for length in range(len(key) + 1))
            found = [channel for channel in prefixes if channel is not None]
        for (prefix, tags), by_tag in self._parts.items():
            if key.startswith(prefix):
                found += (by_tag[tag] for tag in set(tags(event)) if tag in by_tag)
        return found

    def _all_channels(self) -> Iterator[_Channel]:
        yield from self._channels.values()
        for by_tag in self._parts.values():
            yield from by_tag.values()

    def forget_locked(self, revision: int) -> None:
        """Drops the events up to a revision from memory; for a store that holds the lock."""
        self._bytes -= sum(event.size for event in self._all.forget(revision))
        for channel in self._all_channels():
            channel.forget(revision)

    def skip(self, revision: int) -> None:
        """Says that what happened up to a revision is not going to be appended: watches look for it in the history."""
        with self.lock:
            self.skip_locked(revision)

    def skip_locked(self, revision: int) -> None:
        """As ``skip``, for a store that holds the lock."""
        self.revision = max(self.revision, revision)
        self._bytes = 0
        for channel in (self._all, *self._all_channels()):
            channel.events.clear()
            channel.floor = self.revision
            channel.wake(0)

    @property
    def floor(self) -> int:
        """The revision after which all that happened is in memory."""
        return self._all.floor

    def since(self, revision: int) -> Sequence[Event]:
        """The events in memory after a revision, for a store that holds the lock."""
        return self._all.since(revision)

    def has(self, revision: int) -> bool:
        """Whether all that happened after a revision is in memory, for a store that holds the lock."""
        return self.floor <= revision <= self.revision

    def close(self, reason: str) -> None:
        """Tells everybody who reads or waits that there will be no more, and why."""
        with self.lock:
            self.closed = self.closed or reason
            for channel in self._all_channels():
                channel.wake(0)

    def check_open(self) -> None:
        """Raises StoreUnavailableError once the feed is closed."""
        if self.closed:
            raise StoreUnavailableError(self.closed)

    # -- for watches ---------------------------------------------------------------------------------------------------

    def watch(
        self, prefix: str, after: int, history: History, on_ready: Callable[[], None] | None, part: Part | None = None
    ) -> Watch:
        """A watch of a prefix, or of a part of it, from a revision on. What of a part comes from the history has to be
        sorted out by who reads.
        """
        with self.lock:
            self.check_open()
            channels, name = self._channels, prefix
            if part is not None:
                channels, name = self._parts.setdefault((prefix, part.tags), {}), part.tag
            channel = channels.get(name)
            if channel is None:
                channel = channels[name] = _Channel(prefix, part, self._all.floor)
                channel.events = [event for event in self._all.events if channel.has(event)]
            channel.watches += 1
            watch = Watch(self, channel, after, history, on_ready)
            if after >= channel.floor and not channel.since(after):
                channel.waiting[watch] = None
            return watch

    def leave(self, channel: _Channel, watch: Watch) -> None:
        """Ends a watch; its list goes with the last one."""
        with self.lock:
            channel.waiting.pop(watch, None)
            channel.watches -= 1
            if channel.watches:
                return
            if channel.part is None:
                del self._channels[channel.prefix]
                return
            by_tag = self._parts[channel.prefix, channel.part.tags]
            del by_tag[channel.part.tag]
            if not by_tag:
                del self._parts[channel.prefix, channel.part.tags]


class _Channel:
    """The events of one prefix, or a part of it; those up to ``floor`` may be missing."""

    __slots__ = ("events", "floor", "part", "prefix", "waiting", "watches")

    def __init__(self, prefix: str, part: Part | None, floor: int) -> None:
        self.prefix, self.part = prefix, part
        self.events: list[Event] = []
        self.floor = floor
        self.watches = 0
        #: Who has read everything, and is to be told of the next event.
        self.waiting: dict[Watch, None] = {}

    def has(self, event: Event) -> bool:
        part = self.part
        return event.key.startswith(self.prefix) and (part is None or part.tag in part.tags(event))

    def since(self, revision: int) -> list[Event]:
        return self.events[bisect_right(self.events, revision, key=_revision) :]

    def forget(self, revision: int) -> list[Event]:
        count = bisect_right(self.events, revision, key=_revision)
        gone, self.events = self.events[:count], self.events[count:]
        if gone:
            self.floor = gone[-1].revision
        return gone

    def wake(self, revision: int) -> None:
        """Tells those who wait that there is news; up to a revision there was none."""
        if self.waiting:
            waiting, self.waiting = self.waiting, {}
            for watch in waiting:
                watch.wake(revision)


class Watch:
    """One watcher's place in the news: all changes up to ``revision`` have been read, whether there were any or not.

    So after each read ``revision`` is what Kubernetes calls a bookmark: a later watch can go on from it.
    """

    def __init__(
        self,
        feed: Feed,
        channel: _Channel,
        after: int,
        history: History,
        on_ready: Callable[[], None] | None,
    ) -> None:
        self.prefix = channel.prefix
        self.revision = after
        self._feed = feed
        self._channel = channel
        self._history = history
        self._on_ready = on_ready
        self._ready = threading.Event()
        self._closed = False

    @property
    def is_behind(self) -> bool:
        """Whether the next read has to ask the store for history, which may take its time."""
        return self.revision < self._channel.floor

    def read(self, timeout: float | None = 0) -> Sequence[Event]:
        """What is new since the last read; waits for it up to ``timeout`` seconds (None: as long as it takes). May be
        nothing.

        Raises:
            CompactedError: the watch was left so far behind that events are lost. It stays where it is.
            StoreUnavailableError: the store was closed, or the history can't be read now.
        """
        events = self._take()
        if not events and timeout != 0:
            self._ready.wait(timeout)
            events = self._take()
        return events

    def _take(self) -> Sequence[Event]:
        revision, old = self.revision, list[Event]()
        while True:
            with self._feed.lock:
                self._feed.check_open()
                if self._closed:
                    raise ValueError(f"the watch of {self.prefix!r} is closed")
                floor = self._channel.floor
                if revision >= floor:
                    # only who has read everything waits: who is woken has nothing before the event that wakes it
                    self._ready.clear()
                    self._channel.waiting[self] = None
                    events = self._channel.since(revision)
                    self.revision = max(revision, self._feed.revision)
                    return [*old, *events] if old else events
            old += self._history(self.prefix, revision, floor)
            revision = floor

    def wake(self, revision: int) -> None:
        """Says that there is something to read, but nothing up to a revision; for a feed that holds the lock."""
        self.revision = max(self.revision, revision)
        self._ready.set()
        if self._on_ready is not None:
            self._on_ready()

    def close(self) -> None:
        """Ends the watch. Closing twice is fine, from two threads as well."""
        with self._feed.lock:
            was_closed, self._closed = self._closed, True
        if not was_closed:
            self._feed.leave(self._channel, self)
            self._ready.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
