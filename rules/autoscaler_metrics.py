"""Where autoscalers find metrics: in the objects of the three metrics APIs, as somebody reported them.

``metrics.k8s.io`` has a PodMetrics for each pod. ``custom.metrics.k8s.io`` has a MetricValue for each metric of each
object, and ``external.metrics.k8s.io`` an ExternalMetricValue for each series; both kinds may come as lists, too.
All values are in thousandths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from rules.autoscaler_spec import Metric, Reference
from state import selectors
from state.errors import StateError
from state.objects import CustomObject, LabelSelector, Pod, Quantity, decode_hook
from state.quantity import milli
from state.times import SECOND, parse_duration, parse_time
from state.workspace import Workspace

POD_METRICS = "PodMetrics.metrics.k8s.io"
_CUSTOM, _EXTERNAL = "MetricValue", "ExternalMetricValue"
_GROUPS = {_CUSTOM: "custom.metrics.k8s.io", _EXTERNAL: "external.metrics.k8s.io"}
#: The kinds that hold metrics, as a snapshot names them.
METRICS = (POD_METRICS, *(f"{kind}{end}.{group}" for kind, group in _GROUPS.items() for end in ("", "List")))


class MetricsError(StateError):
    """A metric that can't be had, in the words of the metrics client."""


class _Reported(msgspec.Struct, frozen=True, rename="camel"):
    """What of a metrics object is read; it may have more."""


class _Usage(_Reported, frozen=True):
    name: str = ""
    usage: dict[str, Quantity] = {}


class _PodMetrics(_Reported, frozen=True):
    containers: tuple[_Usage, ...] = ()
    timestamp: str | None = None
    window: str | None = None


class _Described(_Reported, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""


class _Identity(_Reported, frozen=True):
    name: str = ""
    selector: LabelSelector | None = None


class _Value(_Reported, frozen=True):
    described_object: _Described = _Described()
    metric: _Identity = _Identity()
    timestamp: str | None = None
    window_seconds: int = 60
    value: Quantity = 0


class _External(_Reported, frozen=True):
    metric_name: str = ""
    metric_labels: dict[str, str] = {}
    value: Quantity = 0


ReportedT = TypeVar("ReportedT", bound=_Reported)


class Sample(NamedTuple):
    """A pod's value, when it was taken, and over how long before (µs)."""

    value: int
    at: int = 0
    window: int = 0


Samples = dict[str, Sample]


def resource_samples(ws: Workspace, namespace: str, pods: Mapping[str, Pod], resource: str, container: str) -> Samples:
    """What the pods use of CPU or memory, by name; of one container of each, if one is named.

    Raises:
        MetricsError: nothing is known of any of them, or a pod has no such container.
    """
    found: Samples = {}
    reported = 0
    for name in sorted(pods):
        obj = ws.table(POD_METRICS).get((namespace, name))
        if not isinstance(obj, CustomObject):
            continue
        reported += 1
        metrics = _read(obj.body.value, _PodMetrics, f"PodMetrics {namespace}/{name}")
        containers = metrics.containers
        if container:
            containers = tuple(each for each in containers if each.name == container)
            if not containers:
                raise MetricsError(f"container {container} not present in metrics for pod {namespace}/{name}")
        if all(resource in each.usage for each in containers):
            at = parse_time(metrics.timestamp) if metrics.timestamp else 0
            window = parse_duration(metrics.window) if metrics.window else 0
            found[name] = Sample(sum(milli(each.usage[resource]) for each in containers), at, window)
    if not reported:
        raise MetricsError("no metrics returned from resource metrics API")
    return found


def pod_samples(ws: Workspace, namespace: str, pods: Mapping[str, Pod], metric: Metric) -> Samples:
    """What the pods have of a custom metric.

    Raises:
        MetricsError: nothing is known of any of them.
    """
    found = {}
    for item in _custom(ws, metric):
        about = item.described_object
        if (about.kind, about.namespace) == (Pod.kind, namespace) and about.name in pods:
            at = parse_time(item.timestamp) if item.timestamp else 0
            found[about.name] = Sample(milli(item.value), at, item.window_seconds * SECOND)
    if not found:
        raise MetricsError("no metrics returned from custom metrics API")
    return found


def object_value(ws: Workspace, namespace: str, target: Reference, metric: Metric) -> int:
    """What one object has of a custom metric.

    Raises:
        MetricsError: nobody says.
    """
    wanted = _Described(target.kind, "" if target.kind == "Namespace" else namespace, target.name)
    for item in _custom(ws, metric):
        if item.described_object == wanted:
            return milli(item.value)
    raise MetricsError(f"the server could not find the metric {metric.name} for {target.kind.lower()} {target.name}")


def external_value(ws: Workspace, namespace: str, metric: Metric) -> int:
    """The sum of all series of an external metric that its selector matches.

    Raises:
        MetricsError: there is none.
    """
    values = [
        milli(item.value)
        for place, item in _items(ws, _EXTERNAL, _External)
        if place in ("", namespace)
        and item.metric_name == metric.name
        and _is_selected(metric.selector, item.metric_labels)
    ]
    if not values:
        raise MetricsError("no metrics returned from external metrics API")
    return sum(values)


def _custom(ws: Workspace, metric: Metric) -> Iterator[_Value]:
    """The values of a metric with the selector that is asked for (each is reported with the one that it is of)."""
    for _, item in _items(ws, _CUSTOM, _Value):
        labels = {} if item.metric.selector is None else item.metric.selector.match_labels
        if item.metric.name == metric.name and _is_selected(metric.selector, labels):
            yield item


def _items(ws: Workspace, kind: str, form: type[ReportedT]) -> Iterator[tuple[str, ReportedT]]:
    """All values of a kind with their namespaces, by the names of the objects that hold them."""
    for end in ("", "List"):
        table = ws.table(f"{kind}{end}.{_GROUPS[kind]}")
        for namespace, name in sorted(table):
            obj = table[namespace, name]
            assert isinstance(obj, CustomObject)
            where = f"{obj.kind} {namespace}/{name}"
            items = _read(obj.body.value.get("items") or [], list, where) if end else [obj.body.value]
            for item in items:
                yield namespace, _read(item, form, where)


T = TypeVar("T")


def _read(value: object, form: type[T], where: str) -> T:
    """A report as what it is to be.

    Raises:
        MetricsError: it isn't.
    """
    try:
        return msgspec.convert(value, form, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        raise MetricsError(f"{where}: {error}") from error


def _is_selected(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    return selector is None or selectors.matches(selector, labels)
