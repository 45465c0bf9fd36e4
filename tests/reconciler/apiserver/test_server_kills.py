"""Killed with SIGKILL under write load, a server has lost nothing that it acknowledged, and its controllers go on where
they were: there are as many pods as are wished for, and no more.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from etcd_server import EtcdServer
from serve_process import PATIENCE, ServeProcess, ask, deployment

MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
REPLICA_SETS = "/apis/apps/v1/namespaces/default/replicasets"
CREATORS, SCALERS, MOST_REPLICAS = 8, 4, 12
#: Writes that are acknowledged before each kill, at least.
FEWEST = 10
#: Leases as short as can be, so that a server that is started again needn't wait long for that of its predecessor.
SHORT_LEASE = (
    "--leader-elect-lease-duration=2s",
    "--leader-elect-renew-deadline=1s",
    "--leader-elect-retry-period=250ms",
)


class Load:
    """Clients that create ConfigMaps and scale Deployments, and what was acknowledged to them."""

    def __init__(self, server: ServeProcess) -> None:
        self.server = server
        self.made: dict[str, str] = {}
        #: By Deployment: the numbers of replicas of which one must hold.
        self.replicas = {f"d{number}": {0} for number in range(SCALERS)}
        self.acknowledged = 0
        #: Before this round.
        self.acknowledged_before = 0
        #: Answers other than those that were wished for.
        self.refused = Counter()
        for name in self.replicas:
            assert server.call("POST", DEPLOYMENTS, deployment(name, 0))[0] == 201

    def run(self, number: int, during) -> None:
        """Has everybody write while something is done, until it is done or the server is gone."""
        stop = threading.Event()
        self.acknowledged_before = self.acknowledged
        with ThreadPoolExecutor(CREATORS + SCALERS) as pool:
            clients = [pool.submit(self._create, f"{number}-{index}", stop) for index in range(CREATORS)]
            clients += [
                pool.submit(self._scale, name, random.Random(f"{number}{name}"), stop) for name in self.replicas
            ]
            try:
                during()
            finally:
                stop.set()
        for client in clients:
            client.result()

    def _create(self, name: str, stop: threading.Event) -> None:
        connection, number = self.server.connect(), 0
        try:
            while not stop.is_set():
                number += 1
                made = {"metadata": {"name": f"{name}-{number}"}, "data": {"value": "x" * 200}}
                code, found = ask(connection, "POST", MAPS, made)
                if code == 201:
                    self.acknowledged += 1
                    self.made[found["metadata"]["name"]] = found["metadata"]["resourceVersion"]
                else:
                    self._note(code)
        except (OSError, http.client.HTTPException):
            pass  # it was killed
        finally:
            connection.close()

    def _scale(self, name: str, chance: random.Random, stop: threading.Event) -> None:
        connection = self.server.connect()
        try:
            while not stop.is_set():
                wanted = chance.randrange(MOST_REPLICAS)
                self.replicas[name].add(wanted)
                code, _ = ask(connection, "PATCH", f"{DEPLOYMENTS}/{name}", {"spec": {"replicas": wanted}})
                if code == 200:
                    self.acknowledged += 1
                    self.replicas[name] = {wanted}
                else:
                    self._note(code)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def last(self, seconds: float) -> None:
        """Returns in the middle of the writing: after so many seconds of it, from the first acknowledged ones on."""
        end = time.monotonic() + PATIENCE
        while self.acknowledged - self.acknowledged_before <= FEWEST:
            assert time.monotonic() < end, self.server.log()
            time.sleep(0.005)
        time.sleep(seconds)

    def _note(self, code: int) -> None:
        self.refused[code] += 1
        time.sleep(0.05)

    def check(self) -> None:
        """What was acknowledged is there, at the revision that was told; there come to be as many pods as wished."""
        code, found = self.server.call("GET", MAPS)
        assert code == 200
        there = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in found["items"]}
        assert self.made.items() <= there.items()
        found = self.server.call("GET", DEPLOYMENTS)[1]
        wanted = {each["metadata"]["name"]: each["spec"]["replicas"] for each in found["items"]}
        for name, possible in self.replicas.items():
            assert wanted[name] in possible
            self.replicas[name] = {wanted[name]}
        there = {name: count for name, count in wanted.items() if count}
        for _ in range(2):  # and it stays so
            self.server.wait(PODS, lambda found: _owned(found) == there)
            time.sleep(0.1)
        sets = self.server.call("GET", REPLICA_SETS)[1]
        assert _owned(sets) == dict.fromkeys(wanted, 1)


def _owned(found) -> dict[str, int]:
    """How many there are of each application."""
    return dict(Counter(each["metadata"]["labels"]["app"] for each in found["items"]))


def report(name: str, load: Load, starts: list[float]) -> None:
    starts = sorted(starts)
    print(
        f"\n{name}: {len(starts)} starts in {starts[len(starts) // 2]:.2f} s (longest {starts[-1]:.2f} s), "
        f"{load.acknowledged} writes acknowledged, others: {dict(load.refused)}"
    )


def run_sqlite(folder, kills: int) -> None:
    starts, chance = [], random.Random(7)
    with ServeProcess(folder, "--store", f"sqlite:{folder / 'state.db'}") as server:
        load = Load(server)

        def kill() -> None:
            load.last(chance.uniform(0.05, 0.6))
            server.kill()

        for number in range(kills):
            load.run(number, kill)
            server.start()
            starts.append(server.started_in)
            load.check()
    report("sqlite", load, starts)
    assert load.acknowledged > FEWEST * kills
    assert not load.refused


def run_etcd(folder, kills: int) -> None:
    """In turns the server, etcd, and both."""
    starts, chance = [], random.Random(7)
    with ExitStack() as stack:
        etcd = stack.enter_context(EtcdServer(folder))
        server = stack.enter_context(ServeProcess(folder, "--store", etcd.url, *SHORT_LEASE))
        load = Load(server)

        def kill(who: int) -> None:
            load.last(chance.uniform(0.05, 0.6))
            if who != 1:
                server.kill()
            if who != 0:
                etcd.kill()
                etcd.start()
                time.sleep(0.2)

        for number in range(kills):
            who = number % 3
            load.run(number, lambda: kill(who))  # noqa: B023 - it is called at once
            if who != 1:
                server.start()
                starts.append(server.started_in)
            load.check()
    report("etcd", load, starts)
    assert load.acknowledged > FEWEST * kills
    assert load.refused.keys() <= {503}


def test_sqlite(tmp_path):
    """A few times."""
    run_sqlite(tmp_path, 4)


def test_etcd(tmp_path):
    """Once each."""
    run_etcd(tmp_path, 3)


@pytest.mark.slow
@pytest.mark.parametrize("run", [run_sqlite, run_etcd])
def test_a_hundred_times(tmp_path, run):
    """As often as it takes to be sure."""
    run(tmp_path, 100)
