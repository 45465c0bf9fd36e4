"""Services and their endpoints, in kubectl's columns."""

from __future__ import annotations

from reconciler.printers.cells import NONE, UNKNOWN, UNSET, labels, listed
from reconciler.printers.columns import columns
from state.objects import Endpoints, EndpointSlice, Service, ServicePort


def _external_ip(service: Service) -> str:
    external = service.spec.external_ips
    if service.spec.type in ("ClusterIP", "NodePort"):
        return ",".join(external) or NONE
    if service.spec.type == "LoadBalancer":
        balancer = service.status.load_balancer
        given = {item.ip or item.hostname or "" for item in (() if balancer is None else balancer.ingress)}
        return ",".join((*sorted(filter(None, given)), *external)) or "<pending>"
    return (service.spec.external_name or "") if service.spec.type == "ExternalName" else UNKNOWN


def _port(port: ServicePort) -> str:
    node_port = f":{port.node_port}" if port.node_port else ""
    return f"{port.port}{node_port}/{port.protocol or 'TCP'}"


def _service(obj: Service, _: int) -> tuple[str, ...]:
    return (
        obj.spec.type or "",
        obj.spec.cluster_ips[0] if obj.spec.cluster_ips else obj.spec.cluster_ip or NONE,
        _external_ip(obj),
        ",".join(map(_port, obj.spec.ports)) or NONE,
        labels(obj.spec.selector),
    )


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _endpoints(obj: Endpoints, _: int) -> tuple[str, ...]:
    found = [
        address.ip if port is None else f"{_bracketed(address.ip)}:{port.port}"
        for subset in obj.subsets
        for port in subset.ports or (None,)
        for address in subset.addresses
    ]
    return (listed(found, "" if obj.subsets else NONE),)


def _endpoint_slice(obj: EndpointSlice, _: int) -> tuple[str, ...]:
    ports = ["*" if port.port is None and not port.name else str(port.port or port.name) for port in obj.ports]
    addresses = [address for endpoint in obj.endpoints for address in endpoint.addresses]
    return (
        obj.address_type,
        listed(ports, UNSET),
        listed(addresses, UNSET),
    )


PRINTERS = {
    "EndpointSlice": columns("Name,AddressType,Ports,Endpoints,Age", _endpoint_slice),
    "Endpoints": columns("Name,Endpoints,Age", _endpoints),
    "Service": columns("Name,Type,Cluster-IP,External-IP,Port(s),Age,+Selector", _service),
}
