"""Validation of what a cluster is made of and runs by: nodes, namespaces, priorities, disruption budgets, leases."""

from __future__ import annotations

from state import names
from state.objects import Lease, Namespace, Node, PodDisruptionBudget, PriorityClass
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.metadata import custom_meta, kubernetes_finalizer, object_meta
from state.validation.pods import PREEMPTION_POLICIES
from state.validation.resources import resource_quantity
from state.validation.scheduling import taints

_HIGHEST_PRIORITY = 1_000_000_000
_SYSTEM_PREFIX = "system-"
_SYSTEM_CLASSES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
_EVICTION_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


def namespace(found: Report, obj: Namespace) -> None:
    """Namespace (v1)."""
    object_meta(found, obj.metadata, names.dns1123_label, namespaced=False)
    for name in obj.spec.finalizers:
        checks.text(found, "spec.finalizers", name, names.qualified_name)
        kubernetes_finalizer(found, "spec.finalizers", name)


def node(found: Report, obj: Node) -> None:
    """Node (v1)."""
    object_meta(found, obj.metadata, namespaced=False)
    taints(found, "metadata.taints", obj.spec.taints)
    _amounts(found, obj)
    ranges = obj.spec.pod_cidrs
    for index, block in enumerate(ranges):
        checks.cidr(found, f"spec.podCIDRs[{index}]", block)
    if len(ranges) > 1:
        if len(ranges) > 2 or not checks.dual_stack(ranges):
            message = "may specify no more than one CIDR for each IP family"
            found.invalid("spec.podCIDRs", list(ranges), message)
        for index, block in enumerate(ranges):
            if block in ranges[:index]:
                found.duplicate(f"spec.podCIDRs[{index}]", block)


def _amounts(found: Report, obj: Node) -> None:
    for field, amounts in (("capacity", obj.status.capacity), ("allocatable", obj.status.allocatable)):
        for name, value in sorted(amounts.items()):
            resource_quantity(found, f"status.{field}.{name}", name, value)


def node_update(found: Report, new: Node, old: Node) -> None:
    """A node keeps its addresses for pods and its provider's name, once it has them; the rest is looked at again."""
    _amounts(found, new)
    if old.spec.pod_cidrs and new.spec.pod_cidrs != old.spec.pod_cidrs:
        found.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
    if old.spec.provider_id and new.spec.provider_id != old.spec.provider_id:
        found.forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')
    taints(found, "metadata.taints", new.spec.taints)


def priority_class(found: Report, obj: PriorityClass) -> None:
    """PriorityClass (scheduling.k8s.io/v1)."""
    object_meta(found, obj.metadata, namespaced=False)
    name = obj.metadata.name
    if name.startswith(_SYSTEM_PREFIX):
        message = _system_class(name, obj)
        if message:
            reserved = f"priority class names with '{_SYSTEM_PREFIX}' prefix are reserved for system use only."
            found.forbidden("metadata.name", f"{reserved} error: {message}")
    elif obj.value > _HIGHEST_PRIORITY:
        message = f"maximum allowed value of a user defined priority is {_HIGHEST_PRIORITY}"
        found.forbidden("value", message)
    if obj.preemption_policy is not None:
        found.one_of("preemptionPolicy", obj.preemption_policy, PREEMPTION_POLICIES)


def _system_class(name: str, obj: PriorityClass) -> str:
    """Why this is none of the classes that every cluster has; "" if it's one."""
    value = _SYSTEM_CLASSES.get(name)
    if value is None:
        return f"{name} is not a known system priority class"
    if obj.value != value:
        return f"value of {name} PriorityClass must be {value}"
    return f"globalDefault of {name} PriorityClass must be false" if obj.global_default else ""


def priority_class_update(found: Report, new: PriorityClass, old: PriorityClass) -> None:
    """A class of priority keeps its value."""
    if new.value != old.value:
        found.forbidden("value", "may not be changed in an update.")
    checks.immutable(found, "preemptionPolicy", new.preemption_policy, old.preemption_policy)


def pod_disruption_budget(found: Report, obj: PodDisruptionBudget) -> None:
    """PodDisruptionBudget (policy/v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    spec = obj.spec
    if spec.min_available is not None and spec.max_unavailable is not None:
        value = {
            "MinAvailable": spec.min_available,
            "Selector": None if spec.selector is None else checks.selector_value(spec.selector),
            "MaxUnavailable": spec.max_unavailable,
            "UnhealthyPodEvictionPolicy": spec.unhealthy_pod_eviction_policy,
        }
        found.invalid("spec", value, "minAvailable and maxUnavailable cannot be both set")
    for name, amount in (("minAvailable", spec.min_available), ("maxUnavailable", spec.max_unavailable)):
        if amount is not None:
            checks.int_or_percent(found, f"spec.{name}", amount)
            checks.at_most_all(found, f"spec.{name}", amount)
    checks.label_selector(found, "spec.selector", spec.selector)
    policy = spec.unhealthy_pod_eviction_policy
    if policy is not None and policy not in _EVICTION_POLICIES:
        found.unsupported("spec.unhealthyPodEvictionPolicy", policy, _EVICTION_POLICIES)
    for name in ("currentHealthy", "desiredHealthy", "expectedPods"):
        field = {"currentHealthy": "current_healthy", "desiredHealthy": "desired_healthy"}.get(name, "expected_pods")
        found.not_negative(f"status.{name}", getattr(obj.status, field))
    found.not_negative("status.disruptionsAllowed", obj.status.disruptions_allowed)


def lease(found: Report, obj: Lease) -> None:
    """Lease (coordination.k8s.io/v1)."""
    custom_meta(found, obj.metadata, names.dns1123_subdomain)
    spec = obj.spec
    if spec.lease_duration_seconds is not None and spec.lease_duration_seconds <= 0:
        found.invalid("spec.leaseDurationSeconds", spec.lease_duration_seconds, "must be greater than 0")
    found.not_negative("spec.leaseTransitions", spec.lease_transitions)
    if spec.strategy is not None and "/" in spec.strategy:
        checks.text(found, "spec.strategy", spec.strategy, names.qualified_name)
    elif spec.strategy is not None and spec.strategy != "OldestEmulationVersion":
        found.unsupported("spec.strategy", spec.strategy, ("OldestEmulationVersion",))
    if spec.preferred_holder and not spec.strategy:
        found.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")
