"""Cluster IPs and node ports, given to many who ask at the same time."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.apiserver.server import Server
from state.store import open_store

SERVICES = "/api/v1/namespaces/default/services"


def request(server, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def create(server, name, **spec):
    return request(
        server, "POST", SERVICES, json.dumps({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}})
    )


@pytest.mark.parametrize("url", ["memory:", "sqlite:{}/state.db"])
def test_services_that_come_together_get_addresses_of_their_own(tmp_path, url):
    with open_store(url.format(tmp_path)) as store, Server(store) as server, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: create(server, f"s{number}"), range(100)))
    assert {code for code, _ in answers} == {201}
    assert len({found["spec"]["clusterIP"] for _, found in answers}) == 100


def test_what_was_given_away_is_known_though_the_news_of_it_is_lost():
    """The history of the store no longer goes back to where it was last looked at."""
    with open_store("memory:") as store, Server(store) as server:
        _, first = create(server, "first")
        address = first["spec"]["clusterIP"]
        store.compact(store.revision())
        code, found = create(server, "second", clusterIP=address)
        assert (code, found["message"].endswith("provided IP is already allocated")) == (422, True), found
        assert create(server, "third")[0] == 201


def test_a_health_check_port_that_is_taken_is_an_internal_error():
    """As a node port it would be invalid; of this one Kubernetes says so."""
    local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31996}
    with open_store("memory:") as store, Server(store) as server:
        assert create(server, "first", **local)[0] == 201
        code, found = create(server, "second", **local)
    assert (code, found["reason"]) == (500, "InternalError")
    assert found["message"] == (
        "Internal error occurred: failed to allocate requested HealthCheck NodePort 31996: "
        "provided port is already allocated"
    )


def test_the_endpoints_of_a_service_go_with_it():
    """Those that were written by hand, too."""
    path = "/api/v1/namespaces/default/endpoints"
    with open_store("memory:") as store, Server(store) as server:
        create(server, "s")
        body = json.dumps({"metadata": {"name": "s"}, "subsets": []})
        assert request(server, "POST", path, body)[0] == 201
        assert request(server, "DELETE", f"{SERVICES}/s?dryRun=All")[0] == 200
        assert request(server, "GET", f"{path}/s")[0] == 200
        assert request(server, "DELETE", f"{SERVICES}/s")[0] == 200
        assert request(server, "GET", f"{path}/s")[0] == 404
