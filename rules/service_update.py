"""What the API server does to a Service that is changed (pkg/registry/core/service/strategy.go).

What was allocated stays where the update leaves it out; fields that belong to a type that the Service no longer has go,
unless they were changed, too.
"""

from __future__ import annotations

from typing import Any

from rules.service_fields import (
    has_addresses,
    is_balanced,
    may_have_node_ports,
    needs_external_policy,
    needs_health_port,
    with_allocated,
)
from state.objects import AnyObject, LoadBalancerStatus, Service, ServiceSpec, replace


def updated_service(new: AnyObject, old: AnyObject) -> AnyObject:
    """The new object as an update stores it; of any kind but Service the very same."""
    if not isinstance(new, Service) or not isinstance(old, Service):
        return new
    return _without_type_dependent_fields(replace(new, spec=with_allocated(new.spec, old.spec)), old)


def _without_type_dependent_fields(new: Service, old: Service) -> Service:
    """Drops what only the old one had a use for and nobody asked for anew (dropTypeDependentFields)."""
    before, after = old.spec, new.spec
    changes: dict[str, Any] = {}
    if has_addresses(before) and not has_addresses(after):
        if after.cluster_ip == before.cluster_ip:
            changes |= {"cluster_ip": None, "cluster_ips": ()}
        if after.ip_families == before.ip_families:
            changes["ip_families"] = ()
        if after.ip_family_policy == before.ip_family_policy:
            changes["ip_family_policy"] = None
    if may_have_node_ports(before) and not may_have_node_ports(after) and _node_ports(after) <= _node_ports(before):
        changes["ports"] = tuple(replace(port, node_port=None) for port in after.ports)
    dependent = {
        "external_traffic_policy": needs_external_policy,
        "health_check_node_port": needs_health_port,
        "allocate_load_balancer_node_ports": is_balanced,
        "load_balancer_class": is_balanced,
    }
    for field, needed in dependent.items():
        if needed(before) and not needed(after) and getattr(after, field) == getattr(before, field):
            changes[field] = None
    if changes:
        new = replace(new, spec=replace(after, **changes))
    if is_balanced(before) and not is_balanced(after):  # whoever takes the load balancer away needs some time
        new = replace(new, status=replace(new.status, load_balancer=LoadBalancerStatus()))
    return new


def _node_ports(spec: ServiceSpec) -> set[int]:
    return {port.node_port for port in spec.ports if port.node_port}
