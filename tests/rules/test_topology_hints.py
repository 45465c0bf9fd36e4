"""Zone hints in proportion to the zones' CPU; the tables' facts are those of Kubernetes' own unit tests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loops import NOW, assert_settled

from reconciler.cycle import Cycle
from rules.backends import ZONE
from rules.endpoint_slices import Arrangement, Content
from rules.endpoints import EndpointPublication
from rules.topology_hints import (
    DISABLED,
    NO_NODE_INFO,
    NO_ZONE,
    OVERLOADED,
    TOO_FEW,
    Allocation,
    allocations,
    cpu_ratios,
    hint,
    rebalance,
)
from state.defaults import default
from state.objects import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointSlice,
    ForZone,
    Node,
    NodeCondition,
    NodeStatus,
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

AUTO = {"service.kubernetes.io/topology-mode": "Auto"}
FAMILY = "IPv4"


def endpoint(zone, hints=None, *, ready=True):
    given_hints = None if hints is None else EndpointHints(for_zones=(ForZone(name=hints),))
    return Endpoint(addresses=("10.0.0.1",), zone=zone, hints=given_hints, conditions=EndpointConditions(ready=ready))


def content(*zones):
    return Content(FAMILY, (), [endpoint(zone) for zone in zones])


def slice_(*endpoints):
    return EndpointSlice(metadata=ObjectMeta(name="u", namespace="ns"), address_type=FAMILY, endpoints=endpoints)


def zones(one):
    """The zone that each endpoint is for."""
    return [None if each.hints is None else each.hints.for_zones[0].name for each in one.endpoints]


@pytest.mark.parametrize(
    ("ratios", "number", "expected"),
    [
        ({}, 5, NO_NODE_INFO),
        ({"a": 0.3, "b": 0.4, "c": 0.3}, 2, f"{TOO_FEW} (2 endpoints, 3 zones)"),
        ({"a": 0.45, "b": 0.55}, 2, {"a": Allocation(1, 1, 1.0), "b": Allocation(1, 1, 1.1)}),
        ({"a": 0.2, "b": 0.8}, 2, f"{OVERLOADED} (2 endpoints, 2 zones)"),
        ({"a": 0.5, "b": 0.5}, 12, {"a": Allocation(5, 7, 6.0), "b": Allocation(5, 7, 6.0)}),
    ],
)
def test_each_zone_is_to_have_its_share(ratios, number, expected):
    """At least so many that none has a fifth more to do than its share; where that is impossible it says why."""
    assert allocations(ratios, number) == expected


A, B, C = "a", "b", "c"


@pytest.mark.parametrize(
    ("desired", "given_hints", "giving", "receiving"),
    [
        ({}, {}, {}, {}),
        ({A: 1.2, B: 1.1, C: 1.0}, {A: 1, B: 1, C: 1}, {}, {}),
        ({A: 5.1, B: 5.1, C: 5.8}, {A: 16}, {A: 10}, {B: 5, C: 5}),
        ({A: 5.0, B: 5.6, C: 5.4}, {A: 16}, {A: 11}, {B: 6, C: 5}),
        ({A: 5.0, B: 5.6, C: 5.4}, {B: 8, C: 8}, {B: 2, C: 3}, {A: 5}),
        ({A: 5.0, B: 5.0, C: 5.0}, {A: 6, B: 6, C: 6}, {}, {}),
        ({A: -5.0, B: -5.0, C: -5.0}, {A: 6, B: 6, C: 6}, {}, {}),
        ({A: 5.0, B: 5.0, C: 5.0}, {A: -4, B: -3, C: -2}, {}, {}),
        ({A: 5.0, B: 5.0, C: 5.0}, {A: -40, B: 20, C: 20}, {B: 15, C: 15}, {A: 30}),
    ],
)
def test_zones_give_and_receive_whole_endpoints(desired, given_hints, giving, receiving):
    """From where there are most too many to where most are lacking, until what is left is less than half of one."""
    wanted = {zone: Allocation(0, 0, number) for zone, number in desired.items()}
    assert rebalance(wanted, given_hints) == (giving, receiving)


def test_endpoints_serve_their_own_zone_but_those_that_are_given_away():
    """New and changed slices together; unready endpoints have no hint and don't count."""
    first, second = content("a", "b"), content("c", "c", "a")
    third, fourth = content("a", "a"), content("b", "c", "a")
    second.endpoints.append(endpoint("b", ready=False))
    result = Arrangement(create=[first, second], update={"x": third, "y": fourth})
    assert hint(result, {}, FAMILY, {"a": 0.35, "b": 0.35, "c": 0.30}) == ""
    assert [zones(one) for one in (first, second, third, fourth)] == [
        ["b", "b"],
        ["c", "c", "a", None],
        ["a", "a"],
        ["b", "c", "a"],
    ]


def test_an_endpoint_without_a_zone_takes_all_hints_away():
    """Of unchanged slices, too."""
    first = content("a", None)
    result = Arrangement(create=[first])
    present = {"u": slice_(endpoint("b", "b"), endpoint("a", "a"))}
    assert hint(result, present, FAMILY, {"a": 0.5, "b": 0.5}) == NO_ZONE
    assert [zones(first), zones(result.update["u"])] == [[None, None], [None, None]]


@pytest.mark.parametrize(
    ("hints", "changes"),
    [
        (("a", "b"), False),
        (("b", "a"), False),  # possible, if not what would be chosen
        (("a", None), True),
        (("a", "gone"), True),
        (("a", "a"), True),
    ],
)
def test_unchanged_slices_keep_hints_that_are_possible(hints, changes):
    """Others are changed: an endpoint without a hint, one for a zone that needs none, too many for one zone."""
    present = {"u": slice_(*(endpoint(zone, given_hint) for zone, given_hint in zip("ab", hints, strict=True)))}
    result = Arrangement()
    assert hint(result, present, FAMILY, {"a": 0.5, "b": 0.5}) == ""
    assert ("u" in result.update) is changes
    if changes:
        assert zones(result.update["u"]) == ["a", "b"]


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=2),
    st.lists(st.lists(st.sampled_from("abcd"), max_size=9), min_size=1, max_size=4),
)
def test_looking_again_soon_changes_nothing(cpu, endpoints):
    """Whenever there are hints every ready endpoint has one; slices looked at again settle one after another."""
    ratios = {zone: number / sum(cpu.values()) for zone, number in cpu.items()}
    result = Arrangement(create=[content(*each) for each in endpoints])
    if hint(result, {}, FAMILY, ratios):
        return
    assert None not in [zone for one in result.create for zone in zones(one)]
    present = {f"s{i}": slice_(*one.endpoints) for i, one in enumerate(result.create)}
    for _ in range(len(present) + 1):
        again = Arrangement()
        assert hint(again, present, FAMILY, ratios) == ""
        changed = {name: slice_(*one.endpoints) for name, one in again.update.items()}
        before, present = present, present | changed
    assert present == before


def node(name, zone="", cpu="4", *, ready="True", labels=None):
    labels = {**(labels or {}), **({ZONE: zone} if zone else {})}
    return Node(
        metadata=ObjectMeta(name=name, uid=f"uid-{name}", labels=labels),
        status=NodeStatus(allocatable={"cpu": cpu}, conditions=(NodeCondition(type="Ready", status=ready),)),
    )


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((), {}),
        ((node("n", "a"),), {}),
        ((node("n", "a"), node("m", "a")), {}),
        ((node("n", "a", "1000m"), node("m", "b", "3")), {"a": 0.25, "b": 0.75}),
        ((node("n", "a"), node("m", "b"), node("o", "c", ready="False")), {"a": 0.5, "b": 0.5}),
        (
            (node("n", "a"), node("m", "b"), node("o", labels={"node-role.kubernetes.io/control-plane": ""})),
            {"a": 0.5, "b": 0.5},
        ),
        ((node("n", "a"), node("m", "b"), node("o")), {}),
        ((node("n", "a"), node("m", "b"), node("o", "c", "0")), {}),
    ],
)
def test_zones_count_by_the_cpu_of_their_ready_nodes(nodes, expected):
    """One node whose zone or CPU isn't known spoils it for all; those of the control plane don't count."""
    assert cpu_ratios(nodes) == expected


# -- the service as a whole --------------------------------------------------------------------------------------------


def pod(number, on):
    ip = f"10.0.0.{number + 1}"
    return Pod(
        metadata=ObjectMeta(name=f"p{number}", namespace="ns", uid=f"uid-{number}", labels={"app": "a"}),
        spec=PodSpec(node_name=on),
        status=PodStatus(
            phase="Running",
            pod_ip=ip,
            pod_ips=(PodIP(ip=ip),),
            conditions=(PodCondition(type="Ready", status="True"),),
        ),
    )


def service(annotations=None, **spec):
    meta = ObjectMeta(name="s", namespace="ns", uid="uid-s", annotations=AUTO if annotations is None else annotations)
    spec = ServiceSpec(
        selector={"app": "a"}, ports=(ServicePort(port=80),), cluster_ip="10.96.0.9", ip_families=(FAMILY,), **spec
    )
    return default(Service(metadata=meta, spec=spec))


def settled(*objects):
    cycle = Cycle(Snapshot.of(objects), [EndpointPublication()])
    cycle.settle(NOW)
    return cycle


def hints(cycle):
    return sorted(zone or "" for one in cycle.ws.objects(EndpointSlice) for zone in zones(one))


def events(cycle):
    return [(event.type, event.reason, event.message) for event in cycle.ctx.events]


def two_zones():
    return [node("na", "a"), node("nb", "b"), service(), *(pod(i, "na" if i % 2 else "nb") for i in range(4))]


def test_hints_come_and_go_with_the_annotation():
    """Both are told in an event, once."""
    cycle = settled(*two_zones())
    assert hints(cycle) == ["a", "a", "b", "b"]
    assert events(cycle) == [
        ("Normal", "TopologyAwareHintsEnabled", "Topology Aware Hints has been enabled, addressType: IPv4")
    ]
    assert_settled(cycle, lambda: [EndpointPublication()], NOW)
    cycle.ctx.start(NOW)
    cycle.ws.put(pod(4, "nb"))
    cycle.ws.put(pod(5, "na"))
    cycle.settle(NOW)
    assert events(cycle) == []
    cycle.ws.put(service(annotations={}))
    cycle.settle(NOW)
    assert set(hints(cycle)) == {""}
    assert events(cycle) == [("Warning", "TopologyAwareHintsDisabled", f"{DISABLED}, addressType: IPv4")]


def test_hints_follow_the_nodes():
    """A node that isn't ready any more takes its zone out; a heartbeat changes nothing."""
    cycle = settled(*two_zones())
    live = cycle.ws.find(Node, "", "nb")
    cycle.ctx.start(NOW)
    beat = replace(live.status.conditions[0], last_heartbeat_time="2026-01-01T00:00:00Z")
    cycle.ws.put(replace(live, status=replace(live.status, conditions=(beat,))))
    cycle.settle(NOW)
    assert cycle.ctx.actions == []
    cycle.ws.put(node("nb", "b", ready="False"))
    cycle.settle(NOW)
    assert hints(cycle) == [""] * 4
    assert events(cycle) == [("Warning", "TopologyAwareHintsDisabled", f"{NO_NODE_INFO}, addressType: IPv4")]
    cycle.ws.put(live)
    cycle.settle(NOW)
    assert hints(cycle) == ["a", "a", "b", "b"]
    assert_settled(cycle, lambda: [EndpointPublication()], NOW)


def test_the_annotation_comes_before_the_traffic_distribution():
    """And the annotation's older name before its newer one."""
    cycle = settled(*two_zones(), node("nc"))
    cycle.ws.put(service(traffic_distribution="PreferClose"))
    cycle.settle(NOW)
    assert hints(cycle) == [""] * 4  # as a node has no zone
    cycle.ws.put(
        service({**AUTO, "service.kubernetes.io/topology-aware-hints": "Off"}, traffic_distribution="PreferClose")
    )
    cycle.settle(NOW)
    assert hints(cycle) == ["a", "a", "b", "b"]
    assert cycle.ws.get(Key("Service", "ns", "s")) is not None
