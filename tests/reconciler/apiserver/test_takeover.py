"""Of several servers on one etcd all serve the API and one runs the controllers; when it dies another one does."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from etcd_server import EtcdServer
from serve_process import ServeProcess, deployment

from state.times import parse_time

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
#: Seconds: lease, renewal, retry.
TERMS = (3, 2, 0.5)
WORDS = [
    f"--leader-elect-{name}={seconds}s"
    for name, seconds in zip(("lease-duration", "renew-deadline", "retry-period"), TERMS, strict=True)
]


@pytest.fixture
def servers(tmp_path):
    """Two servers on one etcd: the one that leads, and the other."""
    with ExitStack() as stack:
        etcd = stack.enter_context(EtcdServer(tmp_path))
        first = stack.enter_context(ServeProcess(tmp_path / "first", "--store", etcd.url, *WORDS))
        first.wait(LEASE, lambda lease: f"_{first.process.pid}_" in lease["spec"]["holderIdentity"])
        yield first, stack.enter_context(ServeProcess(tmp_path / "second", "--store", etcd.url, *WORDS))


def pods_of(server, name):
    code, found = server.call("GET", f"{PODS}?labelSelector=app%3D{name}")
    assert code == 200
    return [pod["metadata"]["name"] for pod in found["items"]]


def acquired(lease):
    """When its holder has got it, in seconds."""
    return parse_time(lease["acquireTime"]) / 1_000_000


def has_pods(count):
    return lambda found: len(found["items"]) == count


def test_when_the_leader_is_killed_the_other_one_takes_over(servers, record_property):
    """Within the lease and a retry; what it does then is what there was to do, and nothing twice."""
    leader, other = servers
    leader.call("POST", DEPLOYMENTS, deployment("a", 3))
    other.wait(PODS, has_pods(3))
    leader.kill()
    began, killed_at = time.monotonic(), time.time()
    assert other.call("POST", DEPLOYMENTS, deployment("b", 2))[0] == 201
    assert other.call("PATCH", f"{DEPLOYMENTS}/a", {"spec": {"replicas": 5}})[0] == 200
    other.wait(PODS, has_pods(7))
    took = time.monotonic() - began
    record_property("takeover_seconds", took)
    assert took < TERMS[0] + TERMS[2] + 2
    lease = other.call("GET", LEASE)[1]["spec"]
    assert acquired(lease) - killed_at < TERMS[0] + TERMS[2] + 2
    assert f"_{other.process.pid}_" in lease["holderIdentity"]
    assert (lease["leaseDurationSeconds"], lease["leaseTransitions"]) == (3, 1)
    time.sleep(1)
    assert (len(pods_of(other, "a")), len(pods_of(other, "b"))) == (5, 2)


def test_a_leader_that_ends_in_order_is_followed_at_once(servers):
    """It gives its lease up."""
    leader, other = servers
    assert leader.stop() == 0
    ended_at = time.time()
    other.call("POST", DEPLOYMENTS, deployment("a", 2))
    assert other.wait(PODS, has_pods(2)) < TERMS[2] + 1.5
    assert acquired(other.call("GET", LEASE)[1]["spec"]) - ended_at < TERMS[2] + 1.5


def test_a_leader_that_was_frozen_finds_another_one_and_does_nothing_more(servers):
    """Frozen beyond its lease, in the middle of whatever it did, it must not go on where it was."""
    leader, other = servers
    leader.call("POST", DEPLOYMENTS, deployment("a", 200))
    leader.signal(signal.SIGSTOP)
    other.wait(PODS, has_pods(200))
    other.call("PATCH", f"{DEPLOYMENTS}/a", {"spec": {"replicas": 20}})
    other.wait(PODS, has_pods(20))
    leader.signal(signal.SIGCONT)
    for _ in range(10):
        time.sleep(0.1)
        assert len(pods_of(other, "a")) == 20
    assert leader.call("PATCH", f"{DEPLOYMENTS}/a", {"spec": {"replicas": 30}})[0] == 200
    other.wait(PODS, has_pods(30))
    assert f"_{other.process.pid}_" in leader.call("GET", LEASE)[1]["spec"]["holderIdentity"]


def test_what_is_defined_on_one_server_is_served_by_all(servers):
    """Definitions follow the store."""
    leader, other = servers
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version]}
    definition = {"metadata": {"name": "widgets.example.com"}, "spec": spec}
    widgets = "/apis/example.com/v1/namespaces/default/widgets"
    assert other.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)[0] == 201
    leader.wait(widgets, lambda found: found["items"] == [])
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
    assert leader.call("POST", widgets, widget)[0] == 201
    assert other.wait(f"{widgets}/w", lambda found: found["kind"] == "Widget") < 5


def test_no_address_is_given_away_twice(servers):
    """Of several who ask for one at the same time, on several servers, one gets it; the others are told."""

    def create(number):
        ports = [{"port": 80, "nodePort": 30000 + number // 8}]
        service = {"metadata": {"name": f"s{number}"}, "spec": {"type": "NodePort", "ports": ports}}
        return servers[number % 2].call("POST", "/api/v1/namespaces/default/services", service)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(160)))
    made = [found["spec"] for code, found in answers if code == 201]
    assert [spec["ports"][0]["nodePort"] for spec in made] == list(range(30000, 30020))
    assert len({spec["clusterIP"] for spec in made}) == 20
    refused = [found["message"] for code, found in answers if code == 422]
    assert len(refused) == 140
    assert all("provided port is already allocated" in message for message in refused)
