"""Stores: writes, reads, lists and watches a second, of each kind.

etcd is measured where it is installed; each of its figures includes etcd's own processor time, on the same cores.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import count

import pytest
from etcd_process import etcd

from state.store import ABSENT, StoreUnavailableError, Write, open_store
from state.store.leader import Candidate, Terms

#: As long as a plain pod's JSON.
VALUE = b"x" * 1500
POD = "/registry/pods/default/"
SECOND = 1_000_000


def opened(url):
    """The store, as soon as there is one."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return open_store(url)
        except StoreUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.fixture(params=["memory", "sqlite", "etcd"])
def store(request, tmp_path):
    """An empty store of each kind."""
    with ExitStack() as stack:
        if request.param == "etcd":
            url = stack.enter_context(etcd(tmp_path))
        else:
            url = "memory:" if request.param == "memory" else f"sqlite:{tmp_path / 'store.db'}"
        yield stack.enter_context(opened(url))


def fill(store, size):
    """Some pods."""
    store.write([Write(f"{POD}web-{number:05}", VALUE, ABSENT) for number in range(size)])


@pytest.mark.parametrize("writers", [1, 16])
def test_store_create(benchmark, sizes, store, writers):
    """Creates by writers that each wait for the answer."""
    size, rounds = max(1, sizes(4_000 if writers > 1 else 800) // writers), count()

    def work(prefix):
        for number in range(size):
            store.create(f"{prefix}{number}", VALUE)

    with ThreadPoolExecutor(writers) as pool:
        benchmark.pedantic(
            lambda: list(pool.map(work, [f"{POD}{next(rounds)}-" for _ in range(writers)])), rounds=3, iterations=1
        )
    benchmark.extra_info["creates_per_s"] = round(size * writers / benchmark.stats.stats.median)


def test_store_create_together(benchmark, sizes, store):
    """Creates of which a controller asks a thousand at once."""
    size, rounds = sizes(1_000), count()

    def work():
        prefix = f"{POD}{next(rounds)}-"
        store.write([Write(f"{prefix}{number}", VALUE, ABSENT) for number in range(size)])

    benchmark.pedantic(work, rounds=5)
    benchmark.extra_info["creates_per_s"] = round(size / benchmark.stats.stats.median)


def test_store_get(benchmark, sizes, store):
    """Gets by one reader."""
    size = sizes(5_000)
    fill(store, size)

    def work():
        for number in range(size):
            store.get(f"{POD}web-{number:05}")

    benchmark.pedantic(work, rounds=3)
    benchmark.extra_info["gets_per_s"] = round(size / benchmark.stats.stats.median)


def test_store_list(benchmark, sizes, store):
    """A list of 10,000."""
    size = sizes(10_000)
    fill(store, size)
    assert len(benchmark.pedantic(store.list, (POD,), rounds=5).entries) == size


def test_store_watch(benchmark, sizes, store):
    """A thousand watches that all see a thousand changes, read by one thread as they are announced."""
    watches, changes, rounds = sizes(1_000), sizes(1_000), count()

    def work():
        ready, start, prefix = [], store.revision(), f"{POD}{next(rounds)}-"
        following = [store.watch(POD, start, on_ready=partial(ready.append, index)) for index in range(watches)]
        seen = 0
        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(lambda: [store.create(f"{prefix}{number}", VALUE) for number in range(changes)])
            while seen < watches * changes:
                if ready:
                    seen += len(following[ready.pop()].read())
                else:
                    time.sleep(0.0005)
            writer.result()
        for watch in following:
            watch.close()
        return seen

    seen = benchmark.pedantic(work, rounds=3)
    assert seen == watches * changes
    benchmark.extra_info["events_per_s"] = round(seen / benchmark.stats.stats.median)


def test_store_open(benchmark, sizes, tmp_path):
    """A start on 100,000 objects on disk, until the first page is read."""
    url = f"sqlite:{tmp_path / 'store.db'}"
    with open_store(url) as store:
        fill(store, sizes(100_000))

    def work():
        with open_store(url) as store:
            assert store.list(POD, limit=500).entries

    benchmark.pedantic(work, rounds=3)


def test_store_takeover(benchmark, smoke, tmp_path):
    """On etcd, with a lease of 3 s: from the leader's last sign of life until another one leads."""
    terms = Terms(duration=3, renew_deadline=2, retry=1)
    with etcd(tmp_path) as url, opened(url) as one, opened(url) as other:

        def work():
            name = f"round-{next(rounds)}"
            first, second = (Candidate(s, w, name=name, terms=terms) for s, w in ((one, "a"), (other, "b")))
            assert first.tick(now())
            while not second.tick(now()):
                time.sleep(0.01 if smoke else terms.retry)

        rounds = count()
        benchmark.pedantic(work, rounds=1 if smoke else 3)


def now():
    """The time in µs."""
    return time.monotonic_ns() // 1_000
