"""kube-proxy: Services and EndpointSlices in, what the network driver is to serve out.

``service_config`` decides, purely; ``Proxy`` tells the driver what has changed, and tries again what failed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import cast

from reconciler.drivers.network.base import (
    Backend,
    NetworkDriver,
    NetworkError,
    PortProtocol,
    ServiceConfig,
    ServiceKey,
    ServicePortConfig,
)
from reconciler.retries import Retries
from state.objects import Endpoint, EndpointSlice, Service, ServicePort

#: Which Service an EndpointSlice belongs to.
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
#: Services with this label are another proxy's.
PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
#: spec.sessionAffinityConfig.clientIP.timeoutSeconds when it isn't set: three hours.
DEFAULT_AFFINITY_SECONDS = 10_800

_SECOND = 1_000_000


def slices_by_service(slices: Iterable[EndpointSlice]) -> dict[ServiceKey, tuple[EndpointSlice, ...]]:
    """The slices of each service, in the order of their names."""
    grouped: dict[ServiceKey, list[EndpointSlice]] = defaultdict(list)
    for piece in slices:
        name = piece.metadata.labels.get(SERVICE_NAME_LABEL)
        if name:
            grouped[ServiceKey(piece.metadata.namespace, name)].append(piece)
    for found in grouped.values():
        found.sort(key=lambda piece: piece.metadata.name)
    return {key: tuple(found) for key, found in grouped.items()}


def service_config(
    service: Service, slices: Sequence[EndpointSlice], node: str = "", zone: str = ""
) -> ServiceConfig | None:
    """What is to be served for one service with its slices; None if it needs no proxy. IPv4, as its addresses are.

    ``node``: whose "Local" endpoints count as local; "": all of them do, as when one machine is every node. ``zone`` is
    the node's, for topology hints.
    """
    spec = service.spec
    virtual_ips = tuple(ip for ip in spec.cluster_ips or (spec.cluster_ip or "",) if _is_ipv4(ip))
    if spec.type == "ExternalName" or not virtual_ips or PROXY_NAME_LABEL in service.metadata.labels:
        return None
    ports = tuple(_port(service, port, slices, node, zone) for port in spec.ports)
    return ServiceConfig(_key(service), virtual_ips, ports, _external_ips(service), _affinity_seconds(service))


@dataclass(frozen=True, slots=True)
class ServiceFailure:
    """A service that the driver could not program, or not completely; it is tried again at ``retry_at`` (µs)."""

    service: ServiceKey
    message: str
    retry_at: int


@dataclass(frozen=True, slots=True)
class ProxyReport:
    """What one ``sync`` did. ``failures`` holds every service that is not as it should be, also earlier ones'."""

    applied: tuple[ServiceKey, ...] = ()
    removed: tuple[ServiceKey, ...] = ()
    failures: tuple[ServiceFailure, ...] = ()

    @property
    def retry_at(self) -> int | None:
        """When to sync again even if nothing changes (µs), None if there is no need."""
        return min((failure.retry_at for failure in self.failures), default=None)


class Proxy:
    """Keeps a network driver's services equal to those of the cluster.

    Only differences reach the driver. Decisions are taken anew only for services of which the Service or a slice is
    another object than before. What failed is tried again after 1 s, 2 s, ... 30 s, and whenever something else was
    changed, as that may have freed the port.
    """

    def __init__(self, driver: NetworkDriver, node: str = "", zone: str = "") -> None:
        self._driver = driver
        self._node = node
        self._zone = zone
        self._decided: dict[ServiceKey, _Decision] = {}
        statuses = driver.observe().services
        #: What was last asked of the driver, per service that it knows; None: to remove it.
        self._asked: dict[ServiceKey, ServiceConfig | None] = {status.config.key: status.config for status in statuses}
        #: What the driver serves, completely.
        self._served = {status.config.key: status.config for status in statuses if not status.problems}
        self._failures: dict[ServiceKey, ServiceFailure] = {}
        self._retries: Retries[ServiceKey] = Retries(first=_SECOND, longest=30 * _SECOND)

    def sync(self, services: Iterable[Service], slices: Iterable[EndpointSlice], now: int) -> ProxyReport:
        """Makes the driver serve these; ``now`` is µs of any steady clock.

        Removals come first, as they free addresses.
        """
        wanted = self._decide(services, slices)
        gone = sorted(self._asked.keys() - wanted.keys())
        changed = sorted((key for key, config in wanted.items() if self._served.get(key) != config))
        todo = [*gone, *changed]
        done = {key for key in todo if self._is_due(key, wanted.get(key), now) and self._ask(key, wanted.get(key), now)}
        if done:
            done |= {key for key in todo if key not in done and self._ask(key, wanted.get(key), now)}
        return ProxyReport(
            tuple(key for key in changed if key in done),
            tuple(key for key in gone if key in done),
            tuple(self._failures[key] for key in sorted(self._failures)),
        )

    def _decide(self, services: Iterable[Service], slices: Iterable[EndpointSlice]) -> dict[ServiceKey, ServiceConfig]:
        grouped = slices_by_service(slices)
        before, self._decided = self._decided, {}
        wanted = {}
        for service in services:
            key = _key(service)
            own = grouped.get(key, ())
            decision = before.get(key)
            if decision is None or not decision.is_from(service, own):
                decision = _Decision(service, own, service_config(service, own, self._node, self._zone))
            self._decided[key] = decision
            if decision.config is not None:
                wanted[key] = decision.config
        return wanted

    def _is_due(self, key: ServiceKey, config: ServiceConfig | None, now: int) -> bool:
        return key not in self._failures or self._asked[key] != config or self._retries.due(key, now)

    def _ask(self, key: ServiceKey, config: ServiceConfig | None, now: int) -> bool:
        """Has the driver serve this config, or remove the service; says whether that worked."""
        self._asked[key] = config
        self._served.pop(key, None)
        try:
            if config is None:
                self._driver.remove_service(key)
            else:
                self._driver.apply_service(config)
        except NetworkError as error:
            self._failures[key] = ServiceFailure(key, str(error), self._retries.failed(key, now))
            return False
        self._failures.pop(key, None)
        self._retries.forget(key)
        if config is None:
            del self._asked[key]
        else:
            self._served[key] = config
        return True


@dataclass(frozen=True, slots=True)
class _Decision:
    """A service's config, and the objects it was decided from."""

    service: Service
    slices: tuple[EndpointSlice, ...]
    config: ServiceConfig | None

    def is_from(self, service: Service, slices: tuple[EndpointSlice, ...]) -> bool:
        """Says whether these are the very same objects."""
        return (
            self.service is service
            and len(self.slices) == len(slices)
            and all(old is new for old, new in zip(self.slices, slices, strict=True))
        )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An endpoint of a service port, as kube-proxy sees it."""

    backend: Backend
    ready: bool
    draining: bool
    local: bool
    nodes: frozenset[str]
    zones: frozenset[str]


def _port(
    service: Service, port: ServicePort, slices: Sequence[EndpointSlice], node: str, zone: str
) -> ServicePortConfig:
    spec = service.spec
    candidates = _candidates(port, slices, node)
    anywhere = _usable(_near(candidates, node, zone), candidates)
    local = [candidate for candidate in candidates if candidate.local]
    at_home = _usable(local, local)
    node_port = (port.node_port or 0) if spec.type in {"NodePort", "LoadBalancer"} else 0
    return ServicePortConfig(
        name=port.name or "",
        protocol=_protocol(port.protocol),
        port=port.port,
        backends=at_home if spec.internal_traffic_policy == "Local" else anywhere,
        node_port=node_port,
        external_backends=at_home if spec.external_traffic_policy == "Local" else anywhere,
    )


def _candidates(port: ServicePort, slices: Sequence[EndpointSlice], node: str) -> list[_Candidate]:
    """The endpoints of a service port, each once, sorted by address: those of the port's name and protocol."""
    found: dict[Backend, _Candidate] = {}
    for piece in slices:
        if piece.address_type != "IPv4":
            continue
        for number in _matching_ports(port, piece):
            for endpoint in (endpoint for endpoint in piece.endpoints if endpoint.addresses):
                candidate = _candidate(endpoint, number, node)
                known = found.get(candidate.backend)
                if known is None or (candidate.ready and not known.ready):
                    found[candidate.backend] = candidate
    return [found[backend] for backend in sorted(found)]


def _matching_ports(port: ServicePort, piece: EndpointSlice) -> list[int]:
    wanted = (port.name or "", _protocol(port.protocol))
    return [it.port for it in piece.ports if it.port and (it.name or "", _protocol(it.protocol)) == wanted]


def _candidate(endpoint: Endpoint, port: int, node: str) -> _Candidate:
    """Conditions that aren't set count as kube-proxy has them: ready and serving, not terminating."""
    conditions, hints = endpoint.conditions, endpoint.hints
    return _Candidate(
        backend=Backend(endpoint.addresses[0], port),
        ready=conditions is None or conditions.ready is not False,
        draining=conditions is not None and conditions.serving is not False and conditions.terminating is True,
        local=not node or endpoint.node_name == node,
        nodes=frozenset(hint.name for hint in hints.for_nodes) if hints else frozenset(),
        zones=frozenset(hint.name for hint in hints.for_zones) if hints else frozenset(),
    )


def _near(candidates: Sequence[_Candidate], node: str, zone: str) -> Sequence[_Candidate]:
    """Those hinted for this node, else for this zone, provided that every ready endpoint has such a hint."""
    ready = [candidate for candidate in candidates if candidate.ready]
    for here, hints in ((node, attrgetter("nodes")), (zone, attrgetter("zones"))):
        near = [candidate for candidate in ready if here in hints(candidate)]
        if near and all(hints(candidate) for candidate in ready):
            return near
    return candidates


def _usable(preferred: Sequence[_Candidate], all_: Sequence[_Candidate]) -> tuple[Backend, ...]:
    """The ready ones; if there are none, those that terminate but still serve."""
    ready = tuple(candidate.backend for candidate in preferred if candidate.ready)
    return ready or tuple(candidate.backend for candidate in all_ if candidate.draining)


def _external_ips(service: Service) -> tuple[str, ...]:
    """spec.externalIPs, and the load balancer's where it leaves the address to the proxy (ipMode VIP)."""
    balancer = service.status.load_balancer
    ingress = balancer.ingress if balancer is not None and service.spec.type == "LoadBalancer" else ()
    given = [point.ip for point in ingress if point.ip and point.ip_mode in {None, "VIP"}]
    return tuple(dict.fromkeys(ip for ip in (*service.spec.external_ips, *given) if _is_ipv4(ip)))


def _affinity_seconds(service: Service) -> int:
    spec = service.spec
    if spec.session_affinity != "ClientIP":
        return 0
    config = spec.session_affinity_config
    timeout = config.client_ip.timeout_seconds if config is not None and config.client_ip is not None else None
    return timeout or DEFAULT_AFFINITY_SECONDS


def _protocol(text: str | None) -> PortProtocol:
    return cast("PortProtocol", text or "TCP")


def _is_ipv4(ip: str) -> bool:
    return "." in ip


def _key(service: Service) -> ServiceKey:
    return ServiceKey(service.metadata.namespace, service.metadata.name)
