"""Nodes, namespaces, configuration, policies and events, in kubectl's columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.printers.cells import NONE, UNKNOWN, boolean, since
from reconciler.printers.columns import columns
from state.objects import (
    ConfigMap,
    Event,
    Lease,
    LimitRange,
    Namespace,
    Node,
    PodDisruptionBudget,
    PriorityClass,
    Quantity,
    ResourceQuota,
    Secret,
    ServiceAccount,
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


def _node(obj: Node, now: int) -> tuple[str, ...]:
    info: Mapping[str, Any] = obj.status.node_info.value if obj.status.node_info is not None else {}
    return (
        obj.metadata.name,
        _node_status(obj),
        _roles(obj),
        since(obj.metadata.creation_timestamp, now),
        str(info.get("kubeletVersion", "")),
        _address(obj, "InternalIP"),
        _address(obj, "ExternalIP"),
        *(str(info.get(name) or UNKNOWN) for name in ("osImage", "kernelVersion", "containerRuntimeVersion")),
    )


def _namespace(obj: Namespace, now: int) -> tuple[str, ...]:
    return (obj.metadata.name, obj.status.phase or "", since(obj.metadata.creation_timestamp, now))


def _config_map(obj: ConfigMap, now: int) -> tuple[str, ...]:
    amount = len(obj.data) + len(obj.binary_data)
    return (obj.metadata.name, str(amount), since(obj.metadata.creation_timestamp, now))


def _secret(obj: Secret, now: int) -> tuple[str, ...]:
    amount = len(obj.data.keys() | obj.string_data.keys())
    return (obj.metadata.name, obj.type or "Opaque", str(amount), since(obj.metadata.creation_timestamp, now))


def _service_account(obj: ServiceAccount, now: int) -> tuple[str, ...]:
    return (obj.metadata.name, str(len(obj.secrets)), since(obj.metadata.creation_timestamp, now))


def _limit_range(obj: LimitRange, _: int) -> tuple[str, ...]:
    return (obj.metadata.name, obj.metadata.creation_timestamp or UNKNOWN)


def _used(names: list[str], used: Mapping[str, Quantity], hard: Mapping[str, Quantity]) -> str:
    return ", ".join(f"{name}: {canonical(used.get(name, '0'))}/{canonical(hard[name])}" for name in names)


def _quota(obj: ResourceQuota, now: int) -> tuple[str, ...]:
    hard, used = obj.status.hard or obj.spec.hard, obj.status.used
    limits = sorted(name for name in hard if name.startswith("limits."))
    requests = sorted(hard.keys() - limits)
    return (
        obj.metadata.name,
        _used(requests, used, hard),
        _used(limits, used, hard),
        since(obj.metadata.creation_timestamp, now),
    )


def _budget(obj: PodDisruptionBudget, now: int) -> tuple[str, ...]:
    least, most = obj.spec.min_available, obj.spec.max_unavailable
    return (
        obj.metadata.name,
        "N/A" if least is None else str(least),
        "N/A" if most is None else str(most),
        str(obj.status.disruptions_allowed),
        since(obj.metadata.creation_timestamp, now),
    )


def _priority_class(obj: PriorityClass, now: int) -> tuple[str, ...]:
    return (
        obj.metadata.name,
        str(obj.value),
        boolean(obj.global_default, "false"),
        since(obj.metadata.creation_timestamp, now),
        obj.preemption_policy or "PreemptLowerPriority",
    )


def _lease(obj: Lease, now: int) -> tuple[str, ...]:
    return (obj.metadata.name, obj.spec.holder_identity or "", since(obj.metadata.creation_timestamp, now))


def _source(event: Event) -> str:
    component = event.reporting_component or (event.source.component if event.source is not None else None) or ""
    host = event.reporting_instance or (event.source.host if event.source is not None else None)
    return f"{component}, {host}" if host else component


def _event(obj: Event, now: int) -> tuple[str, ...]:
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
        str(times),
        obj.metadata.name,
    )


PRINTERS = {
    "ConfigMap": columns("NAME,DATA,AGE", _config_map),
    "Event": columns(
        "LAST SEEN,TYPE,REASON,OBJECT,SUBOBJECT,SOURCE,MESSAGE,FIRST SEEN,COUNT,NAME",
        _event,
        wide="SUBOBJECT,SOURCE,FIRST SEEN,COUNT,NAME",
        coloured="TYPE",
    ),
    "Lease": columns("NAME,HOLDER,AGE", _lease),
    "LimitRange": columns("NAME,CREATED AT", _limit_range),
    "Namespace": columns("NAME,STATUS,AGE", _namespace, coloured="STATUS"),
    "Node": columns(
        "NAME,STATUS,ROLES,AGE,VERSION",
        _node,
        wide="INTERNAL-IP,EXTERNAL-IP,OS-IMAGE,KERNEL-VERSION,CONTAINER-RUNTIME",
        coloured="STATUS",
    ),
    "PodDisruptionBudget": columns("NAME,MIN AVAILABLE,MAX UNAVAILABLE,ALLOWED DISRUPTIONS,AGE", _budget),
    "PriorityClass": columns("NAME,VALUE,GLOBAL-DEFAULT,AGE,PREEMPTIONPOLICY", _priority_class),
    "ResourceQuota": columns("NAME,REQUEST,LIMIT,AGE", _quota),
    "Secret": columns("NAME,TYPE,DATA,AGE", _secret),
    "ServiceAccount": columns("NAME,SECRETS,AGE", _service_account),
}
