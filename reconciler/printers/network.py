"""Services and their endpoints, in kubectl's columns."""

from __future__ import annotations

from reconciler.printers.cells import NONE, UNKNOWN, UNSET, labels, listed, since
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


def _service(obj: Service, now: int) -> tuple[str, ...]:
    return (
        obj.metadata.name,
        obj.spec.type or "",
        obj.spec.cluster_ips[0] if obj.spec.cluster_ips else obj.spec.cluster_ip or NONE,
        _external_ip(obj),
        ",".join(map(_port, obj.spec.ports)) or NONE,
        since(obj.metadata.creation_timestamp, now),
        labels(obj.spec.selector),
    )


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _endpoints(obj: Endpoints, now: int) -> tuple[str, ...]:
    found = [
        address.ip if port is None else f"{_bracketed(address.ip)}:{port.port}"
        for subset in obj.subsets
        for port in subset.ports or (None,)
        for address in subset.addresses
    ]
    return (obj.metadata.name, listed(found, NONE), since(obj.metadata.creation_timestamp, now))


def _endpoint_slice(obj: EndpointSlice, now: int) -> tuple[str, ...]:
    ports = ["*" if port.port is None and not port.name else str(port.port or port.name) for port in obj.ports]
    addresses = [address for endpoint in obj.endpoints for address in endpoint.addresses]
    return (
        obj.metadata.name,
        obj.address_type,
        listed(ports, UNSET),
        listed(addresses, UNSET),
        since(obj.metadata.creation_timestamp, now),
    )


PRINTERS = {
    "EndpointSlice": columns("NAME,ADDRESSTYPE,PORTS,ENDPOINTS,AGE", _endpoint_slice),
    "Endpoints": columns("NAME,ENDPOINTS,AGE", _endpoints),
    "Service": columns("NAME,TYPE,CLUSTER-IP,EXTERNAL-IP,PORT(S),AGE", _service, wide="SELECTOR"),
}
