"""What one pod is to one service: the endpoint that it is in an EndpointSlice, and its address in Endpoints.

As the endpointslice and endpoints controllers see it: a pod counts once it has an address and until it has finished;
one that is being deleted counts as terminating.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rules.pods import is_finished, is_ready
from rules.port_order import endpoints_order, slice_order
from rules.service_fields import is_headless, wants_zone_hints
from state.objects import (
    Container,
    Endpoint,
    EndpointAddress,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlicePort,
    ForNode,
    ForZone,
    Node,
    ObjectReference,
    Pod,
    PodSpec,
    Service,
    ServicePort,
)

ZONE = "topology.kubernetes.io/zone"
#: Address types in the order in which they are dealt with.
ADDRESS_TYPES = ("IPv4", "IPv6")
_CONDITIONS = {
    (ready, serving, terminating): EndpointConditions(ready=ready, serving=serving, terminating=terminating)
    for ready in (False, True)
    for serving in (False, True)
    for terminating in (False, True)
}


class Ports(NamedTuple):
    """The ports of a service as one pod has them, in the form and in the order of each kind of object."""

    of_slice: tuple[EndpointSlicePort, ...]
    of_endpoints: tuple[EndpointPort, ...]


class Backend(NamedTuple):
    """What a pod is to a service.

    ``endpoints`` holds one for each address type; ``address`` is None if the pod is not to be in Endpoints, and
    ``address_ready`` says in which of the lists there it is. ``ready``: the pod is, whatever the service makes of it.
    """

    ready: bool
    ports: Ports
    endpoints: Mapping[str, Endpoint]
    address: EndpointAddress | None
    address_ready: bool


class ServiceView:
    """The part of a Service that decides about its endpoints."""

    __slots__ = (
        "_by_containers",
        "_fixed",
        "by_topology",
        "decisive",
        "distribution",
        "families",
        "headless",
        "name",
        "namespace",
        "ports",
        "publish",
    )

    def __init__(self, service: Service) -> None:
        spec = service.spec
        self.name = service.metadata.name
        self.namespace = service.metadata.namespace
        self.ports = spec.ports
        self.publish = bool(spec.publish_not_ready_addresses)
        self.headless = is_headless(spec)
        self.families = spec.ip_families or (_family(spec.cluster_ip or ""),)
        #: Whether hints are given by the CPU of the zones (``rules.topology_hints``).
        self.by_topology = wants_zone_hints(service.metadata.annotations)
        #: Which clients are preferred (``trafficDistribution``), which is what other hints are about; "": none.
        self.distribution = "" if self.by_topology else spec.traffic_distribution or ""
        #: Views that are equal in this make equal endpoints of equal pods.
        self.decisive = (
            spec.selector,
            self.ports,
            self.publish,
            self.headless,
            self.families,
            self.distribution,
            self.by_topology,
        )
        named = any(isinstance(port.target_port, str) for port in self.ports)
        self._fixed = None if named else _ports(self.ports, PodSpec())
        self._by_containers: dict[tuple[int, int], tuple[PodSpec, Ports]] = {}

    def ports_of(self, pod: Pod) -> Ports:
        """The target ports; those that the pod doesn't have are left out. Pods of one template share the result."""
        if self._fixed is not None:
            return self._fixed
        spec = pod.spec
        key = (id(spec.containers), id(spec.init_containers))
        found = self._by_containers.get(key)
        if found is None:
            # the spec is kept so that the ids stay taken
            found = self._by_containers[key] = (spec, _ports(self.ports, spec))
        return found[1]


def _ports(service_ports: tuple[ServicePort, ...], spec: PodSpec) -> Ports:
    of_slice, of_endpoints = [], []
    for port in service_ports:
        number = _find_port(port, spec)
        if number is None:
            continue
        protocol = port.protocol or "TCP"
        of_slice.append(
            EndpointSlicePort(name=port.name or "", port=number, protocol=protocol, app_protocol=port.app_protocol)
        )
        of_endpoints.append(
            EndpointPort(name=port.name or None, port=number, protocol=protocol, app_protocol=port.app_protocol)
        )
    return Ports(tuple(sorted(of_slice, key=slice_order)), tuple(sorted(of_endpoints, key=endpoints_order)))


def _find_port(port: ServicePort, spec: PodSpec) -> int | None:
    """The number of a service port's target in a pod; None if no container names it for that protocol."""
    target = port.target_port or port.port
    if isinstance(target, int):
        return target
    sidecars = (container for container in spec.init_containers if container.restart_policy == "Always")
    for container in (*spec.containers, *sidecars):
        number = _named_port(container, target, port.protocol or "TCP")
        if number is not None:
            return number
    return None


def _named_port(container: Container, name: str, protocol: str) -> int | None:
    for port in container.ports:
        if port.name == name and (port.protocol or "TCP") == protocol:
            return port.container_port
    return None


def backend_of(view: ServiceView, pod: Pod, node: Node | None) -> Backend | None:
    """What the pod is to the service; None if nothing. ``node`` is the one that the pod is on, None if it is absent."""
    status = pod.status
    if not status.pod_ip or is_finished(pod):
        return None
    meta, spec = pod.metadata, pod.spec
    ready = is_ready(pod)
    terminating = meta.deletion_timestamp is not None
    reference = ObjectReference(kind="Pod", namespace=meta.namespace, name=meta.name, uid=meta.uid)
    hostname = spec.hostname if spec.hostname and spec.subdomain == view.name else None
    addresses = _addresses(pod)
    endpoints: dict[str, Endpoint] = {}
    if node is not None or view.publish:
        zone = None if node is None else node.metadata.labels.get(ZONE) or None
        conditions = _CONDITIONS[view.publish or (ready and not terminating), ready, terminating]
        hints = _hints(view.distribution, zone, spec.node_name) if view.distribution and conditions.ready else None
        for family in view.families:
            if family in addresses:
                endpoints[family] = Endpoint(
                    addresses=(addresses[family],),
                    conditions=conditions,
                    hints=hints,
                    hostname=hostname,
                    node_name=spec.node_name,
                    target_ref=reference,
                    zone=zone,
                )
    ports = view.ports_of(pod)
    address = None
    offered = bool(ports.of_endpoints) or (view.headless and not view.ports)
    if offered and view.families[0] in addresses and (view.publish or not terminating):
        address = EndpointAddress(
            ip=addresses[view.families[0]], hostname=hostname, node_name=spec.node_name, target_ref=reference
        )
    return Backend(ready and not terminating, ports, endpoints, address, view.publish or ready)


def _hints(distribution: str, zone: str | None, node: str | None) -> EndpointHints | None:
    """For whom a ready endpoint is best: the clients of its zone and, if so asked, of its node before those."""
    zones = (ForZone(name=zone),) if zone is not None else ()
    nodes = (ForNode(name=node),) if node is not None and distribution == "PreferSameNode" else ()
    return EndpointHints(for_nodes=nodes, for_zones=zones) if zones or nodes else None


def _addresses(pod: Pod) -> dict[str, str]:
    """The pod's addresses by family, the first of each."""
    found: dict[str, str] = {}
    for ip in (*(entry.ip for entry in pod.status.pod_ips), pod.status.pod_ip):
        if ip:
            found.setdefault(_family(ip), ip)
    return found


def _family(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"
