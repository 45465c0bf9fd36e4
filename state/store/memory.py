"""A store in memory: for tests, for a library call, for a server that forgets. It has nothing to do with a disk, and is
the plainest statement of what a store does.
"""

from __future__ import annotations

from collections.abc import Sequence

from state.store.base import Store
from state.store.feed import Feed
from state.store.records import (
    FIRST_REVISION,
    CompactedError,
    Entry,
    Event,
    FutureRevisionError,
    Page,
    Refused,
    StoreError,
    Write,
    decide,
    overdue,
)
from state.store.table import Table, changed_since

#: Bytes of history that are kept at most.
_WINDOW_BYTES = 256 * 2**20


class MemoryStore(Store):
    """A table, and the events since the last compaction (which are the feed's).

    ``keep`` is how many revisions of history are kept; 0 keeps all until somebody compacts. ``window_bytes`` bounds
    them in any case.
    """

    shared = False

    def __init__(self, *, keep: int = 0, window_bytes: int = _WINDOW_BYTES) -> None:
        self.feed = Feed(FIRST_REVISION, window_bytes)
        self._keep = keep
        self._table = Table()

    @classmethod
    def at(cls, place: str, *, keep: int = 0) -> MemoryStore:
        """The store of the URL ``memory:``; there is nothing to add to it."""
        if place:
            raise StoreError(f"'memory:{place}' names no store; expected 'memory:' alone")
        return cls(keep=keep)

    def get(self, key: str) -> Entry | None:
        """What the key holds now."""
        self.feed.check_open()
        return self._table.get(key)

    def list(self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = "") -> Page:
        """The entries with a prefix as of a revision; older ones are found by taking later events back."""
        with self.feed.lock:
            self.feed.check_open()
            now = self.feed.revision
            if revision is not None and revision > now:
                raise FutureRevisionError(revision, now)
            if revision is not None and revision < self._compacted:
                raise CompactedError(revision, self._compacted)
            if revision is None or revision == now:
                return self._table.page(prefix, now, limit, after)
            changed = changed_since(self.feed.since(revision), revision, prefix, after)
            return self._table.older_page(prefix, revision, limit, after, changed)

    def _write(self, writes: Sequence[Write]) -> Sequence[Entry | Refused]:
        with self.feed.lock:
            self.feed.check_open()
            results: list[Entry | Refused] = []
            events: list[Event] = []
            revision = self.feed.revision
            for write in writes:
                current = self._table.get(write.key)
                refused = decide(write, current, self._table.get)
                if refused is None:
                    revision += 1
                    events.append(Event(revision, write.key, write.value, current))
                    self._table.apply(events[-1:])
                results.append(refused or events[-1].entry)
            self.feed.append_locked(events, revision)
            self._compacted = max(self._compacted, self.feed.floor)
        self.compact(overdue(revision, self._compacted, self._keep))
        return results

    def compact(self, revision: int) -> None:
        """Forgets the events up to a revision."""
        with self.feed.lock:
            self.feed.check_open()
            if revision > self.feed.revision:
                raise FutureRevisionError(revision, self.feed.revision)
            if revision > self._compacted:
                self._compacted = revision
                self.feed.forget_locked(revision)

    def _history(self, prefix: str, after: int, upto: int) -> Sequence[Event]:
        raise CompactedError(after, self._compacted)

    def close(self) -> None:
        """Ends the store and forgets everything."""
        self.feed.close("the store is closed")
