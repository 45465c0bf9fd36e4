"""A store that fails or is full: requests are refused with a Status that says so, in time; nothing is half-written; and
when the store is well again everything goes on without a new start.
"""

from __future__ import annotations

import http.client
import json
import re
import resource
import signal
import sqlite3
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from etcd_server import EtcdServer
from serve_process import Client, ServeProcess, deployment

from reconciler.apiserver.auth_server import Security
from reconciler.apiserver.auth_tokens import AccountTokens, signing_key
from reconciler.apiserver.server import Server
from state.store.sqlite import SqliteStore

MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
#: Seconds for which a store is waited in these tests, and in which there must be an answer.
STORE_TIMEOUT, SOON = 2.0, 10.0


def config_map(name, size=10):
    return {"metadata": {"name": name}, "data": {"value": "x" * size}}


def definition():
    """Of widgets."""
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version]}
    return {"metadata": {"name": "widgets.example.com"}, "spec": spec}


def timed(server, *request):
    began = time.monotonic()
    code, found = server.call(*request)
    return code, found, time.monotonic() - began


def meanwhile(asked, holds):
    """How often something was so while all those who were asked before still waited for their answers."""
    count = 0
    while not any(each.done() for each in asked):
        assert holds()
        count += 1
        time.sleep(0.01)
    return count


def at_once(server, *request):
    """Whether a request is answered as if nothing was wrong."""
    code, _, seconds = timed(server, *request)
    return code == 200 and seconds < 1


def check_refused(code, status, why=""):
    """It is a Status of kind 5xx."""
    assert code == 503
    assert (status["kind"], status["status"], status["reason"]) == ("Status", "Failure", "ServiceUnavailable")
    assert status["details"]["retryAfterSeconds"] == 1
    assert why in status["message"]


@contextmanager
def watching(server, path):
    """The lines of a watch."""
    connection = server.connect()
    connection.request("GET", f"{path}?watch=1&timeoutSeconds=100")
    try:
        yield map(json.loads, connection.getresponse())
    finally:
        connection.close()


def check_alive(server):
    """The API takes writes, definitions are followed, and the controllers act."""
    server.wait(f"{MAPS}?limit=1", lambda found: True)
    deadline = time.monotonic() + 10
    while (answer := server.call("POST", DEPLOYMENTS, deployment("after", 2)))[0] != 201:
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    server.wait(f"{PODS}?labelSelector=app%3Dafter", lambda found: len(found["items"]) == 2)
    assert server.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition())[0] == 201
    server.wait(WIDGETS, lambda found: found["kind"] == "WidgetList")


def catches(server, number):
    """Whether a signal doesn't end the process at once."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (mask,) = re.findall(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    return bool(int(mask, 16) >> (number - 1) & 1)


def fill(server, size=200_000):
    """Writes until no more is taken; the names that were taken, the one that wasn't, and the answer."""
    names = []
    for number in range(300):
        code, found = server.call("POST", MAPS, config_map(f"big-{number}", size))
        if code != 201:
            return names, f"big-{number}", (code, found)
        names.append(f"big-{number}")
    raise AssertionError("there is room for everything")


def check_unfilled(server, names, refused):
    """What was taken is there as a whole, what was not isn't there at all."""
    code, found = server.call("GET", MAPS)
    assert code == 200
    there = {each["metadata"]["name"]: len(each["data"]["value"]) for each in found["items"] if "big" in str(each)}
    assert there == dict.fromkeys(names, 200_000)
    assert server.call("GET", f"{MAPS}/{refused}")[0] == 404


# -- sqlite ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def on_sqlite(tmp_path):
    with ServeProcess(tmp_path, "--store", f"sqlite:{tmp_path / 'state.db'}") as server:
        yield server


def test_a_full_disk(on_sqlite):
    """The limit of a file's size takes the place of the disk's."""
    server = on_sqlite
    unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4 << 20, unlimited[1]))
    server.wait(MAPS, lambda found: found["items"])  # the namespace's own
    with watching(server, MAPS) as lines:
        names, refused, answer = fill(server)
        check_refused(*answer, "state.db")
        assert len(names) > 5
        server.call("POST", DEPLOYMENTS, deployment("meanwhile", 1))
        check_unfilled(server, names, refused)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
        check_alive(server)
        assert server.call("POST", MAPS, config_map("last"))[0] == 201
        seen = [next(lines)["object"]["metadata"]["name"] for _ in range(len(names) + 2)]
        assert seen == ["kube-root-ca.crt", *names, "last"]
    server.kill()
    server.start()
    assert server.call("GET", f"{MAPS}/last")[0] == 200
    assert server.call("GET", f"{MAPS}/{refused}")[0] == 404


@pytest.fixture
def in_process(tmp_path):
    """A server in this process, on a store that isn't waited for so long as usual."""
    with SqliteStore(str(tmp_path / "state.db")) as store, Server(store) as server:
        store._writer.execute(f"PRAGMA busy_timeout = {round(STORE_TIMEOUT * 1000)}")
        yield Client(server.port)


def test_a_file_that_another_program_has_locked(in_process, tmp_path):
    """It is waited for a moment; reads don't need it."""
    server = in_process
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(timed, server, "POST", MAPS, config_map(f"m{number}")) for number in range(8)]
        assert meanwhile(asked, lambda: at_once(server, "GET", MAPS)) > 3
        answers = [each.result() for each in asked]
    for code, found, seconds in answers:
        check_refused(code, found, "database is locked")
        assert seconds < SOON
    assert server.call("GET", f"{MAPS}/m0")[0] == 404
    other.execute("ROLLBACK")
    other.close()
    check_alive(server)


# -- etcd --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    """Etcd isn't waited for so long as usual."""
    monkeypatch.setattr("state.store.etcd._TIMEOUT", STORE_TIMEOUT)


def test_a_frozen_etcd(tmp_path, impatient):
    """It doesn't answer, and doesn't refuse either."""
    with EtcdServer(tmp_path) as etcd, etcd.open() as store, Server(store) as running, ExitStack() as stack:
        server = Client(running.port)
        server.wait(MAPS, lambda found: found["items"])
        lines = stack.enter_context(watching(server, MAPS))
        assert next(lines)["type"] == "ADDED"
        etcd.signal(signal.SIGSTOP)
        requests = [("GET", MAPS), ("POST", MAPS, config_map("a")), ("GET", f"{PODS}?watch=1")] * 30
        requests.append(("POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "s"}, "spec": {}}))
        with ThreadPoolExecutor(len(requests)) as pool:
            asked = [pool.submit(timed, server, *request) for request in requests]
            assert meanwhile(asked, lambda: at_once(server, "GET", "/api/v1")) > 3
            answers = [each.result() for each in asked]
        for code, found, _ in answers:
            check_refused(code, found, "etcd at")
        assert max(seconds for *_, seconds in answers) < SOON
        etcd.signal(signal.SIGCONT)
        check_alive(server)
        assert server.call("POST", MAPS, config_map("last"))[0] == 201
        while next(lines)["object"]["metadata"]["name"] != "last":
            pass


def test_a_server_ends_in_time_though_its_etcd_is_frozen(tmp_path):
    """A second signal ends it at once, with nothing lost: what was acknowledged is in etcd."""
    (tmp_path / "etcd").mkdir()
    with EtcdServer(tmp_path / "etcd") as etcd, ServeProcess(tmp_path, "--store", etcd.url) as server:
        server.wait(MAPS, lambda found: found["items"])
        etcd.signal(signal.SIGSTOP)
        began = time.monotonic()
        assert (server.stop(), time.monotonic() - began < 6) == (0, True), server.log()
        etcd.signal(signal.SIGCONT)
        server.start()
        etcd.signal(signal.SIGSTOP)
        server.signal(signal.SIGTERM)
        while catches(server, signal.SIGTERM):
            time.sleep(0.01)
        began = time.monotonic()
        assert (server.stop(), time.monotonic() - began < 1) == (-signal.SIGTERM, True), server.log()
        etcd.signal(signal.SIGCONT)


def test_who_is_asking_is_found_out_without_making_others_wait(tmp_path, impatient):
    """A ServiceAccount's token is good as long as the account is in the store, which has to be asked."""
    security = Security(tmp_path / "keys", time.time_ns() // 1000)
    with EtcdServer(tmp_path) as etcd, etcd.open() as store, Server(store, security=security) as server:
        host, tls = f"127.0.0.1:{server.port}", ssl.create_default_context(cadata=security.authority.pem.decode())

        def ask(method, path, token, body=None):
            connection = http.client.HTTPSConnection(host, context=tls, timeout=SOON)
            head = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request(method, path, body, head)
            answer = connection.getresponse()
            found = answer.status, answer.read()
            connection.close()
            return found

        account = server.api.registry.of_kind("v1", "ServiceAccount")
        deadline = time.monotonic() + 10
        while server.api.storage.get(account, "default", "default") is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        uid = server.api.storage.get(account, "default", "default").object.metadata.uid
        signed = AccountTokens(signing_key(tmp_path / "keys"))
        now = time.time_ns() // 1000
        token = signed.issue("default", "default", uid, audiences=[], seconds=3600, now=now)
        assert ask("GET", MAPS, token)[0] == 403
        etcd.signal(signal.SIGSTOP)
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(ask, "GET", MAPS, token) for _ in range(20)]

            def is_told_the_version():
                began = time.monotonic()
                return ask("GET", "/version", "")[0] == 200 and time.monotonic() - began < 1

            assert meanwhile(asked, is_told_the_version) > 3
            assert {each.result()[0] for each in asked} == {503}
        etcd.signal(signal.SIGCONT)
        assert ask("GET", MAPS, token)[0] == 403


def test_a_killed_etcd(tmp_path):
    """Requests are refused at once; watches miss nothing."""
    with (
        EtcdServer(tmp_path) as etcd,
        ServeProcess(tmp_path, "--store", etcd.url) as server,
        watching(server, MAPS) as lines,
    ):
        assert next(lines)["object"]["metadata"]["name"] == "kube-root-ca.crt"
        assert server.call("POST", MAPS, config_map("before"))[0] == 201
        etcd.kill()
        for request in (("GET", MAPS), ("POST", MAPS, config_map("a")), ("GET", f"{MAPS}?watch=1")):
            code, found, seconds = timed(server, *request)
            check_refused(code, found, "etcd at")
            assert seconds < 2
        time.sleep(2)
        etcd.start()
        check_alive(server)
        assert server.call("POST", MAPS, config_map("last"))[0] == 201
        assert [next(lines)["object"]["metadata"]["name"] for _ in range(2)] == ["before", "last"]


def test_an_etcd_without_room(tmp_path):
    """Its quota is used up; objects can be read and deleted, and when there is room again, be written."""
    with (
        EtcdServer(tmp_path, f"--quota-backend-bytes={4 << 20}") as etcd,
        ServeProcess(tmp_path, "--store", etcd.url) as server,
    ):
        names, refused, answer = fill(server)
        check_refused(*answer, "space exceeded")
        assert server.call("GET", f"{MAPS}/{refused}")[0] == 404
        assert server.call("GET", f"{MAPS}/{names[-1]}")[0] == 200
        for name in names:
            assert server.call("DELETE", f"{MAPS}/{name}")[0] == 200
        etcd.make_room()
        check_alive(server)
