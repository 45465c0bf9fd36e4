"""The simulated network: the conformance suite, and the faults it is there for."""

from itertools import count

import pytest

from reconciler.drivers.faults import ALWAYS, Fault
from reconciler.drivers.network.base import (
    Backend,
    NetworkError,
    PodRef,
    ServiceConfig,
    ServiceKey,
    ServicePortConfig,
)
from reconciler.drivers.network.conformance import NetworkConformance
from reconciler.drivers.network.simulated import SimulatedNetwork

POD = PodRef("uid-1", "default", "web-0")


class SimulatedHarness:
    node_ip = "192.168.0.1"

    def __init__(self):
        self.driver = SimulatedNetwork(node_ips=[self.node_ip])
        self._numbers = count(1)

    def virtual_ip(self):
        return f"10.96.0.{next(self._numbers)}"

    def port(self):
        return 8000 + next(self._numbers)

    def client_ip(self, number):
        return f"10.128.9.{number}"

    def backend(self, protocol="TCP"):
        return Backend(f"10.128.0.{next(self._numbers)}", 8080)

    def ask(self, ip, port, protocol="TCP", client=None):
        return self.driver.route(ip, port, client or "10.128.9.9", protocol=protocol)

    def reopen(self):
        self.driver.close()


class TestSimulatedNetwork(NetworkConformance):
    @pytest.fixture
    def harness(self):
        return SimulatedHarness()


def test_the_order_of_calls_decides_the_addresses():
    """Two networks that are asked the same give the same."""
    pods = [PodRef(f"uid-{number}", "default", f"web-{number}") for number in range(5)]
    first, second = SimulatedNetwork(), SimulatedNetwork()
    assert [first.setup_pod(pod) for pod in pods] == [second.setup_pod(pod) for pod in pods]
    assert first.setup_pod(pods[0]).ip == "10.128.0.1"


def test_no_address_left_names_the_pod():
    """A range of two addresses has none for the third pod, until one is released."""
    network = SimulatedNetwork(pod_cidr="10.0.0.0/30")
    for uid in ("a", "b"):
        network.setup_pod(PodRef(uid, "default", uid))
    with pytest.raises(NetworkError, match=r"pod default/c: all 2 addresses of 10\.0\.0\.0/30 are in use"):
        network.setup_pod(PodRef("c", "default", "c"))
    network.teardown_pod("a")
    assert network.setup_pod(PodRef("c", "default", "c")).ip == "10.0.0.1"


def test_a_fault_fails_the_call_before_it_does_anything():
    """The next call works."""
    network = SimulatedNetwork()
    network.faults.add(Fault("setup_pod", "uid-1", message="no carrier"))
    with pytest.raises(NetworkError, match="setup_pod uid-1: no carrier"):
        network.setup_pod(POD)
    assert network.observe().pods == ()
    assert network.setup_pod(POD).ip == "10.128.0.1"


def test_a_lost_answer_leaves_the_work_done():
    """The caller sees an error, tries again and finds it done."""
    network = SimulatedNetwork()
    network.faults.add(Fault("setup_pod", after=True))
    with pytest.raises(NetworkError):
        network.setup_pod(POD)
    (known,) = network.observe().pods
    assert network.setup_pod(POD) == known


def test_a_lasting_fault_lasts_until_it_is_cleared():
    """ALWAYS doesn't wear off."""
    network = SimulatedNetwork()
    network.faults.add(Fault("apply_service", "default/web", times=ALWAYS))
    config = ServiceConfig(ServiceKey("default", "web"), ("10.96.0.1",), (ServicePortConfig("", "TCP", 80),))
    for _ in range(3):
        with pytest.raises(NetworkError):
            network.apply_service(config)
    network.faults.clear()
    assert network.apply_service(config).config == config


def test_affinity_runs_out_after_its_time_without_connections():
    """Each connection starts the time again."""
    network = SimulatedNetwork()
    backends = (Backend("10.128.0.1", 80), Backend("10.128.0.2", 80))
    port = ServicePortConfig("", "TCP", 80, backends)
    network.apply_service(ServiceConfig(ServiceKey("default", "web"), ("10.96.0.1",), (port,), affinity_seconds=100))

    def ask(now):
        return network.route("10.96.0.1", 80, "10.128.9.9", now=now)

    assert [ask(0.0), ask(99.0), ask(198.0)] == [backends[0]] * 3
    assert ask(298.0) == backends[1]


def test_random_balance_is_the_same_for_the_same_seed_and_about_equal():
    """As iptables mode: equal probability."""
    backends = tuple(Backend(f"10.128.0.{number}", 80) for number in range(1, 5))
    config = ServiceConfig(ServiceKey("default", "web"), ("10.96.0.1",), (ServicePortConfig("", "TCP", 80, backends),))

    def draw(seed):
        network = SimulatedNetwork(balance="random", seed=seed)
        network.apply_service(config)
        return [network.route("10.96.0.1", 80) for _ in range(4000)]

    answers = draw(7)
    assert answers == draw(7) != draw(8)
    assert all(850 < answers.count(backend) < 1150 for backend in backends)


def test_a_port_twice_in_one_service_is_reported():
    """The second one can't have the address."""
    ports = (ServicePortConfig("a", "TCP", 80), ServicePortConfig("b", "TCP", 80))
    with pytest.raises(
        NetworkError, match=r"port b \(80/TCP\) on 10.96.0.1:80: port a \(80/TCP\) has this address too"
    ):
        SimulatedNetwork().apply_service(ServiceConfig(ServiceKey("default", "web"), ("10.96.0.1",), ports))
