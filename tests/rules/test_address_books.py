"""IPAddresses and ServiceCIDRs: put right, let go, and counted by who allocates cluster IPs."""

import pytest
from loops import NOW

from reconciler.cycle import Cycle
from rules.address_objects import IP_ADDRESS, SERVICE_CIDR, ip_address
from rules.context import SECOND
from rules.ip_addresses import IpAddresses
from rules.service_cidrs import FINALIZER, ServiceCidrs
from rules.services import Services
from state.defaults import default
from state.load import from_dict
from state.objects import ObjectMeta, Opaque, Service, ServicePort, ServiceSpec, replace
from state.snapshot import Key, Snapshot
from state.times import format_time

LABELS = {
    "ipaddress.kubernetes.io/ip-family": "IPv4",
    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
}


def service(name, *addresses, **spec):
    spec = {"ports": (ServicePort(port=80),), "cluster_ips": addresses, **spec}
    if addresses:
        spec["cluster_ip"] = addresses[0]
    meta = ObjectMeta(name=name, namespace="ns", uid=f"uid-{name}", creation_timestamp="2026-01-01T00:00:00Z")
    return default(Service(metadata=meta, spec=ServiceSpec(**spec)))


def record(address, name="s", *, labels=LABELS, age=0, **parent):
    parent = {"resource": "services", "namespace": "ns", "name": name, **parent}
    meta = {"name": address, "labels": labels, "creationTimestamp": format_time(NOW - age * SECOND)}
    return from_dict(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": meta,
            "spec": {"parentRef": parent},
        }
    )


def cidr(name="kubernetes", *cidrs, **meta):
    return from_dict(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": name, **meta},
            "spec": {"cidrs": list(cidrs) or ["10.96.0.0/16"]},
        }
    )


def settled(concern, *objects, now=NOW):
    cycle = Cycle(Snapshot.of(objects), [concern])
    cycle.settle(now)
    return cycle


def parents(cycle):
    """Who has which address, by its IPAddress."""
    return {
        name: cycle.ws.get(Key(IP_ADDRESS, "", name)).body.value["spec"]["parentRef"]["name"]
        for _, name in cycle.ws.table(IP_ADDRESS)
    }


def told(cycle):
    return [(event.reason, event.message) for event in cycle.ctx.events]


def test_a_service_without_a_record_gets_one():
    """As one that was stored before there were any; both of its addresses."""
    dual = service("s", "10.96.0.7", "fd00::7")
    cycle = settled(IpAddresses(), dual, cidr("kubernetes", "10.96.0.0/16", "fd00::/112"))
    made = cycle.ws.get(Key(IP_ADDRESS, "", "10.96.0.7"))
    assert made.metadata.labels == LABELS
    assert made.body == Opaque({"spec": {"parentRef": {"resource": "services", "namespace": "ns", "name": "s"}}})
    assert cycle.ws.get(Key(IP_ADDRESS, "", "fd00::7")).metadata.labels["ipaddress.kubernetes.io/ip-family"] == "IPv6"
    assert told(cycle) == [
        ("ClusterIPNotAllocated", "Cluster IP [IPv4]: 10.96.0.7 is not allocated; repairing"),
        ("ClusterIPNotAllocated", "Cluster IP [IPv6]: fd00::7 is not allocated; repairing"),
    ]


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param((service("s", "10.96.0.7"),), id="before there is any ServiceCIDR"),
        pytest.param((service("s", "10.96.0.7"), record("10.96.0.7"), cidr()), id="all is well"),
        pytest.param((service("s", "None"), cidr()), id="headless"),
        pytest.param((service("s", type="ExternalName", external_name="a.example"), cidr()), id="external"),
        pytest.param((record("10.96.0.8", labels={}, age=600), cidr()), id="somebody else's"),
        pytest.param((record("10.96.0.8", age=10), cidr()), id="of a Service that may be stored yet"),
        pytest.param((service("s", "10.96.0.7"), record("10.96.0.8", age=1)), id="of one that is being changed"),
    ],
)
def test_what_is_left_alone(objects):
    """Nothing is written, and nobody is told anything."""
    cycle = settled(IpAddresses(), *objects)
    assert (cycle.ctx.actions, told(cycle)) == ([], [])


@pytest.mark.parametrize(
    ("wrong", "reasons"),
    [
        (record("10.96.0.7", "gone", age=600), ["IPAddressNotAllocated", "ClusterIPNotAllocated"]),
        (record("10.96.0.7", "gone"), ["ClusterIPNotAllocated"]),
        (record("10.96.0.7", group="example.com", resource="gateways", labels={}), ["ClusterIPNotAllocated"]),
        (record("10.96.0.7", labels={}), []),
    ],
    ids=["leaked", "of nobody", "foreign", "without labels"],
)
def test_a_wrong_record_is_replaced(wrong, reasons):
    """The Service has its address, whatever the record says."""
    cycle = settled(IpAddresses(), service("s", "10.96.0.7"), wrong, cidr())
    assert parents(cycle) == {"10.96.0.7": "s"}
    assert cycle.ws.get(Key(IP_ADDRESS, "", "10.96.0.7")).metadata.labels == LABELS
    assert [reason for reason, _ in told(cycle)] == reasons


def test_what_cannot_be_repaired_is_told():
    """An address outside of all ranges, and one that two Services have."""
    cycle = settled(
        IpAddresses(),
        service("s", "10.96.0.7"),
        service("t", "10.96.0.7"),
        service("far", "10.97.0.7"),
        record("10.96.0.7"),
        cidr(),
    )
    assert sorted(told(cycle)) == [
        (
            "ClusterIPAlreadyAllocated",
            "Cluster IP [IPv4]:10.96.0.7 was assigned to multiple services; please recreate service",
        ),
        (
            "ClusterIPOutOfRange",
            "Cluster IP [IPv4]: 10.97.0.7 is not within any configured Service CIDR; please recreate service",
        ),
    ]
    assert parents(cycle) == {"10.96.0.7": "s"}


def test_a_record_of_nobody_leaks_after_a_minute():
    """Until then the Service may be on its way."""
    cycle = settled(IpAddresses(), record("10.96.0.8", age=59), cidr())
    assert (parents(cycle), cycle.wake_at) == ({"10.96.0.8": "s"}, NOW + SECOND)
    cycle.settle(NOW + SECOND)
    assert parents(cycle) == {}
    message = "IPAddress: 10.96.0.8 for Service ns/s appears to have leaked: cleaning up"
    assert told(cycle) == [("IPAddressNotAllocated", message)]


def test_a_record_of_a_service_that_has_another_address_goes():
    """With an event about the IPAddress."""
    objects = (service("s", "10.96.0.7"), record("10.96.0.7"), record("10.96.0.8", age=5), cidr())
    cycle = settled(IpAddresses(), *objects)
    assert parents(cycle) == {"10.96.0.7": "s"}
    message = "IPAddress: 10.96.0.8 for Service ns/s has a wrong reference; cleaning up"
    assert told(cycle) == [("IPAddressWrongReference", message)]


def test_a_managed_record_that_was_given_to_something_else_goes():
    """The event shows the reference as Go does."""
    cycle = settled(IpAddresses(), record("10.96.0.8", "g", resource="gateways", group="example.com"), cidr())
    assert parents(cycle) == {}
    shown = "&ParentReference{Group:example.com,Resource:gateways,Namespace:ns,Name:g,}"
    message = f"IPAddress 10.96.0.8 appears to have been modified, not referencing a Service {shown}: cleaning up"
    assert told(cycle) == [("IPAddressNotAllocated", message)]


def test_a_service_that_goes_takes_its_record_along():
    """At once, and without a word: somebody was seen to delete it, or to change its type."""
    owned = [service("s", "10.96.0.7"), record("10.96.0.7"), service("t", "10.96.0.8"), record("10.96.0.8", "t")]
    cycle = settled(IpAddresses(), *owned, cidr())
    cycle.ws.remove(Key("Service", "ns", "s"))
    cycle.ws.put(service("t", type="ExternalName", external_name="a.example"))
    cycle.settle(NOW)
    assert (parents(cycle), told(cycle)) == ({}, [])


def test_a_record_goes_without_any_service_cidr_too():
    """A server that nobody asks for the API has none."""
    cycle = settled(IpAddresses(), service("s", "10.96.0.7"), record("10.96.0.7"))
    cycle.ws.remove(Key("Service", "ns", "s"))
    cycle.settle(NOW)
    assert parents(cycle) == {}


# -- ServiceCIDRs ------------------------------------------------------------------------------------------------------


def state(cycle, name="kubernetes"):
    """The finalizers of a ServiceCIDR, and what its conditions say; None if it is gone."""
    found = cycle.ws.get(Key(SERVICE_CIDR, "", name))
    if found is None:
        return None
    conditions = (found.body.value.get("status") or {}).get("conditions", [])
    return found.metadata.finalizers, [(each["type"], each["status"], each["reason"]) for each in conditions]


def deleted(name="kubernetes", *cidrs, age=0):
    return cidr(name, *cidrs, finalizers=[FINALIZER], deletionTimestamp=format_time(NOW - age * SECOND))


def test_a_service_cidr_is_protected_and_ready():
    """And then nothing is left to do."""
    cycle = settled(ServiceCidrs(), cidr())
    assert state(cycle) == ((FINALIZER,), [("Ready", "True", "")])
    again = settled(ServiceCidrs(), cycle.ws.get(Key(SERVICE_CIDR, "", "kubernetes")))
    assert again.ctx.actions == []


def test_a_deleted_service_cidr_waits_for_its_addresses():
    """Then ten seconds pass, counted from its deletion, for servers to hear of it."""
    cycle = settled(ServiceCidrs(), deleted(), record("10.96.0.7"), record("10.97.0.7"))
    assert state(cycle) == ((FINALIZER,), [("Ready", "False", "Terminating")])
    cycle.ws.remove(Key(IP_ADDRESS, "", "10.96.0.7"))
    cycle.settle(NOW)
    assert (state(cycle)[0], cycle.wake_at) == ((FINALIZER,), NOW + 10 * SECOND)
    cycle.settle(NOW + 10 * SECOND)
    assert state(cycle) is None


@pytest.mark.parametrize(
    ("other", "is_kept"),
    [
        (cidr("all", "10.0.0.0/8", finalizers=[FINALIZER]), False),
        (cidr("same", "10.96.0.0/16", finalizers=[FINALIZER]), False),
        (cidr("part", "10.96.0.0/24", finalizers=[FINALIZER]), False),
        (cidr("part", "10.96.1.0/24", finalizers=[FINALIZER]), True),
        (cidr("edge", "10.96.0.7/32", finalizers=[FINALIZER]), True),
    ],
    ids=["larger", "equal", "around the address", "beside it", "of which it is the first"],
)
def test_another_range_may_stand_in(other, is_kept):
    """A deleted ServiceCIDR isn't needed for addresses that come from others, too."""
    cycle = settled(ServiceCidrs(), deleted(age=60), other, record("10.96.0.7"))
    assert (state(cycle) is not None) == is_kept


# -- allocation --------------------------------------------------------------------------------------------------------


def addresses(*objects, name="s", **options):
    cycle = settled(Services(**options), *objects)
    note = cycle.ctx.notes.get(("services", Key("Service", "ns", name)))
    return cycle.ws.find(Service, "ns", name).spec.cluster_ips, "" if note is None else note.why


def test_an_address_with_a_record_is_taken():
    """Whoever made it; but not for the Service that it is of."""
    asked = service("s", "10.96.0.7")
    assert addresses(asked, record("10.96.0.7")) == (("10.96.0.7",), "")
    assert "provided IP is already allocated" in addresses(asked, record("10.96.0.7", "t"))[1]
    assert "provided IP is already allocated" in addresses(asked, record("10.96.0.7", resource="gateways"))[1]
    (free,), _ = addresses(service("s"))
    assert addresses(service("s"), record(free, "t"))[0] not in ((), (free,))


def test_an_address_is_free_when_its_record_goes():
    """Who was refused it is looked at again."""
    cycle = settled(Services(), service("s", "10.96.0.7"), record("10.96.0.7", "t"))
    assert cycle.ctx.notes
    cycle.ws.remove(Key(IP_ADDRESS, "", "10.96.0.7"))
    cycle.settle(NOW)
    assert not cycle.ctx.notes


def test_further_service_cidrs_add_to_the_range():
    """By name at once, and for others when the first is full; as long as they are ready."""
    more = cidr("more", "10.97.0.0/24")
    ending = replace(more, metadata=replace(more.metadata, deletion_timestamp="2026-01-01T00:00:00Z"))
    asked = service("s", "10.97.0.7")
    assert addresses(asked, more) == (("10.97.0.7",), "")
    for ranges in ((), (ending,)):
        assert "the provided network does not match the current range" in addresses(asked, *ranges)[1]
    full = [service(f"s{number}", f"10.96.0.{number}") for number in range(1, 7)]
    assert "range is full" in addresses(service("s"), *full, cidrs=["10.96.0.0/29"])[1]
    (found,), _ = addresses(service("s"), *full, more, cidrs=["10.96.0.0/29"])
    assert found.startswith("10.97.0.")
    six = cidr("six", "fd00::/112")
    assert "not configured on this cluster" in addresses(service("s", ip_families=("IPv6",)), six)[1]


def test_a_range_that_is_not_ready_is_not_used():
    """Until another ServiceCIDR has it."""
    assert "range is full" in addresses(service("s"), deleted())[1]
    assert addresses(service("s"), deleted(), cidr("again"))[1] == ""


def test_who_waits_for_a_range_gets_it():
    """When its ServiceCIDR comes."""
    cycle = settled(Services(), service("s", "10.97.0.7"))
    assert cycle.ctx.notes
    cycle.ws.put(cidr("more", "10.97.0.0/24"))
    cycle.settle(NOW)
    assert not cycle.ctx.notes


def test_large_ranges_of_ipv6_are_not_allocated_from():
    """Kubernetes' allocator takes none that is shorter than /64."""
    own = {"cidrs": ["fd00::/112"]}
    assert "does not match" in addresses(service("s", "fd01::7"), cidr("more", "fd01::/56"), **own)[1]
    assert addresses(service("s", "fd01::7"), cidr("more", "fd01::/64"), **own)[1] == ""


def test_a_record_is_made_as_an_api_server_makes_it():
    """What is made is what is recognised."""
    cycle = settled(IpAddresses(), service("s", "10.96.0.7"), cidr())
    made = ip_address("10.96.0.7", Key("Service", "ns", "s"))
    assert cycle.ws.get(Key(IP_ADDRESS, "", "10.96.0.7")).body == made.body
