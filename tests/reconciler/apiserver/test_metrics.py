"""/metrics and the health endpoints: what they say, in which format, to whom."""

import http.client
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.apiserver.metrics import Counter, Gauge, Histogram, exposition
from reconciler.apiserver.server import Server
from state.errors import StateError
from state.store.memory import MemoryStore
from tests.reconciler.apiserver.secured import Client, grant

#: Seconds that anything may take.
PATIENCE = 30.0
#: What a server counts of its own work: its controllers' requests to the store, and their turns.
_OWN = ("etcd_request_duration_seconds", "reconciler_")
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def server():
    """One that nobody else has asked for anything: what it counts is what a test did."""
    with MemoryStore() as store, Server(store) as running:
        yield running


def ask(server: Server, method: str, path: str, body: Any = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path, None if body is None else orjson.dumps(body))
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def samples(server: Server, name: str, **labels: str) -> float:
    """The sum of the samples of a name whose labels are these, among others."""
    families = text_string_to_metric_families(ask(server, "GET", "/metrics")[1])
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it doesn't come true"


def test_families_are_written_in_prometheus_format() -> None:
    """As its own parser reads it: labels with everything that has to be escaped, buckets that add up."""
    counter = Counter("a_total", "A.", ("x",))
    counter.add(('"\\\n',))
    counter.add(('"\\\n',), 2)
    histogram = Histogram("b", "B.", ("y",), (0.5, 1))
    for value in (0.5, 0.7, 3):
        histogram.observe(("z",), value)
    text = exposition([counter, Gauge("c", "C.", lambda: [((), 1.5)]), histogram]).decode()
    found = {(s.name, *s.labels.values()): s.value for f in text_string_to_metric_families(text) for s in f.samples}
    assert found == {
        ("a_total", '"\\\n'): 3,
        ("c",): 1.5,
        ("b_bucket", "z", "0.5"): 1,
        ("b_bucket", "z", "1"): 2,
        ("b_bucket", "z", "+Inf"): 3,
        ("b_sum", "z"): 4.2,
        ("b_count", "z"): 3,
    }


def test_requests_are_counted_by_what_they_are_about(server: Server) -> None:
    """With kube-apiserver's verbs and scopes; a duration and a size for each."""
    about = {"resource": "configmaps", "version": "v1", "group": ""}
    ask(server, "GET", MAPS)
    ask(server, "POST", MAPS, {"metadata": {"name": "a"}})
    ask(server, "POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "b"}})
    ask(server, "GET", f"{MAPS}?watch=1&timeoutSeconds=1")
    name = "apiserver_request_total"
    assert samples(server, name, verb="LIST", scope="namespace", code="200", **about) == 1
    assert samples(server, name, verb="POST", scope="resource", code="201", dry_run="", **about) == 1
    assert samples(server, name, verb="POST", dry_run="All", code="201", **about) == 1
    assert samples(server, name, verb="WATCH", code="200", **about) == 1
    for family in ("apiserver_request_duration_seconds", "apiserver_response_sizes"):
        assert samples(server, f"{family}_count", **about) == 4
    assert samples(server, "apiserver_longrunning_requests", **about) == 0


def test_what_clients_make_up_is_no_label(server: Server) -> None:
    """Nobody can fill the memory with names, verbs and paths."""
    for path in ("/api/v1/nonsense", "/apis/a.b/v1/c", "/x/y", f"{MAPS}/a/nonsense"):
        ask(server, "GET", path)
    ask(server, "PROPFIND", MAPS)
    text = ask(server, "GET", "/metrics")[1]
    assert "nonsense" not in text
    assert "a.b" not in text
    assert "propfind" not in text.lower()


def test_a_scan_of_paths_adds_no_lines(server: Server) -> None:
    """After the first few, thousands of made-up requests are counted where others were; probes are told apart."""

    def scan(start: int) -> int:
        for number in range(start, start + 100):
            path = ("/x{}", "/api/v{}/pods", "/apis/g{}/v1/c", "/api/v1/namespaces/n{}/pods/p")[number % 4]
            ask(server, "GET", path.format(number))
        lines = ask(server, "GET", "/metrics")[1].splitlines()
        return sum(not line.startswith(_OWN) for line in lines)  # it has work of its own meanwhile

    ask(server, "GET", "/metrics")  # is counted itself
    assert scan(0) == scan(100)
    ask(server, "GET", "/livez")
    assert samples(server, "apiserver_request_total", subresource="/livez", code="200") == 1
    assert samples(server, "kubernetes_build_info", major="1", compiler="cpython") == 1


def test_open_watches_are_known(server: Server) -> None:
    """While they last."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/api/v1/nodes?watch=1&timeoutSeconds=60")
    connection.getresponse()
    about = {"verb": "WATCH", "resource": "nodes"}
    assert samples(server, "apiserver_longrunning_requests", **about) == 1
    connection.close()
    until(lambda: not samples(server, "apiserver_longrunning_requests", **about))


def test_store_controllers_and_process_are_measured(server: Server) -> None:
    """How much is stored, what waits for a node, whether this server leads, and what it takes."""
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    until(lambda: ask(server, "GET", "/api/v1/namespaces/default/serviceaccounts/default")[0] == 200)
    assert ask(server, "POST", "/api/v1/namespaces/default/pods", pod)[0] == 201
    assert samples(server, "apiserver_storage_objects", resource="namespaces") >= 4
    assert samples(server, "apiserver_storage_objects", resource="clusterroles.rbac.authorization.k8s.io") == 0
    assert samples(server, "etcd_request_duration_seconds_count", operation="create", type="pods") == 1
    assert samples(server, "scheduler_pending_pods") == 1
    assert samples(server, "leader_election_master_status") == 1
    assert samples(server, "process_resident_memory_bytes") > 1 << 20
    assert samples(server, "process_open_fds") > 3
    assert samples(server, "process_cpu_seconds_total") > 0
    until(lambda: samples(server, "scheduler_schedule_attempts_total", result="unschedulable"))
    assert samples(server, "reconciler_turn_duration_seconds_count") > 0


def test_metrics_are_for_those_who_may(tmp_path: Path) -> None:
    """A path like any other to RBAC."""
    client = Client(tmp_path)
    assert client("GET", "/metrics", token="bobs")[0] == 403
    assert client("GET", "/metrics")[0] == 403
    grant(client, [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}])
    assert client("GET", "/metrics", token="bobs")[0] == 404  # it is the server's page, not the application's
    assert client("GET", "/metrics/", token="bobs")[0] == 403


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/healthz", 200, "ok"),
        ("/livez/", 200, "ok"),
        ("/readyz?verbose", 200, "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]shutdown ok\nreadyz check passed\n"),
        ("/livez?verbose", 200, "[+]ping ok\n[+]log ok\nlivez check passed\n"),
        ("/healthz/etcd", 200, "ok"),
        ("/readyz/nothing", 404, "404 page not found\n"),
        (
            "/livez?verbose&exclude=log&exclude=x",
            200,
            (
                "[+]ping ok\n[+]log excluded: ok\n"
                'warn: some health checks cannot be excluded: no matches for "x"\nlivez check passed\n'
            ),
        ),
    ],
)
def test_health(server: Server, path: str, code: int, text: str) -> None:
    """As kube-apiserver words it."""
    assert ask(server, "GET", path) == (code, text)


class FailingStore(MemoryStore):
    """Fails when it is told to."""

    fails = False

    def revision(self) -> int:
        if self.fails:
            raise StateError("the disk is gone")
        return super().revision()


def test_a_store_that_fails_is_seen() -> None:
    """It isn't ready then, but alive; why is in the log, and not told to everybody."""
    with FailingStore() as store, Server(store) as server:
        store.fails = True
        assert ask(server, "GET", "/readyz") == (
            500,
            "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n[+]shutdown ok\nreadyz check failed\n",
        )
        assert ask(server, "GET", "/livez") == (200, "ok")
        store.fails = False
