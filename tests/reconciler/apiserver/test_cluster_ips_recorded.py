"""Every cluster IP has an IPAddress as long as its Service has it, through the API and whoever else stores Services."""

import pytest

from reconciler.apiserver.api import Api
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.control import ControlPlane, control_concerns
from reconciler.apiserver.furniture import furnish
from reconciler.apiserver.http import Application
from reconciler.apiserver.publication import Publication
from state.store.memory import MemoryStore
from tests.reconciler.apiserver.recorded_requests import NAMESPACE, START, Cluster

ADDRESSES, CIDRS = (f"/apis/networking.k8s.io/v1/{plural}" for plural in ("ipaddresses", "servicecidrs"))
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
MERGE = "application/merge-patch+json"
RANGE = ("10.96.0.0/16",)
SECOND = 1_000_000
FAILED, TAKEN = "failed to allocate IP", "provided IP is already allocated"


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster()
    furnish(found.api, RANGE)
    found.control.settle()
    return found


def create(cluster, name, **spec):
    return cluster.call("POST", SERVICES, {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}})


def records(cluster):
    """The Service of each address."""
    found = cluster.must("GET", ADDRESSES)["items"]
    return {each["metadata"]["name"]: each["spec"]["parentRef"]["name"] for each in found}


def told(cluster):
    """What was said about cluster IPs."""
    events = cluster.must("GET", "/api/v1/events")["items"]
    return [
        (each["reason"], each["action"], each["involvedObject"]["kind"], each["involvedObject"]["name"])
        for each in events
        if each.get("reportingComponent") == "ipallocator-repair-controller"
    ]


def test_an_address_is_recorded_before_its_service_is_stored(cluster):
    """By kube-apiserver, with the labels of its allocator; the controllers have nothing to add."""
    code, service = create(cluster, "s", clusterIP="10.96.7.7")
    found = cluster.must("GET", f"{ADDRESSES}/10.96.7.7")
    assert code == 201
    assert found["metadata"]["labels"] == {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    assert found["spec"] == {"parentRef": {"resource": "services", "namespace": NAMESPACE, "name": "s"}}
    assert [(each["manager"], each["operation"]) for each in found["metadata"]["managedFields"]] == [
        ("kube-apiserver", "Update")
    ]
    assert int(found["metadata"]["resourceVersion"]) < int(service["metadata"]["resourceVersion"])
    cluster.control.settle()
    assert cluster.must("GET", f"{ADDRESSES}/10.96.7.7") == found
    assert told(cluster) == []


@pytest.mark.parametrize(
    "spec", [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "a.example"}], ids=["headless", "external"]
)
def test_a_service_without_an_address_has_no_record(cluster, spec):
    assert create(cluster, "s", **spec)[0] == 201
    assert records(cluster) == {}


def test_a_record_goes_with_its_service(cluster):
    """Whether a client deletes it or the controllers do, with its namespace or when a finalizer lets it go."""
    for name in ("a", "b", "c"):
        create(cluster, name)
    assert sorted(records(cluster).values()) == ["a", "b", "c"]
    cluster.must("DELETE", f"{SERVICES}/a")
    assert sorted(records(cluster).values()) == ["b", "c"]
    cluster.must("PATCH", f"{SERVICES}/b", {"metadata": {"finalizers": ["example.com/held"]}}, MERGE)
    cluster.must("DELETE", f"{SERVICES}/b")
    assert sorted(records(cluster).values()) == ["b", "c"]
    cluster.must("PATCH", f"{SERVICES}/b", {"metadata": {"finalizers": None}}, MERGE)
    assert sorted(records(cluster).values()) == ["c"]
    cluster.must("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
    cluster.control.settle()
    assert (records(cluster), told(cluster)) == ({}, [])


def test_a_record_comes_and_goes_with_the_type(cluster):
    """ExternalName has no address; a type that has one keeps it. The controllers may look at any moment."""
    create(cluster, "s", type="ExternalName", externalName="a.example")
    cluster.must("PATCH", f"{SERVICES}/s", {"spec": {"type": "ClusterIP", "externalName": None}}, MERGE)
    cluster.control.settle()
    first = records(cluster)
    assert list(first.values()) == ["s"]
    cluster.must("PATCH", f"{SERVICES}/s", {"spec": {"type": "NodePort"}}, MERGE)
    assert records(cluster) == first
    gone = {"type": "ExternalName", "externalName": "a.example", "clusterIP": None, "clusterIPs": None}
    cluster.must("PATCH", f"{SERVICES}/s", {"spec": gone}, MERGE)
    assert records(cluster) == {}
    cluster.control.settle()
    assert (records(cluster), told(cluster)) == ({}, [])


def test_what_is_refused_leaves_no_record(cluster):
    """Nor does a dry run."""
    create(cluster, "s", clusterIP="10.96.7.7")
    before = records(cluster)
    assert create(cluster, "s")[0] == 409
    assert create(cluster, "t", clusterIP="10.96.7.7")[0] == 422
    assert create(cluster, "t", type="NodePort", ports=[{"port": 80, "nodePort": 1}])[0] == 422
    body = {"metadata": {"name": "t"}, "spec": {"ports": [{"port": 80}]}}
    assert cluster.call("POST", f"{SERVICES}?dryRun=All", body)[0] == 201
    assert cluster.call("DELETE", f"{SERVICES}/s?dryRun=All")[0] == 200
    assert records(cluster) == before


def test_an_address_that_somebody_recorded_is_taken(cluster):
    """For whatever it is; even for the very Service that asks for it, as long as that isn't there."""
    for number, parent in ((8, {"resource": "gateways", "name": "g"}), (9, {"resource": "services", "name": "s"})):
        parent["namespace"] = NAMESPACE
        name = f"10.96.7.{number}"
        cluster.must("POST", ADDRESSES, {"metadata": {"name": name}, "spec": {"parentRef": parent}})
        code, found = create(cluster, "s", clusterIP=name)
        assert (code, found["message"]) == (
            422,
            f'Service "s" is invalid: spec.clusterIPs: Invalid value: ["{name}"]: {FAILED} {name}: {TAKEN}',
        )
        cluster.must("DELETE", f"{ADDRESSES}/{name}")
        assert create(cluster, f"s{number}", clusterIP=name)[0] == 201


def test_an_address_that_is_recorded_meanwhile_is_not_given_away(cluster, monkeypatch):
    """Another server was faster: the Service gets another one."""
    other = create(cluster, "s")[1]["spec"]["clusterIP"]
    cluster.must("DELETE", f"{SERVICES}/s")
    record, parent = cluster.api.writer._record, {"resource": "services", "namespace": NAMESPACE, "name": "faster"}

    def late(wanted):
        if wanted.metadata.name == other:
            cluster.must("POST", ADDRESSES, {"metadata": {"name": other}, "spec": {"parentRef": parent}})
        record(wanted)

    monkeypatch.setattr(cluster.api.writer, "_record", late)
    code, found = create(cluster, "s")
    assert (code, found["spec"]["clusterIP"] != other) == (201, True)
    assert records(cluster) == {other: "faster", found["spec"]["clusterIP"]: "s"}


def test_what_was_deleted_by_hand_comes_back(cluster):
    """With an event about the Service."""
    create(cluster, "s", clusterIP="10.96.7.7")
    cluster.control.settle()
    cluster.must("DELETE", f"{ADDRESSES}/10.96.7.7")
    cluster.control.settle()
    assert records(cluster) == {"10.96.7.7": "s"}
    assert told(cluster) == [("ClusterIPNotAllocated", "ClusterIPAllocation", "Service", "s")]


def test_a_record_of_nobody_goes_after_a_minute(cluster):
    """If it says that it is the allocator's; with an event about the IPAddress."""
    for name, labels in (
        ("10.96.7.8", {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}),
        ("10.96.7.9", {}),
    ):
        parent = {"resource": "services", "namespace": NAMESPACE, "name": "nobody"}
        body = {"metadata": {"name": name, "labels": labels}, "spec": {"parentRef": parent}}
        cluster.must("POST", ADDRESSES, body)
    cluster.control.settle()
    assert len(records(cluster)) == 2
    cluster.clock.now += 61 * SECOND
    cluster.control.settle()
    assert list(records(cluster)) == ["10.96.7.9"]
    assert told(cluster) == [("IPAddressNotAllocated", "IPAddressAllocation", "IPAddress", "10.96.7.8")]


def test_services_of_an_older_store_are_recorded(cluster):
    """When controllers begin with a store that has no IPAddresses."""
    create(cluster, "s", clusterIP="10.96.7.7")
    resource = cluster.api.registry.of_kind("networking.k8s.io/v1", "IPAddress")
    cluster.api.storage.store.delete(resource.key("", "10.96.7.7"))
    ControlPlane(cluster.api).settle()
    assert records(cluster) == {"10.96.7.7": "s"}
    assert create(cluster, "t", clusterIP="10.96.7.7")[0] == 422


def test_a_dual_stack_service_has_two_records():
    """One of each family; the second goes when the Service gives it up, and the ServiceCIDR has both ranges."""
    ranges = ("10.96.0.0/16", "fd00::/112")
    cluster = Cluster()
    cluster.api = api = Api(MemoryStore(), clock=cluster.clock, cidrs=ranges, fields=ManagedFields())
    bootstrap(api)
    cluster.application = Application(api)
    cluster.control = ControlPlane(api, lambda: control_concerns(ranges))
    cluster.must("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    furnish(api, ranges[:1])
    Publication(api, "127.0.0.1", 6443, ranges).publish()
    furnish(api, ranges)
    cluster.control.settle()
    assert cluster.must("GET", f"{CIDRS}/kubernetes")["spec"] == {"cidrs": list(ranges)}
    _, service = create(cluster, "s", ipFamilyPolicy="PreferDualStack")
    four, six = service["spec"]["clusterIPs"]
    assert records(cluster) == {"10.96.0.1": "kubernetes", four: "s", six: "s"}
    labels = cluster.must("GET", f"{ADDRESSES}/{six}")["metadata"]["labels"]
    assert labels["ipaddress.kubernetes.io/ip-family"] == "IPv6"
    cluster.must(
        "PATCH",
        f"{SERVICES}/s",
        {"spec": {"ipFamilyPolicy": "SingleStack", "clusterIPs": [four], "ipFamilies": ["IPv4"]}},
        MERGE,
    )
    cluster.control.settle()
    assert records(cluster) == {"10.96.0.1": "kubernetes", four: "s"}
    assert told(cluster) == []


def test_a_service_keeps_what_it_has_whatever_becomes_of_its_range(cluster):
    """Only what is new is checked: a change of labels is none of an address."""
    cluster.must("POST", CIDRS, {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.97.0.0/24"]}})
    cluster.control.settle()
    assert create(cluster, "s", clusterIP="10.97.0.7")[0] == 201
    cluster.must("DELETE", f"{CIDRS}/more")
    cluster.control.settle()
    found = cluster.must("GET", f"{CIDRS}/more")
    assert [(each["status"], each["reason"]) for each in found["status"]["conditions"]] == [("False", "Terminating")]
    assert cluster.call("PATCH", f"{SERVICES}/s", {"metadata": {"labels": {"a": "b"}}}, MERGE)[0] == 200
    assert create(cluster, "t", clusterIP="10.97.0.8")[0] == 422
    cluster.must("DELETE", f"{SERVICES}/s")
    cluster.clock.now = START + 60 * SECOND
    cluster.control.settle()
    assert cluster.call("GET", f"{CIDRS}/more")[0] == 404
