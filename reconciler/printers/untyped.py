"""Built-in kinds that are carried without a type, in kubectl's columns. Nothing is supposed about what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.printers.cells import NONE, UNKNOWN, UNSET, labels, listed, since
from reconciler.printers.columns import columns
from state.objects import CustomObject


def _at(value: Any, *path: str) -> Any:
    """What is at a path of maps; None where there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _items(value: Any, *path: str) -> list[Any]:
    found = _at(value, *path)
    return found if isinstance(found, list) else []


def _text(value: Any, absent: str = NONE) -> str:
    return absent if value is None or value == "" else str(value)


def _age(obj: CustomObject, now: int) -> str:
    return since(obj.metadata.creation_timestamp, now)


def _created(obj: CustomObject, _: int) -> tuple[str, ...]:
    return (obj.metadata.name, obj.metadata.creation_timestamp or UNKNOWN)


def _of_kind(subjects: list[Any], kind: str) -> Iterator[str]:
    for subject in subjects:
        if _at(subject, "kind") == kind:
            namespace = _at(subject, "namespace")
            name = _text(_at(subject, "name"), "")
            yield f"{namespace}/{name}" if kind == "ServiceAccount" else name


def _binding(obj: CustomObject, now: int) -> tuple[str, ...]:
    body = obj.body.value
    subjects = _items(body, "subjects")
    return (
        obj.metadata.name,
        f"{_text(_at(body, 'roleRef', 'kind'), '')}/{_text(_at(body, 'roleRef', 'name'), '')}",
        _age(obj, now),
        *(", ".join(_of_kind(subjects, kind)) for kind in ("User", "Group", "ServiceAccount")),
    )


def _ingress(obj: CustomObject, now: int) -> tuple[str, ...]:
    body = obj.body.value
    hosts = [_text(_at(rule, "host"), "*") for rule in _items(body, "spec", "rules")]
    points = _items(body, "status", "loadBalancer", "ingress")
    return (
        obj.metadata.name,
        _text(_at(body, "spec", "ingressClassName")),
        listed(hosts, "*"),
        ",".join(_text(_at(point, "ip") or _at(point, "hostname"), "") for point in points),
        "80, 443" if _items(body, "spec", "tls") else "80",
        _age(obj, now),
    )


def _ingress_class(obj: CustomObject, now: int) -> tuple[str, ...]:
    spec = _at(obj.body.value, "spec")
    parameters = _at(spec, "parameters")
    kind, group = _text(_at(parameters, "kind"), ""), _at(parameters, "apiGroup")
    return (
        obj.metadata.name,
        _text(_at(spec, "controller"), ""),
        f"{kind}{f'.{group}' if group else ''}/{_at(parameters, 'name')}" if kind else NONE,
        _age(obj, now),
    )


def _policy(obj: CustomObject, now: int) -> tuple[str, ...]:
    selected = _at(obj.body.value, "spec", "podSelector", "matchLabels")
    return (obj.metadata.name, labels(selected if isinstance(selected, dict) else {}), _age(obj, now))


def _autoscaler(obj: CustomObject, now: int) -> tuple[str, ...]:
    spec, status = _at(obj.body.value, "spec"), _at(obj.body.value, "status")
    target = _at(spec, "scaleTargetRef")
    return (
        obj.metadata.name,
        f"{_text(_at(target, 'kind'), '')}/{_text(_at(target, 'name'), '')}",
        _metrics(_items(spec, "metrics"), _items(status, "currentMetrics")),
        _text(_at(spec, "minReplicas"), UNSET),
        _text(_at(spec, "maxReplicas"), "0"),
        _text(_at(status, "currentReplicas"), "0"),
        _age(obj, now),
    )


def _metrics(specs: list[Any], statuses: list[Any]) -> str:
    """What each metric is and is to be; of more than two the number."""
    told = [_metric(spec, statuses[index] if index < len(statuses) else None) for index, spec in enumerate(specs)]
    more = f" + {len(told) - _SHOWN} more..." if len(told) > _SHOWN else ""
    return ", ".join(told[:_SHOWN]) + more if told else NONE


def _metric(spec: Any, status: Any) -> str:
    kind = _text(_at(spec, "type"), "")
    field = kind[:1].lower() + kind[1:]
    target, current = _at(spec, field, "target"), _at(status, field, "current")
    if kind in ("Resource", "ContainerResource"):
        name = _text(_at(spec, field, "name"), "")
        if _at(target, "averageValue") is not None:
            now, wanted = _text(_at(current, "averageValue"), UNKNOWN), _text(_at(target, "averageValue"), "")
        else:
            now, wanted = _percent(_at(current, "averageUtilization"), UNKNOWN), "<auto>"
            wanted = _percent(_at(target, "averageUtilization"), wanted)
        return f"{name}: {now}/{wanted}"
    if kind not in ("External", "Object", "Pods"):
        return "<unknown type>"
    side = "value" if _at(target, "averageValue") is None else "averageValue"
    average = " (avg)" if side == "averageValue" and kind != "Pods" else ""
    return f"{_text(_at(current, side), UNKNOWN)}/{_text(_at(target, side), '')}{average}"


def _percent(number: Any, missing: str) -> str:
    return missing if number is None else f"{number}%"


def _runtime_class(obj: CustomObject, now: int) -> tuple[str, ...]:
    return (obj.metadata.name, _text(_at(obj.body.value, "handler"), ""), _age(obj, now))


#: How many metrics of an autoscaler are shown.
_SHOWN = 2
_BINDING = columns("NAME,ROLE,AGE", _binding, wide="USERS,GROUPS,SERVICEACCOUNTS")


def _component(obj: CustomObject, _: int) -> tuple[str, ...]:
    found = [each for each in _items(obj.body.value, "conditions") if _at(each, "type") == "Healthy"]
    healthy = found[0] if found else None
    word = {"True": "Healthy", "False": "Unhealthy"}.get(_text(_at(healthy, "status"), ""), "Unknown")
    return (obj.metadata.name, word, _text(_at(healthy, "message"), ""), _text(_at(healthy, "error"), ""))


def _scale(obj: CustomObject, now: int) -> tuple[str, ...]:
    body = obj.body.value
    wanted, actual = (_text(_at(body, part, "replicas"), "0") for part in ("spec", "status"))
    return (obj.metadata.name, wanted, actual, _age(obj, now))


PRINTERS = {
    "ComponentStatus": columns("NAME,STATUS,MESSAGE,ERROR", _component),
    "ClusterRole.rbac.authorization.k8s.io": columns("NAME,CREATED AT", _created),
    "ClusterRoleBinding.rbac.authorization.k8s.io": _BINDING,
    "CustomResourceDefinition.apiextensions.k8s.io": columns("NAME,CREATED AT", _created),
    "HorizontalPodAutoscaler.autoscaling": columns("NAME,REFERENCE,TARGETS,MINPODS,MAXPODS,REPLICAS,AGE", _autoscaler),
    "Ingress.networking.k8s.io": columns("NAME,CLASS,HOSTS,ADDRESS,PORTS,AGE", _ingress),
    "IngressClass.networking.k8s.io": columns("NAME,CONTROLLER,PARAMETERS,AGE", _ingress_class),
    "NetworkPolicy.networking.k8s.io": columns("NAME,POD-SELECTOR,AGE", _policy),
    "Role.rbac.authorization.k8s.io": columns("NAME,CREATED AT", _created),
    "RoleBinding.rbac.authorization.k8s.io": _BINDING,
    "RuntimeClass.node.k8s.io": columns("NAME,HANDLER,AGE", _runtime_class),
    "Scale.autoscaling": columns("NAME,DESIRED,AVAILABLE,AGE", _scale),
}
