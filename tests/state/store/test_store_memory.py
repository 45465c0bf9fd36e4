"""The store in memory."""

from __future__ import annotations

import pytest

from state.store.conformance import StoreConformance
from state.store.memory import MemoryStore
from state.store.records import CompactedError


class TestMemory(StoreConformance):
    """As any store."""

    @pytest.fixture
    def store(self):
        with MemoryStore() as store:
            yield store


def test_history_has_an_end_in_bytes():
    """However few revisions it is. Who lists or watches from before is told so, as after a compaction."""
    with MemoryStore(window_bytes=10_000) as store:
        first = store.create("/a", b"")
        with store.watch("/a", first.revision) as slow:
            for _ in range(100):
                last = store.update("/a", b"x" * 1000, None)
            assert len(store.feed.since(store.compacted())) <= 10
            with pytest.raises(CompactedError):
                store.list("/", revision=first.revision)
            with pytest.raises(CompactedError):
                slow.read()
        assert store.list("/", revision=last.revision - 2).entries[0].revision == last.revision - 2
        with store.watch("/a", last.revision - 2) as quick:
            assert [event.revision for event in quick.read()] == [last.revision - 1, last.revision]
