"""What every store must do, as tests that any implementation can run. Needs pytest.

Use::

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self, tmp_path):
            ...yield a store without any keys, then close it

The store may have been written to before, and nobody else may write to it now.
"""

# ruff: noqa: D102  (the name of a test states the behaviour)

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from state.store.base import Store
from state.store.feed import Watch
from state.store.records import (
    ABSENT,
    LAST,
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
    CompactedError,
    ConflictError,
    Entry,
    Event,
    ExistsError,
    Fence,
    FencedError,
    FutureRevisionError,
    NotFoundError,
    StoreUnavailableError,
    TooLargeError,
    Write,
)

#: Seconds after which news that doesn't come is missing.
PATIENCE = 20.0
_PAUSE = 0.05


def read_up_to(watch: Watch, revision: int) -> list[Event]:
    """What a watch has to tell up to a revision; news may take a moment where it comes from elsewhere."""
    found: list[Event] = []
    tries = 0
    while watch.revision < revision:
        found.extend(watch.read(_PAUSE))
        tries += 1
        assert tries * _PAUSE < PATIENCE, f"no news after {watch.revision}; expected some up to {revision}"
    return found


class StoreConformance:
    """The tests. A subclass provides the ``store`` fixture."""

    # -- writing -------------------------------------------------------------------------------------------------------

    def test_every_change_is_the_next_revision(self, store: Store) -> None:
        start = store.revision()
        assert store.create("/a", b"1") == Entry("/a", b"1", start + 1)
        assert store.update("/a", b"2", start + 1) == Entry("/a", b"2", start + 2)
        assert store.create("/b", b"") == Entry("/b", b"", start + 3)
        assert store.delete("/a", start + 2) == Entry("/a", b"2", start + 4)
        assert store.create("/a", b"3") == Entry("/a", b"3", start + 5)
        assert store.revision() == start + 5

    def test_what_was_written_is_read(self, store: Store) -> None:
        assert store.get("/a") is None
        entry = store.create("/a", bytes(range(256)))
        assert store.get("/a") == entry
        store.delete("/a")
        assert store.get("/a") is None

    def test_creating_what_exists_is_refused_with_what_there_is(self, store: Store) -> None:
        entry = store.create("/a", b"1")
        with pytest.raises(ExistsError, match="/a exists already") as caught:
            store.create("/a", b"2")
        assert caught.value.current == entry
        assert (store.get("/a"), store.revision()) == (entry, entry.revision)

    def test_changing_what_somebody_else_changed_is_refused_with_what_there_is(self, store: Store) -> None:
        old = store.create("/a", b"1")
        new = store.update("/a", b"2", old.revision)
        with pytest.raises(ConflictError) as caught:
            store.update("/a", b"3", old.revision)
        assert (caught.value.current, caught.value.expected) == (new, old.revision)
        with pytest.raises(ConflictError):
            store.delete("/a", old.revision)
        with pytest.raises(ConflictError):
            store.update("/a", b"3", new.revision + 5)
        assert (store.get("/a"), store.revision()) == (new, new.revision)

    def test_changing_what_does_not_exist_is_refused(self, store: Store) -> None:
        gone = store.delete(store.create("/gone", b"").key)
        for key in ("/a", "/gone"):
            for expected in (None, gone.revision, gone.revision - 1):
                with pytest.raises(NotFoundError, match=f"{key} doesn't exist"):
                    store.update(key, b"", expected)
                with pytest.raises(NotFoundError):
                    store.delete(key, expected)
        assert store.revision() == gone.revision

    def test_without_a_condition_any_revision_will_do(self, store: Store) -> None:
        store.create("/a", b"1")
        assert store.update("/a", b"2", None).value == b"2"
        assert store.delete("/a").value == b"2"

    def test_the_same_value_again_is_a_change(self, store: Store) -> None:
        old = store.create("/a", b"1")
        assert store.update("/a", b"1", old.revision).revision == old.revision + 1

    def test_many_writes_are_decided_one_by_one(self, store: Store) -> None:
        old = store.create("/a", b"1")
        results = store.write(
            [
                Write("/b", b"1", ABSENT),
                Write("/a", b"2", old.revision + 100),
                Write("/c", None, None),
                Write("/a", None, old.revision),
                Write("/a", b"3", ABSENT),
            ]
        )
        b, conflict, missing, deleted, created = results
        assert isinstance(b, Entry)
        assert isinstance(conflict, ConflictError)
        assert isinstance(missing, NotFoundError)
        assert isinstance(deleted, Entry)
        assert isinstance(created, Entry)
        assert deleted.revision < created.revision
        assert {b.revision, deleted.revision, created.revision} == {old.revision + n for n in (1, 2, 3)}
        assert store.list("/").entries == (created, b)
        assert store.write([]) == ()

    def test_a_write_with_a_fence_is_done_while_the_fence_is_as_it_was(self, store: Store) -> None:
        fence = Fence("/fence", store.create("/fence", b"mine").revision)
        entry = store.update("/a", b"2", store.create("/a", b"1", fence).revision, fence)
        store.update("/fence", b"theirs", fence.revision)
        with pytest.raises(FencedError, match=f"/fence is no longer at revision {fence.revision}"):
            store.update("/a", b"3", entry.revision, fence)
        store.delete("/fence")
        for result in store.write([Write("/b", b"", ABSENT, fence), Write("/a", None, None, fence)]):
            assert isinstance(result, FencedError)
        assert store.list("/").entries == (entry,)

    def test_a_thousand_writes_at_once(self, store: Store) -> None:
        results = store.write([Write(f"/{number:04}", b"x" * 100, ABSENT) for number in range(1000)])
        assert store.list("/").entries == tuple(results)

    def test_of_many_writers_with_one_condition_one_wins(self, store: Store) -> None:
        entry = store.create("/a", b"0")

        def increment(_: int) -> int:
            tries = 0
            while True:
                current = store.get("/a")
                assert current is not None
                tries += 1
                try:
                    store.update("/a", b"%d" % (int(current.value) + 1), current.revision)
                except ConflictError:
                    continue
                return tries

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(increment, range(40))) >= 40
        assert store.get("/a") == Entry("/a", b"40", entry.revision + 40)

    @pytest.mark.parametrize("key", ["", "a\0b", "a" + LAST])
    def test_what_is_no_key_is_refused(self, store: Store, key: str) -> None:
        with pytest.raises(ValueError, match="no key"):
            store.create(key, b"")

    def test_what_is_too_large_is_refused_and_what_is_just_not_is_kept(self, store: Store) -> None:
        with pytest.raises(TooLargeError, match="/a has"):
            store.create("/a", bytes(MAX_VALUE_BYTES + 1))
        with pytest.raises(TooLargeError, match="key"):
            store.create("k" * (MAX_KEY_BYTES + 1), b"")
        large = store.create("k" * MAX_KEY_BYTES, bytes(MAX_VALUE_BYTES))
        assert store.get(large.key) == large

    # -- lists ---------------------------------------------------------------------------------------------------------

    def test_a_list_has_the_keys_with_a_prefix_in_order(self, store: Store) -> None:
        keys = ["/pods/b", "/pods/a/2", "/podz/a", "/pods/ä", "/pods/a/1", "/pod", "/pods/a/10", "/pods/a"]
        entries = {key: store.create(key, key.encode()) for key in keys}
        page = store.list("/pods/")
        assert page.entries == tuple(entries[key] for key in sorted(keys) if key.startswith("/pods/"))
        assert (page.revision, page.remaining) == (store.revision(), 0)
        assert store.list("/pods/a").entries[0].key == "/pods/a"
        assert [entry.key for entry in store.list("").entries] == sorted(keys)
        assert store.list("/nothing/").entries == ()

    def test_a_list_can_be_had_as_it_was(self, store: Store) -> None:
        revisions = _some_history(store)
        for revision, wanted in revisions.items():
            page = store.list("/", revision=revision)
            assert {entry.key: entry.value for entry in page.entries} == wanted
            assert page.revision == revision
            assert all(entry.revision <= revision for entry in page.entries)

    def test_pages_are_of_one_revision_whatever_happens_in_between(self, store: Store) -> None:
        for number in range(10):
            store.create(f"/{number}", b"old")
        first = store.list("/", limit=4)
        assert ([entry.key for entry in first.entries], first.remaining) == (["/0", "/1", "/2", "/3"], 6)
        store.delete("/5")
        store.update("/6", b"new", None)
        store.create("/55", b"new")
        second = store.list("/", limit=4, revision=first.revision, after="/3")
        assert [(entry.key, entry.value) for entry in second.entries] == [(f"/{n}", b"old") for n in (4, 5, 6, 7)]
        assert (second.revision, second.remaining) == (first.revision, 2)
        third = store.list("/", limit=4, revision=first.revision, after="/7")
        assert ([entry.key for entry in third.entries], third.remaining) == (["/8", "/9"], 0)
        assert store.list("/", revision=first.revision, after="/9").entries == ()

    def test_the_future_cannot_be_listed_or_watched(self, store: Store) -> None:
        now = store.revision()
        for ask in _asks(store, now + 1):
            with pytest.raises(FutureRevisionError, match=f"the store is at {now}") as caught:
                ask()
            assert (caught.value.revision, caught.value.current) == (now + 1, now)
        with pytest.raises(FutureRevisionError):
            store.compact(now + 1)

    # -- watches -------------------------------------------------------------------------------------------------------

    def test_a_watch_tells_each_change_with_what_was_before(self, store: Store) -> None:
        with store.watch("/pods/", store.revision()) as watch:
            a = store.create("/pods/a", b"1")
            store.create("/nodes/a", b"1")
            b = store.update("/pods/a", b"2", a.revision)
            gone = store.delete("/pods/a")
            assert read_up_to(watch, gone.revision) == [
                Event(a.revision, "/pods/a", b"1", None),
                Event(b.revision, "/pods/a", b"2", a),
                Event(gone.revision, "/pods/a", None, b),
            ]
            assert list(watch.read()) == []

    def test_a_watch_from_any_revision_tells_what_came_after(self, store: Store) -> None:
        revisions = list(_some_history(store))
        with store.watch("/", revisions[0]) as watch:
            everything = read_up_to(watch, revisions[-1])
        assert [event.revision for event in everything] == revisions[1:]
        for revision in revisions:
            with store.watch("/", revision) as watch:
                assert read_up_to(watch, revisions[-1]) == [event for event in everything if event.revision > revision]

    def test_a_watch_says_how_far_it_has_come_though_nothing_concerns_it(self, store: Store) -> None:
        with store.watch("/pods/", store.revision()) as watch:
            revision = store.create("/nodes/a", b"").revision
            assert read_up_to(watch, revision) == []
            assert watch.revision == revision

    def test_waiting_ends_with_the_first_news(self, store: Store) -> None:
        with store.watch("/a", store.revision()) as watch, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(watch.read, PATIENCE)
            entry = store.create("/a", b"1")
            assert list(waiting.result()) == [Event(entry.revision, "/a", b"1", None)]

    def test_news_are_announced_once_until_they_are_read(self, store: Store) -> None:
        announced: list[int] = []
        start = store.revision()
        with store.watch("/a", start, on_ready=lambda: announced.append(1)) as watch:
            assert list(watch.read()) == []
            store.create("/b", b"")
            store.create("/a1", b"")
            revision = store.create("/a2", b"").revision
            assert len(read_up_to(watch, revision)) == 2
            with store.watch("/", start) as other:
                read_up_to(other, revision)
            assert 1 <= len(announced) <= 2
            read_up_to(watch, store.create("/a3", b"").revision)
            assert 2 <= len(announced) <= 3

    def test_writers_and_watchers_at_once_leave_no_gap_and_no_repeat(self, store: Store) -> None:
        start = store.revision()
        writers, each = 6, 30

        def write(writer: int) -> None:
            for number in range(each):
                store.create(f"/{writer}/{number}", b"")

        def follow(prefix: str) -> list[Event]:
            with store.watch(prefix, start) as watch:
                return read_up_to(watch, start + writers * each)

        prefixes = ["/", *(f"/{writer}/" for writer in range(writers))]
        with ThreadPoolExecutor(writers + len(prefixes)) as pool:
            followers = [pool.submit(follow, prefix) for prefix in prefixes]
            list(pool.map(write, range(writers)))
            everything, *parts = [follower.result() for follower in followers]
        assert [event.revision for event in everything] == list(range(start + 1, start + writers * each + 1))
        for prefix, part in zip(prefixes[1:], parts, strict=True):
            assert part == [event for event in everything if event.key.startswith(prefix)]

    def test_a_closed_watch_is_not_read(self, store: Store) -> None:
        watch = store.watch("/", store.revision())
        watch.close()
        watch.close()
        with pytest.raises(ValueError, match="closed"):
            watch.read()

    # -- compaction ----------------------------------------------------------------------------------------------------

    def test_history_ends_where_it_was_compacted(self, store: Store) -> None:
        revisions = _some_history(store)
        old, at, *_ = ordered = list(revisions)[3:]
        with store.watch("/", at) as watch:
            news = read_up_to(watch, ordered[-1])
        store.compact(at)
        for ask in _asks(store, old):
            with pytest.raises(CompactedError, match=f"history begins at {at}") as caught:
                ask()
            assert (caught.value.revision, caught.value.compacted) == (old, at)
        for revision in ordered[1:]:
            page = store.list("/", revision=revision)
            assert {entry.key: entry.value for entry in page.entries} == revisions[revision]
        with store.watch("/", at) as watch:
            assert read_up_to(watch, ordered[-1]) == news
        assert store.compacted() == at

    def test_compacting_twice_or_less_changes_nothing(self, store: Store) -> None:
        revisions = list(_some_history(store))
        store.compact(revisions[4])
        store.compact(revisions[4])
        store.compact(revisions[2])
        assert store.list("/", revision=revisions[4]).revision == revisions[4]
        assert store.compacted() == revisions[4]

    def test_what_is_compacted_up_to_now_goes_on(self, store: Store) -> None:
        store.create("/a", b"1")
        now = store.delete("/a").revision
        store.compact(now)
        assert (store.revision(), store.list("").entries) == (now, ())
        with store.watch("", now) as watch:
            entry = store.create("/a", b"2")
            assert read_up_to(watch, entry.revision) == [Event(now + 1, "/a", b"2", None)]

    def test_a_watch_that_is_up_to_date_survives_compaction(self, store: Store) -> None:
        with store.watch("/quiet", store.revision()) as quiet, store.watch("/", store.revision()) as busy:
            revision = list(_some_history(store))[-1]
            read_up_to(busy, revision)
            store.compact(revision)
            entry = store.create("/quiet", b"")
            news = Event(entry.revision, "/quiet", b"", None)
            assert read_up_to(busy, entry.revision) == [news]
            assert read_up_to(quiet, entry.revision) == [news]

    # -- the end -------------------------------------------------------------------------------------------------------

    def test_closing_ends_everything(self, store: Store) -> None:
        watch = store.watch("/", store.revision())
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(watch.read, PATIENCE)
            store.close()
            with pytest.raises(StoreUnavailableError, match="closed"):
                waiting.result()
        calls: Sequence[Callable[[], object]] = (
            store.revision,
            lambda: store.get("/a"),
            lambda: store.list("/"),
            lambda: store.create("/a", b""),
            lambda: store.watch("/", 1),
            watch.read,
        )
        for call in calls:
            with pytest.raises(StoreUnavailableError, match="closed"):
                call()
        watch.close()
        store.close()


def _asks(store: Store, revision: int) -> Sequence[Callable[[], object]]:
    return (lambda: store.list("/", revision=revision), lambda: store.watch("/", revision))


def _some_history(store: Store) -> dict[int, dict[str, bytes]]:
    """Makes one, and says what there was at each of its revisions, the first one being before it."""
    state: dict[str, bytes] = {}
    revisions = {store.revision(): dict(state)}
    for number, step in enumerate(("+a", "+b", "=a", "-b", "+c", "=a", "+b", "-a", "=c", "+a", "-c", "=b")):
        what, name = step[0], step[1]
        key, value = f"/{name}", f"{number}".encode()
        if what == "-":
            revision = store.delete(key).revision
            del state[key]
        else:
            revision = store.write([Write(key, value, ABSENT if what == "+" else None)])[0].revision  # type: ignore[union-attr]
            state[key] = value
        revisions[revision] = dict(state)
    assert all(later == earlier + 1 for earlier, later in pairwise(revisions))
    return revisions
