"""A network without sockets: addresses and routing as the real one, deterministic, with faults on order.

``route`` answers where a connection would go, so that a test can ask what a client would see.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.drivers.faults import Fault, FaultPlan
from reconciler.drivers.network.addresses import AddressesExhausted, AddressPool
from reconciler.drivers.network.balance import Balancer, Policy
from reconciler.drivers.network.base import (
    Backend,
    NetworkError,
    NetworkState,
    NodeRoute,
    PodNetwork,
    PodRef,
    PortProtocol,
    ServiceConfig,
    ServiceKey,
    ServiceStatus,
)
from reconciler.drivers.network.services import Address, Frontend, ServiceTable


class _SimulatedServer:
    """Answers on one address by telling the backend."""

    def __init__(self, address: Address, balancer: Balancer) -> None:
        self._address = address
        self.balancer = balancer

    def update(self, frontend: Frontend) -> None:
        self.balancer.affinity_seconds = frontend.affinity_seconds
        self.balancer.update(frontend.backends)

    def bound(self) -> tuple[str, int] | None:
        return (self._address.ip, self._address.port) if self.balancer.backends else None

    def trouble(self) -> str:
        return ""

    def close(self) -> None:
        self.balancer.update(())


class SimulatedNetwork:
    """A network driver in memory.

    The order of calls alone decides the addresses. ``faults`` takes orders for "setup_pod" and "teardown_pod" (target:
    the pod's uid), "set_node_routes", "apply_service" and "remove_service" (target: "namespace/name").
    """

    def __init__(
        self,
        *,
        pod_cidr: str = "10.128.0.0/9",
        node_ips: Sequence[str] = ("127.0.0.1",),
        balance: Policy = "round-robin",
        seed: int = 0,
    ) -> None:
        self.faults = FaultPlan(_network_error)
        self._pool = AddressPool(pod_cidr)
        self._pods: dict[str, PodNetwork] = {}
        self._routes: tuple[NodeRoute, ...] = ()
        self._services = ServiceTable(
            lambda address: _SimulatedServer(address, Balancer(balance, seed=seed)),
            node_ips,
        )

    def setup_pod(self, pod: PodRef) -> PodNetwork:
        """Gives the pod the next address."""
        with self.faults.guard("setup_pod", pod.uid):
            known = self._pods.get(pod.uid)
            if known is None:
                try:
                    known = PodNetwork(pod, self._pool.allocate(pod.uid))
                except AddressesExhausted as error:
                    raise NetworkError(f"pod {pod.namespace}/{pod.name}: {error}") from error
                self._pods[pod.uid] = known
        return known

    def teardown_pod(self, uid: str) -> None:
        """Takes the address back."""
        with self.faults.guard("teardown_pod", uid):
            self._pods.pop(uid, None)
            self._pool.release(uid)

    def set_node_routes(self, routes: Sequence[NodeRoute]) -> None:
        """Records the routes."""
        with self.faults.guard("set_node_routes", ""):
            self._routes = tuple(sorted(routes, key=lambda route: route.node))

    def apply_service(self, config: ServiceConfig) -> ServiceStatus:
        """Programs the service."""
        with self.faults.guard("apply_service", str(config.key)):
            return self._services.apply(config)

    def remove_service(self, key: ServiceKey) -> None:
        """Forgets the service."""
        with self.faults.guard("remove_service", str(key)):
            self._services.remove(key)

    def observe(self) -> NetworkState:
        """Everything programmed."""
        pods = tuple(self._pods[uid] for uid in sorted(self._pods))
        return NetworkState(pods, self._services.statuses(), self._routes)

    def route(
        self, ip: str, port: int, client: str = "127.0.0.1", *, protocol: PortProtocol = "TCP", now: float = 0.0
    ) -> Backend:
        """Where a new connection of ``client`` goes at ``now`` (seconds of any steady clock).

        Raises:
            ConnectionRefusedError: nothing serves that address, or it has no endpoints.
        """
        server = self._services.find(Address(protocol, ip, port))
        if server is None or not server.balancer.backends:
            raise ConnectionRefusedError(f"{ip}:{port}/{protocol} refuses connections")
        return server.balancer.pick(client, now)

    def close(self) -> None:
        """Nothing is held."""


def _network_error(fault: Fault, call: str) -> NetworkError:
    return NetworkError(f"{call}: {fault.message}")
