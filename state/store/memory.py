"""A store in memory: for tests, for a library call, for a server that forgets. It has nothing to do with a disk, and is
the plainest statement of what a store does.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

from state.store.base import Store
from state.store.feed import Feed
from state.store.records import (
    FIRST_REVISION,
    LAST,
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


class MemoryStore(Store):
    """Entries by key, the keys in order, and the events since the last compaction (which are the feed's).

    ``keep`` is how many revisions of history are kept; 0 keeps all until somebody compacts.
    """

    def __init__(self, *, keep: int = 0) -> None:
        self.feed = Feed(FIRST_REVISION)
        self._keep = keep
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._compacted = 0

    @classmethod
    def at(cls, place: str, *, keep: int = 0) -> MemoryStore:
        """The store of the URL ``memory:``; there is nothing to add to it."""
        if place:
            msg = f"'memory:{place}' names no store; expected 'memory:' alone"
            raise StoreError(msg)
        return cls(keep=keep)

    def revision(self) -> int:
        """The revision of the last change."""
        self.feed.check_open()
        return self.feed.revision

    def compacted(self) -> int:
        """The revision at which history begins."""
        return self._compacted

    def get(self, key: str) -> Entry | None:
        """What the key holds now."""
        self.feed.check_open()
        return self._entries.get(key)

    def list(self, prefix: str, *, revision: int | None = None, limit: int | None = None, after: str = "") -> Page:
        """The entries with a prefix as of a revision; older ones are found by taking later events back."""
        with self.feed.lock:
            self.feed.check_open()
            now = self.feed.revision
            if revision is not None and revision > now:
                raise FutureRevisionError(revision, now)
            if revision is not None and revision < self._compacted:
                raise CompactedError(revision, self._compacted)
            start = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
            keys = self._keys[start : bisect_left(self._keys, prefix + LAST)]
            old: dict[str, Entry] = {}
            if revision is not None and revision < now:
                old = self._changed_since(revision, prefix, after)
                keys = sorted({key for key in keys if self._entries[key].revision <= revision} | old.keys())
            shown = keys if limit is None else keys[:limit]
            found = tuple([old.get(key) or self._entries[key] for key in shown])
            return Page(found, now if revision is None else revision, len(keys) - len(found))

    def _changed_since(self, revision: int, prefix: str, after: str) -> dict[str, Entry]:
        """What those keys held at a revision that have been changed since: what the first change found there."""
        return {
            event.key: event.previous
            for event in self.feed.since(revision)
            if event.previous is not None
            and event.previous.revision <= revision
            and event.key.startswith(prefix)
            and event.key > after
        }

    def _write(self, writes: Sequence[Write]) -> Sequence[Entry | Refused]:
        with self.feed.lock:
            self.feed.check_open()
            results: list[Entry | Refused] = []
            events: list[Event] = []
            revision = self.feed.revision
            for write in writes:
                current = self._entries.get(write.key)
                refused = decide(write, current)
                if refused is not None:
                    results.append(refused)
                    continue
                revision += 1
                results.append(self._put(write, current, revision))
                events.append(Event(revision, write.key, write.value, current))
            self.feed.append_locked(events, revision)
        self.compact(overdue(revision, self._compacted, self._keep))
        return results

    def _put(self, write: Write, current: Entry | None, revision: int) -> Entry:
        key = write.key
        if write.value is None:
            assert current is not None
            del self._entries[key]
            del self._keys[bisect_left(self._keys, key)]
            return Entry(key, current.value, revision)
        entry = self._entries[key] = Entry(key, write.value, revision)
        if current is None:
            insort(self._keys, key)
        return entry

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
