"""A store in a file is open before it is in memory, and answers as if it were."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from state.store import ABSENT, StoreUnavailableError, Write, sqlite
from state.store.conformance import StoreConformance
from state.store.records import LAST
from state.store.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path):
    """Where a store of 2,500 entries is."""
    path = str(tmp_path / "store.db")
    with SqliteStore(path) as store:
        store.write([Write(f"/a/{number:05}", b"%d" % number, ABSENT) for number in range(2_500)])
        store.write([Write(f"/b/{number}", b"", ABSENT) for number in range(10)])
    return path


class TestOnDisk(StoreConformance):
    """As any store, though nothing is in memory until a list of older days is wanted."""

    @pytest.fixture
    def store(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sqlite, "_SMALL", -1)
        with SqliteStore(str(tmp_path / "store.db")) as store:
            yield store


def held_in_memory(store):
    return store.is_in_memory


def test_what_is_wanted_of_few_keys_is_read_from_the_file(path):
    with SqliteStore(path) as store, store.watch("/a/", store.revision()) as watch:
        now = store.revision()
        assert store.get("/a/00007").value == b"7"
        assert store.get("/c") is None
        page = store.list("/a/", limit=3, after="/a/00001")
        assert [entry.key for entry in page.entries] == ["/a/00002", "/a/00003", "/a/00004"]
        assert (page.revision, page.remaining) == (now, 2_495)
        assert len(store.list("/b/").entries) == 10
        made = store.create("/b/new", b"1")
        assert store.get("/b/new") == made == store.list("/b/new").entries[0]
        store.delete("/a/00007", store.get("/a/00007").revision)
        assert store.get("/a/00007") is None
        assert [event.key for event in watch.read(5)] == ["/a/00007"]
        assert not held_in_memory(store)


def test_a_long_list_is_what_it_will_be_from_memory(path):
    with SqliteStore(path) as store:
        store.delete("/a/00001")
        store.update("/a/00002", b"new", None)
        early = store.list("/a/")
        assert held_in_memory(store)
        assert early == store.list("/a/")
        assert (len(early.entries), early.entries[1].value) == (2_499, b"new")


def test_an_older_list_after_a_start_is_what_it_was(path):
    with SqliteStore(path) as store:
        before = store.list("/b/")
        store.delete("/b/1")
        store.create("/b/10", b"")
        assert store.list("/b/", revision=before.revision) == before


def test_what_is_written_while_it_is_read_into_memory_is_in_memory_then(path):
    """The reader is held up after each part of what it reads, and everything is changed meanwhile."""
    going, waiting = threading.Event(), threading.Event()

    def rest(_):
        waiting.set()
        assert going.wait(30)

    with SqliteStore(path) as store, ThreadPoolExecutor(1) as pool:
        store._closing.wait = rest
        early = pool.submit(store.list, "")
        assert waiting.wait(30)
        for number in (0, 1, 600, 2_499):
            store.update(f"/a/{number:05}", b"new", None)
        store.delete("/a/00002")
        store.delete("/b/3")
        store.create("/b/new", b"1")
        store.compact(store.revision() - 2)
        assert not held_in_memory(store)
        going.set()
        page = store.list("")
        assert early.result() == page
        assert held_in_memory(store)
        assert {entry.key: entry.value for entry in page.entries}.items() >= {
            "/a/00600": b"new",
            "/b/new": b"1",
        }.items()
        assert page.entries == tuple(store.get(entry.key) for entry in page.entries)
        assert [len(store.list(prefix).entries) for prefix in ("/a/", "/b/", LAST)] == [2_499, 10, 0]
    with SqliteStore(path) as store:
        assert store.list("") == page


def test_who_reads_a_store_that_is_closed_meanwhile_is_told(path):
    going, waiting = threading.Event(), threading.Event()
    store = SqliteStore(path)
    store._closing.wait = lambda _: (waiting.set(), going.wait(30))
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(store.list, "")
        assert waiting.wait(30)
        store.close()
        going.set()
        with pytest.raises(StoreUnavailableError, match="closed"):
            early.result()


def test_a_small_store_is_in_memory_at_once(tmp_path):
    with SqliteStore(str(tmp_path / "small.db")) as store:
        assert held_in_memory(store)
