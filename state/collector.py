"""Python's garbage collector, and when it had better wait."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Keeps the collector from running while very many objects are made of which none becomes garbage.

    Each time their number has grown by a quarter it would visit all of them, in vain: they hold no cycles. What is not
    needed any more is freed at once all the same, by its reference count.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
