"""Networking, access control, autoscaling and other kinds that are carried without a type, in kubectl's columns."""

from __future__ import annotations

from typing import Any

import msgspec

from reconciler.printers.bodies import Finder, at, condition, items, number, path, table, text
from reconciler.printers.cells import NONE, UNKNOWN, UNSET, created, selector
from reconciler.printers.columns import columns
from state.objects import LabelSelector

#: How many hosts of an Ingress, and how many metrics of an autoscaler, are shown.
_HOSTS = 3
_METRICS = 2


def _subjects(kind: str) -> Finder:
    """The names of a binding's subjects of a kind; accounts with their namespaces."""

    def cell(body: dict[str, Any]) -> str:
        named = [each for each in items(body, "subjects") if at(each, "kind") == kind]
        return ", ".join(
            f"{at(each, 'namespace')}/{at(each, 'name')}" if kind == "ServiceAccount" else text(at(each, "name"), "")
            for each in named
        )

    return cell


def _reference(where: str) -> Finder:
    """Kind and name of what is referred to."""
    return lambda body: f"{text(at(body, f'{where}.kind'), '')}/{text(at(body, f'{where}.name'), '')}"


def _hosts(body: dict[str, Any]) -> str:
    """The hosts of the first rules that name one; how many more there are is counted in rules, as Kubernetes does."""
    rules = items(body, "spec.rules")
    named = [place for place, rule in enumerate(rules) if text(at(rule, "host"), "")][:_HOSTS]
    hosts = ",".join(str(at(rules[place], "host")) for place in named) or "*"
    is_cut = len(named) == _HOSTS and named[-1] + 1 < len(rules)
    return f"{hosts} + {len(rules) - _HOSTS} more..." if is_cut else hosts


def _addresses(body: dict[str, Any]) -> str:
    points = items(body, "status.loadBalancer.ingress")
    return ",".join(sorted({text(at(point, "ip") or at(point, "hostname"), "") for point in points} - {""}))


def _ports(body: dict[str, Any]) -> str:
    return "80, 443" if items(body, "spec.tls") else "80"


def _parameters(body: dict[str, Any]) -> str:
    parameters = at(body, "spec.parameters")
    if not parameters:
        return NONE
    group = at(parameters, "apiGroup")
    kind = text(at(parameters, "kind"), "")
    return f"{kind}{'' if group is None else f'.{group}'}/{text(at(parameters, 'name'), '')}"


def _pod_selector(body: dict[str, Any]) -> str:
    try:
        return selector(msgspec.convert(at(body, "spec.podSelector"), LabelSelector | None))
    except msgspec.ValidationError:
        return "<error>"


def _metrics(body: dict[str, Any]) -> str:
    """What each metric is and is to be; of more than two the number."""
    specs, statuses = items(body, "spec.metrics"), items(body, "status.currentMetrics")
    told = [_metric(spec, statuses[index] if index < len(statuses) else None) for index, spec in enumerate(specs)]
    more = f" + {len(told) - _METRICS} more..." if len(told) > _METRICS else ""
    return ", ".join(told[:_METRICS]) + more if told else NONE


def _metric(spec: Any, status: Any) -> str:
    kind = text(at(spec, "type"), "")
    field = kind[:1].lower() + kind[1:]
    target, current = at(spec, f"{field}.target"), at(status, f"{field}.current")
    if kind in ("Resource", "ContainerResource"):
        name = text(at(spec, f"{field}.name"), "")
        if at(target, "averageValue") is not None:
            now, wanted = text(at(current, "averageValue"), UNKNOWN), text(at(target, "averageValue"), "")
        else:
            now = _percent(at(current, "averageUtilization"), UNKNOWN)
            wanted = _percent(at(target, "averageUtilization"), "<auto>")
        return f"{name}: {now}/{wanted}"
    if kind not in ("External", "Object", "Pods"):
        return "<unknown type>"
    side = "value" if at(target, "averageValue") is None else "averageValue"
    average = " (avg)" if side == "averageValue" and kind != "Pods" else ""
    return f"{text(at(current, side), UNKNOWN)}/{text(at(target, side), '')}{average}"


def _percent(share: Any, missing: str) -> str:
    return missing if share is None else f"{share}%"


def _healthy(where: str) -> Finder:
    return lambda body: text(at(condition(body, "Healthy", "conditions"), where), "")


def _health(body: dict[str, Any]) -> str:
    found = condition(body, "Healthy", "conditions")
    return "Unknown" if found is None else "Healthy" if at(found, "status") == "True" else "Unhealthy"


_CREATED = columns("Name,Created At:date", created)
_BINDING = table(
    "Name,Role,Age,+Users,+Groups,+ServiceAccounts",
    _reference("roleRef"),
    *(_subjects(kind) for kind in ("User", "Group", "ServiceAccount")),
)

PRINTERS = {
    "ComponentStatus": table("Name,Status,Message,Error", _health, _healthy("message"), _healthy("error")),
    "ClusterRole.rbac.authorization.k8s.io": _CREATED,
    "ClusterRoleBinding.rbac.authorization.k8s.io": _BINDING,
    "CustomResourceDefinition.apiextensions.k8s.io": _CREATED,
    "HorizontalPodAutoscaler.autoscaling": table(
        "Name,Reference,Targets,MinPods,MaxPods,Replicas,Age",
        _reference("spec.scaleTargetRef"),
        _metrics,
        path("spec.minReplicas", UNSET),
        number("spec.maxReplicas"),
        number("status.currentReplicas"),
    ),
    "Ingress.networking.k8s.io": table(
        "Name,Class,Hosts,Address,Ports,Age", path("spec.ingressClassName"), _hosts, _addresses, _ports
    ),
    "IngressClass.networking.k8s.io": table("Name,Controller,Parameters,Age", path("spec.controller", ""), _parameters),
    "NetworkPolicy.networking.k8s.io": table("Name,Pod-Selector,Age", _pod_selector),
    "Role.rbac.authorization.k8s.io": _CREATED,
    "RoleBinding.rbac.authorization.k8s.io": _BINDING,
    "RuntimeClass.node.k8s.io": table("Name,Handler,Age", path("handler", "")),
    "Scale.autoscaling": table(
        "Name,Desired:integer,Available:integer,Age", number("spec.replicas"), number("status.replicas")
    ),
}
