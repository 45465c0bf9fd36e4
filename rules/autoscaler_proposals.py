"""What each metric of a HorizontalPodAutoscaler asks for, and what it reports of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rules import autoscaler_metrics as source
from rules import autoscaler_replicas as replicas
from rules import selector_text
from rules.autoscaler_metrics import MetricsError
from rules.autoscaler_replicas import Proposal
from rules.autoscaler_spec import Metric, MetricSpec, Target
from rules.scale import Scale
from state.objects import LabelSelector, Pod
from state.quantity import QuantityError, format_decimal, milli
from state.times import TimeError
from state.workspace import Workspace

_NEITHER = "invalid {} metric source: neither a{} target nor an average value {}target was set"
#: What a metric asks for, what it is called in reasons, and its status as plain data.
Proposed = tuple[Proposal, str, dict[str, Any]]


class Proposer:
    """Asks metrics about the pods of one scale, at a time ``now`` (µs)."""

    def __init__(self, ws: Workspace, namespace: str, scale: Scale, pods: Mapping[str, Pod], now: int) -> None:
        self._ws, self._namespace, self._scale, self._pods, self._now = ws, namespace, scale, pods, now
        #: Whether a pod had no say that will have one in a while.
        self.waits = False

    def propose(self, metric: MetricSpec) -> Proposed:
        """What one metric asks for, what it is called, and its status.

        Raises:
            MetricsError: it can't be had.
        """
        if metric.type not in SOURCES:
            raise MetricsError(f'unknown metric source type "{metric.type}"')
        try:
            return SOURCES[metric.type](self, metric)
        except (QuantityError, TimeError) as error:
            raise MetricsError(f"invalid {metric.type} metric source: {error}") from error

    def _resource(self, metric: MetricSpec) -> Proposed:
        given = metric.resource or metric.container_resource
        if given is None:
            raise MetricsError("invalid resource metric source: it isn't given")
        container = metric.container_resource.container if metric.container_resource is not None else ""
        proposal, label = self._usage(given.name, given.target, container)
        identity = {"name": given.name, **({"container": container} if container else {})}
        key = "containerResource" if container else "resource"
        return proposal, label, {"type": metric.type, key: {**identity, "current": _average(proposal)}}

    def _usage(self, resource: str, target: Target, container: str) -> tuple[Proposal, str]:
        wanted = target.average_value
        if wanted is None and target.average_utilization is None:
            raise MetricsError(_NEITHER.format("resource", "n average utilization", "(usage) "))
        what = "utilization" if wanted is None else "usage"
        try:
            samples = self._samples(resource, container)
            if wanted is not None:
                amount = _positive(milli(wanted))
                proposal = replicas.by_average(self._pods, samples, self._scale.wanted, amount, resource, self._now)
                return proposal, f"{resource} resource"
            percent = _positive(target.average_utilization or 0)
            proposal = replicas.by_utilization(
                self._pods, samples, self._scale.wanted, percent, resource, container, self._now
            )
        except MetricsError as error:
            raise MetricsError(f"failed to get {resource} {what}: {error}") from error
        return proposal, f"{resource} resource utilization (percentage of request)"

    def _samples(self, resource: str, container: str) -> source.Samples:
        try:
            samples = source.resource_samples(self._ws, self._namespace, self._pods, resource, container)
        except MetricsError as error:
            raise MetricsError(f"unable to get metrics for resource {resource}: {error}") from error
        if replicas.group_pods(self._pods, samples, resource, self._now).unready:
            self.waits = True
        return samples

    def _of_pods(self, metric: MetricSpec) -> Proposed:
        given = metric.pods
        if given is None or given.target.average_value is None:
            raise MetricsError("invalid pods metric source: an average value target is required")
        name = given.metric.name
        try:
            samples = source.pod_samples(self._ws, self._namespace, self._pods, given.metric)
        except MetricsError as error:
            raise MetricsError(f"failed to get pods metric value: unable to get metric {name}: {error}") from error
        target = _positive(milli(given.target.average_value))
        proposal = replicas.by_average(self._pods, samples, self._scale.wanted, target, "", self._now)
        return proposal, f"pods metric {name}", _status(metric.type, "pods", given.metric, _average(proposal))

    def _of_object(self, metric: MetricSpec) -> Proposed:
        given = metric.object
        if given is None:
            raise MetricsError("invalid object metric source: it isn't given")
        about, name = given.described_object, given.metric.name

        def value() -> int:
            try:
                return source.object_value(self._ws, self._namespace, about, given.metric)
            except MetricsError as error:
                where = f"{about.kind} {self._namespace}/{about.name}"
                raise MetricsError(
                    f"failed to get object metric value: unable to get metric {name}: {where} on {error}"
                ) from error

        proposal, current = self._shared(given.target, value, "object")
        described = {"kind": about.kind, "name": about.name}
        described |= {"apiVersion": about.api_version} if about.api_version else {}
        status = _status(metric.type, "object", given.metric, current, {"describedObject": described})
        return proposal, f"{about.kind} metric {name}", status

    def _external(self, metric: MetricSpec) -> Proposed:
        given = metric.external
        if given is None:
            raise MetricsError("invalid external metric source: it isn't given")
        name, selector = given.metric.name, selector_text.printed(given.metric.selector)

        def value() -> int:
            try:
                return source.external_value(self._ws, self._namespace, given.metric)
            except MetricsError as error:
                why = f"unable to get external metric {self._namespace}/{name}/{selector}: {error}"
                raise MetricsError(f"failed to get {name} external metric value: {why}") from error

        proposal, current = self._shared(given.target, value, "external")
        return proposal, f"external metric {name}({selector})", _status(metric.type, "external", given.metric, current)

    def _shared(self, target: Target, value: Callable[[], int], what: str) -> tuple[Proposal, dict[str, Any]]:
        """What a metric asks for that all pods have together, by its value or by each pod's share of it."""
        if target.average_value is not None:
            proposal = replicas.by_share(value(), self._scale.actual, _positive(milli(target.average_value)))
            return proposal, _average(proposal)
        if target.value is None:
            raise MetricsError(_NEITHER.format(what, " value", ""))
        proposal = replicas.by_value(self._pods, value(), self._scale.wanted, _positive(milli(target.value)))
        return proposal, {"value": format_decimal(proposal.value)}


_Source = Callable[[Proposer, MetricSpec], Proposed]
#: The kinds of metrics.
SOURCES: Mapping[str, _Source] = {
    "ContainerResource": Proposer._resource,  # noqa: SLF001 - the table of its own methods
    "External": Proposer._external,  # noqa: SLF001
    "Object": Proposer._of_object,  # noqa: SLF001
    "Pods": Proposer._of_pods,  # noqa: SLF001
    "Resource": Proposer._resource,  # noqa: SLF001
}


def _positive(target: int) -> int:
    """A target that usage can be compared with."""
    if target <= 0:
        raise MetricsError("invalid metric source: the target must be greater than 0")
    return target


def _average(proposal: Proposal) -> dict[str, Any]:
    percent = {} if proposal.percent is None else {"averageUtilization": proposal.percent}
    return {"averageValue": format_decimal(proposal.value), **percent}


def _status(
    kind: str, key: str, metric: Metric, current: dict[str, Any], more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    identity: dict[str, Any] = {"name": metric.name}
    if metric.selector is not None:
        identity["selector"] = _selector(metric.selector)
    return {"type": kind, key: {"metric": identity, "current": current, **(more or {})}}


def _selector(selector: LabelSelector) -> dict[str, Any]:
    found: dict[str, Any] = {"matchLabels": dict(selector.match_labels)} if selector.match_labels else {}
    if selector.match_expressions:
        found["matchExpressions"] = [
            {"key": each.key, "operator": each.operator, "values": list(each.values)}
            for each in selector.match_expressions
        ]
    return found
