"""The garbage collector waits, visits nothing twice, and still finds what is garbage in the end."""

import gc
import threading
import weakref

import pytest

from state import collector
from state.collector import paused_collector


class Knot:
    """Something that holds itself."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """The collector runs, and nothing is known of what was made before."""
    gc.collect()
    monkeypatch.setattr(collector._Growth, "known", 0)
    monkeypatch.setattr(collector._Growth, "made", 0)
    monkeypatch.setattr(collector._Growth, "has_frozen", False)
    assert gc.isenabled()


def test_it_waits_until_the_pause_is_over():
    visits = []
    gc.callbacks.append(lambda *args: visits.append(args))
    try:
        with paused_collector():
            assert not gc.isenabled()
            kept = [[] for _ in range(10_000)]
    finally:
        gc.callbacks.pop()
    assert gc.isenabled()
    assert not visits
    assert len(kept) == 10_000


def test_what_was_made_is_old_afterwards():
    with paused_collector():
        made = [[]]
    assert any(obj is made for obj in gc.get_objects(generation=2))


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with paused_collector(), paused_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_pause_that_begins_when_another_thread_s_ends_is_not_for_ever(monkeypatch):
    """Who begins finds it off, and who ends could switch it on before it is off again: then it stayed off."""
    ends, has_ended = threading.Event(), threading.Event()

    def pause():
        with paused_collector():
            begun.set()
            ends.wait(10)
        has_ended.set()

    def look():
        found = is_enabled()
        ends.set()
        has_ended.wait(0.1)
        return found

    begun, is_enabled = threading.Event(), gc.isenabled
    other = threading.Thread(target=pause)
    other.start()
    begun.wait(10)
    monkeypatch.setattr(collector.gc, "isenabled", look)
    with paused_collector():
        pass
    other.join()
    monkeypatch.undo()
    try:
        assert gc.isenabled()
    finally:
        gc.enable()


def test_garbage_made_in_pauses_is_found_when_much_was_made(monkeypatch):
    """By then it is in the oldest generation, which the collector would hardly visit by itself."""
    monkeypatch.setattr(collector, "_FEW", 1_000)
    with paused_collector():
        knot = weakref.ref(Knot())
    assert knot() is not None
    kept = []
    for _ in range(4):
        with paused_collector():
            kept += [[] for _ in range(500)]
    assert knot() is None
    assert collector._Growth.known > 1_000


def test_all_are_visited_again_only_when_they_have_doubled(monkeypatch):
    monkeypatch.setattr(collector, "_FEW", 1_000)
    kept = []
    visits = []
    monkeypatch.setattr(collector.gc, "collect", lambda: visits.append(len(kept)))
    for _ in range(4):
        with paused_collector():
            kept += [[] for _ in range(5_000)]
    assert visits == [5_000]


def test_what_a_program_has_frozen_stays_frozen():
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with paused_collector():
            kept = [[]]
        assert gc.get_freeze_count() == frozen
        assert kept
    finally:
        gc.unfreeze()


def test_frozen_objects_are_counted_only_once(monkeypatch):
    """A server has very many, and many short pauses."""
    counts = []
    monkeypatch.setattr(collector.gc, "get_freeze_count", lambda: counts.append(None) or 1_000_000)
    for _ in range(3):
        with paused_collector():
            pass
    assert len(counts) == 1
