"""What a HorizontalPodAutoscaler finds when it looks: the scale of its target, its metrics, and what follows.

As one ``reconcileAutoscaler`` of kube-controller-manager, without its writes: the result says what to write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rules.autoscaler_limits import History, normalize
from rules.autoscaler_metrics import MetricsError
from rules.autoscaler_proposals import SOURCES, Proposer
from rules.autoscaler_spec import KIND, AutoscalerError, Reference, Spec, spec_of, status_of
from rules.scale import NoScaleError, Scale, ScalePaths, paths_of, scale_of, target_of
from state import selectors
from state.objects import AnyObject, CustomObject, Pod
from state.times import format_time
from state.workspace import Workspace

ABLE, ACTIVE, LIMITED = "AbleToScale", "ScalingActive", "ScalingLimited"
_UNSCALED = "the HPA controller was unable to get the target's current scale: {}"
_UNCOMPUTED = "the HPA was unable to compute the replica count: {}"


@dataclass(slots=True)
class Assessment:
    """One look. ``desired`` is ``current`` unless it is to be scaled; ``held`` says why it isn't though a metric, or
    whoever set it up, would have it so.
    """

    target: AnyObject | None = None
    paths: ScalePaths | None = None
    current: int = 0
    desired: int = 0
    reason: str = ""
    held: str = ""
    #: The new status, as plain data.
    status: dict[str, Any] = field(default_factory=dict)
    #: Warnings: reason and message.
    warnings: list[tuple[str, str]] = field(default_factory=list)
    #: Whether another look may come to something else though nothing changed.
    is_settled: bool = True


class _Metrics(NamedTuple):
    """What all metrics together ask for: the most that one of them does."""

    replicas: int
    name: str
    statuses: list[dict[str, Any]]


class Assessor:
    """Assesses one autoscaler at a time ``now`` (µs)."""

    def __init__(self, ws: Workspace, autoscaler: CustomObject, spec: Spec, history: History, now: int) -> None:
        self._ws, self._spec, self._history, self._now = ws, spec, history, now
        self._namespace = autoscaler.metadata.namespace
        self._former = status_of(autoscaler)
        conditions = self._former.get("conditions")
        self._conditions: list[dict[str, Any]] = [
            each for each in (conditions if isinstance(conditions, list) else ()) if isinstance(each, dict)
        ]
        self._found = Assessment()
        self._pods: dict[str, Pod] = {}
        #: Whether it could be found out how many replicas there are to be.
        self._is_decided = True

    def assess(self) -> Assessment:
        """Looks, and says what is to be done."""
        found, reference = self._found, self._spec.scale_target_ref
        try:
            found.target = self._target(reference)
            found.paths = paths_of(self._ws, found.target)
            scale = scale_of(found.target, found.paths)
        except NoScaleError as error:
            self._warn("FailedGetScale", str(error), ABLE, _UNSCALED.format(error))
            found.held = str(error)
            found.status = {
                "desiredReplicas": 0,
                "currentMetrics": None,
                **self._former,
                "conditions": self._conditions,
            }
            return found
        found.current = found.desired = scale.wanted
        self._set(ABLE, "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale")
        self._history.begin(scale.wanted, self._now)
        return self._reported(self._decide(scale))

    def _target(self, reference: Reference) -> AnyObject:
        found = target_of(self._ws, self._namespace, reference.api_version, reference.kind, reference.name)
        if found is None:
            group = reference.api_version.rpartition("/")[0]
            raise NoScaleError(f'no matches for kind "{reference.kind}" in group "{group}"')
        if found.object is None:
            raise NoScaleError(f'{found.resource("/scale")} "{reference.name}" not found')
        return found.object

    def _decide(self, scale: Scale) -> list[dict[str, Any]] | None:
        """Fills in how many replicas there are to be; returns what the metrics are, if they were looked at."""
        found, spec, current = self._found, self._spec, scale.wanted
        if not current and spec.min_replicas:
            why = "scaling is disabled since the replica count of the target is zero"
            self._set(ACTIVE, "False", "ScalingDisabled", why)
            found.held = why
            return None
        if current > spec.max_replicas:
            found.desired, found.reason = spec.max_replicas, "Current number of replicas above Spec.MaxReplicas"
            return None
        if current < spec.min_replicas:
            found.desired, found.reason = spec.min_replicas, "Current number of replicas below Spec.MinReplicas"
            return None
        metrics = self._metrics(scale)
        if metrics.replicas < 0:
            self._is_decided = False
            return metrics.statuses
        if metrics.replicas > current:
            found.reason = f"{metrics.name} above target"
        elif metrics.replicas < current:
            found.reason = "All metrics below target"
        verdict = normalize(spec, self._history, current, metrics.replicas, self._now)
        self._set(ABLE, "True", *verdict.able)
        self._set(LIMITED, "True" if verdict.is_limited else "False", *verdict.limited)
        found.desired = verdict.replicas
        if verdict.may_change:
            found.is_settled = False
        if verdict.replicas != metrics.replicas:
            found.held = verdict.limited[1] if verdict.is_limited else verdict.able[1]
        return metrics.statuses

    # -- metrics -------------------------------------------------------------------------------------------------------

    def _metrics(self, scale: Scale) -> _Metrics:
        """All metrics. -1 replicas where none counts, or where one that can't be had might want more than the rest."""
        statuses: list[dict[str, Any]] = []
        best, name, faults = 0, "", []
        if not scale.selector:
            why = "the HPA target's scale is missing a selector"
            self._warn("SelectorRequired", "selector is required", ACTIVE, why, "InvalidSelector")
            self._found.held = why
            return _Metrics(-1, "", statuses)
        try:
            selector = selectors.parse(scale.selector)
        except selectors.SelectorError as error:
            why = f"couldn't convert selector into a corresponding internal selector object: {error}"
            self._warn("InvalidSelector", why, ACTIVE, why)
            self._found.held = why
            return _Metrics(-1, "", statuses)
        self._pods = {pod.metadata.name: pod for pod in self._ws.pods_matching(self._namespace, selector)}
        rivals = self._rivals()
        if rivals:
            names = " ".join(f"{self._namespace}/{name}" for name in rivals)
            why = f"pods by selector {scale.selector} are controlled by multiple HPAs: [{names}]"
            self._warn("AmbiguousSelector", why, ACTIVE, why)
            self._found.held = why
            return _Metrics(-1, "", statuses)
        proposer = Proposer(self._ws, self._namespace, scale, self._pods, self._now)
        for metric in self._spec.metrics:
            kind = metric.type
            try:
                proposal, label, status = proposer.propose(metric)
            except MetricsError as error:
                faults.append((kind, str(error)))
                statuses.append({"type": ""})
                continue
            statuses.append(status)
            if not best or proposal.replicas > best:
                best, name = proposal.replicas, label
        if proposer.waits:
            self._found.is_settled = False
        if faults and (len(faults) == len(statuses) or best < scale.wanted):
            self._blame(faults, len(statuses))
            return _Metrics(-1, "", statuses)
        self._set(
            ACTIVE,
            "True",
            "ValidMetricFound",
            f"the HPA was able to successfully calculate a replica count from {name}",
        )
        return _Metrics(best, name, statuses)

    def _rivals(self) -> list[str]:
        """All autoscalers that have a say about the pods, by name; empty if there is only this one."""
        names = []
        for namespace, name in sorted(self._ws.table(KIND)):
            other = self._ws.table(KIND)[namespace, name]
            if namespace == self._namespace and isinstance(other, CustomObject) and self._selects(other):
                names.append(name)
        return names if len(names) > 1 else []

    def _selects(self, autoscaler: CustomObject) -> bool:
        """Whether any of the pods is one that an autoscaler scales."""
        try:
            target = self._target(spec_of(autoscaler).scale_target_ref)
            selector = selectors.parse(scale_of(target, paths_of(self._ws, target)).selector)
        except (AutoscalerError, NoScaleError, selectors.SelectorError):
            return False
        return any(selector.matches(pod.metadata.labels) for pod in self._pods.values())

    def _blame(self, faults: list[tuple[str, str]], count: int) -> None:
        kind, why = faults[0]
        reason = f"FailedGet{kind}Metric" if kind in SOURCES else "InvalidMetricSourceType"
        self._warn(reason, why, ACTIVE, _UNCOMPUTED.format(why))
        whole = f"invalid metrics ({len(faults)} invalid out of {count}), first error is: {why}"
        if self._found.warnings:
            self._found.warnings.append(("FailedComputeMetricsReplicas", whole))
        self._found.held = whole

    # -- the report ----------------------------------------------------------------------------------------------------

    def _set(self, kind: str, value: str, reason: str, message: str) -> bool:
        """Sets a condition; says whether it says something else than before."""
        before = next((each for each in self._conditions if each.get("type") == kind), None)
        new = {"type": kind, "status": value, "reason": reason, "message": message}
        at = None if before is None or before.get("status") != value else before.get("lastTransitionTime")
        new["lastTransitionTime"] = at or format_time(self._now)
        if before is None:
            self._conditions.append(new)
        else:
            self._conditions[self._conditions.index(before)] = new
        return before != new

    def _warn(self, reason: str, text: str, kind: str, message: str, condition: str = "") -> None:
        """A condition that is false, and, when that is news, an event."""
        if self._set(kind, "False", condition or reason, message):
            self._found.warnings.append((reason, text))

    def _reported(self, statuses: list[dict[str, Any]] | None) -> Assessment:
        found = self._found
        rescales = found.desired != found.current
        if rescales:
            message = f"the HPA controller was able to update the target scale to {found.desired}"
            self._set(ABLE, "True", "SucceededRescale", message)
            self._history.scaled(found.current, found.desired, self._now)
            found.is_settled = False
        at = format_time(self._now) if rescales else self._former.get("lastScaleTime")
        found.status = {
            **({"lastScaleTime": at} if at else {}),
            **({"currentReplicas": found.current} if found.current else {}),
            "desiredReplicas": found.desired if self._is_decided else self._former.get("desiredReplicas", 0),
            "currentMetrics": statuses or None,
            "conditions": self._conditions,
        }
        return found
