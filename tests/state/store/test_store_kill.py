"""Killed with SIGKILL under write load, a store has lost nothing that it acknowledged."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from etcd_server import EtcdServer

from state.store import Store, StoreUnavailableError, open_store
from state.store.conformance import read_up_to

TESTS = Path(__file__).parents[2]
WRITERS = 8


class Acknowledged:
    """What a store has promised."""

    def __init__(self):
        self.made: dict[str, int] = {}
        self.counts: dict[str, int] = {}

    def note(self, line: str) -> None:
        key, number = line.split()
        (self.counts if key.startswith("/count/") else self.made)[key] = int(number)

    def check(self, store) -> None:
        revision = store.revision()
        made = {entry.key: entry.revision for entry in store.list("/made/").entries}
        assert self.made.items() <= made.items()
        for key, number in self.counts.items():
            assert int(store.get(key).value) in (number, number + 1)  # one more may be done that nobody heard of
        with store.watch("", 1) as watch:
            assert [event.revision for event in read_up_to(watch, revision)] == list(range(2, revision + 1))


def kill_under_load(url: str, name: str, seconds: float, acknowledged: Acknowledged) -> None:
    command = [sys.executable, str(TESTS / "store_writer.py"), url, name, str(WRITERS)]
    environment = {"PYTHONPATH": str(TESTS.parent), "PATH": ""}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        acknowledged.note(process.stdout.readline())
        threading.Timer(seconds, process.kill).start()
        for line in process.stdout:
            if line.endswith("\n"):
                acknowledged.note(line)


def run_sqlite(directory: Path, kills: int) -> None:
    url = f"sqlite:{directory / 'store.db'}"
    acknowledged, moments = Acknowledged(), random.Random(7)
    for number in range(kills):
        kill_under_load(url, str(number), moments.uniform(0, 0.2), acknowledged)
        began = time.monotonic()
        with open_store(url) as store:
            assert time.monotonic() - began < 1
            acknowledged.check(store)
    assert len(acknowledged.made) > 5 * kills


def run_etcd(directory: Path, kills: int) -> None:
    """Here it is the server that is killed, and the store, its writers and a watch live on."""
    acknowledged, stop = Acknowledged(), threading.Event()

    def write(store: Store, name: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                entry = store.create(f"/made/{name}/{number}", b"x" * 500)
            except StoreUnavailableError:
                time.sleep(0.02)
            else:
                acknowledged.note(f"{entry.key} {entry.revision}")

    moments = random.Random(7)
    with EtcdServer(directory) as server, server.open() as store, store.watch("/", 1) as watch:
        with ThreadPoolExecutor(WRITERS) as pool:
            writers = [pool.submit(write, store, name) for name in range(WRITERS)]
            try:
                for _ in range(kills):
                    time.sleep(moments.uniform(0.1, 0.4))
                    server.kill()
                    server.start()
            finally:
                stop.set()
        for writer in writers:
            writer.result()
        acknowledged.check(store)
        seen = read_up_to(watch, store.revision())
        assert [event.revision for event in seen] == list(range(2, store.revision() + 1))
    assert len(acknowledged.made) > 5 * kills


def test_sqlite(tmp_path):
    """Twenty times."""
    run_sqlite(tmp_path, 20)


def test_etcd(tmp_path):
    """Three times; a start of etcd takes its time."""
    run_etcd(tmp_path, 3)


@pytest.mark.slow
@pytest.mark.parametrize("run", [run_sqlite, run_etcd])
def test_a_hundred_times(tmp_path, run):
    """As often as it takes to be sure."""
    run(tmp_path, 100)
