"""What is there from the start, and how a server describes itself."""

import time

import pytest

from reconciler.apiserver import discovery
from reconciler.apiserver.publication import Publication
from tests.reconciler.apiserver.recorded_requests import Cluster

SERVICE = "/api/v1/namespaces/default/services/kubernetes"
ENDPOINTS = "/api/v1/namespaces/default/endpoints/kubernetes"
SLICE = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster()


def test_the_api_has_a_service(cluster):
    """``default/kubernetes`` with the first cluster IP; its endpoint follows the server to another port."""
    for port in (6443, 7443):
        Publication(cluster.api, "127.0.0.1", port, "10.96.0.0/16").publish()
        cluster.control.settle()
        service = cluster.must("GET", SERVICE)
        assert (service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]) == ("10.96.0.1", 443)
        subset = cluster.must("GET", ENDPOINTS)["subsets"][0]
        assert (subset["addresses"], subset["ports"][0]["port"]) == ([{"ip": "127.0.0.1"}], port)
        found = cluster.must("GET", SLICE)
        assert (found["endpoints"][0]["addresses"], found["ports"][0]["port"]) == (["127.0.0.1"], port)
    slices = cluster.must("GET", SLICE.rpartition("/")[0])["items"]
    assert [each["metadata"]["name"] for each in slices] == ["kubernetes"]


def test_an_address_for_all_is_not_published(cluster):
    """A server that listens everywhere is found at an address of its machine."""
    Publication(cluster.api, "0.0.0.0", 6443, "10.96.0.0/16").publish()
    (address,) = cluster.must("GET", ENDPOINTS)["subsets"][0]["addresses"]
    assert address["ip"] not in ("0.0.0.0", "")


def test_a_service_that_is_deleted_comes_back(cluster, monkeypatch):
    """As after ``kubectl delete all --all``."""
    monkeypatch.setattr("reconciler.apiserver.publication.RENEWAL", 0.01)
    publication = Publication(cluster.api, "127.0.0.1", 6443, "10.96.0.0/16")
    publication.start()
    try:
        for path in (SERVICE, ENDPOINTS):
            assert cluster.call("DELETE", path)[0] in (200, 404)  # without their Service, Endpoints go by themselves
        for _ in range(500):
            if cluster.call("GET", ENDPOINTS)[1].get("subsets"):
                break
            time.sleep(0.01)
        assert cluster.must("GET", SERVICE)["spec"]["clusterIP"] == "10.96.0.1"
    finally:
        publication.stop()


def test_the_parts_of_the_control_plane_are_healthy(cluster):
    """ComponentStatus, which old tools look at; it can only be read."""
    found = cluster.must("GET", "/api/v1/componentstatuses")["items"]
    assert [each["metadata"]["name"] for each in found] == ["controller-manager", "etcd-0", "scheduler"]
    assert cluster.call("DELETE", "/api/v1/componentstatuses/scheduler")[0] == 405
    resource = cluster.api.registry.of_kind("v1", "ComponentStatus")
    assert resource.warnings == ("v1 ComponentStatus is deprecated in v1.19+",)


def test_groups_are_listed_by_priority(cluster):
    """A client that is given a short name takes the first group that has it: built-in ones come first."""
    names = [group["name"] for group in discovery.group_list(cluster.api.registry)["groups"]]
    assert names[:3] == ["apiregistration.k8s.io", "apps", "events.k8s.io"]
    versions = next(
        group for group in discovery.group_list(cluster.api.registry)["groups"] if group["name"] == "autoscaling"
    )
    assert versions["preferredVersion"]["version"] == "v2"
    assert [each["version"] for each in versions["versions"]] == ["v2", "v1"]


def test_a_namespaced_object_is_nowhere_without_its_namespace(cluster):
    """Neither found nor refused by method: there is no such path."""
    assert cluster.call("GET", "/api/v1/pods/p")[0] == 404
