"""What every network driver must do, as tests that any implementation can run. Needs pytest.

Use::

    class TestMyNetwork(NetworkConformance):
        @pytest.fixture
        def harness(self, tmp_path):
            ...yield a NetworkHarness over a fresh driver, then close it
"""

# ruff: noqa: D102  (the name of a test states the behaviour)

from __future__ import annotations

from collections import Counter
from typing import Protocol

import pytest

from reconciler.drivers.network.base import (
    Backend,
    NetworkDriver,
    NetworkError,
    NodeRoute,
    PodRef,
    PortProtocol,
    ServiceConfig,
    ServiceKey,
    ServicePortConfig,
    ServiceStatus,
)

_POD = PodRef("uid-1", "default", "web-0", "node-1")
_WEB = ServiceKey("default", "web")


class NetworkHarness(Protocol):
    """A driver, and the means to see whether it does what it says."""

    driver: NetworkDriver
    #: Addresses of a node, where node ports are served.
    node_ip: str

    def virtual_ip(self) -> str:
        """An address for a service that no other test uses."""

    def port(self) -> int:
        """A port that is free on every address."""

    def client_ip(self, number: int) -> str:
        """The address of the client of that number (from 1)."""

    def backend(self, protocol: PortProtocol = "TCP") -> Backend:
        """Starts something that answers every connection (or datagram) with its own address."""

    def ask(self, ip: str, port: int, protocol: PortProtocol = "TCP", client: str | None = None) -> Backend:
        """Connects from that client address and returns who answered; ConnectionRefusedError if nobody listens."""

    def reopen(self) -> None:
        """Replaces ``driver`` by a new one over the same state, as after a restart of the program."""


class NetworkConformance:
    """The tests. A subclass provides the ``harness`` fixture."""

    def test_every_pod_has_its_own_address(self, harness: NetworkHarness) -> None:
        pods = [PodRef(f"uid-{number}", "default", f"web-{number}") for number in range(20)]
        networks = [harness.driver.setup_pod(pod) for pod in pods]
        assert [network.pod for network in networks] == pods
        assert len({network.ip for network in networks}) == len(pods)

    def test_setting_a_pod_up_twice_gives_the_same_address(self, harness: NetworkHarness) -> None:
        assert harness.driver.setup_pod(_POD) == harness.driver.setup_pod(_POD)
        assert len(harness.driver.observe().pods) == 1

    def test_tearing_a_pod_down_twice_or_an_unknown_one_is_fine(self, harness: NetworkHarness) -> None:
        harness.driver.setup_pod(_POD)
        for uid in (_POD.uid, _POD.uid, "nobody"):
            harness.driver.teardown_pod(uid)
        assert harness.driver.observe().pods == ()

    def test_a_released_address_is_not_given_to_the_next_pod(self, harness: NetworkHarness) -> None:
        released = harness.driver.setup_pod(_POD).ip
        harness.driver.teardown_pod(_POD.uid)
        assert harness.driver.setup_pod(PodRef("uid-2", "default", "web-1")).ip != released

    def test_pods_keep_their_addresses_when_the_driver_starts_again(self, harness: NetworkHarness) -> None:
        kept = harness.driver.setup_pod(_POD)
        harness.reopen()
        assert harness.driver.observe().pods == (kept,)
        assert harness.driver.setup_pod(_POD) == kept
        assert harness.driver.setup_pod(PodRef("uid-2", "default", "web-1")).ip != kept.ip

    def test_pods_are_observed_in_order_of_their_uids(self, harness: NetworkHarness) -> None:
        for uid in ("c", "a", "b"):
            harness.driver.setup_pod(PodRef(uid, "default", uid))
        assert [network.pod.uid for network in harness.driver.observe().pods] == ["a", "b", "c"]

    def test_routes_replace_those_before(self, harness: NetworkHarness) -> None:
        first, second = NodeRoute("node-1", "10.1.0.0/24", "10.0.0.1"), NodeRoute("node-2")
        harness.driver.set_node_routes([second, first])
        assert harness.driver.observe().routes == (first, second)
        harness.driver.set_node_routes([second])
        assert harness.driver.observe().routes == (second,)

    def test_a_service_spreads_connections_over_all_backends(self, harness: NetworkHarness) -> None:
        backends = [harness.backend() for _ in range(3)]
        ip, port = _serve(harness, *backends)
        answers = Counter(harness.ask(ip, port) for _ in range(30))
        assert set(answers) == set(backends)

    def test_a_service_carries_udp(self, harness: NetworkHarness) -> None:
        backend = harness.backend("UDP")
        ip, port = harness.virtual_ip(), harness.port()
        harness.driver.apply_service(_config(ip, ServicePortConfig("dns", "UDP", port, (backend,))))
        assert harness.ask(ip, port, "UDP") == backend

    def test_tcp_and_udp_share_a_port_number(self, harness: NetworkHarness) -> None:
        tcp, udp = harness.backend(), harness.backend("UDP")
        ip, port = harness.virtual_ip(), harness.port()
        ports = (ServicePortConfig("a", "TCP", port, (tcp,)), ServicePortConfig("b", "UDP", port, (udp,)))
        harness.driver.apply_service(_config(ip, *ports))
        assert (harness.ask(ip, port), harness.ask(ip, port, "UDP")) == (tcp, udp)

    def test_each_port_of_a_service_has_its_own_backends(self, harness: NetworkHarness) -> None:
        backends = [harness.backend(), harness.backend()]
        ip, numbers = harness.virtual_ip(), [harness.port(), harness.port()]
        ports = [
            ServicePortConfig(f"p{number}", "TCP", number, (backend,))
            for number, backend in zip(numbers, backends, strict=True)
        ]
        harness.driver.apply_service(_config(ip, *ports))
        assert [harness.ask(ip, number) for number in numbers] == backends

    def test_a_service_without_backends_refuses_until_one_comes(self, harness: NetworkHarness) -> None:
        ip, port = _serve(harness)
        with pytest.raises(ConnectionRefusedError):
            harness.ask(ip, port)
        backend = harness.backend()
        _serve(harness, backend, at=(ip, port))
        assert harness.ask(ip, port) == backend
        assert _serve(harness, at=(ip, port)) == (ip, port)
        with pytest.raises(ConnectionRefusedError):
            harness.ask(ip, port)

    def test_applying_twice_is_applying_once(self, harness: NetworkHarness) -> None:
        backend = harness.backend()
        ip, port = _serve(harness, backend)
        before = harness.driver.observe()
        _serve(harness, backend, at=(ip, port))
        assert harness.driver.observe() == before
        assert harness.ask(ip, port) == backend

    def test_new_connections_see_changed_backends(self, harness: NetworkHarness) -> None:
        old, new = harness.backend(), harness.backend()
        ip, port = _serve(harness, old)
        assert harness.ask(ip, port) == old
        _serve(harness, new, at=(ip, port))
        assert {harness.ask(ip, port) for _ in range(6)} == {new}

    def test_a_changed_port_closes_the_old_one(self, harness: NetworkHarness) -> None:
        backend = harness.backend()
        ip, old = _serve(harness, backend)
        new = harness.port()
        _serve(harness, backend, at=(ip, new))
        assert harness.ask(ip, new) == backend
        with pytest.raises(ConnectionRefusedError):
            harness.ask(ip, old)

    def test_a_removed_service_refuses(self, harness: NetworkHarness) -> None:
        ip, port = _serve(harness, harness.backend())
        for key in (_WEB, _WEB, ServiceKey("default", "nobody")):
            harness.driver.remove_service(key)
        with pytest.raises(ConnectionRefusedError):
            harness.ask(ip, port)
        assert harness.driver.observe().services == ()

    def test_a_node_port_reaches_its_own_backends(self, harness: NetworkHarness) -> None:
        inside, outside = harness.backend(), harness.backend()
        ip, port, node_port = harness.virtual_ip(), harness.port(), harness.port()
        wanted = ServicePortConfig("http", "TCP", port, (inside,), node_port, (outside,))
        harness.driver.apply_service(_config(ip, wanted))
        assert harness.ask(ip, port) == inside
        assert harness.ask(harness.node_ip, node_port) == outside

    def test_affinity_keeps_a_client_at_its_backend(self, harness: NetworkHarness) -> None:
        backends = tuple(harness.backend() for _ in range(3))
        ip, port = harness.virtual_ip(), harness.port()
        wanted = ServicePortConfig("http", "TCP", port, backends)
        harness.driver.apply_service(_config(ip, wanted, affinity_seconds=10_800))
        clients = [harness.client_ip(number) for number in range(1, 13)]
        first = [harness.ask(ip, port, client=client) for client in clients]
        assert [harness.ask(ip, port, client=client) for client in clients] == first
        assert len(set(first)) > 1

    def test_affinity_ends_when_the_backend_goes(self, harness: NetworkHarness) -> None:
        backends = [harness.backend(), harness.backend()]
        ip, port = harness.virtual_ip(), harness.port()
        client = harness.client_ip(1)

        def apply(*present: Backend) -> None:
            wanted = ServicePortConfig("http", "TCP", port, present)
            harness.driver.apply_service(_config(ip, wanted, affinity_seconds=10_800))

        apply(*backends)
        gone = harness.ask(ip, port, client=client)
        (stays,) = (backend for backend in backends if backend != gone)
        apply(stays)
        assert harness.ask(ip, port, client=client) == stays
        apply(*backends)
        assert {harness.ask(ip, port, client=client) for _ in range(4)} == {stays}

    def test_a_taken_address_is_an_error_that_names_service_and_port_and_heals(self, harness: NetworkHarness) -> None:
        first, second = harness.backend(), harness.backend()
        ip, port, other_port = harness.virtual_ip(), harness.port(), harness.port()
        harness.driver.apply_service(_config(ip, ServicePortConfig("http", "TCP", port, (first,))))
        api = ServiceKey("default", "api")
        ports = (
            ServicePortConfig("rest", "TCP", port, (second,)),
            ServicePortConfig("ok", "TCP", other_port, (second,)),
        )
        config = ServiceConfig(api, (ip,), ports)
        with pytest.raises(NetworkError, match=rf"default/api: port rest \({port}/TCP\).*default/web"):
            harness.driver.apply_service(config)
        assert harness.ask(ip, port) == first
        assert harness.ask(ip, other_port) == second
        assert _status(harness, api).problems
        harness.driver.remove_service(_WEB)
        harness.driver.apply_service(config)
        assert harness.ask(ip, port) == second
        assert _status(harness, api).problems == ()

    def test_services_are_observed_with_where_they_are_reachable(self, harness: NetworkHarness) -> None:
        backend = harness.backend()
        ip, port = _serve(harness, backend)
        status = _status(harness, _WEB)
        assert status.config.ports[0].backends == (backend,)
        (listener,) = status.listeners
        assert (listener.ip, listener.port, listener.wanted_port, listener.port_name) == (ip, port, port, "http")
        _serve(harness, at=(ip, port))
        assert _status(harness, _WEB).listeners == ()

    def test_closing_twice_is_fine(self, harness: NetworkHarness) -> None:
        harness.driver.close()
        harness.driver.close()

    def test_it_is_a_network_driver(self, harness: NetworkHarness) -> None:
        assert isinstance(harness.driver, NetworkDriver)


def _config(ip: str, *ports: ServicePortConfig, affinity_seconds: int = 0) -> ServiceConfig:
    return ServiceConfig(_WEB, (ip,), ports, affinity_seconds=affinity_seconds)


def _serve(harness: NetworkHarness, *backends: Backend, at: tuple[str, int] | None = None) -> tuple[str, int]:
    """Applies the service "default/web" with one port and returns where it is."""
    ip, port = at or (harness.virtual_ip(), harness.port())
    harness.driver.apply_service(_config(ip, ServicePortConfig("http", "TCP", port, backends)))
    return ip, port


def _status(harness: NetworkHarness, key: ServiceKey) -> ServiceStatus:
    (status,) = (status for status in harness.driver.observe().services if status.config.key == key)
    return status
