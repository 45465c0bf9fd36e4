"""What a store holds now, and held before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from state.store import ABSENT, Write
from state.store.memory import MemoryStore
from state.store.table import Table, changed_since

KEYS = ["/a", "/a/x", "/a/y", "/b", "/b/x"]


def listed(entries, prefix, limit, after):
    """The plainest way to say what a page is."""
    keys = sorted(key for key in entries if key.startswith(prefix) and key > after)
    return [entries[key] for key in keys[:limit]], len(keys) - len(keys[:limit])


@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=30),
    st.sampled_from(["", "/a", "/a/", "/c"]),
    st.sampled_from([None, 1, 3]),
    st.sampled_from(["", "/a", "/a/x"]),
)
def test_pages_of_now_and_of_any_earlier_time(steps, prefix, limit, after):
    store, states = MemoryStore(), []
    for key, is_kept in steps:
        held = store.get(key)
        if held is None and not is_kept:
            continue
        store.write([Write(key, b"x" if is_kept else None, ABSENT if held is None else held.revision)])
        states.append((store.revision(), {entry.key: entry for entry in store.list("").entries}))
    now = Table(store.list("").entries)
    for revision, entries in states:
        changed = changed_since(store.feed.since(revision), revision, prefix, after)
        page = now.older_page(prefix, revision, limit, after, changed)
        assert ([*page.entries], page.remaining) == listed(entries, prefix, limit, after)
    if states:
        page = now.page(prefix, states[-1][0], limit, after)
        assert ([*page.entries], page.remaining) == listed(states[-1][1], prefix, limit, after)
