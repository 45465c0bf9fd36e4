"""The server as clients meet it: over HTTP, with kubectl, from the command line."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from reconciler.apiserver.server import Server
from state.store.memory import MemoryStore

KUBECTL = shutil.which("kubectl")


@pytest.fixture(scope="module")
def server():
    with MemoryStore() as store, Server(store) as running:
        yield running


def call(server, method, path, body=None, **headers):
    """Code, headers and decoded answer of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection.request(method, path, data, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    is_json = (response.headers["content-type"] or "").startswith("application/json")
    return response.status, response.headers, json.loads(text) if is_json else text


MAPS = "/api/v1/namespaces/default/configmaps"


def test_health_and_discovery(server):
    """The paths that clients look at first."""
    assert call(server, "GET", "/readyz")[2] == b"ok"
    groups = call(server, "GET", "/apis")[2]["groups"]
    assert "apps" in [group["name"] for group in groups]
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    found = call(server, "GET", "/apis", Accept=accept)[2]
    assert found["kind"] == "APIGroupDiscoveryList"
    for group in groups:
        for version in group["versions"]:
            code, _, listed = call(server, "GET", f"/apis/{version['groupVersion']}")
            assert (code, listed["groupVersion"]) == (200, version["groupVersion"])


def test_every_listed_resource_can_be_listed(server):
    """What discovery says is served, is."""
    for api_version in [
        "/api/v1",
        *(f"/apis/{g['preferredVersion']['groupVersion']}" for g in call(server, "GET", "/apis")[2]["groups"]),
    ]:
        for row in call(server, "GET", api_version)[2]["resources"]:
            if "/" not in row["name"] and "list" in row["verbs"]:
                code, _, listed = call(server, "GET", f"{api_version}/{row['name']}")
                assert (code, listed["kind"]) == (200, f"{row['kind']}List"), row


def test_warnings_are_headers(server):
    """Unknown fields are told in a Warning header."""
    code, headers, _ = call(server, "POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "w"}, "date": {}})
    assert (code, headers["warning"]) == (201, '299 - "unknown field \\"date\\""')


@pytest.mark.parametrize(
    ("method", "path", "headers", "code"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/apis/nothing/v1", {}, 404),
        ("GET", "/api/v1/nothing", {}, 404),
        ("PUT", MAPS, {}, 405),
        ("GET", MAPS, {"Accept": "application/vnd.kubernetes.protobuf"}, 406),
        ("POST", MAPS, {"Content-Type": "text/plain"}, 415),
        ("GET", f"{MAPS}/a%00b", {}, 404),
        ("GET", f"{MAPS}/..%2f..", {}, 404),
    ],
)
def test_requests_that_lead_nowhere(server, method, path, headers, code):
    """Codes of what isn't there, isn't allowed or isn't understood."""
    assert call(server, method, path, b"{}" if method != "GET" else None, **headers)[0] == code


def test_a_body_that_is_too_large_is_refused(server):
    """413, and the server goes on; so does the connection, though the answer came before the end of the body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(2):
        connection.request("POST", MAPS, b" " * (4 << 20), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["reason"]) == (413, "RequestEntityTooLarge")
    connection.request("GET", MAPS)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["kind"]) == (200, "ConfigMapList")
    connection.close()


def test_a_watch_is_streamed(server):
    """Lines come as things happen, and end with the timeout."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", f"{MAPS}?watch=1&timeoutSeconds=2&fieldSelector=metadata.name%3Dstreamed")
    response = connection.getresponse()
    assert call(server, "POST", MAPS, {"metadata": {"name": "streamed"}})[0] == 201
    first = json.loads(response.readline())
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "streamed")
    assert call(server, "DELETE", f"{MAPS}/streamed")[0] == 200
    assert json.loads(response.readline())["type"] == "DELETED"
    assert response.readline() == b""
    connection.close()


def test_many_watches_see_every_change(server):
    """Two hundred watches are told of a hundred changes each, in order."""
    path, changes = "/api/v1/namespaces/kube-public/configmaps", 100
    call(server, "POST", path, {"metadata": {"name": "m"}})
    revision = call(server, "GET", path)[2]["metadata"]["resourceVersion"]
    seen = []

    def watch():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("GET", f"{path}?watch=1&resourceVersion={revision}&timeoutSeconds=100")
        response = connection.getresponse()
        seen.append([json.loads(response.readline())["object"]["data"]["n"] for _ in range(changes)])
        connection.close()

    threads = [threading.Thread(target=watch) for _ in range(200)]
    for thread in threads:
        thread.start()
    for number in range(changes):
        merge = {"Content-Type": "application/merge-patch+json"}
        assert call(server, "PATCH", f"{path}/m", {"data": {"n": str(number)}}, **merge)[0] == 200
    for thread in threads:
        thread.join()
    assert seen == [[str(number) for number in range(changes)]] * 200


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
def test_kubectl(server, tmp_path):
    """The commands of a day, unmodified."""

    def run(*args: str, code: int = 0) -> str:
        command = [KUBECTL, "--kubeconfig", os.devnull, "--server", server.url, "--cache-dir", str(tmp_path), *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    assert run("create", "namespace", "day") == "namespace/day created\n"
    run("-n", "day", "create", "deployment", "web", "--image=img:1", "--replicas=2")
    run("-n", "day", "expose", "deployment", "web", "--port=80")
    run("-n", "day", "scale", "deployment/web", "--replicas=3")
    run("-n", "day", "set", "image", "deployment/web", "img=img:2")
    run("-n", "day", "label", "deployment/web", "a=b")
    end = time.monotonic() + 10
    while time.monotonic() < end and len(run("-n", "day", "get", "rs", "-o", "name").splitlines()) < 2:
        time.sleep(0.05)
    assert "web" in run("-n", "day", "get", "deployments", "--selector=a=b", "-o", "wide")
    assert "10.96." in run("-n", "day", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    assert "REVISION" in run("-n", "day", "rollout", "history", "deployment/web")
    assert "img:2" in run("-n", "day", "describe", "deployment", "web")
    run("-n", "day", "rollout", "undo", "deployment/web")
    run("-n", "day", "delete", "deployment", "web")
    run("delete", "namespace", "day", "--wait=false")


def test_the_command_serves_until_it_is_told_to_stop(tmp_path):
    """The kubeconfig is there when it takes requests, SIGTERM ends it in order, and its state is in a file."""
    config = tmp_path / "kubeconfig"
    command = [sys.executable, "-m", "reconciler", "serve", "--port", "0", "--kubeconfig", str(config)]
    command += ["--state-dir", str(tmp_path / "state")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 30
        while not config.exists() and time.monotonic() < end and process.poll() is None:
            time.sleep(0.02)
        assert config.exists(), process.stderr.read() if process.poll() is not None else "no kubeconfig"
        assert config.stat().st_mode & 0o077 == 0
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert (tmp_path / "state" / "serve.db").exists()
    assert "127.0.0.1" in out
