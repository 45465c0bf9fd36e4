"""A server that starts on many objects takes requests before it has read them, and every answer is right already."""

from __future__ import annotations

import json

import pytest
from serve_process import Client, ServeProcess

from reconciler.apiserver.control import ControlPlane
from reconciler.apiserver.server import Server
from state.store import ABSENT, Write
from state.store.sqlite import SqliteStore

MAPS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/api/v1/namespaces/default/services"
QUOTAS = "/api/v1/namespaces/default/resourcequotas"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
LIMITS = "/api/v1/namespaces/default/limitranges"
PODS = "/api/v1/namespaces/default/pods"
MANY = 3_000


def config_map(name):
    return {"metadata": {"name": name}, "data": {"key": "value"}}


def pod(name):
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "main"}]}}


def service(name, **spec):
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


def endpoint_slice(name):
    return {"metadata": {"name": name}, "addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}], "ports": []}


def fill(path):
    """Copies of one ConfigMap and one EndpointSlice, as the API stores them."""
    names = [f"copy-{number:05}" for number in range(MANY)]
    with SqliteStore(str(path)) as store:
        for plural in ("configmaps", "endpointslices"):
            (first,) = store.list(f"/registry/{plural}/default/first").entries
            values = {name: first.value.replace(b'"first"', f'"{name}"'.encode()) for name in names}
            store.write([Write(first.key.replace("first", name), value, ABSENT) for name, value in values.items()])


@pytest.fixture
def path(tmp_path):
    """A store with many objects, and some that decide about others."""
    path = tmp_path / "state.db"
    with SqliteStore(str(path)) as store, Server(store) as server:
        client = Client(server.port)
        client.wait("/api/v1/namespaces/default/serviceaccounts/default", lambda _: True)
        assert client.call("POST", MAPS, config_map("first"))[0] == 201
        assert client.call("POST", SLICES, endpoint_slice("first"))[0] == 201
        # the API's own, "taken", one that is refused and charged all the same until all are counted, and "second"
        quota = {"metadata": {"name": "few"}, "spec": {"hard": {"services": "4"}}}
        assert client.call("POST", QUOTAS, quota)[0] == 201
        client.wait(f"{QUOTAS}/few", lambda found: found.get("status", {}).get("used"))
        assert client.call("POST", SERVICES, service("taken"))[0] == 201
        limit = {"type": "Container", "defaultRequest": {"cpu": "7m"}}
        assert client.call("POST", LIMITS, {"metadata": {"name": "some"}, "spec": {"limits": [limit]}})[0] == 201
    fill(path)
    return path


@pytest.fixture
def early(path, monkeypatch):
    """A client of a server at the moment of its start: neither store nor controllers have read anything yet."""
    monkeypatch.setattr(ControlPlane, "start", lambda _: None)
    with SqliteStore(str(path)) as store, Server(store) as server:
        yield Client(server.port)
        assert not store.is_in_memory, "nothing of this needs everything"


def test_every_object_is_there_and_decides_about_others_at_once(early):
    assert early.call("GET", f"{MAPS}/copy-02999")[0] == 200
    code, page = early.call("GET", f"{MAPS}?limit=500")
    assert (code, len(page["items"]), page["metadata"]["remainingItemCount"]) == (200, 500, MANY + 2 - 500)
    assert early.call("POST", MAPS, config_map("copy-00007"))[0] == 409
    _, taken = early.call("GET", f"{SERVICES}/taken")
    address = taken["spec"]["clusterIP"]
    code, status = early.call("POST", SERVICES, service("late", clusterIP=address))
    assert (code, "already allocated" in json.dumps(status)) == (422, True)
    assert early.call("POST", SERVICES, service("second"))[0] == 201
    code, status = early.call("POST", SERVICES, service("third"))
    assert (code, "exceeded quota: few" in status["message"]) == (403, True)
    code, made = early.call("POST", PODS, pod("web"))
    assert (code, made["spec"]["containers"][0]["resources"]) == (201, {"requests": {"cpu": "7m"}})


def test_after_a_kill_lists_and_watches_go_on_from_where_they_were(path, tmp_path):
    with ServeProcess(tmp_path / "process", "--store", f"sqlite:{path}") as server:
        _, page = server.call("GET", f"{MAPS}?limit=1000")
        meta = page["metadata"]
        assert server.call("POST", MAPS, config_map("zz-late"))[0] == 201
        assert server.call("DELETE", f"{MAPS}/copy-02500")[0] == 200
        server.kill()
        server.start()
        code, rest = server.call("GET", f"{MAPS}?limit=5000&continue={meta['continue']}")
        names = [each["metadata"]["name"] for each in (*page["items"], *rest["items"])]
        assert (code, len(names), "copy-02500" in names, "zz-late" in names) == (200, MANY + 2, True, False)
        _, now = server.call("GET", MAPS)
        assert len(now["items"]) == MANY + 2
        connection = server.connect()
        connection.request("GET", f"{MAPS}?watch=1&timeoutSeconds=5&resourceVersion={meta['resourceVersion']}")
        lines = map(json.loads, connection.getresponse())
        seen = [(line["type"], line["object"]["metadata"]["name"]) for line, _ in zip(lines, range(2), strict=False)]
        connection.close()
        assert seen == [("ADDED", "zz-late"), ("DELETED", "copy-02500")]
