"""Validation of HorizontalPodAutoscalers, in the form of autoscaling/v2."""

from __future__ import annotations

from collections.abc import Callable

from state import names
from state.quantity import canonical, parse
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.plain._values import Json, items, number, part, path_segment, text
from state.validation.resources import container_resource_name

_LONGEST_PERIOD, _LONGEST_WINDOW = 1800, 3600
_SELECTIONS = ("Disabled", "Max", "Min")
_SOURCES = ("ContainerResource", "External", "Object", "Pods", "Resource")
_NO_TARGET = "must set either a target raw value or a target utilization"
_TWO_TARGETS = "may not set both a target raw value and a target utilization"


def autoscaler(found: Report, obj: Json) -> None:
    """HorizontalPodAutoscaler."""
    spec = part(obj, "spec")
    least, most = spec.get("minReplicas"), number(spec, "maxReplicas")
    if least is not None and least < 1:
        found.invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        found.invalid("spec.maxReplicas", most, "must be greater than 0")
    if least is not None and most < least:
        found.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    _target_object(found, "spec.scaleTargetRef", part(spec, "scaleTargetRef"))
    for path, metric in items(spec, "metrics", "spec"):
        _metric(found, path, metric)
    if least == 0 and not {"Object", "External"} & {text(each, "type") for each in spec.get("metrics") or ()}:
        message = "must specify at least one Object or External metric to support scaling to zero replicas"
        found.forbidden("spec.metrics", message)
    for name in ("scaleUp", "scaleDown"):
        rules = part(spec, "behavior").get(name)
        if rules is not None:
            _scaling_rules(found, f"spec.behavior.{name}", rules)
    for path, condition in items(part(obj, "status"), "conditions", "status"):
        if not text(condition, "type"):
            found.required(f"{path}.type")
    for name in ("currentReplicas", "desiredReplicas"):
        found.not_negative(f"status.{name}", number(part(obj, "status"), name))


def _target_object(found: Report, path: str, reference: Json) -> None:
    path_segment(found, f"{path}.kind", text(reference, "kind"))
    path_segment(found, f"{path}.name", text(reference, "name"))


def _metric(found: Report, path: str, metric: Json) -> None:
    kind = text(metric, "type")
    if not kind:
        found.required(f"{path}.type", "must specify a metric source type")
    if kind not in _SOURCES:
        found.unsupported(f"{path}.type", kind, _SOURCES)
    given = [name for name in _METRICS if metric.get(name) is not None]
    if given:
        _METRICS[given[0]](found, f"{path}.{given[0]}", metric[given[0]])
    wanted = kind[:1].lower() + kind[1:]
    if kind not in _SOURCES:
        found.unsupported(f"{path}.type", kind, _SOURCES)
    elif wanted not in given:
        found.required(f"{path}.{wanted}", "must populate information for the given metric source")
    if len(given) != 1:
        for name in given:
            if name != wanted:
                found.forbidden(f"{path}.{name}", "must populate the given metric source only")


def _object(found: Report, path: str, source: Json) -> None:
    _target_object(found, f"{path}.describedObject", part(source, "describedObject"))
    _identifier(found, f"{path}.metric", part(source, "metric"))
    target = _target(found, path, source)
    if target.get("value") is None and target.get("averageValue") is None:
        found.required(f"{path}.target.averageValue", "must set either a target value or averageValue")


def _external(found: Report, path: str, source: Json) -> None:
    _identifier(found, f"{path}.metric", part(source, "metric"))
    target = _target(found, path, source)
    given = [name for name in ("value", "averageValue") if target.get(name) is not None]
    if not given:
        message = "must set either a target value for metric or a per-pod target"
        found.required(f"{path}.target.averageValue", message)
    if len(given) > 1:
        message = "may not set both a target value for metric and a per-pod target"
        found.forbidden(f"{path}.target.value", message)


def _pods(found: Report, path: str, source: Json) -> None:
    _identifier(found, f"{path}.metric", part(source, "metric"))
    if _target(found, path, source).get("averageValue") is None:
        found.required(f"{path}.target.averageValue", "must specify a positive target averageValue")


def _resource(found: Report, path: str, source: Json) -> None:
    if not text(source, "name"):
        found.required(f"{path}.name", "must specify a resource name")
    _resource_target(found, path, source)


def _container_resource(found: Report, path: str, source: Json) -> None:
    name, container = text(source, "name"), text(source, "container")
    if not name:
        found.required(f"{path}.name", "must specify a resource name")
    else:
        container_resource_name(found, f"{path}.name", name)
    if not container:
        found.required(f"{path}.container", "must specify a container")
    else:
        checks.text(found, f"{path}.container", container, names.dns1123_label)
    _resource_target(found, path, source)


def _resource_target(found: Report, path: str, source: Json) -> None:
    target = _target(found, path, source)
    given = [name for name in ("averageUtilization", "averageValue") if target.get(name) is not None]
    if not given:
        found.required(f"{path}.target.averageUtilization", _NO_TARGET)
    if len(given) > 1:
        found.forbidden(f"{path}.target.averageValue", _TWO_TARGETS)


def _target(found: Report, parent: str, source: Json) -> Json:
    """Checks the target of a source and returns it."""
    target, path = part(source, "target"), f"{parent}.target"
    kind, utilization = text(target, "type"), target.get("averageUtilization")
    if not kind:
        found.required(f"{path}.type", "must specify a metric target type")
    if kind not in {"Utilization", "Value", "AverageValue"}:
        found.invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
    for name in ("value", "averageValue"):
        amount = target.get(name)
        if amount is not None and parse(amount).nanos <= 0:
            found.invalid(f"{path}.{name}", amount, "must be positive")
    if utilization is not None and utilization < 1:
        found.invalid(f"{path}.averageUtilization", utilization, "must be greater than 0")
    return target


def _identifier(found: Report, path: str, metric: Json) -> None:
    path_segment(found, f"{path}.name", text(metric, "name"), "must specify a metric name")


#: Where a metric comes from, in the API server's order.
_METRICS: dict[str, Callable[[Report, str, Json], None]] = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}


def _scaling_rules(found: Report, path: str, rules: Json) -> None:
    window, selection = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    if window is not None and window < 0:
        found.invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > _LONGEST_WINDOW:
        message = f"must be less than or equal to {_LONGEST_WINDOW}"
        found.invalid(f"{path}.stabilizationWindowSeconds", window, message)
    if selection is not None and selection not in _SELECTIONS:
        found.unsupported(f"{path}.selectPolicy", selection, _SELECTIONS)
    if not rules.get("policies"):
        found.required(f"{path}.policies", "must specify at least one Policy")
    for own_path, policy in items(rules, "policies", path):
        if text(policy, "type") not in {"Pods", "Percent"}:
            found.unsupported(f"{own_path}.type", text(policy, "type"), ("Percent", "Pods"))
        for name in ("value", "periodSeconds"):
            if number(policy, name) <= 0:
                found.invalid(f"{own_path}.{name}", number(policy, name), "must be greater than zero")
        if number(policy, "periodSeconds") > _LONGEST_PERIOD:
            message = f"must be less than or equal to {_LONGEST_PERIOD}"
            found.invalid(f"{own_path}.periodSeconds", number(policy, "periodSeconds"), message)
    tolerance = rules.get("tolerance")
    if tolerance is not None and parse(tolerance).nanos < 0:
        found.invalid(f"{path}.tolerance", canonical(tolerance), "must be greater than or equal to 0")
