"""Versioned stores with watch: where the objects of a server lie.

``open_store("memory:" | "sqlite:PATH" | "etcd://HOST:PORT")`` gives one; ``Store`` is what it can do, and ``records``
what it speaks of. ``layout`` says how objects lie in it, ``leader`` elects one of several programs on one store, and
``conformance`` holds the tests that every implementation passes.
"""

from state.store.base import Store
from state.store.feed import Watch
from state.store.records import (
    ABSENT,
    CompactedError,
    ConflictError,
    Entry,
    Event,
    ExistsError,
    Fence,
    FencedError,
    FutureRevisionError,
    NotFoundError,
    Page,
    Refused,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    Tls,
    TooLargeError,
    Write,
)
from state.store.registry import open_store

__all__ = [
    "ABSENT",
    "CompactedError",
    "ConflictError",
    "Entry",
    "Event",
    "ExistsError",
    "Fence",
    "FencedError",
    "FutureRevisionError",
    "NotFoundError",
    "Page",
    "Refused",
    "Store",
    "StoreError",
    "StoreFullError",
    "StoreUnavailableError",
    "Tls",
    "TooLargeError",
    "Watch",
    "Write",
    "open_store",
]
