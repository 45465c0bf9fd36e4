"""kube-proxy's decisions, and keeping a network driver equal to them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.drivers.faults import ALWAYS, Fault
from reconciler.drivers.network.base import Backend, ServiceConfig, ServiceKey, ServicePortConfig
from reconciler.drivers.network.simulated import SimulatedNetwork
from reconciler.proxy import Proxy, service_config, slices_by_service
from state.objects import (
    ClientIPConfig,
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointSlice,
    EndpointSlicePort,
    ForNode,
    ForZone,
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
    SessionAffinityConfig,
)

WEB = ServiceKey("default", "web")
SECOND = 1_000_000
HTTP = (ServicePort(port=80),)
TARGET = (EndpointSlicePort(port=8080),)


def service(name="web", *, ports=HTTP, labels=None, status=None, **spec):
    spec = {"cluster_ip": "10.96.0.10", **spec}
    return Service(
        metadata=ObjectMeta(name=name, namespace="default", labels=labels or {}),
        spec=ServiceSpec(ports=ports, **spec),
        status=status or ServiceStatus(),
    )


def endpoint(ip, *, node="node-1", nodes=(), zones=(), **conditions):
    hints = EndpointHints(
        for_nodes=tuple(ForNode(name=name) for name in nodes), for_zones=tuple(ForZone(name=name) for name in zones)
    )
    return Endpoint(addresses=(ip,), node_name=node, hints=hints, conditions=EndpointConditions(**conditions))


def piece(*endpoints, name="web-1", of="web", ports=TARGET, address_type="IPv4"):
    return EndpointSlice(
        metadata=ObjectMeta(name=name, namespace="default", labels={"kubernetes.io/service-name": of}),
        address_type=address_type,
        endpoints=endpoints,
        ports=ports,
    )


def ips(backends):
    return [backend.ip for backend in backends]


def service_configs(services, slices):
    grouped = slices_by_service(slices)
    configs = (service_config(it, grouped.get(ServiceKey("default", it.metadata.name), ())) for it in services)
    return sorted(filter(None, configs), key=lambda config: config.key)


def only_port(*args, **kwargs):
    (port,) = service_config(*args, **kwargs).ports
    return port


def test_a_cluster_ip_service_is_served_on_its_address_with_its_ready_endpoints():
    """A condition that isn't set counts as ready."""
    slices = [piece(endpoint("10.0.0.2", ready=True), endpoint("10.0.0.1"), endpoint("10.0.0.3", ready=False))]
    assert service_configs([service()], slices) == [
        ServiceConfig(
            WEB,
            ("10.96.0.10",),
            (
                ServicePortConfig(
                    "",
                    "TCP",
                    80,
                    (Backend("10.0.0.1", 8080), Backend("10.0.0.2", 8080)),
                    0,
                    (Backend("10.0.0.1", 8080), Backend("10.0.0.2", 8080)),
                ),
            ),
        )
    ]


@pytest.mark.parametrize(
    "skipped",
    [
        service(cluster_ip="None"),
        service(cluster_ip=""),
        service(cluster_ip=None),
        service(type="ExternalName", external_name="example.com", cluster_ip=None),
        service(labels={"service.kubernetes.io/service-proxy-name": "other"}),
        service(cluster_ip="fd00::1"),
    ],
    ids=["headless", "empty", "not allocated", "external name", "another proxy's", "IPv6"],
)
def test_some_services_need_no_proxy(skipped):
    """Nothing is served for them."""
    assert service_config(skipped, [piece(endpoint("10.0.0.1"))]) is None


def test_a_service_without_endpoints_is_served_with_no_backends():
    """So that it refuses connections, as kube-proxy rejects them."""
    assert only_port(service(), []).backends == ()


def test_ports_are_matched_by_name_and_protocol():
    """The target port's number is the slice's, and slices may differ."""
    ports = (
        ServicePort(name="web", port=80, protocol="TCP"),
        ServicePort(name="dns", port=53, protocol="UDP"),
        ServicePort(name="dns-tcp", port=53, protocol="TCP"),
    )
    slices = [
        piece(
            endpoint("10.0.0.1"),
            ports=(
                EndpointSlicePort(name="web", port=8080, protocol="TCP"),
                EndpointSlicePort(name="dns", port=5353, protocol="UDP"),
                EndpointSlicePort(name="dns-tcp", port=None, protocol="TCP"),
            ),
        ),
        piece(endpoint("10.0.0.2"), name="web-2", ports=(EndpointSlicePort(name="web", port=9090),)),
    ]
    web, dns, dns_tcp = service_config(service(ports=ports), slices).ports
    assert web.backends == (Backend("10.0.0.1", 8080), Backend("10.0.0.2", 9090))
    assert (dns.protocol, dns.backends) == ("UDP", (Backend("10.0.0.1", 5353),))
    assert dns_tcp.backends == ()


def test_an_endpoint_in_two_slices_counts_once_and_as_ready_if_one_says_so():
    """As while endpoints move between slices."""
    slices = [piece(endpoint("10.0.0.1", ready=False), name="b"), piece(endpoint("10.0.0.1"), name="a")]
    assert ips(only_port(service(), slices).backends) == ["10.0.0.1"]
    assert ips(only_port(service(), slices[::-1]).backends) == ["10.0.0.1"]


def test_slices_of_other_families_and_services_do_not_matter():
    """IPv6 and FQDN slices are other proxies'."""
    slices = [
        piece(endpoint("fd00::1"), address_type="IPv6"),
        piece(endpoint("example.com"), address_type="FQDN"),
        piece(endpoint("10.0.0.9"), of="api"),
    ]
    (config,) = service_configs([service()], slices)
    assert config.ports[0].backends == ()


def test_terminating_endpoints_serve_only_when_none_is_ready():
    """And only those that still serve."""
    draining = endpoint("10.0.0.1", ready=False, serving=True, terminating=True)
    gone = endpoint("10.0.0.2", ready=False, serving=False, terminating=True)
    ready = endpoint("10.0.0.3")
    assert ips(only_port(service(), [piece(draining, gone, ready)]).backends) == ["10.0.0.3"]
    assert ips(only_port(service(), [piece(draining, gone)]).backends) == ["10.0.0.1"]


def test_local_policies_keep_to_the_nodes_own_endpoints():
    """Internal for the cluster IP, external for the node port; each falls back to its own terminating endpoints."""
    here = endpoint("10.0.0.1", node="here")
    here_draining = endpoint("10.0.0.3", node="here", ready=False, serving=True, terminating=True)
    there = endpoint("10.0.0.2", node="there")
    ports = (ServicePort(port=80, node_port=30080),)
    local = {"internal_traffic_policy": "Local"}, {"external_traffic_policy": "Local"}

    def both(policy, *endpoints, node="here"):
        port = only_port(service(ports=ports, type="NodePort", **policy), [piece(*endpoints)], node)
        return ips(port.backends), ips(port.external_backends)

    assert both({}, here, there) == (["10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2"])
    assert both(local[0], here, there) == (["10.0.0.1"], ["10.0.0.1", "10.0.0.2"])
    assert both(local[1], here, there) == (["10.0.0.1", "10.0.0.2"], ["10.0.0.1"])
    assert both(local[0], here_draining, there) == (["10.0.0.3"], ["10.0.0.2"])
    assert both(local[0], there) == ([], ["10.0.0.2"])
    assert both(local[0], here, there, node="") == (["10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2"])


def test_topology_hints_are_followed_if_every_ready_endpoint_has_one_and_one_is_for_here():
    """Same node first, then same zone; otherwise hints don't matter."""
    a = endpoint("10.0.0.1", zones=["east"], nodes=["n1"])
    b = endpoint("10.0.0.2", zones=["east"], nodes=["n2"])
    c = endpoint("10.0.0.3", zones=["west"], nodes=["n3"])
    unhinted = endpoint("10.0.0.4")

    def backends(*endpoints, node="n9", zone="east"):
        return ips(only_port(service(), [piece(*endpoints)], node, zone).backends)

    assert backends(a, b, c, node="n1") == ["10.0.0.1"]
    assert backends(a, b, c) == ["10.0.0.1", "10.0.0.2"]
    assert backends(a, b, c, zone="north") == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert backends(a, b, c, unhinted, node="n1") == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]


def test_node_ports_and_load_balancers():
    """A load balancer is served as its node port and at the addresses that it leaves to the proxy."""
    ports = (ServicePort(port=80, node_port=30080),)
    ingress = (LoadBalancerIngress(ip="192.0.2.1"), LoadBalancerIngress(ip="192.0.2.2", ip_mode="Proxy"))
    status = ServiceStatus(load_balancer=LoadBalancerStatus(ingress=ingress))
    config = service_config(service(ports=ports, type="LoadBalancer", status=status, external_ips=("192.0.2.9",)), [])
    assert config.ports[0].node_port == 30080
    assert config.external_ips == ("192.0.2.9", "192.0.2.1")
    assert only_port(service(ports=ports, type="NodePort"), []).node_port == 30080
    assert only_port(service(ports=ports, type="ClusterIP"), []).node_port == 0


def test_session_affinity():
    """Three hours unless it says otherwise."""
    config = SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=60))
    assert service_config(service(), []).affinity_seconds == 0
    assert service_config(service(session_affinity="None"), []).affinity_seconds == 0
    assert service_config(service(session_affinity="ClientIP"), []).affinity_seconds == 10_800
    both = service(session_affinity="ClientIP", session_affinity_config=config)
    assert service_config(both, []).affinity_seconds == 60


class CountingNetwork(SimulatedNetwork):
    """Remembers what it was asked to do."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def apply_service(self, config):
        self.calls.append(f"apply {config.key.name}")
        return super().apply_service(config)

    def remove_service(self, key):
        self.calls.append(f"remove {key.name}")
        super().remove_service(key)


def test_only_differences_reach_the_driver():
    """The same objects, and equal ones, cause no call."""
    network = CountingNetwork()
    proxy = Proxy(network)
    web, api = service(), service("api", cluster_ip="10.96.0.11")
    slices = [piece(endpoint("10.0.0.1"))]
    report = proxy.sync([web, api], slices, 0)
    assert [key.name for key in report.applied] == ["api", "web"]
    for _ in range(2):
        assert proxy.sync([service(), api], [piece(endpoint("10.0.0.1"))], 0).applied == ()
    proxy.sync([web, api], [piece(endpoint("10.0.0.1"), endpoint("10.0.0.2"))], 0)
    report = proxy.sync([web], slices, 0)
    assert [key.name for key in report.removed] == ["api"]
    assert network.calls == ["apply api", "apply web", "apply web", "remove api", "apply web"]


def test_a_proxy_takes_over_what_the_driver_serves():
    """After a restart: nothing is programmed again that is right, and what isn't wanted goes."""
    network = CountingNetwork()
    Proxy(network).sync([service(), service("old", cluster_ip="10.96.0.11")], [], 0)
    network.calls.clear()
    report = Proxy(network).sync([service()], [], 0)
    assert [key.name for key in report.removed] == ["old"]
    assert network.calls == ["remove old"]


def test_a_failure_is_reported_and_tried_again_after_longer_and_longer():
    """One second, then two, then four; it is reported all the time."""
    network = CountingNetwork()
    network.faults.add(Fault("apply_service", "default/web", times=3, message="no permission"))
    proxy = Proxy(network)
    due = []
    for now in range(0, 12 * SECOND, SECOND // 2):
        report = proxy.sync([service()], [], now)
        if not report.failures:
            break
        (failure,) = report.failures
        assert failure.message == "apply_service default/web: no permission"
        due.append(report.retry_at)
    assert sorted(set(due)) == [1 * SECOND, 3 * SECOND, 7 * SECOND]
    assert now == 7 * SECOND
    assert report.applied == (WEB,)
    assert len(network.calls) == 4


def test_a_changed_service_is_tried_at_once():
    """The new one may well work."""
    network = SimulatedNetwork()
    network.faults.add(Fault("apply_service", "default/web"))
    proxy = Proxy(network)
    assert proxy.sync([service()], [], 0).failures
    assert proxy.sync([service(ports=(ServicePort(port=81),))], [], 1).failures == ()


def test_a_freed_port_goes_to_the_service_that_waits_for_it_at_once():
    """Whether the holder is removed or moves away."""
    ports = (ServicePort(port=80, node_port=30080),)
    holder = service("zebra", ports=ports, type="NodePort")
    waiting = service("ant", ports=ports, type="NodePort", cluster_ip="10.96.0.11")
    moved = service("zebra", ports=(ServicePort(port=80, node_port=30081),), type="NodePort")
    for after in ([waiting], [waiting, moved]):
        proxy = Proxy(SimulatedNetwork())
        proxy.sync([holder], [], 0)
        (failure,) = proxy.sync([holder, waiting], [], 0).failures
        assert "service default/zebra has this address" in failure.message
        assert proxy.sync(after, [], 1).failures == ()


def test_a_failed_removal_is_tried_again():
    """The service is not forgotten."""
    network = SimulatedNetwork()
    proxy = Proxy(network)
    proxy.sync([service()], [], 0)
    network.faults.add(Fault("remove_service", "default/web"))
    report = proxy.sync([], [], 0)
    assert (report.removed, report.failures[0].service) == ((), WEB)
    assert proxy.sync([], [], report.retry_at).removed == (WEB,)
    assert network.observe().services == ()


NAMES = ["a", "b", "c", "d"]
CLUSTERS = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.integers(80, 82), st.sampled_from([0, 30080, 30081]), st.sets(st.integers(1, 4), max_size=3)),
)
FAULTS = st.lists(
    st.builds(
        Fault,
        verb=st.sampled_from(["apply_service", "remove_service"]),
        target=st.sampled_from(["", *(f"default/{name}" for name in NAMES)]),
        times=st.sampled_from([1, 2, ALWAYS]),
        after=st.booleans(),
    ),
    max_size=3,
)


@settings(max_examples=150)
@given(st.lists(st.tuples(CLUSTERS, FAULTS), min_size=1, max_size=4))
def test_whatever_went_wrong_in_the_end_the_driver_serves_what_the_cluster_says(history):
    """After any changes and faults, once these stop, everything is served, or its address is another service's."""
    network = SimulatedNetwork()
    proxy = Proxy(network)
    services, slices, now = [], [], 0

    def settle():
        nonlocal now
        now += 60 * SECOND
        return proxy.sync(services, slices, now)

    for cluster, faults in history:
        for fault in faults:
            network.faults.add(fault)
        services, slices = [], []
        for name, (port, node_port, numbers) in cluster.items():
            address = f"10.96.0.{NAMES.index(name) + 1}"
            ports = (ServicePort(port=port, node_port=node_port or None),)
            services.append(service(name, ports=ports, type="NodePort", cluster_ip=address))
            slices.append(piece(*(endpoint(f"10.0.0.{number}") for number in numbers), name=name, of=name))
        settle()
    network.faults.clear()
    for _ in range(3):
        report = settle()
    statuses = network.observe().services
    assert [status.config for status in statuses] == service_configs(services, slices)
    failed = {failure.service for failure in report.failures}
    assert failed == {status.config.key for status in statuses if status.problems}
    node_ports = [status.config.ports[0].node_port for status in statuses if status.config.key not in failed]
    assert sorted(set(filter(None, node_ports))) == sorted(filter(None, node_ports))
    assert set(filter(None, node_ports)) == {port for _, port, _ in history[-1][0].values() if port}
