"""A server that runs for long doesn't grow: history is compacted, and Events go after an hour."""

from __future__ import annotations

import json

import pytest

from reconciler.apiserver.api import Api
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.compaction import INTERVAL, Compactor
from reconciler.apiserver.control import ControlPlane
from reconciler.apiserver.decode import JSON
from reconciler.apiserver.options import DeleteOptions, ListOptions, WriteOptions
from reconciler.apiserver.resources import Place
from state.objects import replace
from state.store import open_store
from state.times import SECOND, format_micro_time, format_time

MINUTE = 60 * SECOND
START = 1_767_225_600 * SECOND


class Cluster:
    """An API and its controllers, with a time of their own."""

    def __init__(self, store) -> None:
        self.now, self.store = START, store
        self.api = Api(store, clock=lambda: self.now)
        bootstrap(self.api)
        self.control = ControlPlane(self.api)

    def place(self, kind, name=""):
        return Place(self.api.registry.of_kind("v1", kind), "default", name)

    def create(self, body):
        self.api.create(self.place(body["kind"]), json.dumps(body).encode(), WriteOptions(manager="test"), JSON)

    def events(self):
        listing = self.api.list(self.place("Event"), ListOptions())
        return {stored.object.metadata.name for stored in listing.stored}

    def work(self, minutes):
        """Lets time go by."""
        for _ in range(minutes):
            self.now += MINUTE
            self.control.settle()


def event(name, **more):
    target = {"kind": "ConfigMap", "namespace": "default", "name": "c"}
    return {"kind": "Event", "metadata": {"name": name}, "involvedObject": target, "reason": "R", **more}


@pytest.fixture(params=["memory", "sqlite"])
def cluster(request, tmp_path):
    url = {"memory": "memory:", "sqlite": f"sqlite:{tmp_path / 'state.db'}"}[request.param]
    with open_store(url) as store:
        yield Cluster(store)


def test_a_day_of_work(cluster):
    """What is remembered after a day is not more than after an hour."""
    sizes = []
    for number in range(24 * 12):
        cluster.create(event(f"e{number}", lastTimestamp=format_time(cluster.now)))
        cluster.create({"kind": "ConfigMap", "metadata": {"name": f"c{number}"}, "data": {"x": "x" * 100}})
        cluster.api.delete(cluster.place("ConfigMap", f"c{number}"), DeleteOptions())
        cluster.work(5)
        with cluster.store.watch("", max(1, cluster.store.compacted())) as watch:
            sizes.append((len(cluster.events()), len(watch.read())))
    assert max(sizes[12:]) <= max(sizes[:13])
    assert {events for events, _ in sizes[12:]} <= {11, 12}
    assert max(history for _, history in sizes[3:]) <= 12


def test_an_event_lasts_an_hour_from_when_it_was_last_heard_of(cluster):
    """Whichever of its times says so; one that is yet to come makes it last no longer."""
    cluster.work(1)
    old, later = format_time(cluster.now), cluster.now + 30 * MINUTE
    cluster.create(event("old", lastTimestamp=old))
    cluster.create(event("future", lastTimestamp="2999-01-01T00:00:00Z"))
    about = {"type": "Normal", "action": "A", "reportingComponent": "c", "reportingInstance": "i"}
    cluster.create(event("new", eventTime=format_micro_time(cluster.now), **about))
    cluster.create(event("seen-again", lastTimestamp=old))
    cluster.work(30)
    place = cluster.place("Event", "seen-again")
    patch = json.dumps({"count": 2, "lastTimestamp": format_time(later)}).encode()
    cluster.api.patch(place, patch, "application/merge-patch+json", WriteOptions(manager="test"))
    cluster.work(28)
    assert cluster.events() == {"old", "future", "new", "seen-again"}
    cluster.work(4)
    assert cluster.events() == {"seen-again"}
    cluster.work(30)
    assert cluster.events() == set()


def test_history_is_kept_for_an_interval():
    """At least so long, and at most twice."""
    with open_store("memory:") as store:
        compactor, revisions = Compactor(store), {}
        for now in range(0, 10 * INTERVAL, INTERVAL // 10):
            revisions[now] = store.create(f"/{now}", b"").revision
            compactor.tick(now)
            assert store.compacted() <= revisions[max(0, now - INTERVAL)]
            assert store.compacted() >= revisions.get(now - 2 * INTERVAL, 0)


def test_of_two_that_compact_one_store_none_takes_history_that_the_other_keeps():
    """Each looks at what there was an interval ago."""
    with open_store("memory:") as store:
        compactors, revisions = [Compactor(store), Compactor(store)], {}
        for number, now in enumerate(range(0, 10 * INTERVAL, INTERVAL // 7)):
            revisions[now] = store.create(f"/{now}", b"").revision
            compactors[number % 2].tick(now)
            kept = [revision for at, revision in revisions.items() if at >= now - INTERVAL]
            assert store.compacted() <= min(kept)


def test_what_is_remembered_of_older_revisions_is_bounded_by_bytes(cluster, monkeypatch):
    """A large object that changes often doesn't fill the memory, and can be read at any of its revisions."""
    monkeypatch.setattr("reconciler.apiserver.storage._REMEMBERED_BYTES", 100_000)
    storage, resource = cluster.api.storage, cluster.place("ConfigMap").resource
    cluster.create({"kind": "ConfigMap", "metadata": {"name": "c"}})
    for number in range(50):
        live = storage.get(resource, "default", "c")
        storage.update(resource, replace(live.object, data={"x": f"{number:010000}"}), live)
    assert len(storage._older) < 12
    oldest = storage.page(resource, "default", revision=live.revision - 40).entries
    (found,) = [each for each in oldest if each.key.endswith("/c")]
    assert storage.object_of(resource, found).data == {"x": f"{8:010000}"}
