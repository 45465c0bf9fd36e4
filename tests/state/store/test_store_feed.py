"""The news of a store, without one."""

from __future__ import annotations

import pytest

from state.store import CompactedError, Event
from state.store.feed import Feed, Part


def no_history(prefix, after, upto):
    raise CompactedError(after, upto)


def event(revision, key):
    return Event(revision, key, b"x", None)


def append(feed, *keys):
    for key in keys:
        feed.append([event(feed.revision + 1, key)], feed.revision + 1)


def keys(watch):
    return [found.key for found in watch.read()]


@pytest.mark.parametrize("others", [0, 100])
def test_every_watch_sees_its_prefix_however_many_there_are(others):
    feed = Feed(1)
    crowd = [feed.watch(f"/other/{number}", 1, no_history, None) for number in range(others)]
    prefixes = ["", "/", "/a", "/a/", "/a/b", "/a/b/c"]
    watches = {prefix: feed.watch(prefix, 1, no_history, None) for prefix in prefixes}
    sent = ["/a", "/a/b", "/ab", "/a/b/c/d", "/b", "/a/c"]
    append(feed, *sent)
    for prefix, watch in watches.items():
        assert keys(watch) == [key for key in sent if key.startswith(prefix)]
    assert [keys(watch) for watch in crowd] == [[]] * others


def test_a_slow_reader_holds_nothing_up_and_reads_what_it_missed_from_history():
    asked = []

    def history(prefix, after, upto):
        asked.append((prefix, after, upto))
        return [event(revision, f"/{revision}") for revision in range(after + 1, upto + 1)]

    feed = Feed(1, window_bytes=30)
    slow, quick = feed.watch("/", 1, history, None), feed.watch("/", 1, no_history, None)
    for number in range(2, 52):
        append(feed, f"/{number}")
        assert keys(quick) == [f"/{number}"]
    found = []
    while slow.revision < 51:
        found += keys(slow)
    assert found == [f"/{number}" for number in range(2, 52)]
    assert len(asked) == 1


def test_what_lies_between_history_and_the_next_event_is_not_passed_over():
    """Whoever was read from history only is not taken for one who has read everything, and woken past the rest."""
    happened = []

    def history(prefix, after, upto):
        return [each for each in happened if after < each.revision <= upto]

    feed = Feed(1, window_bytes=30)
    watch = feed.watch("/", 1, history, None)
    found = []
    for number in range(2, 200):
        happened.append(event(number, f"/{number}"))
        feed.append(happened[-1:], number)
        if number % 23 == 0:
            found += keys(watch)
    found += keys(watch)
    assert found == [f"/{number}" for number in range(2, 200)]


def test_a_quiet_watch_needs_no_history_though_much_happened():
    feed = Feed(1, window_bytes=30)
    quiet = feed.watch("/quiet/", 1, no_history, None)
    append(feed, *(f"/busy/{number}" for number in range(50)))
    append(feed, "/quiet/a")
    assert keys(quiet) == ["/quiet/a"]
    assert quiet.revision == 52


def test_a_watch_knows_whether_its_next_read_asks_for_history():
    feed = Feed(1)
    watch = feed.watch("/", 1, lambda prefix, after, upto: [event(2, "/a")], None)
    append(feed, "/a")
    assert not watch.is_behind
    feed.skip(3)
    assert watch.is_behind
    assert keys(watch) == ["/a"]
    assert not watch.is_behind


def test_a_missing_part_is_asked_for_and_not_passed_over():
    feed = Feed(1)
    watch = feed.watch("/", 1, lambda *_: [event(2, "/missed")], None)
    feed.append([event(3, "/new")], 3)
    assert keys(watch) + keys(watch) == ["/missed", "/new"]


def test_lists_go_with_their_last_watch():
    feed = Feed(1)
    first, second = (feed.watch("/a", 1, no_history, None) for _ in range(2))
    first.close()
    append(feed, "/a")
    assert keys(second) == ["/a"]
    second.close()
    assert feed._channels == {}


def test_a_watch_is_announced_again_only_after_it_was_read():
    announced = []
    feed = Feed(1)
    watch = feed.watch("/a", 1, no_history, lambda: announced.append(feed.revision))
    append(feed, "/a1", "/a2", "/b")
    assert announced == [2]
    assert len(watch.read()) == 2
    append(feed, "/b", "/a3")
    assert announced == [2, 6]


def test_a_watch_of_a_part_sees_that_and_is_woken_for_nothing_else():
    asked, woken = [], []

    def tags(found):
        asked.append(found.revision)
        return found.key.split("/")[2].split("+")

    feed = Feed(1)
    append(feed, "/a/n1")
    parts = {tag: feed.watch("/a/", 1, no_history, lambda: woken.append(1), Part(tags, tag)) for tag in ("n1", "n2")}
    assert keys(parts["n1"]) == ["/a/n1"]
    assert keys(parts["n2"]) == []
    asked.clear()
    append(feed, "/a/n3", "/b/n1")
    assert woken == []
    append(feed, "/a/n1+n2", "/a/n2")
    assert len(woken) == 2
    assert keys(parts["n1"]) == ["/a/n1+n2"]
    assert keys(parts["n2"]) == ["/a/n1+n2", "/a/n2"]
    assert asked == [3, 5, 6]  # each event of the prefix once, however many parts there are
    assert parts["n1"].revision == 6


def test_parts_are_forgotten_with_their_last_watch():
    def tags(_):
        raise AssertionError("nobody watches a part")

    feed = Feed(1)
    part = Part(tags, "n1")
    for watch in [feed.watch("/", 1, no_history, None, part) for _ in range(2)]:
        watch.close()
    append(feed, "/a")
