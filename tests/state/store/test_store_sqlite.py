"""The store in a file."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest

from state.store import ABSENT, StoreFullError, StoreUnavailableError, Write
from state.store.conformance import StoreConformance
from state.store.sqlite import SqliteStore, Ticket


class TestSqlite(StoreConformance):
    """As any store."""

    @pytest.fixture
    def store(self, tmp_path):
        with SqliteStore(str(tmp_path / "store.db")) as store:
            yield store


class TestSqliteWithoutMemory(StoreConformance):
    """As any store, though next to nothing of what happened is kept in memory."""

    @pytest.fixture
    def store(self, tmp_path):
        with SqliteStore(str(tmp_path / "store.db"), window_bytes=1) as store:
            yield store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def test_a_file_belongs_to_one_process_at_a_time(path):
    with SqliteStore(str(path)), pytest.raises(StoreUnavailableError, match="in use by another process"):
        SqliteStore(str(path))
    SqliteStore(str(path)).close()


def test_a_damaged_file_is_not_kept_open(path):
    """Whoever mends it can have it at once."""
    SqliteStore(str(path)).close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE compaction")
    with pytest.raises(StoreUnavailableError, match="no such table: compaction"):
        SqliteStore(str(path))
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)  # nobody else has it


def test_only_its_user_can_read_the_file(path):
    with SqliteStore(str(path)) as store:
        store.create("/secret", b"")
        assert {file.stat().st_mode & 0o077 for file in path.parent.glob("store.db*") if file.suffix != ".lock"} == {0}


@pytest.mark.parametrize(
    ("content", "message"), [(b"something else, and long enough" * 100, "not a database"), (None, "is not a store of")]
)
def test_a_file_that_is_something_else_is_refused_and_left_alone(path, content, message):
    if content is None:
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE other (x)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(StoreUnavailableError, match=message):
        SqliteStore(str(path))
    assert path.read_bytes() == before


def test_a_full_disk_refuses_writes_whole_and_goes_on_when_there_is_room(path):
    with SqliteStore(str(path)) as store:
        kept = store.create("/a", b"x" * 1000)
        pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
        store._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreFullError, match="full"):
            store.write([Write("/b", b"1", ABSENT), Write("/c", bytes(100_000), ABSENT)])
        assert store.list("").entries == (kept,)
        assert store.revision() == kept.revision
        store._writer.execute("PRAGMA max_page_count = 100000")
        with store.watch("", kept.revision) as watch:
            made = store.create("/c", bytes(100_000))
            assert made.revision == kept.revision + 1
            assert [event.key for event in watch.read()] == ["/c"]


def _create_together(store):
    """Eight threads that wait for one commit."""
    with ThreadPoolExecutor(8) as pool:
        with store._commit_lock:
            calls = [pool.submit(store.create, f"/{number}", b"") for number in range(8)]
            while len(store._queue) < 8:
                time.sleep(0.001)
        return calls


def test_a_failing_commit_is_told_to_everybody_who_shares_it(path):
    with SqliteStore(str(path)) as store:
        store._writer.execute("PRAGMA query_only = 1")
        calls = _create_together(store)
        for call in calls:
            with pytest.raises(StoreUnavailableError, match="readonly"):
                call.result()
        store._writer.execute("PRAGMA query_only = 0")
        assert store.create("/a", b"").revision == 2


def test_writers_that_come_together_share_a_commit(path):
    with SqliteStore(str(path)) as store:
        commits = []
        store._writer.set_trace_callback(lambda statement: commits.append(statement) if statement == "COMMIT" else None)
        calls = _create_together(store)
        assert sorted(call.result().revision for call in calls) == list(range(2, 10))
        assert len(commits) == 1


def test_an_interrupted_publication_leaves_no_gap(path, monkeypatch):
    """Something happens between the commit and the news: what was missed comes from the file."""
    with SqliteStore(str(path)) as store, store.watch("/", 1) as watch:
        with monkeypatch.context() as patch:
            patch.setattr(store.feed, "append_locked", Mock(side_effect=MemoryError))
            with pytest.raises(StoreUnavailableError, match="interrupted by MemoryError"):
                store.create("/a", b"")
        assert store.create("/b", b"").revision == 3
        assert [entry.key for entry in store.list("/").entries] == ["/a", "/b"]
        news = [event.key for event in [*watch.read(), *watch.read()]]
        assert news == ["/a", "/b"]


def test_a_hundred_thousand_objects_are_there_at_once(path):
    with SqliteStore(str(path)) as store:
        store.write([Write(f"/registry/pods/default/{number}", b"x" * 200, ABSENT) for number in range(100_000)])
        revision = store.revision()
    with SqliteStore(str(path)) as store:
        assert store.revision() == revision
        page = store.list("/registry/pods/", limit=500)
        assert page.remaining == 99_500


@pytest.mark.parametrize("is_late", [False, True])
def test_who_wants_to_know_of_a_commit_is_told_before_and_after_it(is_late):
    told, ticket = [], Ticket([])
    if is_late:
        ticket.settle(None)
    ticket.call(lambda: told.append(1))
    if not is_late:
        assert not told
        ticket.settle(None)
    assert told


def test_a_commit_of_many_writes_of_the_same_keys_is_what_they_lead_to(path):
    """More rows than one statement takes, deletions among them."""
    with SqliteStore(str(path)) as store:
        first = store.write([Write(f"/{number}", b"1", ABSENT) for number in range(300)])
        deletions = [Write(entry.key, None, entry.revision) for entry in first[::2]]
        store.write([*deletions, *(Write(entry.key, b"2", ABSENT) for entry in first[:20:2])])
        before = store.list("").entries
        assert len(before) == 160
    with SqliteStore(str(path)) as store:
        assert store.list("").entries == before
