"""Python's garbage collector, and when it had better wait."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: With fewer new objects than this it isn't worth looking for cycles among all.
_FEW = 100_000
#: What the interpreter itself has frozen (3.12 does).
_FROZEN_AT_START = gc.get_freeze_count()
#: Held to switch the collector: between a look at it and the switch another thread's pause could end.
_SWITCH = threading.Lock()


class _Growth:
    """How many objects the collector tracks: those there were when it last visited all, and those made since; and
    whether the program has frozen objects, once that was seen (to count them is to walk through them all).
    """

    known = 0
    made = 0
    has_frozen = False


@contextmanager
def paused_collector() -> Iterator[None]:
    """Keeps the collector from running while very many objects are made of which almost none becomes garbage.

    Each time their number has grown by a quarter it would visit all of them, in vain: they hold no cycles. What is not
    needed any more is freed at once all the same, by its reference count. When the pause is over, what was made is old
    at once: to visit it as young would take longer than many a pause, since a persistent map of which one entry
    changed is visited whole. All are visited before a pause if their number has doubled.
    """
    with _SWITCH:
        was_enabled = gc.isenabled()
        gc.disable()
    try:
        if was_enabled and _Growth.made > max(_Growth.known, _FEW):
            _visit()
        yield
    finally:
        if was_enabled:
            _grow_old()
            with _SWITCH:
                gc.enable()


def _visit() -> None:
    """Collects what is garbage among all objects."""
    gc.collect()
    _Growth.made = 0
    _Growth.known = len(gc.get_objects())


def _grow_old() -> None:
    """Moves all objects to the oldest generation."""
    _Growth.has_frozen = _Growth.has_frozen or gc.get_freeze_count() > _FROZEN_AT_START
    if _Growth.has_frozen:  # thawing ours would thaw those
        return
    _Growth.made += gc.get_count()[0]
    gc.freeze()
    gc.unfreeze()
