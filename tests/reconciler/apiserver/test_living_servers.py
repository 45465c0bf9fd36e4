"""Several servers on one store: ``default/kubernetes`` has all that live, and none that died."""

from __future__ import annotations

import pytest
from etcd_server import EtcdServer
from serve_process import Client

from reconciler.apiserver.api import Api
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.living import LIFETIME, RENEWAL, Endpoint, Living
from reconciler.apiserver.options import ListOptions
from reconciler.apiserver.publication import Publication
from reconciler.apiserver.resources import Place
from reconciler.apiserver.server import Server
from state.store.memory import MemoryStore

CIDRS = ("10.96.0.0/16",)
ENDPOINTS = "/api/v1/namespaces/default/endpoints/kubernetes"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
HERE, THERE = Endpoint(6443, "192.0.2.1"), Endpoint(6443, "192.0.2.2")


class SharedStore(MemoryStore):
    """As if several programs had it at once."""

    shared = True


@pytest.fixture
def store():
    with SharedStore() as store:
        yield store


@pytest.fixture
def moment(monkeypatch):
    """The time as servers see it, to be changed."""
    now = [1000.0]
    monkeypatch.setattr("reconciler.apiserver.publication.time.monotonic", lambda: now[0])
    return now


def test_who_says_so_in_time_lives(store):
    here, there = Living(store, HERE), Living(store, THERE)
    assert here.renew(0) == [HERE]
    assert there.renew(500) == [HERE, THERE]
    for number in range(1, 10):
        assert here.renew(number * RENEWAL) == [HERE, THERE]
        assert there.renew(500 + number * RENEWAL) == [HERE, THERE]
    assert here.renew(100) == [HERE, THERE]  # the last mark of the other one is seen
    assert here.renew(100 + LIFETIME - 1) == [HERE, THERE]
    assert here.renew(100 + LIFETIME) == [HERE]
    assert there.renew(1000) == [HERE, THERE]


def test_who_leaves_is_gone_at_once(store):
    here, there = Living(store, HERE), Living(store, THERE)
    here.renew(0)
    there.renew(0)
    assert there.leave(1) == [HERE]
    assert here.renew(1) == [HERE]
    assert here.leave(2) == []


def test_a_store_of_ones_own_has_no_marks():
    with MemoryStore() as store:
        alone = Living(store, HERE)
        assert (alone.renew(0), alone.leave(0), store.list("").entries) == ([HERE], [], ())


def published(api):
    """The addresses and ports of Endpoints, and those of the slices by name."""
    endpoints = api.registry.of_table("Endpoints")
    stored = api.storage.get(endpoints, "default", "kubernetes").object
    subsets = {subset.ports[0].port: [each.ip for each in subset.addresses] for subset in stored.subsets}
    slices = api.list(Place(api.registry.of_table("EndpointSlice"), "default"), ListOptions()).document["items"]
    return subsets, {
        each["metadata"]["name"]: (each["ports"][0]["port"], [one["addresses"][0] for one in each["endpoints"]])
        for each in slices
    }


def test_the_service_has_all_that_live(store, moment):
    api = Api(store)
    bootstrap(api)
    first, second = (Publication(api, address, 6443, CIDRS) for address in ("192.0.2.1", "192.0.2.2"))
    first.publish()
    second.publish()
    both = ["192.0.2.1", "192.0.2.2"]
    assert published(api) == ({6443: both}, {"kubernetes": (6443, both)})
    third = Publication(api, "192.0.2.1", 7443, CIDRS)
    third.publish()
    several = {"kubernetes": (6443, both), "kubernetes-v4-7443": (7443, ["192.0.2.1"])}
    assert published(api) == ({6443: both, 7443: ["192.0.2.1"]}, several)
    for _ in range(2):
        moment[0] += RENEWAL
        third.publish()
    assert published(api) == ({7443: ["192.0.2.1"]}, {"kubernetes": (7443, ["192.0.2.1"])})


def test_what_is_as_it_should_be_is_not_written(store, moment):
    api = Api(store)
    bootstrap(api)
    publication = Publication(api, "192.0.2.1", 6443, CIDRS)
    publication.publish()
    with store.watch("/registry/", store.revision()) as watch:
        publication.publish()
        assert list(watch.read()) == []


def test_on_etcd_a_server_that_ends_is_taken_out(tmp_path):
    with EtcdServer(tmp_path) as etcd, etcd.open() as one, etcd.open() as other, Server(one) as stays:
        with Server(other) as goes:
            ports = {stays.port, goes.port}
            _, found = Client(stays.port).call("GET", ENDPOINTS)
            assert {subset["ports"][0]["port"] for subset in found["subsets"]} == ports
            _, slices = Client(goes.port).call("GET", SLICES)
            assert {each["ports"][0]["port"] for each in slices["items"]} == ports
        _, found = Client(stays.port).call("GET", ENDPOINTS)
        assert [subset["ports"][0]["port"] for subset in found["subsets"]] == [stays.port]
        _, slices = Client(stays.port).call("GET", SLICES)
        assert [each["metadata"]["name"] for each in slices["items"]] == ["kubernetes"]
