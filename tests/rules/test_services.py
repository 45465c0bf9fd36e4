"""Services get addresses and ports as recorded from Kubernetes, and never one that another has."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import NOW, assert_settled
from recorded import case_names, load_case
from recorded_cluster import ClusterPlayer, concerns

from reconciler.cycle import Cycle
from rules.ranges import AddressRange, Range, port_range
from rules.service_fields import trimmed
from rules.service_update import updated_service
from rules.services import Services
from state.defaults import default
from state.load import from_dict
from state.objects import ObjectMeta, Service, ServicePort, ServiceSpec, replace
from state.snapshot import Key, Snapshot

REFUSALS = ("failed to allocate", "not configured on this cluster", "not configured for dual-stack")


@pytest.mark.parametrize("name", case_names("defaults-service-", "svc-cluster-ip", "svc-external-name"))
def test_services_are_stored_as_recorded(name):
    """What the API server answers is what is there after a pass."""
    player = ClusterPlayer(load_case(name)).play()
    assert player.mismatches() == []
    player.settle()
    assert_settled(player.cycle, concerns, player.now)


def refused():
    for name in ("svc-cluster-ip", "api-service"):
        case = load_case(name)
        for index, response in sorted(case["expected"]["responses"].items()):
            message = response.get("status", {}).get("message", "")
            if any(text in message for text in REFUSALS):
                yield pytest.param(case, int(index), message, id=f"{name}-{index}")


@pytest.mark.parametrize(("case", "index", "message"), list(refused()))
def test_a_refusal_is_noted_in_the_recorded_words(case, index, message):
    """What the API server refuses stays as it is, with a note that has its reason."""
    body = case["steps"][index]["body"]
    asked = default(from_dict({**body, "metadata": {**body["metadata"], "namespace": "ns", "uid": "asked"}}))
    holder = service("a-given", cluster_ip="10.96.77.7")
    cycle = Cycle(Snapshot.of([holder, asked]), [Services()])
    cycle.settle(NOW)
    note = cycle.ctx.notes["services", Key.of(asked)]
    assert message.split("is invalid: ", 1)[1] in note.why
    assert cycle.ws.get(Key.of(asked)) == asked


def service(name, *, uid=None, created=None, **spec):
    spec.setdefault("ports", (ServicePort(port=80),))
    meta = ObjectMeta(name=name, namespace="ns", uid=uid or f"uid-{name}", creation_timestamp=created)
    return default(Service(metadata=meta, spec=ServiceSpec(**spec)))


def settled(*objects, **options):
    cycle = Cycle(Snapshot.of(objects), [Services(**options)])
    cycle.settle(NOW)
    return cycle


def spec_of(cycle, name):
    return cycle.ws.find(Service, "ns", name).spec


def why(cycle, name):
    note = cycle.ctx.notes.get(("services", Key("Service", "ns", name)))
    return "" if note is None else note.why


def test_an_address_depends_on_the_name_alone():
    """A new service moves nobody, and the order of creation doesn't matter."""
    one = settled(service("a"), service("b"))
    other = settled(service("c"), service("b"), service("a"))
    assert spec_of(one, "a") == spec_of(other, "a")
    assert spec_of(one, "b") == spec_of(other, "b")


def test_the_lower_part_of_a_range_is_used_last():
    """A /24 keeps its first 16 addresses for those who ask for one by name (KEP-3070)."""
    numbers = AddressRange.parse("10.96.0.0/24")
    assert numbers.text(numbers.numbers.first) == "10.96.0.1"
    assert (numbers.numbers.size, numbers.numbers.static) == (254, 16)
    assert AddressRange.parse("10.96.0.0/20").numbers.static == 256
    assert port_range(30000, 32767).static == 86
    cycle = settled(*(service(f"s{i}") for i in range(254)), cidrs=["10.96.0.0/24"])
    addresses = [spec_of(cycle, f"s{i}").cluster_ip for i in range(254)]
    assert len(set(addresses)) == 254
    assert "10.96.0.1" in addresses


def test_a_full_range_is_noted_and_the_next_free_address_is_taken():
    """Who came too late gets the address of a service that goes."""
    cycle = settled(*(service(f"s{i}") for i in range(7)), cidrs=["10.96.0.0/29"])
    late = [f"s{i}" for i in range(7) if not spec_of(cycle, f"s{i}").cluster_ip]
    assert late == ["s6"]
    assert "range is full" in why(cycle, "s6")
    freed = spec_of(cycle, "s0").cluster_ip
    cycle.ws.remove(Key("Service", "ns", "s0"))
    cycle.settle(NOW)
    assert spec_of(cycle, "s6").cluster_ip == freed
    assert why(cycle, "s6") == ""


def test_of_two_that_ask_for_one_address_the_older_has_it():
    """And the other gets it when the older one goes."""
    young = service("a", cluster_ip="10.96.5.5", created="2026-01-02T00:00:00Z")
    old = service("z", cluster_ip="10.96.5.5", created="2026-01-01T00:00:00Z")
    cycle = settled(young, old)
    assert "provided IP is already allocated" in why(cycle, "a")
    assert why(cycle, "z") == ""
    cycle.ws.remove(Key.of(old))
    cycle.settle(NOW)
    assert why(cycle, "a") == ""
    assert spec_of(cycle, "a").ip_families == ("IPv4",)


def test_an_address_asked_for_is_not_given_to_another():
    """However the passes go: first those who ask, then those who take any."""
    plain = settled(service("a"))
    wanted = spec_of(plain, "a").cluster_ip
    cycle = settled(service("a"), service("b", cluster_ip=wanted))
    assert spec_of(cycle, "b").cluster_ip == wanted
    assert spec_of(cycle, "a").cluster_ip != wanted


def test_node_ports():
    """One for each port; ports that differ in protocol alone share one; one asked for is kept."""
    ports = (
        ServicePort(name="dns", port=53, protocol="UDP"),
        ServicePort(name="dns-tcp", port=53, protocol="TCP"),
        ServicePort(name="web", port=80, node_port=30080),
    )
    spec = spec_of(settled(service("s", type="NodePort", ports=ports)), "s")
    first, second, third = (port.node_port for port in spec.ports)
    assert first == second
    assert 30086 <= first <= 32767
    assert third == 30080


def test_a_node_port_of_another_service_is_refused():
    """In the words of the port allocator; so is one outside the range."""
    taken = service("a", type="NodePort", ports=(ServicePort(port=80, node_port=30080),))
    cycle = settled(taken, service("b", type="NodePort", ports=(ServicePort(port=80, node_port=30080),)))
    message = "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"
    assert message in why(cycle, "b")
    cycle = settled(service("c", type="NodePort", ports=(ServicePort(port=80, node_port=99),)))
    message = "provided port is not in the valid range. The range of valid ports is 30000-32767"
    assert message in why(cycle, "c")


def test_a_load_balancer_gets_node_ports_and_a_health_port():
    """Unless it does without; and it waits for somebody to give it an external address."""
    cycle = settled(
        service("local", type="LoadBalancer", external_traffic_policy="Local"),
        service("bare", type="LoadBalancer", allocate_load_balancer_node_ports=False),
    )
    local, bare = spec_of(cycle, "local"), spec_of(cycle, "bare")
    assert local.ports[0].node_port
    assert local.health_check_node_port not in (None, local.ports[0].node_port)
    assert (bare.ports[0].node_port, bare.health_check_node_port) == (None, None)
    assert "waits for a load balancer" in why(cycle, "bare")


def test_two_families():
    """With two ranges a service gets the family it asks for, or both."""
    cycle = settled(
        service("single"),
        service("six", ip_families=("IPv6",)),
        service("both", ip_family_policy="RequireDualStack"),
        service("prefers", ip_family_policy="PreferDualStack", ip_families=("IPv6",)),
        cidrs=["10.96.0.0/16", "fd00::/108"],
    )
    assert spec_of(cycle, "single").ip_families == ("IPv4",)
    assert spec_of(cycle, "six").cluster_ip.startswith("fd00::")
    assert spec_of(cycle, "both").ip_families == ("IPv4", "IPv6")
    assert spec_of(cycle, "both").cluster_ips[1].startswith("fd00::")
    assert spec_of(cycle, "prefers").ip_families == ("IPv6", "IPv4")
    assert spec_of(settled(service("p", ip_family_policy="PreferDualStack")), "p").ip_families == ("IPv4",)


def test_headless_without_selector_is_of_both_families():
    """Its endpoints are hand-written: they may be of any family."""
    spec = spec_of(settled(service("h", cluster_ip="None")), "h")
    assert (spec.cluster_ips, spec.ip_families, spec.ip_family_policy) == (
        ("None",),
        ("IPv4", "IPv6"),
        "RequireDualStack",
    )


def test_ranges_are_checked():
    """Two ranges of one family are no configuration."""
    with pytest.raises(ValueError, match="expected one range, or one for each"):
        Services(cidrs=["10.0.0.0/16", "10.1.0.0/16"])


def test_another_type_gives_up_what_it_has_no_use_for():
    """The numbers are free at once."""
    cycle = settled(service("s", type="NodePort"))
    live = cycle.ws.find(Service, "ns", "s")
    cycle.ws.put(replace(live, spec=replace(live.spec, type="ExternalName", external_name="example.com")))
    cycle.settle(NOW)
    spec = spec_of(cycle, "s")
    assert (spec.cluster_ip, spec.cluster_ips, spec.ip_families, spec.ports[0].node_port) == (None, (), (), None)
    assert trimmed(spec) is spec


def test_an_update_keeps_what_was_allocated():
    """A manifest without addresses and node ports doesn't take them away; ports are known by name."""
    old = service(
        "s",
        type="NodePort",
        cluster_ip="10.96.3.3",
        ip_families=("IPv4",),
        ip_family_policy="SingleStack",
        ports=(ServicePort(name="a", port=80, node_port=30001), ServicePort(name="b", port=81, node_port=30002)),
    )
    ports = (ServicePort(name="b", port=8081), ServicePort(name="c", port=82, node_port=30001))
    new = updated_service(service("s", type="NodePort", ports=ports), old)
    assert new.spec.cluster_ips == ("10.96.3.3",)
    assert [port.node_port for port in new.spec.ports] == [30002, 30001]
    plain = updated_service(service("s", ports=ports[:1]), old)
    assert (plain.spec.cluster_ip, plain.spec.ports[0].node_port) == ("10.96.3.3", None)
    headless = updated_service(service("s", cluster_ip="None"), old)
    assert headless.spec.cluster_ips == ("None",)


@given(st.integers(1, 60), st.integers(0, 60), st.sets(st.integers(0, 59)), st.text(max_size=5))
def test_a_pick_is_free_and_found_if_there_is_one(size, static, taken, owner):
    """The search goes through the whole range."""
    numbers = Range(0, size, min(static, size))
    found = numbers.pick(owner, taken)
    free = set(range(size)) - taken
    assert (found in free) if free else (found is None)


NAMES = ["a", "b", "c", "d", "e"]
SPECS = st.builds(
    dict,
    type=st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
    cluster_ip=st.sampled_from([None, "None", "10.96.0.3", "10.96.0.4", "1.2.3.4"]),
    ports=st.sampled_from(
        [(ServicePort(port=80),), (ServicePort(port=80, node_port=30001),), (ServicePort(port=81, node_port=30002),)]
    ),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.none() | SPECS), max_size=12))
def test_numbers_are_never_given_twice(events):
    """Whatever services come, change and go: a number has one holder, and a cold loop finds nothing to do."""

    def make():
        return [Services(cidrs=["10.96.0.0/29"], node_ports=(30000, 30004))]

    cycle = Cycle(Snapshot.of([]), make())
    for name, spec in events:
        if spec is None:
            cycle.ws.remove(Key("Service", "ns", name))
        else:
            live = cycle.ws.find(Service, "ns", name)
            fresh = service(name, **spec)
            cycle.ws.put(fresh if live is None else updated_service(fresh, live))
        cycle.settle(NOW)
        holders = {}
        for found in cycle.ws.objects(Service):
            if "gets no address" in why(cycle, found.metadata.name):
                continue
            numbers = [ip for ip in found.spec.cluster_ips if ip != "None"]
            for number in {*numbers, *(port.node_port for port in found.spec.ports if port.node_port)}:
                assert holders.setdefault(number, found.metadata.name) == found.metadata.name
        assert_settled(cycle, make, NOW)
