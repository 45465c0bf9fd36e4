"""What a store holds now, in memory: entries by key, and the keys in order. For stores that have it all at hand."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping

from state.store.records import LAST, Entry, Event, Page


class Table:
    """The entries as of the last change. One thread changes it at a time, and nobody lists it meanwhile; ``get`` may be
    called at any time.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = {entry.key: entry for entry in entries}
        self._keys = sorted(self._entries)
        self.get = self._entries.get

    def apply(self, events: Iterable[Event]) -> None:
        """Makes changes, oldest first."""
        for revision, key, value, previous in events:
            if value is None:
                del self._entries[key]
                del self._keys[bisect_left(self._keys, key)]
            else:
                if previous is None:
                    insort(self._keys, key)
                self._entries[key] = Entry(key, value, revision)

    def page(self, prefix: str, revision: int, limit: int | None, after: str) -> Page:
        """The entries with a prefix behind a key."""
        keys = self._between(prefix, after)
        shown = keys if limit is None else keys[:limit]
        return Page(tuple([self._entries[key] for key in shown]), revision, len(keys) - len(shown))

    def older_page(
        self, prefix: str, revision: int, limit: int | None, after: str, changed: Mapping[str, Entry]
    ) -> Page:
        """What ``page`` would have shown at an earlier revision; ``changed`` is what those keys held then that have
        been changed since.
        """
        kept = (key for key in self._between(prefix, after) if self._entries[key].revision <= revision)
        keys = sorted({*kept, *changed})
        shown = keys if limit is None else keys[:limit]
        found = tuple([changed.get(key) or self._entries[key] for key in shown])
        return Page(found, revision, len(keys) - len(shown))

    def _between(self, prefix: str, after: str) -> list[str]:
        start = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        return self._keys[start : bisect_left(self._keys, prefix + LAST)]


def changed_since(events: Iterable[Event], revision: int, prefix: str, after: str) -> dict[str, Entry]:
    """What keys with a prefix behind another one held at a revision, of those changed since: what the first of these
    changes found there.
    """
    return {
        event.key: event.previous
        for event in events
        if event.previous is not None
        and event.previous.revision <= revision
        and event.key.startswith(prefix)
        and event.key > after
    }
