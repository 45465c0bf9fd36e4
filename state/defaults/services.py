"""Defaults of Services and of the addresses behind them. Cluster IPs and node ports are allocated, not defaulted."""

from __future__ import annotations

from state.defaults._sharing import each, filled, given
from state.objects import (
    ClientIPConfig,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSlicePort,
    EndpointSubset,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
    SessionAffinityConfig,
)

#: Three hours.
_AFFINITY_SECONDS = 10_800
_NO_LOAD_BALANCER = LoadBalancerStatus()


def service(obj: Service) -> Service:
    """Service (v1)."""
    spec = _spec(obj.spec)
    return filled(obj, spec=spec, status=_status(obj.status, spec.type == "LoadBalancer"))


def _spec(spec: ServiceSpec) -> ServiceSpec:
    kind = spec.type or "ClusterIP"
    affinity = spec.session_affinity or "None"
    external = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.external_ips))
    internal = kind in ("ClusterIP", "NodePort", "LoadBalancer")
    allocates = spec.allocate_load_balancer_node_ports
    return filled(
        spec,
        type=kind,
        session_affinity=affinity,
        session_affinity_config=_affinity_config(affinity, spec.session_affinity_config),
        ports=each(spec.ports, _port),
        external_traffic_policy=spec.external_traffic_policy or ("Cluster" if external else None),
        internal_traffic_policy=spec.internal_traffic_policy or ("Cluster" if internal else None),
        allocate_load_balancer_node_ports=True if kind == "LoadBalancer" and allocates is None else allocates,
        cluster_ips=(spec.cluster_ip,) if spec.cluster_ip and not spec.cluster_ips else spec.cluster_ips,
        cluster_ip=spec.cluster_ips[0] if spec.cluster_ips and not spec.cluster_ip else spec.cluster_ip,
    )


def _affinity_config(affinity: str, config: SessionAffinityConfig | None) -> SessionAffinityConfig | None:
    if affinity == "None":
        return None
    if affinity == "ClientIP":
        client = None if config is None else config.client_ip
        if client is None or client.timeout_seconds is None:
            return SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=_AFFINITY_SECONDS))
    return config


def _port(port: ServicePort) -> ServicePort:
    return filled(port, protocol=port.protocol or "TCP", target_port=port.target_port or port.port)


def _status(status: ServiceStatus, balanced: bool) -> ServiceStatus:
    balancer = _NO_LOAD_BALANCER if status.load_balancer is None else status.load_balancer
    if balanced and balancer.ingress:
        balancer = filled(balancer, ingress=each(balancer.ingress, _ingress))
    return filled(status, load_balancer=balancer)


def _ingress(ingress: LoadBalancerIngress) -> LoadBalancerIngress:
    return filled(ingress, ip_mode="VIP") if ingress.ip and ingress.ip_mode is None else ingress


def endpoints(obj: Endpoints) -> Endpoints:
    """Endpoints (v1)."""
    return filled(obj, subsets=each(obj.subsets, _subset))


def _subset(subset: EndpointSubset) -> EndpointSubset:
    return filled(subset, ports=each(subset.ports, _endpoint_port))


def _endpoint_port(port: EndpointPort) -> EndpointPort:
    return filled(port, protocol=port.protocol or "TCP")


def endpoint_slice(obj: EndpointSlice) -> EndpointSlice:
    """EndpointSlice (discovery.k8s.io/v1)."""
    return filled(obj, ports=each(obj.ports, _slice_port))


def _slice_port(port: EndpointSlicePort) -> EndpointSlicePort:
    return filled(port, name=given(port.name, ""), protocol=given(port.protocol, "TCP"))
