"""ResourceQuotas: what counts against them, and their status, as kube-controller-manager's resourcequota controller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from rules.actions import Fact
from rules.concern import ANY, Touched
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern
from state import quantity
from state.objects import (
    KINDS,
    AnyObject,
    PersistentVolumeClaim,
    Pod,
    Quantity,
    ResourceQuota,
    ResourceQuotaStatus,
    ResourceRequirements,
    Service,
    kind_key,
    replace,
)
from state.qos import qos_class
from state.snapshot import Change, Key
from state.workspace import Workspace

Amounts = Mapping[str, Quantity]
_FINISHED = ("Succeeded", "Failed")
#: Kinds that a quota may count under their plain name; all others are ``count/PLURAL.GROUP``.
_PLAIN = frozenset(
    {"ConfigMap", "PersistentVolumeClaim", "ReplicationController", "ResourceQuota", "Secret", "Service"}
)
_COMPUTE = ("cpu", "memory", "ephemeral-storage")


def usage_of(obj: AnyObject) -> dict[str, Quantity]:
    """What one object counts for, by the names that quotas use; nothing for a pod that has ended."""
    kind = KINDS.get(kind_key(obj))
    used: dict[str, Quantity] = {}
    if kind is not None:
        used[f"count/{kind.plural}{f'.{kind.group}' if kind.group else ''}"] = "1"
        if kind.name in _PLAIN:
            used[kind.plural] = "1"
    if isinstance(obj, Pod):
        if obj.status.phase in _FINISHED:
            return {name: amount for name, amount in used.items() if name.startswith("count/")}
        used |= {"pods": "1", **_computed(obj)}
    elif isinstance(obj, PersistentVolumeClaim):
        size = "0" if obj.spec.resources is None else obj.spec.resources.requests.get("storage", "0")
        used["requests.storage"] = size
        if obj.spec.storage_class_name:
            prefix = f"{obj.spec.storage_class_name}.storageclass.storage.k8s.io/"
            used |= {f"{prefix}requests.storage": size, f"{prefix}persistentvolumeclaims": "1"}
    elif isinstance(obj, Service):
        if obj.spec.type in ("NodePort", "LoadBalancer"):
            used["services.nodeports"] = str(len(obj.spec.ports))
        if obj.spec.type == "LoadBalancer":
            used["services.loadbalancers"] = "1"
    return used


def _computed(pod: Pod) -> dict[str, Quantity]:
    """What a pod's containers ask for: together, or as much as the greediest init container."""
    used: dict[str, Quantity] = {}
    for field in ("requests", "limits"):
        together = _sum(_amounts(each.resources, field) for each in pod.spec.containers)
        for container in pod.spec.init_containers:
            for name, amount in _amounts(container.resources, field).items():
                if name not in together or quantity.compare(amount, together[name]) > 0:
                    together[name] = amount
        for name, amount in together.items():
            used[f"{field}.{name}"] = amount
            if field == "requests" and name in _COMPUTE:
                used[name] = amount
    return used


def _amounts(resources: ResourceRequirements | None, field: str) -> Amounts:
    amounts: Amounts = {} if resources is None else getattr(resources, field)
    return amounts


def _sum(parts: Iterable[Amounts]) -> dict[str, Quantity]:
    total: dict[str, Quantity] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = quantity.add(total[name], amount) if name in total else amount
    return total


def is_in_scope(quota: ResourceQuota, obj: AnyObject) -> bool:
    """Whether a quota counts an object at all: scopes are about pods alone."""
    selector = quota.spec.scope_selector
    wanted: list[tuple[str, str, tuple[str, ...]]] = [(scope, "Exists", ()) for scope in quota.spec.scopes]
    wanted += (
        []
        if selector is None
        else [(each.scope_name, each.operator, each.values) for each in selector.match_expressions]
    )
    if not wanted:
        return True
    return isinstance(obj, Pod) and all(_is_in(obj, *term) for term in wanted)


def _is_in(pod: Pod, scope: str, operator: str, values: tuple[str, ...]) -> bool:
    if scope in ("Terminating", "NotTerminating"):
        return (pod.spec.active_deadline_seconds is not None) == (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        return (qos_class(pod.spec) == "BestEffort") == (scope == "BestEffort")
    if scope != "PriorityClass":
        return False
    name = pod.spec.priority_class_name or ""
    return {
        "Exists": bool(name),
        "DoesNotExist": not name,
        "In": name in values,
        "NotIn": name not in values,
    }.get(operator, False)


class Quotas(MethodConcern):
    """Keeps the status of ResourceQuotas: what is allowed, and what is used of it."""

    name: ClassVar[str] = "quotas"
    subjects: ClassVar[tuple[str, ...]] = ("ResourceQuota",)

    @staticmethod
    def _touched(ws: Workspace, change: Change) -> Iterable[Key]:
        """The quotas of the namespace in which something came, went, or asks for something else."""
        key, old, new = change
        if key.kind == "ResourceQuota" and new is not None:
            yield key
        if not key.namespace or not ws.table("ResourceQuota"):
            return
        if old is not None and new is not None and usage_of(old) == usage_of(new):
            return
        for namespace, name in ws.table("ResourceQuota"):
            if namespace == key.namespace:
                yield Key("ResourceQuota", namespace, name)

    watches: ClassVar[Mapping[str, Touched]] = {ANY: _touched}

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Whether the status says what is."""
        quota = ws.find(ResourceQuota, key.namespace, key.name)
        if quota is None:
            return None
        return {"name": key.name, "stale": quota.status != _status(ws, quota)}

    def _report(self, ctx: Context, key: Key, _: Fact) -> None:
        quota = ctx.ws.find(ResourceQuota, key.namespace, key.name)
        assert quota is not None
        ctx.update_status(replace(quota, status=_status(ctx.ws, quota)))

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="quota-usage",
            when=m.stale == True,  # noqa: E712 - durable-rules' own expressions
            then=_report,
            why="{name} doesn't say what is used in its namespace",
        ),
    )


def _status(ws: Workspace, quota: ResourceQuota) -> ResourceQuotaStatus:
    namespace = quota.metadata.namespace
    objects = (
        obj
        for kind in ws.kinds
        for (place, _), obj in ws.table(kind).items()
        if place == namespace and is_in_scope(quota, obj)
    )
    total = _sum(usage_of(obj) for obj in objects)
    used: dict[str, Quantity] = {name: quantity.canonical(total.get(name, "0")) for name in quota.spec.hard}
    return ResourceQuotaStatus(hard=quota.spec.hard, used=used)
