"""Nodes, namespaces, configuration, policies and events, in kubectl's columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.printers.cells import NONE, UNKNOWN, created, since
from reconciler.printers.columns import Cell, columns
from state.objects import (
    Event,
    EventSource,
    Node,
    PodDisruptionBudget,
    PriorityClass,
    Quantity,
    ResourceQuota,
)
from state.quantity import canonical

_ROLE_PREFIX = "node-role.kubernetes.io/"
_ROLE_LABEL = "kubernetes.io/role"


def _node_status(node: Node) -> str:
    ready = next((item for item in node.status.conditions if item.type == "Ready"), None)
    word = "Unknown" if ready is None else "Ready" if ready.status == "True" else "NotReady"
    return f"{word},SchedulingDisabled" if node.spec.unschedulable else word


def _roles(node: Node) -> str:
    labels = node.metadata.labels
    roles = {name.removeprefix(_ROLE_PREFIX) for name in labels if name.startswith(_ROLE_PREFIX)}
    return ",".join(sorted(filter(None, {*roles, labels.get(_ROLE_LABEL, "")}))) or NONE


def _address(node: Node, kind: str) -> str:
    return next((item.address for item in node.status.addresses if item.type == kind), NONE)


def _node(obj: Node, _: int) -> tuple[Cell, ...]:
    info: Mapping[str, Any] = obj.status.node_info.value if obj.status.node_info is not None else {}
    return (
        _node_status(obj),
        _roles(obj),
        str(info.get("kubeletVersion", "")),
        _address(obj, "InternalIP"),
        _address(obj, "ExternalIP"),
        *(str(info.get(name) or UNKNOWN) for name in ("osImage", "kernelVersion", "containerRuntimeVersion")),
    )


def _used(names: list[str], used: Mapping[str, Quantity], hard: Mapping[str, Quantity]) -> str:
    return ", ".join(f"{name}: {canonical(used.get(name, '0'))}/{canonical(hard[name])}" for name in names)


def _quota(obj: ResourceQuota, _: int) -> tuple[Cell, ...]:
    hard, used = obj.status.hard, obj.status.used
    limits = sorted(name for name in hard if name.startswith("limits."))
    requests = sorted(hard.keys() - limits)
    return (_used(requests, used, hard), _used(limits, used, hard))


def _budget(obj: PodDisruptionBudget, _: int) -> tuple[Cell, ...]:
    least, most = obj.spec.min_available, obj.spec.max_unavailable
    return (
        "N/A" if least is None else str(least),
        "N/A" if most is None else str(most),
        obj.status.disruptions_allowed,
    )


def _priority_class(obj: PriorityClass, _: int) -> tuple[Cell, ...]:
    return (obj.value, bool(obj.global_default), obj.preemption_policy or "PreemptLowerPriority")


def _source(event: Event) -> str:
    source = event.source or EventSource()
    component = source.component or event.reporting_component or ""
    host = source.host or event.reporting_instance
    return f"{component}, {host}" if host else component


def _event(obj: Event, now: int) -> tuple[Cell, ...]:
    first = since(obj.first_timestamp or obj.event_time, now)
    last, times = (since(obj.last_timestamp, now) if obj.last_timestamp else first), obj.count or 1
    if obj.series is not None:
        last, times = since(obj.series.last_observed_time, now), obj.series.count or 1
    target = obj.involved_object
    return (
        last,
        obj.type or "",
        obj.reason or "",
        "/".join(filter(None, ((target.kind or "").lower(), target.name))),
        target.field_path or "",
        _source(obj),
        (obj.message or "").strip(),
        first,
        times,
    )


PRINTERS = {
    "ConfigMap": columns("Name,Data,Age", lambda obj, _: (len(obj.data) + len(obj.binary_data),)),
    "Event": columns(
        "Last Seen,Type,Reason,Object,+Subobject,+Source,Message,+First Seen,+Count,+Name", _event, coloured="Type"
    ),
    "Lease": columns("Name,Holder,Age", lambda obj, _: (obj.spec.holder_identity or "",)),
    "LimitRange": columns("Name,Created At:date", created),
    "Namespace": columns("Name,Status,Age", lambda obj, _: (obj.status.phase or "",), coloured="Status"),
    "Node": columns(
        "Name,Status,Roles,Age,Version,+Internal-IP,+External-IP,+OS-Image,+Kernel-Version,+Container-Runtime",
        _node,
        coloured="Status",
    ),
    "PodDisruptionBudget": columns("Name,Min Available,Max Unavailable,Allowed Disruptions:integer,Age", _budget),
    "PriorityClass": columns("Name,Value:integer,Global-Default:boolean,Age,PreemptionPolicy", _priority_class),
    "ResourceQuota": columns("Name,Request,Limit,Age", _quota),
    "Secret": columns(
        "Name,Type,Data,Age", lambda obj, _: (obj.type or "Opaque", len(obj.data.keys() | obj.string_data.keys()))
    ),
    "ServiceAccount": columns("Name,Secrets,Age", lambda obj, _: (len(obj.secrets),)),
}
