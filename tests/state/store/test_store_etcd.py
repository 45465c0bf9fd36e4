"""The store in a real etcd, which these tests start."""

from __future__ import annotations

import shutil
import time
from unittest.mock import Mock

import pytest
from etcd_server import PATIENCE, EtcdCluster, EtcdServer

from state.store import ABSENT, CompactedError, StoreFullError, StoreUnavailableError, Write, open_store
from state.store.conformance import StoreConformance, read_up_to


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with EtcdServer(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture
def store(server):
    with server.open() as store:
        for entry in store.list("").entries:
            store.delete(entry.key)
        yield store


class TestEtcd(StoreConformance):
    """As any store."""

    @pytest.fixture
    def store(self, store):
        return store


class TestEtcdWithoutMemory(StoreConformance):
    """As any store, though next to nothing of what happened is kept in memory."""

    @pytest.fixture
    def store(self, server, store):
        from state.store.etcd import EtcdStore

        with EtcdStore([server.url.removeprefix("etcd://")], window_bytes=1) as other:
            yield other


def test_no_server_is_unavailable():
    pytest.importorskip("aetcd")
    with pytest.raises(StoreUnavailableError, match=r"etcd at 127\.0\.0\.1:1: .*\(UNAVAILABLE\)"):
        open_store("etcd://127.0.0.1:1")


def test_another_member_is_asked_when_one_fails(server):
    with open_store(f"etcd://127.0.0.1:1,{server.url.removeprefix('etcd://')}") as store:
        entry = store.create("/failover", b"")
        assert store.get("/failover") == entry


def test_programs_see_what_others_write_and_compact(server, store):
    start = store.revision()
    with server.open() as other, store.watch("/", start) as watch:
        entry = other.create("/a", b"")
        assert [event.key for event in read_up_to(watch, entry.revision)] == ["/a"]
        other.compact(entry.revision)
        with pytest.raises(CompactedError, match=f"begins at {entry.revision}"):
            other.list("/", revision=start)
        store.compact(entry.revision)
        with pytest.raises(CompactedError):
            store.list("/", revision=start)
        with pytest.raises(CompactedError):
            store.watch("/", start)


def test_what_others_compact_is_listed_and_watched_as_far_back_as_memory_goes(server, store):
    """As kube-apiserver's watch cache, which doesn't hear of it either."""
    for number in range(6):
        store.create(f"/pods/{number}", b"old")
    then = store.list("/pods/")
    with server.open() as other, store.watch("/", then.revision) as watch:
        other.update("/pods/1", b"new", None)
        other.delete("/pods/2")
        revision = other.create("/pods/35", b"new").revision
        read_up_to(watch, revision)  # what it has heard by then, it knows
        other.compact(revision)
    assert store.list("/pods/", revision=then.revision) == then
    page = store.list("/pods/", revision=then.revision, limit=2, after="/pods/0")
    assert (page.entries, page.revision, page.remaining) == (then.entries[1:3], then.revision, 3)
    with store.watch("/pods/", then.revision) as watch:
        assert [event.key[-1] for event in read_up_to(watch, revision)] == ["1", "2", "5"]
    with server.open() as late:
        for ask in (late.list, lambda prefix, revision: read_up_to(late.watch(prefix, revision), revision + 1)):
            with pytest.raises(CompactedError, match=f"begins at {revision}"):
                ask("/pods/", revision=then.revision)


def test_a_watch_goes_on_when_the_server_comes_back(tmp_path):
    with EtcdServer(tmp_path) as server, server.open() as store, store.watch("/", 1) as watch:
        store.create("/a", b"")
        server.kill()
        with pytest.raises(StoreUnavailableError):
            store.create("/b", b"")
        server.start()
        with server.open() as other:
            entry = other.create("/b", b"")
        assert [event.key for event in read_up_to(watch, entry.revision)] == ["/a", "/b"]


def test_what_was_compacted_while_the_stream_was_down_is_said_to_be_lost(tmp_path):
    with (
        EtcdServer(tmp_path) as server,
        server.open() as store,
        store.watch("/", 1) as late,
        store.watch("/", 1) as quick,
    ):
        read_up_to(quick, store.create("/a", b"").revision)
        store._check_going_forward = Mock(side_effect=StoreUnavailableError("held back"))
        server.kill()
        server.start()
        with server.open() as other:
            other.create("/b", b"")
            revision = other.create("/c", b"").revision
            other.compact(revision)
        del store._check_going_forward
        for watch in (late, quick):
            with pytest.raises(CompactedError, match=f"begins at {revision}"):
                read_up_to(watch, revision)
        with store.watch("/", revision) as again:
            assert len(read_up_to(again, store.create("/d", b"").revision)) == 1


def fill(store):
    """Writes 100 MB, slowly: the server looks at the size of its file, which follows ten times a second."""
    for number in range(500):
        store.create(f"/{number}", bytes(200_000))
        time.sleep(0.02)


def test_a_full_server_refuses_writes_and_is_read(tmp_path):
    with EtcdServer(tmp_path, f"--quota-backend-bytes={2**20}") as server, server.open() as store:
        store.create("/a", b"1")
        with pytest.raises(StoreFullError, match="space exceeded"):
            fill(store)
        assert store.get("/a").value == b"1"


def test_of_writes_that_fill_a_server_together_none_is_called_refused_that_was_done(tmp_path):
    """Etcd says that it is full of the first write that is too much, too, though it has done it."""
    with EtcdServer(tmp_path, f"--quota-backend-bytes={2**20}") as server, server.open() as store:
        for number in range(250):
            writes = [Write(f"/{number}/{index}", bytes(200_000), ABSENT) for index in range(2)]
            try:
                store.write(writes)
            except StoreFullError:
                break
            time.sleep(0.04)
        assert None in [store.get(write.key) for write in writes]


def test_a_server_that_lost_its_data_is_not_taken_for_the_same(tmp_path):
    with EtcdServer(tmp_path) as server, server.open() as store, store.watch("/", 1) as watch:
        read_up_to(watch, store.create("/a", b"").revision)
        server.kill()
        shutil.rmtree(tmp_path / "data")
        server.start()
        with pytest.raises(StoreUnavailableError, match="went back from revision 2 to 1"):
            watch.read(20)


def test_of_three_members_one_may_die(tmp_path):
    """Nothing that was acknowledged is lost, and a watch sees every change once."""
    with (
        EtcdCluster(tmp_path) as cluster,
        patiently(lambda: open_store(cluster.url)) as store,
        store.watch("/a/", store.revision()) as watch,
    ):
        for number in range(40):
            if number == 20:
                cluster.kill_first()
            patiently(lambda key=f"/a/{number:02}": store.get(key) or store.create(key, b""))
        made = [entry.key for entry in patiently(lambda: store.list("/a/")).entries]
        seen = []
        while len(seen) < 40:
            seen += [event.key for event in patiently(lambda: watch.read(1.0))]
    assert made == seen == [f"/a/{number:02}" for number in range(40)]


def patiently(do):
    """Does something until the store answers."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return do()
        except StoreUnavailableError:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.get("/a"),
        lambda store: store.create("/a", b""),
        lambda store: store.write([Write("/a", b"", ABSENT), Write("/b", b"", ABSENT)]),
        lambda store: next(store._changes(1)),  # as the thread that follows
    ],
    ids=["get", "write", "write_together", "follow"],
)
def test_a_store_may_be_closed_at_any_moment(server, ask):
    """Who is just about to ask etcd is told so, in whatever thread."""
    with server.open() as store:
        hung_up = store._closing.is_set
        store._closing.is_set = lambda: hung_up() or bool(store._hang_up())
        with pytest.raises(StoreUnavailableError, match="is closed"):
            ask(store)
        assert hung_up()
