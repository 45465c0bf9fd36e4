"""What the API server does to a Service that is changed (pkg/registry/core/service/strategy.go).

What was allocated stays where the update leaves it out; fields that belong to a type that the Service no longer has go,
unless they were changed, too.
"""

from __future__ import annotations

from typing import Any

from rules.service_fields import with_allocated
from state.objects import AnyObject, Service, ServiceSpec, replace

_EXTERNAL = ("LoadBalancer", "NodePort")


def updated_service(new: AnyObject, old: AnyObject) -> AnyObject:
    """The new object as an update stores it; of any kind but Service the very same."""
    if not isinstance(new, Service) or not isinstance(old, Service):
        return new
    return _without_type_dependent_fields(replace(new, spec=with_allocated(new.spec, old.spec)), old)


def _without_type_dependent_fields(new: Service, old: Service) -> Service:
    """Drops what only the old type had and nobody asked for anew (dropTypeDependentFields)."""
    if _type(new) == _type(old):
        return new
    before, after = old.spec, new.spec
    changes: dict[str, Any] = {}
    if _type(new) == "ExternalName" and after.cluster_ip == before.cluster_ip:
        changes |= {"cluster_ip": None, "cluster_ips": (), "ip_families": (), "ip_family_policy": None}
    if _type(old) in _EXTERNAL and _type(new) not in _EXTERNAL:
        if _node_ports(after) <= _node_ports(before):
            changes["ports"] = tuple(replace(port, node_port=None) for port in after.ports)
        if after.external_traffic_policy == before.external_traffic_policy:
            changes["external_traffic_policy"] = None
    if _type(old) == "LoadBalancer":
        for field in ("allocate_load_balancer_node_ports", "health_check_node_port", "load_balancer_class"):
            if getattr(after, field) == getattr(before, field):
                changes[field] = None
    return replace(new, spec=replace(after, **changes)) if changes else new


def _type(service: Service) -> str:
    return service.spec.type or "ClusterIP"


def _node_ports(spec: ServiceSpec) -> set[int]:
    return {port.node_port for port in spec.ports if port.node_port}
