"""What a network driver does, and the records it takes and gives.

A driver gives pods their addresses and makes Services reachable. It knows nothing of manifests: ``reconciler.proxy``
turns Services and EndpointSlices into ``ServiceConfig``, as kube-proxy does, and the kubelet asks for pod addresses.

Every verb is idempotent: doing it twice is doing it once, and undoing what isn't there is no error. A driver that was
killed half-way is asked what exists (``observe``) and is told the rest again. One thread at a time calls a driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

#: The protocols that a Service may have. A driver that lacks one refuses it by name.
PortProtocol = Literal["TCP", "UDP", "SCTP"]


class NetworkError(Exception):
    """A verb could not be carried out; the message names the pod or service and says why. Trying again may help."""


@dataclass(frozen=True, slots=True)
class PodRef:
    """A pod, by what never changes about it."""

    uid: str
    namespace: str
    name: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """The network of one pod: its own address, which no other live pod has."""

    pod: PodRef
    ip: str


@dataclass(frozen=True, slots=True)
class NodeRoute:
    """Where the pods of a node are: their address range, and the node's own address. Either may be unknown ("")."""

    node: str
    pod_cidr: str = ""
    host_ip: str = ""


@dataclass(frozen=True, order=True, slots=True)
class Backend:
    """One endpoint of a service port."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServicePortConfig:
    """One port of a service and where its connections go.

    ``backends`` serve the virtual addresses, ``external_backends`` the node port and the external addresses; they
    differ when a traffic policy is Local. No backend means that connections are refused.
    """

    name: str
    protocol: PortProtocol
    port: int
    backends: tuple[Backend, ...] = ()
    node_port: int = 0
    external_backends: tuple[Backend, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({self.port}/{self.protocol})" if self.name else f"{self.port}/{self.protocol}"


class ServiceKey(NamedTuple):
    """A service by namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """A service as it is to be programmed.

    ``affinity_seconds``: connections of one client address go to the same backend until it made none for that long
    (sessionAffinity: ClientIP); 0 means no affinity.
    """

    key: ServiceKey
    virtual_ips: tuple[str, ...]
    ports: tuple[ServicePortConfig, ...]
    external_ips: tuple[str, ...] = ()
    affinity_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Listener:
    """An address on which a service port is reachable now.

    ``port`` is where clients connect. It differs from ``wanted_port`` only where the driver says why.
    """

    port_name: str
    protocol: PortProtocol
    ip: str
    port: int
    wanted_port: int


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service as it is programmed: what was asked, where it is reachable, and what could not be done."""

    config: ServiceConfig
    listeners: tuple[Listener, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkState:
    """Everything a driver has programmed. Pods are sorted by uid, services by key, routes by node."""

    pods: tuple[PodNetwork, ...] = ()
    services: tuple[ServiceStatus, ...] = ()
    routes: tuple[NodeRoute, ...] = ()


@runtime_checkable
class NetworkDriver(Protocol):
    """Pod addresses, routes between nodes, and services."""

    def setup_pod(self, pod: PodRef) -> PodNetwork:
        """Gives the pod an address, always the same one for the same uid until it is torn down.

        Raises:
            NetworkError: no address is free, or the network could not be made.
        """

    def teardown_pod(self, uid: str) -> None:
        """Takes the pod's address back. A pod that isn't known is no error."""

    def set_node_routes(self, routes: Sequence[NodeRoute]) -> None:
        """Says which nodes there are and where their pods are; replaces what was said before."""

    def apply_service(self, config: ServiceConfig) -> ServiceStatus:
        """Programs a service, or changes it to this. New connections see it at once; established ones go on.

        Raises:
            NetworkError: a part could not be programmed (a port is taken, say). The other parts are, and applying the
                same config again tries the missing ones again.
        """

    def remove_service(self, key: ServiceKey) -> None:
        """Stops serving a service: its addresses refuse connections after. An unknown service is no error."""

    def observe(self) -> NetworkState:
        """Says what is programmed now."""

    def close(self) -> None:
        """Gives up what the process holds (sockets, threads, locks). Pods keep their addresses for the next driver."""
