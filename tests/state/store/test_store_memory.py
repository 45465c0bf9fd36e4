"""The store in memory."""

from __future__ import annotations

import pytest

from state.store.conformance import StoreConformance
from state.store.memory import MemoryStore


class TestMemory(StoreConformance):
    """As any store."""

    @pytest.fixture
    def store(self):
        with MemoryStore() as store:
            yield store
