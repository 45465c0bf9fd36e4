"""Endpoints and EndpointSlices as recorded from Kubernetes, and what must hold for any sequence of events."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import NOW, assert_settled
from recorded import case_names, load_case
from recorded_cluster import ClusterPlayer, concerns

from reconciler.cycle import Cycle
from rules.backends import ZONE
from rules.endpoint_mirroring import EndpointMirroring
from rules.endpoint_places import CONTROLLER, MANAGED_BY, SERVICE_NAME
from rules.endpoint_slices import MAX_ENDPOINTS, pod_of
from rules.endpoints import (
    ENDPOINTS_CONTROLLER,
    ENDPOINTS_MANAGED_BY,
    HEADLESS,
    OVER_CAPACITY,
    EndpointPublication,
)
from rules.garbage import Garbage
from rules.port_order import slice_order
from rules.services import Services
from rules.trigger_times import ANNOTATION
from state.defaults import default
from state.objects import (
    Container,
    ContainerPort,
    EndpointAddress,
    EndpointHints,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSlicePort,
    EndpointSubset,
    ForNode,
    ForZone,
    Node,
    ObjectMeta,
    Pod,
    PodCondition,
    PodIP,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
    replace,
)
from state.snapshot import Key, Snapshot

SERVICE = Key("Service", "ns", "s")


def network():
    return [Garbage(), Services(), EndpointPublication(), EndpointMirroring()]


#: Made by hand from many pods that the recording has in words only.
SPLIT = "svc-slice-split"


@pytest.mark.parametrize("name", [name for name in case_names("svc-") if name != SPLIT])
def test_does_as_recorded(name):
    """Endpoints and slices after each step equal those of a real control plane."""
    player = ClusterPlayer(load_case(name)).play()
    assert player.mismatches() == []
    player.settle()
    assert_settled(player.cycle, concerns, player.now)


def node(name, zone=""):
    return Node(metadata=ObjectMeta(name=name, uid=f"uid-{name}", labels={ZONE: zone} if zone else {}))


def pod(number, *, ready=True, ip=True, labels=None, phase="Running", on="n1", v6=False, **spec):
    addresses = (
        PodIP(ip=f"10.0.{number // 250}.{number % 250 + 1}"),
        *([PodIP(ip=f"fd00::{number + 1:x}")] if v6 else []),
    )
    return Pod(
        metadata=ObjectMeta(name=f"p{number:04}", namespace="ns", uid=f"uid-{number}", labels=labels or {"app": "a"}),
        spec=PodSpec(node_name=on, **spec),
        status=PodStatus(
            phase=phase,
            pod_ip=addresses[0].ip if ip else None,
            pod_ips=addresses if ip else (),
            conditions=(PodCondition(type="Ready", status="True" if ready else "False"),),
        ),
    )


def service(**spec):
    spec = {"selector": {"app": "a"}, "ports": (ServicePort(port=80, target_port=8080),), **spec}
    return default(Service(metadata=ObjectMeta(name="s", namespace="ns", uid="uid-s"), spec=ServiceSpec(**spec)))


def settled(*objects):
    cycle = Cycle(Snapshot.of([node("n1"), *objects]), network())
    cycle.settle(NOW)
    return cycle


def slices(cycle):
    return cycle.ws.objects(EndpointSlice)


def sizes(cycle):
    return sorted(len(slice_.endpoints) for slice_ in slices(cycle))


def endpoints(cycle):
    return {pod_of(endpoint): endpoint for slice_ in slices(cycle) for endpoint in slice_.endpoints}


def why(cycle):
    note = cycle.ctx.notes.get(("endpoints", SERVICE))
    return "" if note is None else note.why


def test_more_than_a_hundred_endpoints_are_split_as_recorded():
    """120 pods: slices of 100 and 20; one that becomes unready stays where it is."""
    expected = load_case(SPLIT)["expected"]["snapshots"]
    pods = [pod(i) for i in range(120)]
    cycle = settled(*pods, service())
    assert sizes(cycle) == expected["sizes"]
    subset = cycle.ws.find(Endpoints, "ns", "s").subsets[0]
    assert len(subset.addresses) == expected["endpoints"]["addresses"]
    cycle.ctx.start(NOW)
    cycle.ws.put(pod(7, ready=False))
    cycle.settle(NOW)
    ready = sum(endpoint.conditions.ready for endpoint in endpoints(cycle).values())
    assert {"ready": ready, "sizes": sizes(cycle)} == expected["one-unready"]
    assert Counter(str(action.target.kind) for action in cycle.ctx.actions) == {"EndpointSlice": 1, "Endpoints": 1}


def test_pods_without_an_address_are_waited_for():
    """As in every plan: only a kubelet gives addresses."""
    cycle = settled(*(pod(i, ip=False, ready=False, phase="Pending") for i in range(3)), service())
    assert why(cycle) == "0 of 3 pods of service s are ready"
    assert sizes(cycle) == [0]
    for i in range(3):
        cycle.ws.put(pod(i))
    cycle.settle(NOW)
    assert why(cycle) == ""
    assert sizes(cycle) == [3]
    assert len(slices(cycle)) == 1


def test_new_endpoints_fill_the_slice_that_changes_anyway():
    """Not the one with room that would not change otherwise; without such a one the fullest that has room."""
    cycle = settled(*(pod(i) for i in range(150)), service())
    small = next(s for s in slices(cycle) if len(s.endpoints) == 50)
    full = next(s for s in slices(cycle) if len(s.endpoints) == 100)
    gone = pod_of(full.endpoints[0])
    cycle.ws.remove(Key("Pod", "ns", gone))
    cycle.ws.put(pod(500))
    cycle.settle(NOW)
    assert sizes(cycle) == [50, 100]
    assert cycle.ws.find(EndpointSlice, "ns", small.metadata.name) == small
    cycle.ws.put(pod(501))
    cycle.settle(NOW)
    assert sizes(cycle) == [51, 100]


def test_another_pod_of_the_same_name_is_another_endpoint():
    """A StatefulSet's pod comes back with its name, on another node perhaps."""
    cycle = settled(pod(1), service())
    cycle.ws.remove(Key("Pod", "ns", "p0001"))
    again = pod(2)
    cycle.ws.put(replace(again, metadata=replace(again.metadata, name="p0001")))
    cycle.settle(NOW)
    (endpoint,) = endpoints(cycle).values()
    assert endpoint.target_ref.uid == "uid-2"


def test_zone_and_absent_node():
    """The zone is the node's; a pod whose node is not there is left out, unless unready ones are published too."""
    zoned = settled(node("n2", "zone-a"), pod(1, on="n2"), pod(2, on="lost"), service())
    assert {name: e.zone for name, e in endpoints(zoned).items()} == {"p0001": "zone-a"}
    assert len(zoned.ws.find(Endpoints, "ns", "s").subsets[0].addresses) == 2
    assert why(zoned).startswith("1 of 2 pods of service s are in no EndpointSlice")
    zoned.ws.put(node("lost", "zone-b"))
    zoned.settle(NOW)
    assert endpoints(zoned)["p0002"].zone == "zone-b"
    assert why(zoned) == ""
    published = settled(pod(2, on="lost"), service(publish_not_ready_addresses=True))
    assert set(endpoints(published)) == {"p0002"}


@pytest.mark.parametrize(
    ("distribution", "zone", "hints"),
    [
        (None, "z", None),
        ("PreferClose", "z", EndpointHints(for_zones=(ForZone(name="z"),))),
        ("PreferSameZone", "z", EndpointHints(for_zones=(ForZone(name="z"),))),
        ("PreferSameZone", "", None),
        ("PreferSameNode", "", EndpointHints(for_nodes=(ForNode(name="n1"),))),
        ("PreferSameNode", "z", EndpointHints(for_nodes=(ForNode(name="n1"),), for_zones=(ForZone(name="z"),))),
    ],
)
def test_hints_are_for_ready_endpoints_of_a_service_that_prefers_near_ones(distribution, zone, hints):
    """By ``trafficDistribution``; they come and go with it."""
    cycle = settled(node("n1", zone), pod(1), pod(2, ready=False), service(traffic_distribution=distribution))
    assert {name: endpoint.hints for name, endpoint in endpoints(cycle).items()} == {"p0001": hints, "p0002": None}
    known = cycle.ws.find(Service, "ns", "s")
    cycle.ws.put(replace(known, spec=replace(known.spec, traffic_distribution=None)))
    cycle.settle(NOW)
    assert {endpoint.hints for endpoint in endpoints(cycle).values()} == {None}


def test_every_change_of_a_slice_is_another_generation():
    """Of its endpoints, and of its labels."""
    cycle = settled(pod(1), service())
    (first,) = slices(cycle)
    cycle.ws.put(pod(2))
    cycle.settle(NOW)
    (second,) = slices(cycle)
    known = cycle.ws.find(Service, "ns", "s")
    cycle.ws.put(replace(known, metadata=replace(known.metadata, labels={"tier": "x"})))
    cycle.settle(NOW)
    (third,) = slices(cycle)
    assert [slice_.metadata.generation for slice_ in (first, second, third)] == [1, 2, 3]


def test_a_sidecar_can_name_the_target_port():
    """An init container that keeps running; one that ends can't."""
    port = (ContainerPort(container_port=9000, name="http"),)
    sidecar = Container(name="side", restart_policy="Always", ports=port)
    named = service(ports=(ServicePort(port=80, target_port="http"),))
    assert slices(settled(pod(1, init_containers=(sidecar,)), named))[0].ports[0].port == 9000
    ending = replace(sidecar, restart_policy=None)
    assert slices(settled(pod(1, init_containers=(ending,)), named))[0].ports == ()


def test_endpoints_group_ports_by_who_offers_them():
    """A port that all offer and one that some offer are two subsets."""
    ports = (ServicePort(name="web", port=80, target_port=8080), ServicePort(name="m", port=81, target_port="metrics"))
    metrics = Container(name="c", ports=(ContainerPort(container_port=9090, name="metrics"),))
    cycle = settled(pod(1), pod(2, containers=(metrics,)), service(ports=ports))
    subsets = cycle.ws.find(Endpoints, "ns", "s").subsets
    assert {tuple(p.name for p in s.ports): [a.ip for a in s.addresses] for s in subsets} == {
        ("m",): ["10.0.0.3"],
        ("web",): ["10.0.0.2", "10.0.0.3"],
    }
    assert sorted(tuple(p.name for p in s.ports) for s in slices(cycle)) == [("web",), ("web", "m")]


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        (
            [("http", 8080, "TCP", None), ("https", 8443, "TCP", None), ("metrics", 9090, "TCP", None)],
            ["https", "metrics", "http"],
        ),
        ([("dns", 53, "UDP", None), ("dns-tcp", 53, "TCP", None)], ["dns-tcp", "dns"]),
        (
            [
                ("d", 4, "TCP", None),
                ("c", 3, "SCTP", None),
                ("b", 2, "TCP", None),
                ("a", 1, "TCP", "kubernetes.io/h2c"),
            ],
            ["a", "b", "c", "d"],
        ),
    ],
)
def test_ports_of_endpoints_are_in_the_order_of_their_hashes(ports, expected):
    """As a real control plane orders them; those of a slice have another order, as they are printed differently."""
    given_ports = tuple(
        ServicePort(name=name, port=number, target_port=number, protocol=protocol, app_protocol=app_protocol)
        for name, number, protocol, app_protocol in ports
    )
    cycle = settled(pod(1), service(ports=given_ports))
    assert [port.name for port in cycle.ws.find(Endpoints, "ns", "s").subsets[0].ports] == expected
    of_slice = slices(cycle)[0].ports
    assert of_slice == tuple(sorted(of_slice, key=slice_order))
    assert sorted(port.name for port in of_slice) == sorted(expected)


def test_labels_that_only_slices_reserve_are_copied_to_endpoints():
    """Endpoints reserve but the one for headless services."""
    known = service()
    labels = {"app": "a", SERVICE_NAME: "other", MANAGED_BY: "me", HEADLESS: ""}
    cycle = settled(pod(1), replace(known, metadata=replace(known.metadata, labels=labels)))
    assert cycle.ws.find(Endpoints, "ns", "s").metadata.labels == {
        "app": "a",
        SERVICE_NAME: "other",
        MANAGED_BY: "me",
        ENDPOINTS_MANAGED_BY: ENDPOINTS_CONTROLLER,
    }
    assert slices(cycle)[0].metadata.labels == {"app": "a", SERVICE_NAME: "s", MANAGED_BY: CONTROLLER}


def test_what_is_published_says_when_that_happened_which_it_is_for():
    """The service's creation, and then the first change of a pod's readiness; nothing where only pods are gone."""

    def turned(number, at, *, ready=True):
        changed = pod(number, ready=ready)
        condition = replace(changed.status.conditions[0], last_transition_time=at)
        return replace(changed, status=replace(changed.status, conditions=(condition,)))

    def told(cycle):
        objects = [cycle.ws.find(Endpoints, "ns", "s"), *slices(cycle)]
        return {obj.metadata.annotations.get(ANNOTATION) for obj in objects}

    first, second, third = (f"2026-01-01T00:00:0{second}Z" for second in (1, 2, 3))
    known = service()
    known = replace(known, metadata=replace(known.metadata, creation_timestamp=second))
    cycle = settled(turned(1, first), turned(2, first), known)
    assert told(cycle) == {second}
    cycle.ws.put(turned(1, third, ready=False))
    cycle.settle(NOW)
    assert told(cycle) == {third}
    assert_settled(cycle, network, NOW)
    cycle.ws.remove(Key("Pod", "ns", "p0001"))
    cycle.settle(NOW)
    assert told(cycle) == {None}


def test_a_service_that_is_being_deleted_gets_no_more_slices():
    """Those that it has follow its pods."""
    known = service()
    meta = replace(known.metadata, deletion_timestamp="2026-01-01T00:00:00Z", finalizers=("x.y/z",))
    assert slices(settled(pod(1), replace(known, metadata=meta))) == []
    cycle = settled(pod(1), known)
    live = cycle.ws.find(Service, "ns", "s")
    cycle.ws.put(replace(live, metadata=meta))
    cycle.ws.put(pod(2))
    cycle.settle(NOW)
    assert sizes(cycle) == [2]


def test_endpoints_are_truncated_beyond_a_thousand():
    """Ready addresses first, with an annotation; it goes when there are fewer."""
    pods = [pod(i, ready=i % 4 != 0) for i in range(1200)]
    cycle = settled(*pods, service())
    live = cycle.ws.find(Endpoints, "ns", "s")
    assert live.metadata.annotations[OVER_CAPACITY] == "truncated"
    assert (len(live.subsets[0].addresses), len(live.subsets[0].not_ready_addresses)) == (900, 100)
    assert sum(sizes(cycle)) == 1200
    for gone in pods[:200]:
        cycle.ws.remove(Key.of(gone))
    cycle.settle(NOW)
    live = cycle.ws.find(Endpoints, "ns", "s")
    assert OVER_CAPACITY not in live.metadata.annotations
    assert (len(live.subsets[0].addresses), len(live.subsets[0].not_ready_addresses)) == (750, 250)


def test_both_families_have_slices_of_their_own():
    """Endpoints hold the first family only."""
    cycle = settled(pod(1, v6=True), pod(2), service(ip_families=("IPv6", "IPv4"), cluster_ip="None"))
    found = {slice_.address_type: [pod_of(e) for e in slice_.endpoints] for slice_ in slices(cycle)}
    assert found == {"IPv6": ["p0001"], "IPv4": ["p0001", "p0002"]}
    assert [a.ip for a in cycle.ws.find(Endpoints, "ns", "s").subsets[0].addresses] == ["fd00::2"]


def test_what_others_do_to_slices_is_undone():
    """A slice that was deleted comes back; foreign endpoints, lost labels and double ones are put right."""
    cycle = settled(*(pod(i) for i in range(3)), service())
    (slice_,) = slices(cycle)
    before = slice_.endpoints
    cycle.ws.put(
        replace(
            slice_,
            endpoints=(*before[:2], replace(before[2], target_ref=None), before[0]),
            metadata=replace(slice_.metadata, labels={**slice_.metadata.labels, "x": "y"}),
        )
    )
    cycle.settle(NOW)
    (slice_,) = slices(cycle)
    assert slice_.endpoints == before
    assert "x" not in slice_.metadata.labels
    cycle.ws.remove(Key.of(slice_))
    cycle.settle(NOW)
    assert slices(cycle)[0].endpoints == before
    assert_settled(cycle, network, NOW)


def test_what_others_do_to_endpoints_stays_until_there_is_news_of_a_pod():
    """As the endpoints controller, which hears of Endpoints only when they are gone."""
    cycle = settled(service(), pod(0), pod(1))
    right = cycle.ws.find(Endpoints, "ns", "s")
    cycle.ws.put(replace(right, subsets=()))
    cycle.settle(NOW)
    assert cycle.ws.find(Endpoints, "ns", "s").subsets == ()
    cycle.ws.put(pod(1, ready=False))
    cycle.settle(NOW)
    (subset,) = cycle.ws.find(Endpoints, "ns", "s").subsets
    assert (len(subset.addresses), len(subset.not_ready_addresses)) == (1, 1)
    cycle.ws.remove(Key.of(right))
    cycle.settle(NOW)
    assert cycle.ws.find(Endpoints, "ns", "s").subsets == (subset,)


def test_slices_of_a_former_service_are_not_reused():
    """A service that came back under its name begins anew."""
    cycle = settled(pod(1), service())
    (old,) = slices(cycle)
    cycle.ws.remove(SERVICE)
    again = service()
    cycle.ws.put(replace(again, metadata=replace(again.metadata, uid="uid-again")))
    cycle.settle(NOW)
    (new,) = slices(cycle)
    assert new.metadata.owner_references[0].uid == "uid-again"
    assert new.metadata.name != old.metadata.name


def test_hand_written_endpoints_are_mirrored_and_kept_up():
    """One slice for each subset and family; a change of addresses changes the slice, a skip label removes it."""
    subset = EndpointSubset(
        addresses=(EndpointAddress(ip="192.0.2.1"), EndpointAddress(ip="2001:db8::1")), ports=(EndpointPort(port=80),)
    )
    given_by_hand = Endpoints(metadata=ObjectMeta(name="s", namespace="ns", uid="uid-e"), subsets=(subset,))
    cycle = settled(service(selector={}), given_by_hand)
    assert sorted(slice_.address_type for slice_ in slices(cycle)) == ["IPv4", "IPv6"]
    names = {slice_.metadata.name for slice_ in slices(cycle)}
    live = cycle.ws.find(Endpoints, "ns", "s")
    more = replace(subset, addresses=(*subset.addresses, EndpointAddress(ip="192.0.2.2")))
    cycle.ws.put(replace(live, subsets=(more,)))
    cycle.settle(NOW)
    assert {slice_.metadata.name for slice_ in slices(cycle)} == names
    assert sizes(cycle) == [1, 2]
    assert_settled(cycle, network, NOW)
    live = cycle.ws.find(Endpoints, "ns", "s")
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    cycle.ws.put(replace(live, metadata=replace(live.metadata, labels=labels)))
    cycle.settle(NOW)
    assert slices(cycle) == []


def test_mirrored_endpoints_are_repacked_first():
    """Subsets with the same ports are one slice, whose address is not ready if it is so anywhere; a port more of one
    address makes it another slice.
    """
    web, metrics = EndpointPort(name="web", port=80), EndpointPort(name="metrics", port=81)
    one, two, three = (EndpointAddress(ip=f"192.0.2.{number}") for number in (1, 2, 3))
    subsets = (
        EndpointSubset(addresses=(one,), ports=(web,)),
        EndpointSubset(addresses=(two,), not_ready_addresses=(one,), ports=(web,)),
        EndpointSubset(addresses=(three,), ports=(web, metrics)),
    )
    given_by_hand = Endpoints(metadata=ObjectMeta(name="s", namespace="ns", uid="uid-e"), subsets=subsets)
    cycle = settled(service(selector={}), given_by_hand)
    found = {
        tuple(sorted(port.name for port in slice_.ports)): {
            e.addresses[0]: e.conditions.ready for e in slice_.endpoints
        }
        for slice_ in slices(cycle)
    }
    assert found == {
        ("web",): {"192.0.2.2": True, "192.0.2.3": True, "192.0.2.1": False},
        ("metrics",): {"192.0.2.3": True},
    }


def test_a_mirrored_slice_takes_other_ports_rather_than_go():
    """It then loses the name that its own was made of where it has the same ports, as the controller sends none."""
    subset = EndpointSubset(addresses=(EndpointAddress(ip="192.0.2.1"),), ports=(EndpointPort(port=80),))
    given_by_hand = Endpoints(metadata=ObjectMeta(name="s", namespace="ns", uid="uid-e"), subsets=(subset,))
    cycle = settled(service(selector={}), given_by_hand)
    (before,) = slices(cycle)
    live = cycle.ws.find(Endpoints, "ns", "s")
    cycle.ws.put(replace(live, subsets=(replace(subset, ports=(EndpointPort(port=81),)),)))
    cycle.settle(NOW)
    (after,) = slices(cycle)
    assert (after.metadata.name, after.ports[0].port) == (before.metadata.name, 81)
    assert after.metadata.generate_name == "s-"
    live = cycle.ws.find(Endpoints, "ns", "s")
    cycle.ws.put(replace(live, metadata=replace(live.metadata, labels={"x": "y"})))
    cycle.settle(NOW)
    assert (slices(cycle)[0].metadata.labels["x"], slices(cycle)[0].metadata.generate_name) == ("y", None)


def test_of_a_subset_a_thousand_addresses_are_mirrored():
    """That some are left out is told in an event."""
    addresses = tuple(EndpointAddress(ip=f"192.0.{number // 250}.{number % 250 + 1}") for number in range(1001))
    subset = EndpointSubset(addresses=addresses, ports=(EndpointPort(port=80),))
    given_by_hand = Endpoints(metadata=ObjectMeta(name="s", namespace="ns", uid="uid-e"), subsets=(subset,))
    cycle = settled(service(selector={}), given_by_hand)
    assert sizes(cycle) == [1000]
    assert [(event.reason, event.message) for event in cycle.ctx.events] == [
        (
            "TooManyAddressesToMirror",
            "A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. 1 addresses were skipped",
        )
    ]


def test_endpoints_of_no_service():
    """Those that were made for a service go with it; hand-written ones stay, with a note."""
    cycle = settled(pod(1), service(), Endpoints(metadata=ObjectMeta(name="other", namespace="ns", uid="uid-o")))
    cycle.ws.remove(SERVICE)
    cycle.settle(NOW)
    assert [found.metadata.name for found in cycle.ws.objects(Endpoints)] == ["other"]
    assert slices(cycle) == []
    note = cycle.ctx.notes["endpoint-mirroring", Key("Endpoints", "ns", "other")]
    assert note.why == "Endpoints other are of no use: there is no service of that name"


# -- whatever happens --------------------------------------------------------------------------------------------------

PORTS = st.sampled_from([(ServicePort(port=80, target_port=8080),), (ServicePort(port=80, target_port="http"),)])
CONTAINERS = st.sampled_from([(), (Container(name="c", ports=(ContainerPort(container_port=81, name="http"),)),)])
POD_EVENTS = st.builds(
    pod,
    st.integers(0, 7),
    ready=st.booleans(),
    ip=st.booleans(),
    labels=st.sampled_from([{"app": "a"}, {"app": "b"}]),
    phase=st.sampled_from(["Running", "Running", "Succeeded"]),
    on=st.sampled_from(["n1", "n2", None]),
    containers=CONTAINERS,
)
SERVICE_EVENTS = st.builds(
    service,
    selector=st.sampled_from([{"app": "a"}, {"app": "b"}, {}]),
    ports=PORTS,
    publish_not_ready_addresses=st.booleans(),
)
EVENTS = st.one_of(
    POD_EVENTS.map(lambda made: ("put", made)),
    st.integers(0, 7).map(lambda number: ("remove", Key("Pod", "ns", f"p{number:04}"))),
    st.integers(0, 7).map(lambda number: ("end", Key("Pod", "ns", f"p{number:04}"))),
    SERVICE_EVENTS.map(lambda made: ("put", made)),
    st.sampled_from([("remove", SERVICE), ("put", node("n2", "z")), ("remove", Key("Node", "", "n2"))]),
    st.sampled_from(["ports", "twice", "labels", "slice", "endpoints"]).map(lambda how: ("spoil", how)),
)


def carry_out(cycle, event, what):
    ws = cycle.ws
    if event == "put":
        live = ws.get(Key.of(what))
        ws.put(what if live is None else replace(what, metadata=replace(what.metadata, uid=live.metadata.uid)))
    elif event == "remove":
        ws.remove(what)
    elif event == "end":
        live = ws.get(what)
        if live is not None:
            ending = replace(live.metadata, deletion_timestamp="2026-01-01T00:00:00Z")
            ws.put(replace(live, metadata=ending))
    else:
        spoil(ws, what)


def spoil(ws, how):
    """What somebody else may do to the objects published."""
    for slice_ in ws.objects(EndpointSlice)[:1]:
        if how == "ports":
            ws.put(replace(slice_, endpoints=slice_.endpoints[1:], ports=(EndpointSlicePort(port=1),)))
        elif how == "twice":
            ws.put(replace(slice_, endpoints=slice_.endpoints[:1] * 2))
        elif how == "labels":
            ws.put(replace(slice_, metadata=replace(slice_.metadata, labels={})))
        elif how == "slice":
            ws.remove(Key.of(slice_))
    for live in ws.objects(Endpoints):
        if how == "endpoints":
            ws.remove(Key.of(live))


def assert_right(cycle):
    """What is published is what the pods and the service say, looked at without any table."""
    found = cycle.ws.find(Service, "ns", "s")
    if found is None or not found.spec.selector:
        return
    ours = [s for s in slices(cycle) if s.metadata.labels.get(MANAGED_BY) == CONTROLLER]
    shown = [endpoint for slice_ in ours for endpoint in slice_.endpoints]
    assert all(len(slice_.endpoints) <= MAX_ENDPOINTS for slice_ in ours)
    nodes = {one.metadata.name for one in cycle.ws.objects(Node)}
    expected = {}
    for one in cycle.ws.objects(Pod):
        is_ready = one.status.conditions[0].status == "True"
        ending = one.metadata.deletion_timestamp is not None
        here = one.spec.node_name in nodes or found.spec.publish_not_ready_addresses
        if one.metadata.labels == found.spec.selector and one.status.pod_ip and one.status.phase == "Running" and here:
            publish = bool(found.spec.publish_not_ready_addresses)
            expected[one.metadata.name] = (publish or (is_ready and not ending), is_ready, ending)
    assert sorted(map(pod_of, shown)) == sorted(expected)
    for endpoint in shown:
        conditions = endpoint.conditions
        assert expected[pod_of(endpoint)] == (conditions.ready, conditions.serving, conditions.terminating)
    addresses = [a.target_ref.name for s in cycle.ws.find(Endpoints, "ns", "s").subsets for a in s.addresses]
    if not found.spec.publish_not_ready_addresses:
        assert all(cycle.ws.find(Pod, "ns", name).status.conditions[0].status == "True" for name in addresses)
        assert all(cycle.ws.find(Pod, "ns", name).metadata.deletion_timestamp is None for name in addresses)


@settings(max_examples=150)
@given(st.lists(st.lists(EVENTS, max_size=6), max_size=8))
def test_only_ready_pods_are_published_whatever_happens(rounds):
    """Endpoints hold only what the API says, a slice at most a hundred; warm equals cold, and settled stays settled."""
    cycle = Cycle(Snapshot.of([node("n1"), service()]), network())
    for events in rounds:
        for event, what in events:
            carry_out(cycle, event, what)
        cycle.settle(NOW)
        assert_right(cycle)
        assert_settled(cycle, network, NOW)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 399), st.booleans()), max_size=12))
def test_slices_stay_full_enough(changes):
    """However many pods come and go at a time, each is in one slice, and none has more than a hundred."""
    cycle = Cycle(Snapshot.of([node("n1"), service()]), network())
    for start, come in changes:
        for number in range(start, min(start + 90, 400)):
            if come:
                cycle.ws.put(pod(number))
            else:
                cycle.ws.remove(Key("Pod", "ns", f"p{number:04}"))
        cycle.settle(NOW)
        assert max(sizes(cycle)) <= MAX_ENDPOINTS
        assert sum(sizes(cycle)) == len(cycle.ws.objects(Pod)) == len(endpoints(cycle))
