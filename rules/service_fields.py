"""Which allocated fields a Service of each type has: what its type has no use for, and what an update keeps.

As the API server's registry of Services has it; ``rules.service_update`` puts it to use on an update.
"""

from __future__ import annotations

from collections.abc import Mapping

from state.objects import ServicePort, ServiceSpec, replace

NO_ADDRESS = "None"
_TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
_FORMER_TOPOLOGY_MODE = "service.kubernetes.io/topology-aware-hints"


def is_headless(spec: ServiceSpec) -> bool:
    """Whether the service does without a cluster IP of its own accord."""
    return spec.cluster_ip == NO_ADDRESS


def has_addresses(spec: ServiceSpec) -> bool:
    """Whether the service has cluster IPs, be it "None": all but ExternalName."""
    return spec.type != "ExternalName"


def may_have_node_ports(spec: ServiceSpec) -> bool:
    """Whether the service may be reached on a port of every node."""
    return spec.type in ("NodePort", "LoadBalancer")


def needs_node_ports(spec: ServiceSpec) -> bool:
    """Whether every port gets a node port; a LoadBalancer can do without (``allocateLoadBalancerNodePorts``)."""
    return spec.type == "NodePort" or (is_balanced(spec) and spec.allocate_load_balancer_node_ports is not False)


def is_balanced(spec: ServiceSpec) -> bool:
    """Whether a load balancer outside stands before the service."""
    return spec.type == "LoadBalancer"


def needs_external_policy(spec: ServiceSpec) -> bool:
    """Whether the service is reached from outside, so that ``externalTrafficPolicy`` says something."""
    return may_have_node_ports(spec) or (spec.type == "ClusterIP" and bool(spec.external_ips))


def needs_health_port(spec: ServiceSpec) -> bool:
    """Whether the load balancer must ask each node if it has an endpoint (``healthCheckNodePort``)."""
    return is_balanced(spec) and spec.external_traffic_policy == "Local"


def wants_zone_hints(annotations: Mapping[str, str]) -> bool:
    """Whether a service with such annotations is to have hints by the CPU of the zones; the older name comes first."""
    return annotations.get(_FORMER_TOPOLOGY_MODE, annotations.get(_TOPOLOGY_MODE)) in ("Auto", "auto")


def trimmed(spec: ServiceSpec) -> ServiceSpec:
    """The spec without the fields that its type has no use for; the same object if there are none."""
    drop: dict[str, object] = {}
    if not has_addresses(spec):
        drop |= {
            "cluster_ip": None,
            "cluster_ips": (),
            "ip_families": (),
            "ip_family_policy": None,
            "internal_traffic_policy": None,
        }
    if not may_have_node_ports(spec) and any(port.node_port for port in spec.ports):
        drop["ports"] = tuple(replace(port, node_port=None) for port in spec.ports)
    if not needs_external_policy(spec):
        drop["external_traffic_policy"] = None
    if not is_balanced(spec):
        drop |= {"allocate_load_balancer_node_ports": None, "load_balancer_class": None}
    if not needs_health_port(spec):
        drop["health_check_node_port"] = None
    smaller: ServiceSpec = replace(spec, **drop)
    return spec if smaller == spec else smaller


def with_allocated(new: ServiceSpec, old: ServiceSpec) -> ServiceSpec:
    """The new spec with what was allocated to the old one, where it doesn't say (patchAllocatedValues)."""
    keep: dict[str, object] = {}
    if has_addresses(new) and has_addresses(old):
        address = new.cluster_ip or old.cluster_ip
        keep["cluster_ip"] = address
        if not new.cluster_ips and address == old.cluster_ip:
            keep["cluster_ips"] = old.cluster_ips
        elif address and new.cluster_ips == old.cluster_ips:  # the first of them is another name of it
            keep["cluster_ips"] = (address, *old.cluster_ips[1:])
        if not new.ip_families:
            keep["ip_families"] = old.ip_families
        if new.ip_family_policy is None:
            keep["ip_family_policy"] = old.ip_family_policy
    if may_have_node_ports(new) and may_have_node_ports(old):
        keep["ports"] = _with_node_ports(new.ports, old.ports)
    if needs_health_port(new) and needs_health_port(old) and not new.health_check_node_port:
        keep["health_check_node_port"] = old.health_check_node_port
    merged: ServiceSpec = replace(new, **keep)
    return new if merged == new else merged


def _with_node_ports(new: tuple[ServicePort, ...], old: tuple[ServicePort, ...]) -> tuple[ServicePort, ...]:
    """The ports, each without a node port having the one of the old port of its name, unless another asks for it."""
    used = {port.node_port for port in new}
    known = {port.name or "": port.node_port for port in old}
    kept = []
    for port in new:
        node_port = known.get(port.name or "")
        if not port.node_port and node_port and node_port not in used:
            used.add(node_port)
            kept.append(replace(port, node_port=node_port))
        else:
            kept.append(port)
    return tuple(kept)
