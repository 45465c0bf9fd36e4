"""Keeps what is programmed equal to what was asked for, service by service, whatever it is that serves an address.

The simulated and the userspace driver share this: they differ in the ``Server`` that answers on one address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from reconciler.drivers.network.base import (
    Backend,
    Listener,
    NetworkError,
    PortProtocol,
    ServiceConfig,
    ServiceKey,
    ServicePortConfig,
    ServiceStatus,
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service port is to be reachable."""

    protocol: PortProtocol
    ip: str
    port: int

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Frontend:
    """One address of one service port, and the backends behind it."""

    service: ServiceKey
    port: ServicePortConfig
    address: Address
    backends: tuple[Backend, ...]
    affinity_seconds: int

    def __str__(self) -> str:
        return f"port {self.port} on {self.address.ip}:{self.address.port}"


class Server(Protocol):
    """What answers on one address."""

    def update(self, frontend: Frontend) -> None:
        """Serves this from now on; without backends it refuses. OSError: it can't listen; try again."""

    def bound(self) -> tuple[str, int] | None:
        """The address and port on which it can be reached now; None while it refuses."""

    def trouble(self) -> str:
        """What keeps it from working right now, "" if nothing does."""

    def close(self) -> None:
        """Refuses new connections from now on."""


S = TypeVar("S", bound=Server)


class ServiceTable(Generic[S]):
    """The servers of all services, by address. An address belongs to the service that had it first."""

    def __init__(
        self,
        make: Callable[[Address], S],
        node_ips: Sequence[str],
        *,
        serves_external: Callable[[str], bool] = lambda _ip: True,
    ) -> None:
        self._make = make
        self._node_ips = tuple(node_ips)
        self._serves_external = serves_external
        self._configs: dict[ServiceKey, ServiceConfig] = {}
        self._problems: dict[ServiceKey, tuple[str, ...]] = {}
        self._frontends: dict[ServiceKey, dict[Address, Frontend]] = {}
        self._servers: dict[Address, tuple[ServiceKey, S]] = {}

    def apply(self, config: ServiceConfig) -> ServiceStatus:
        """Programs the service; what can't be is tried again when it is applied again.

        Raises:
            NetworkError: naming the service, and every port that could not be served.
        """
        key = config.key
        problems: list[str] = []
        wanted: dict[Address, Frontend] = {}
        for frontend in self._wanted(config):
            if frontend.address in wanted:
                problems.append(f"{frontend}: port {wanted[frontend.address].port} has this address too")
            else:
                wanted[frontend.address] = frontend
        for address in self._frontends.get(key, {}).keys() - wanted.keys():
            self._drop(key, address)
        self._configs[key], self._frontends[key] = config, wanted
        problems += [problem for frontend in wanted.values() if (problem := self._serve(frontend))]
        self._problems[key] = tuple(problems)
        if problems:
            raise NetworkError(f"service {key}: {'; '.join(problems)}")
        return self._status(key)

    def remove(self, key: ServiceKey) -> None:
        """Stops serving it."""
        for address in self._frontends.pop(key, {}):
            self._drop(key, address)
        self._configs.pop(key, None)
        self._problems.pop(key, None)

    def statuses(self) -> tuple[ServiceStatus, ...]:
        """Every service, sorted by namespace and name."""
        return tuple(self._status(key) for key in sorted(self._configs))

    def find(self, address: Address) -> S | None:
        """The server of an address."""
        return self._servers[address][1] if address in self._servers else None

    def close(self) -> None:
        """Stops serving everything."""
        for key in tuple(self._configs):
            self.remove(key)

    def _wanted(self, config: ServiceConfig) -> Iterator[Frontend]:
        """Every address the service is to be reachable at: virtual, external, and its node ports."""
        external_ips = [ip for ip in config.external_ips if self._serves_external(ip)]
        for port in config.ports:
            places = [(ip, port.port, port.backends) for ip in config.virtual_ips]
            places += [(ip, port.port, port.external_backends) for ip in external_ips]
            if port.node_port:
                places += [(ip, port.node_port, port.external_backends) for ip in self._node_ips]
            for ip, number, backends in places:
                address = Address(port.protocol, ip, number)
                yield Frontend(config.key, port, address, backends, config.affinity_seconds)

    def _serve(self, frontend: Frontend) -> str:
        """Makes or changes the server of one address; returns what went wrong."""
        owner, server = self._servers.get(frontend.address, (frontend.service, None))
        if owner != frontend.service:
            return f"{frontend}: service {owner} has this address"
        try:
            if server is None:
                server = self._make(frontend.address)
                self._servers[frontend.address] = (owner, server)
            server.update(frontend)
        except OSError as error:
            return f"{frontend}: cannot listen: {error.strerror or error}"
        return ""

    def _drop(self, key: ServiceKey, address: Address) -> None:
        owner, server = self._servers.get(address, (None, None))
        if owner == key and server is not None:
            server.close()
            del self._servers[address]

    def _status(self, key: ServiceKey) -> ServiceStatus:
        listeners, troubles = [], []
        for address, frontend in self._frontends[key].items():
            owner, server = self._servers.get(address, (None, None))
            if owner != key or server is None:
                continue
            if bound := server.bound():
                port = frontend.port
                listeners.append(Listener(port.name, port.protocol, bound[0], bound[1], address.port))
            if trouble := server.trouble():
                troubles.append(f"{frontend}: {trouble}")
        return ServiceStatus(self._configs[key], tuple(listeners), (*self._problems[key], *troubles))
