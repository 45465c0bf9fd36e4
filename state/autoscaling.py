"""HorizontalPodAutoscalers of autoscaling/v1 and autoscaling/v2: one object, as either version has it.

v1 knows one metric, the utilization of CPU; everything else it keeps in annotations, in forms of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

Json = dict[str, Any]
_CPU, _CURRENT_CPU = "targetCPUUtilizationPercentage", "currentCPUUtilizationPercentage"
#: What v1 has no fields for, it has as annotations: where in v2 it is, and under which name with this prefix.
_ANNOTATION = "autoscaling.alpha.kubernetes.io/"
_ANNOTATED = (
    ("spec", "metrics", "metrics"),
    ("spec", "behavior", "behavior"),
    ("status", "conditions", "conditions"),
    ("status", "currentMetrics", "current-metrics"),
)
#: The fields of a metric in v1, and where they are in v2; {} is "target" in a spec, "current" in a status.
_METRIC_FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
    "object": (
        ("target", "describedObject"),
        ("metricName", "metric.name"),
        ("selector", "metric.selector"),
        ("{}Value", "{}.value"),
        ("averageValue", "{}.averageValue"),
    ),
    "pods": (
        ("metricName", "metric.name"),
        ("selector", "metric.selector"),
        ("{}AverageValue", "{}.averageValue"),
    ),
    "resource": (
        ("name", "name"),
        ("container", "container"),
        ("{}AverageUtilization", "{}.averageUtilization"),
        ("{}AverageValue", "{}.averageValue"),
    ),
    "external": (
        ("metricName", "metric.name"),
        ("metricSelector", "metric.selector"),
        ("{}Value", "{}.value"),
        ("{}AverageValue", "{}.averageValue"),
    ),
}
_METRIC_FIELDS["containerResource"] = _METRIC_FIELDS["resource"]
_TARGET_TYPES = (("averageUtilization", "Utilization"), ("averageValue", "AverageValue"), ("value", "Value"))


def _metric_v1(metric: Json, which: str) -> Json:
    return {name: _source_v1(name, value, which) if name in _METRIC_FIELDS else value for name, value in metric.items()}


def _source_v1(kind: str, source: Json, which: str) -> Json:
    result = {}
    for old, new in _METRIC_FIELDS[kind]:
        outer, _, inner = new.format(which).partition(".")
        value = (source.get(outer) or {}).get(inner) if inner else source.get(outer)
        if value is not None:
            result[old.format(which)] = value
    return result


def _metric_v2(metric: Json, which: str) -> Json:
    return {
        name: _source_v2(name, value, which) if name in _METRIC_FIELDS and isinstance(value, dict) else value
        for name, value in metric.items()
    }


def _source_v2(kind: str, source: Json, which: str) -> Json:
    result: Json = {}
    for old, new in _METRIC_FIELDS[kind]:
        value = source.get(old.format(which))
        if value is None:
            continue
        outer, _, inner = new.format(which).partition(".")
        if inner:
            result.setdefault(outer, {})[inner] = value
        else:
            result[outer] = value
    if which == "target" and which in result:
        result[which]["type"] = next(word for field, word in _TARGET_TYPES if field in result[which])
    return result


def _cpu_of(metrics: list[Json], which: str) -> tuple[int | None, list[Json]]:
    """The utilization of CPU among metrics of v2, and the other metrics."""
    for metric in metrics:
        resource = (metric.get("resource") or {}) if metric.get("type") == "Resource" else {}
        percent = (resource.get(which) or {}).get("averageUtilization")
        if resource.get("name") == "cpu" and percent is not None:
            return percent, [each for each in metrics if each is not metric]
    return None, metrics


def _recased(value: Any, recase: Callable[[str], str]) -> Any:
    """A behavior with other names: in the annotation they are those of Go's fields."""
    if isinstance(value, dict):
        return {
            recase(name[:1]) + name[1:] if isinstance(name, str) else name: _recased(item, recase)
            for name, item in value.items()
            if item is not None
        }
    return [_recased(item, recase) for item in value] if isinstance(value, list) else value


def _printed_behavior(behavior: Any) -> Any:
    """A behavior with all fields of Go's structs, as it is printed."""
    if not isinstance(behavior, dict):
        return behavior
    rules = {name: behavior.get(name) for name in ("ScaleUp", "ScaleDown")}
    return behavior | {
        name: {**dict.fromkeys(_RULE_FIELDS), **rule} if isinstance(rule, dict) else rule
        for name, rule in rules.items()
    }


_RULE_FIELDS = ("StabilizationWindowSeconds", "SelectPolicy", "Policies", "Tolerance")
#: The order of fields in the annotations, which is that of Go's structs.
_FIELDS = (
    *("type", "status", "lastTransitionTime", "reason", "message"),
    *("object", "pods", "resource", "containerResource", "external"),
    *("target", "kind", "name", "apiVersion", "metricName", "metricSelector", "targetValue", "currentValue"),
    *("targetAverageUtilization", "currentAverageUtilization", "targetAverageValue", "currentAverageValue"),
    *("selector", "averageValue", "container", "matchLabels", "matchExpressions", "key", "operator", "values"),
    *("ScaleUp", "ScaleDown", *_RULE_FIELDS, "Type", "Value", "PeriodSeconds"),
)
_PLACES = {name: place for place, name in enumerate(_FIELDS)}


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (_PLACES.get(name, len(_PLACES)), name))
        return {name: value[name] if name == "matchLabels" else _ordered(value[name]) for name in names}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def first_version(document: Json) -> Json:
    """An autoscaling/v2 document as autoscaling/v1 has it, but for its API version. Nothing is changed in place."""
    meta, spec, status = (dict(document.get(name) or {}) for name in ("metadata", "spec", "status"))
    percent, metrics = _cpu_of(spec.get("metrics") or [], "target")
    current, measured = _cpu_of(status.get("currentMetrics") or [], "current")
    spec["metrics"] = [_metric_v1(metric, "target") for metric in metrics]
    status["currentMetrics"] = [_metric_v1(metric, "current") for metric in measured]
    spec["behavior"] = _printed_behavior(_recased(spec.get("behavior"), str.upper))
    annotations = dict(meta.get("annotations") or {})
    parts = {"spec": spec, "status": status}
    for where, field, name in _ANNOTATED:
        value = parts[where].pop(field, None)
        if value:
            annotations[_ANNOTATION + name] = orjson.dumps(_ordered(value)).decode()
    if percent is not None:
        spec[_CPU] = percent
    if current is not None:
        status[_CURRENT_CPU] = current
    if annotations:
        meta["annotations"] = annotations
    return {
        **document,
        "metadata": meta,
        "spec": spec,
        "status": {"currentReplicas": 0, "desiredReplicas": 0, **status},
    }


def second_version(document: Json) -> Json:
    """An autoscaling/v1 document as autoscaling/v2 has it, but for its API version. Nothing is changed in place.

    It may not have been checked: what isn't understood stays as it is.
    """
    given = [document.get(name) or {} for name in ("metadata", "spec", "status")]
    if not all(isinstance(each, dict) for each in given) or not isinstance(given[0].get("annotations") or {}, dict):
        return document
    meta, spec, status = map(dict, given)
    annotations = dict(meta.pop("annotations", None) or {})
    parts = {"spec": spec, "status": status}
    for where, field, name in _ANNOTATED:
        text = annotations.pop(_ANNOTATION + name, None)
        if text is not None:
            parts[where][field] = _json(text)
    if "behavior" in spec:
        spec["behavior"] = _recased(spec["behavior"], str.lower)
    for holder, field, source, which in (
        (spec, "metrics", _CPU, "target"),
        (status, "currentMetrics", _CURRENT_CPU, "current"),
    ):
        metrics = holder.get(field)
        if isinstance(metrics, list):
            holder[field] = [_metric_v2(each, which) if isinstance(each, dict) else each for each in metrics]
        percent = holder.pop(source, None)
        if percent is not None:
            fields = {"name": "cpu", f"{which}AverageUtilization": percent}
            cpu = {"type": "Resource", "resource": _source_v2("resource", fields, which)}
            holder[field] = [cpu, *(holder[field] if isinstance(metrics, list) else ())]
    return {
        **document,
        "metadata": {**meta, "annotations": annotations} if annotations else meta,
        "spec": spec,
        **({"status": status} if status else {}),
    }


def _json(text: Any) -> Any:
    """An annotation's JSON; what is none is left for others to refuse."""
    try:
        return orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError:
        return text
