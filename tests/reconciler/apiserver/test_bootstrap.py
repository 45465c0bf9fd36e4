"""What is there from the start, and how a server describes itself."""

import time

import pytest

from reconciler.apiserver import discovery
from reconciler.apiserver.furniture import furnish
from reconciler.apiserver.publication import Publication
from reconciler.apiserver.resources import Registry, Resource
from tests.reconciler.apiserver.recorded_requests import Cluster

REGISTRATION, FLOW = "/apis/apiregistration.k8s.io/v1", "/apis/flowcontrol.apiserver.k8s.io/v1"
CIDRS = ("10.96.0.0/16",)
CIDR = "/apis/networking.k8s.io/v1/servicecidrs/kubernetes"
SERVICE = "/api/v1/namespaces/default/services/kubernetes"
ENDPOINTS = "/api/v1/namespaces/default/endpoints/kubernetes"
SLICE = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster()


def test_the_api_has_a_service(cluster):
    """``default/kubernetes`` with the first cluster IP; its endpoint follows the server to another port."""
    for port in (6443, 7443):
        Publication(cluster.api, "127.0.0.1", port, CIDRS).publish()
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
    Publication(cluster.api, "0.0.0.0", 6443, CIDRS).publish()
    (address,) = cluster.must("GET", ENDPOINTS)["subsets"][0]["addresses"]
    assert address["ip"] not in ("0.0.0.0", "")


def test_a_service_that_is_deleted_comes_back(cluster, monkeypatch):
    """As after ``kubectl delete all --all``."""
    monkeypatch.setattr("reconciler.apiserver.publication.RENEWAL", 0.01)
    publication = Publication(cluster.api, "127.0.0.1", 6443, CIDRS)
    publication.start()
    try:
        for path in (SERVICE, ENDPOINTS):
            assert cluster.call("DELETE", path)[0] in (200, 404)  # without their Service, Endpoints go by themselves
        for _ in range(500):
            if cluster.call("GET", ENDPOINTS)[1].get("subsets") and cluster.call("GET", SERVICE)[0] == 200:
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


def _conditions(found):
    return [(each["type"], each["status"], each["reason"]) for each in found["status"]["conditions"]]


def test_every_group_has_an_api_service(cluster):
    """Local ones, available, with kube-apiserver's priorities; the aggregator's own group has none."""
    furnish(cluster.api, CIDRS)
    found = {each["metadata"]["name"]: each for each in cluster.must("GET", f"{REGISTRATION}/apiservices")["items"]}
    assert {"v1.", "v1.apps", "v2.autoscaling", "v1.apiextensions.k8s.io"} <= found.keys()
    assert "v1.apiregistration.k8s.io" not in found
    apps = found["v1.apps"]
    assert apps["spec"] == {"group": "apps", "version": "v1", "groupPriorityMinimum": 17_800, "versionPriority": 15}
    assert apps["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
    assert _conditions(apps) == [("Available", "True", "Local")]


def test_requests_are_shared_out_as_everywhere(cluster):
    """Each FlowSchema's priority level is there."""
    furnish(cluster.api, CIDRS)
    schemas = cluster.must("GET", f"{FLOW}/flowschemas")["items"]
    levels = {each["metadata"]["name"] for each in cluster.must("GET", f"{FLOW}/prioritylevelconfigurations")["items"]}
    assert {each["spec"]["priorityLevelConfiguration"]["name"] for each in schemas} == levels
    assert {condition for each in schemas for condition in _conditions(each)} == {("Dangling", "False", "Found")}


def test_cluster_ips_come_from_a_service_cidr(cluster):
    """It is the server's, and comes back when it is deleted."""
    for _ in range(2):
        furnish(cluster.api, CIDRS)
        cluster.control.settle()
        found = cluster.must("GET", CIDR)
        assert (found["spec"], _conditions(found)) == ({"cidrs": ["10.96.0.0/16"]}, [("Ready", "True", "")])
        cluster.must("PATCH", CIDR, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
        assert cluster.call("DELETE", CIDR)[0] == 200


def test_api_services_of_definitions_come_and_go(cluster):
    """A group that is defined has one as long as it is served."""
    group = Resource("example.com", "v1", "foos", "Foo", namespaced=True, is_custom=True)
    path = f"{REGISTRATION}/apiservices/v1.example.com"
    cluster.api.registry.add(group)
    furnish(cluster.api, CIDRS)
    spec = cluster.must("GET", path)["spec"]
    assert (spec["groupPriorityMinimum"], spec["versionPriority"]) == (1000, 100)
    cluster.api.registry.remove(group)
    furnish(cluster.api, CIDRS)
    assert cluster.call("GET", path)[0] == 404


def test_discovery_is_as_kube_apiservers():
    """Groups by priority; hashes of how a kind is stored; categories; kinds that go without saying."""
    registry = Registry()
    groups = [each["name"] for each in discovery.group_list(registry)["groups"]]
    assert groups[:3] == ["apiregistration.k8s.io", "apps", "events.k8s.io"]
    assert groups[-2:] == ["flowcontrol.apiserver.k8s.io", "resource.k8s.io"]
    hashes = {
        f"{group}/{version}": discovery.resource_list(registry, group, version)["resources"][0]["storageVersionHash"]
        for group, version in (("autoscaling", "v1"), ("autoscaling", "v2"), ("events.k8s.io", "v1"))
    }
    assert set(hashes.values()) == {"qwQve8ut294=", "r2yiGXH7wu8="}
    definitions = discovery.resource_list(registry, "apiextensions.k8s.io", "v1")["resources"][0]
    assert definitions["categories"] == ["api-extensions"]
    first = discovery.aggregated(registry, core=False)["items"][0]["versions"][0]["resources"][0]
    assert first["responseKind"] == {"group": "", "version": "", "kind": "APIService"}
    assert {"/api", "/apis/apps", "/apis/apps/v1", "/metrics"} <= set(discovery.index(registry, ["/metrics"])["paths"])
