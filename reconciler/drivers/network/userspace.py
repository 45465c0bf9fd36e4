"""A real network for processes on one machine, without root: loopback addresses and a proxy in this process.

Linux answers on every address of 127.0.0.0/8, so each pod gets one of its own (its processes listen on $POD_IP, not on
0.0.0.0) and each Service is served on its cluster IP, if the control plane allocates cluster IPs from ``SERVICE_CIDR``.
A cluster IP outside 127.0.0.0/8 cannot be bound without root, and is refused by name. Node ports are on 127.0.0.1.

What differs from kube-proxy: the proxy is gone while the reconciler is down. Connections pass through this process; on
the loopback network backends still see the client's address. A client that binds no address of its own is 127.0.0.1,
so session affinity sees all such clients as one.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path

from reconciler.drivers.files import DirectoryLock, remove_unfinished, write_atomic
from reconciler.drivers.network.addresses import AddressesExhausted, AddressPool
from reconciler.drivers.network.balance import Balancer, Policy
from reconciler.drivers.network.base import (
    NetworkError,
    NetworkState,
    NodeRoute,
    PodNetwork,
    PodRef,
    ServiceConfig,
    ServiceKey,
    ServiceStatus,
)
from reconciler.drivers.network.loop import Loop
from reconciler.drivers.network.relay import Relays
from reconciler.drivers.network.services import Address, ServiceTable
from reconciler.drivers.network.sockets import Binding, raise_file_limit
from reconciler.drivers.network.tcp import TcpServer
from reconciler.drivers.network.udp import UdpServer

#: Where pods' addresses come from.
POD_CIDR = "127.16.0.0/12"
#: Where the control plane should allocate cluster IPs from, so that this driver can serve them.
SERVICE_CIDR = "127.96.0.0/16"

_LONGEST_ADDRESS = len("255.255.255.255")


class UserspaceNetwork:
    """Pods on loopback addresses, services by a proxy thread.

    Args:
        state_dir: keeps which pod has which address; the reconciler that comes after finds them there. One at a time.
        pod_cidr: the range for pods, within 127.0.0.0/8. Two reconcilers on one machine need two ranges.
        node_ips: where node ports are served.
        balance: "round-robin", or "random" with ``seed`` for the equal probability of kube-proxy's iptables mode.
        udp_idle_seconds: how long a UDP client keeps its backend without a datagram.
        connect_seconds: how long a backend may take to accept before the next one is tried.
        fallback_offset: a service port below 1024 that the user may not listen on is served on port + this; the
            listeners in ``observe`` tell. 0: it is an error.
        shares_ports: other drivers of this user on this machine serve the same services at the same addresses; each
            connection is one driver's.

    The process' limit of open files is raised to its maximum, as each connection takes two.
    """

    def __init__(
        self,
        state_dir: str | Path,
        *,
        pod_cidr: str = POD_CIDR,
        node_ips: Sequence[str] = ("127.0.0.1",),
        balance: Policy = "round-robin",
        seed: int = 0,
        udp_idle_seconds: float = 60.0,
        connect_seconds: float = 5.0,
        fallback_offset: int = 10_000,
        shares_ports: bool = False,
    ) -> None:
        self._pods = _PodAddresses(Path(state_dir), pod_cidr)
        self._routes: tuple[NodeRoute, ...] = ()
        raise_file_limit()
        self._loop = Loop("userspace-proxy")
        relays = self._relays = Relays(self._loop, connect_seconds)

        def make(address: Address) -> TcpServer | UdpServer:
            balancer = Balancer(balance, seed=seed)
            binding = Binding(address.ip, address.port, fallback_offset, is_shared=shares_ports)
            if address.protocol == "TCP":
                return TcpServer(relays, balancer, binding)
            if address.protocol == "UDP":
                return UdpServer(self._loop, balancer, binding, udp_idle_seconds)
            raise OSError(errno.EPROTONOSUPPORT, f"{address.protocol} is not carried by the userspace driver")

        self._services = ServiceTable(make, node_ips, serves_external=lambda ip: ip.startswith("127."))

    def setup_pod(self, pod: PodRef) -> PodNetwork:
        """Gives the pod an address that no other pod has, and remembers it on disk."""
        return self._pods.setup(pod)

    def teardown_pod(self, uid: str) -> None:
        """Takes the address back; it is given to another pod as late as possible."""
        self._pods.teardown(uid)

    def set_node_routes(self, routes: Sequence[NodeRoute]) -> None:
        """Records the routes; on one machine every address is reachable as it is."""
        self._routes = tuple(sorted(routes, key=lambda route: route.node))

    def apply_service(self, config: ServiceConfig) -> ServiceStatus:
        """Serves the service's ports. External addresses are served where they are of 127.0.0.0/8."""
        return self._loop.call(lambda: self._services.apply(config))

    def remove_service(self, key: ServiceKey) -> None:
        """Closes the service's ports; established connections go on."""
        self._loop.call(lambda: self._services.remove(key))

    def observe(self) -> NetworkState:
        """Everything programmed, with what is in the way of any listener right now."""
        return NetworkState(self._pods.all(), self._loop.call(self._services.statuses), self._routes)

    def connections(self) -> int:
        """How many TCP connections are being carried."""
        return self._loop.call(lambda: len(self._relays.open))

    def close(self) -> None:
        """Closes every port and connection and ends the thread. Pods keep their addresses. Closing twice is fine."""
        if self._loop.alive:
            self._loop.call(self._services.close)
            self._loop.call(self._relays.close)
            self._loop.stop()
        self._pods.close()


class _PodAddresses:
    """Which pod has which address, in memory and as one small file per address.

    Files are written before the address is told to anybody, and survive the death of this process. A power cut ends the
    pods too, so there is no waiting for the disk. The address given last is kept as well, so that released ones rest.
    """

    def __init__(self, directory: Path, cidr: str) -> None:
        self._directory = directory / "pods"
        self._directory.mkdir(parents=True, exist_ok=True)
        try:
            self._owner = DirectoryLock(directory)
        except BlockingIOError as error:
            raise NetworkError(f"network state: {error}") from error
        self._cursor = os.open(directory / "last-address", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pool = AddressPool(cidr)
        self._pods: dict[str, PodNetwork] = {}
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def setup(self, pod: PodRef) -> PodNetwork:
        known = self._pods.get(pod.uid)
        if known is not None:
            return known
        try:
            network = PodNetwork(pod, self._pool.allocate(pod.uid))
        except AddressesExhausted as error:
            raise NetworkError(f"pod {pod.namespace}/{pod.name}: {error}") from error
        record = {"uid": pod.uid, "namespace": pod.namespace, "name": pod.name, "node": pod.node}
        try:
            write_atomic(self._directory / network.ip, json.dumps(record).encode(), durable=False)
            os.pwrite(self._cursor, network.ip.ljust(_LONGEST_ADDRESS).encode(), 0)
        except OSError as error:
            self._pool.release(pod.uid)
            raise NetworkError(f"pod {pod.namespace}/{pod.name}: cannot record its address: {error}") from error
        self._pods[pod.uid] = network
        return network

    def teardown(self, uid: str) -> None:
        network = self._pods.get(uid)
        if network is None:
            return
        try:
            (self._directory / network.ip).unlink(missing_ok=True)
        except OSError as error:
            raise NetworkError(f"pod {uid}: cannot give its address back: {error}") from error
        del self._pods[uid]
        self._pool.release(uid)

    def all(self) -> tuple[PodNetwork, ...]:
        return tuple(self._pods[uid] for uid in sorted(self._pods))

    def close(self) -> None:
        self._owner.release()
        if self._cursor >= 0:
            os.close(self._cursor)
            self._cursor = -1

    def _load(self) -> None:
        remove_unfinished(self._directory)
        for path in sorted(self._directory.iterdir()):
            try:
                record = json.loads(path.read_bytes())
                pod = PodRef(record["uid"], record["namespace"], record["name"], record["node"])
                self._pool.claim(pod.uid, path.name)
            except (ValueError, KeyError, TypeError) as error:
                raise NetworkError(f"network state {path} is not a pod's address: {error!r}") from error
            self._pods[pod.uid] = PodNetwork(pod, path.name)
        last = os.pread(self._cursor, _LONGEST_ADDRESS, 0).decode().strip()
        if last:
            self._pool.resume_after(last)
