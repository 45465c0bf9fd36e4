"""PodDisruptionBudget: how many pods may be evicted now, as kube-controller-manager's disruption controller counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from rules import selector_text
from rules.actions import Fact
from rules.concern import Concern, Touched, itself, note, wait
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import clipped
from rules.pods import is_ready
from rules.scale import NoScaleError, paths_of, scale_of, target_of
from state import selectors
from state.int_or_percent import scaled
from state.objects import (
    AnyObject,
    Condition,
    Deployment,
    OwnerReference,
    Pod,
    PodDisruptionBudget,
    PodDisruptionBudgetStatus,
    ReplicaSet,
    controller_of,
    replace,
)
from state.snapshot import Change, Key
from state.times import SECOND, format_time, parse_time
from state.workspace import Workspace

_ALLOWED = "DisruptionAllowed"
_SOURCE = "controllermanager"
#: How long an evicted pod may take until it is being deleted; then it counts again.
_DELETION_TIMEOUT = 120 * SECOND
_NOBODY = "found no controllers for pod"
_SCALED = ("Deployment", "ReplicaSet", "ReplicationController", "StatefulSet")


@dataclass(slots=True)
class Tally:
    """The pods of a budget, counted."""

    pods: int = 0
    healthy: int = 0
    #: How many pods there should be, and how many of them have to be healthy; None if that can't be said.
    expected: int | None = None
    desired: int = 0
    #: Pods without a controller, and why nobody knows how many pods the controller of another wants.
    unmanaged: int = 0
    unknown: str = ""
    #: Evicted pods that aren't being deleted yet, with the time of the eviction.
    disrupted: dict[str, str] = field(default_factory=dict)
    wake_at: int | None = None


def count(ws: Workspace, budget: PodDisruptionBudget, now: int) -> Tally:
    """Counts the pods that the budget's selector matches; none at all matches none, an empty one all."""
    spec = budget.spec
    pods = ws.pods_matching(budget.metadata.namespace, selectors.from_object(spec.selector)) if spec.selector else []
    tally = Tally(pods=len(pods))
    _count_disrupted(budget, pods, tally, now)
    for pod in pods:
        ending = pod.metadata.deletion_timestamp is not None or pod.metadata.name in tally.disrupted
        tally.healthy += not ending and is_ready(pod)
    least = spec.min_available
    if spec.max_unavailable is None and isinstance(least, int):
        tally.expected, tally.desired = len(pods), least
    elif spec.max_unavailable is not None or least is not None:
        _expect(ws, pods, tally)
        total = tally.expected or 0
        if spec.max_unavailable is not None:
            tally.desired = max(0, total - scaled(spec.max_unavailable, total, round_up=True))
        elif least is not None:
            tally.desired = scaled(least, total, round_up=True)
    else:
        tally.expected = 0
    return tally


def _count_disrupted(budget: PodDisruptionBudget, pods: Sequence[Pod], tally: Tally, now: int) -> None:
    present = {pod.metadata.name for pod in pods if pod.metadata.deletion_timestamp is None}
    for name, at in sorted(budget.status.disrupted_pods.items()):
        until = parse_time(at) + _DELETION_TIMEOUT
        if name in present and until > now:
            tally.disrupted[name] = at
            tally.wake_at = min(until, tally.wake_at or until)


def _expect(ws: Workspace, pods: Sequence[Pod], tally: Tally) -> None:
    """Adds up how many pods the controllers of these pods want."""
    scales: dict[str, int] = {}
    for pod in pods:
        ref = controller_of(pod)
        if ref is None:
            tally.unmanaged += 1
        elif ref.uid not in scales:
            try:
                uid, wanted = _scale(ws, pod, ref)
            except NoScaleError as error:
                tally.unknown = str(error)
                return
            scales[uid] = wanted
            scales.setdefault(ref.uid, 0)
    tally.expected = sum(scales.values())


def _scale(ws: Workspace, pod: Pod, ref: OwnerReference) -> tuple[str, int]:
    """The uid of the controller that says how many pods there are to be, a ReplicaSet's Deployment for one, and how
    many. Anything that has a scale will do.

    Raises:
        NoScaleError: it has none, or isn't there.
    """
    namespace = pod.metadata.namespace
    target = target_of(ws, namespace, ref.api_version, ref.kind, ref.name)
    if target is None:
        raise NoScaleError(f'no matches for kind "{ref.kind}" in version "{ref.api_version}"')
    if not target.is_scalable:
        raise NoScaleError(f"{target.resource()} does not implement the scale subresource")
    obj = target.object
    if obj is None or obj.metadata.uid != ref.uid:
        raise NoScaleError(f'{_NOBODY} "{pod.metadata.name}"')
    above = controller_of(obj)
    if isinstance(obj, ReplicaSet) and above is not None and above.kind == Deployment.kind:
        deployment = ws.find(Deployment, namespace, above.name)
        obj = deployment if deployment is not None and deployment.metadata.uid == above.uid else obj
    return obj.metadata.uid, scale_of(obj, paths_of(ws, obj)).wanted


def fresh_status(budget: PodDisruptionBudget, tally: Tally, now: int) -> PodDisruptionBudgetStatus:
    """The status to report. Where the expected number isn't known nothing may be evicted."""
    if tally.expected is None:
        failed = Condition(status="False", reason="SyncFailed", message=tally.unknown)
        return _with_condition(replace(budget.status, disruptions_allowed=0), failed, now)
    allowed = max(0, tally.healthy - tally.desired) if tally.expected else 0
    status = replace(
        budget.status,
        current_healthy=tally.healthy,
        desired_healthy=tally.desired,
        expected_pods=tally.expected,
        disruptions_allowed=allowed,
        disrupted_pods=tally.disrupted,
        observed_generation=budget.metadata.generation,
    )
    value, reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    return _with_condition(status, Condition(status=value, reason=reason), now)


def _with_condition(status: PodDisruptionBudgetStatus, new: Condition, now: int) -> PodDisruptionBudgetStatus:
    """The status with its condition, which keeps its time as long as its value stays."""
    present = next((c for c in status.conditions if c.type == _ALLOWED), None)
    kept = present is not None and present.status == new.status
    new = replace(
        new,
        type=_ALLOWED,
        observed_generation=status.observed_generation,
        last_transition_time=present.last_transition_time if present is not None and kept else format_time(now),
    )
    if present is None:
        return replace(status, conditions=(*status.conditions, new))
    return replace(status, conditions=tuple(new if c is present else c for c in status.conditions))


# -- consequents -------------------------------------------------------------------------------------------------------


def _report(ctx: Context, key: Key, _: Fact) -> None:
    budget = ctx.ws.must(PodDisruptionBudget, key)
    tally = count(ctx.ws, budget, ctx.now)
    if not tally.pods:
        ctx.event(key, "NoPods", "No matching pods found", source=_SOURCE)
    if tally.unknown:
        if tally.unknown.startswith(_NOBODY):
            ctx.event(key, "NoControllers", tally.unknown, warning=True, source=_SOURCE)
        message = f"Failed to calculate the number of expected pods: {tally.unknown}"
        ctx.event(key, "CalculateExpectedPodCountFailed", message, warning=True, source=_SOURCE)
    if tally.unmanaged:
        message = (
            f"Pods selected by this PodDisruptionBudget (selector: {selector_text.printed(budget.spec.selector)}) were "
            "found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may "
            'result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB '
            "to an integer value."
        )
        ctx.event(key, "UnmanagedPods", message, warning=True, source=_SOURCE)
    ctx.update_status(replace(budget, status=fresh_status(budget, tally, ctx.now)))


RULES = (
    Rule(
        name="disruption-status",
        when=m.unreported == True,  # noqa: E712 - an expression of durable.lang
        then=_report,
        why="{name} has {healthy} of {pods} pods healthy and needs {desired}",
    ),
    Rule(
        name="disruption-recheck",
        when=m.evicting > 0,
        then=wait,
        why="{name} waits for {evicting} evicted pods to be deleted",
    ),
    Rule(
        name="disruption-unknown",
        when=m.unknown != "",
        then=note,
        why="{name} allows no disruption, since it can't be said how many pods there are to be: {unknown}",
    ),
    Rule(
        name="disruption-unmanaged",
        when=(m.unmanaged > 0) & (m.unknown == ""),
        then=note,
        why="{name} can't rely on {unmanaged} of its pods without a controller; a number as minAvailable would do",
    ),
)


# -- concern -----------------------------------------------------------------------------------------------------------


def _pod_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    """The budgets that matched the pod or match it now."""
    if not ws.table(PodDisruptionBudget.kind):
        return ()
    keys: list[Key] = []
    for obj in (change.old, change.new):
        if obj is not None:
            meta = obj.metadata
            keys += ws.indexes.selecting(meta.namespace, meta.labels, (PodDisruptionBudget.kind,))
    return keys


def _controller_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    """All budgets of the namespace, if the number of pods that are wanted changed."""
    if _replicas(change.old) == _replicas(change.new):
        return ()
    namespace = change.key.namespace
    return [Key(PodDisruptionBudget.kind, *name) for name in ws.table(PodDisruptionBudget.kind) if name[0] == namespace]


def _replicas(obj: AnyObject | None) -> tuple[object, ...]:
    if obj is None:
        return ()
    return (obj.metadata.owner_references, getattr(getattr(obj, "spec", None), "replicas", None))


class Disruption(Concern):
    """Reports how many pods of each PodDisruptionBudget may be evicted."""

    name: ClassVar[str] = "disruption"
    subjects: ClassVar[Sequence[str]] = (PodDisruptionBudget.kind,)
    rules: ClassVar[Sequence[Rule]] = RULES
    watches: ClassVar[Mapping[str, Touched]] = {
        "Pod": _pod_touched,
        "PodDisruptionBudget": itself,
        **dict.fromkeys(_SCALED, _controller_touched),
    }
    sees_bindings: ClassVar[bool] = False

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """How many pods are healthy, and how many have to be."""
        budget = ws.find(PodDisruptionBudget, key.namespace, key.name)
        if budget is None:
            return None
        tally = count(ws, budget, now)
        return {
            "name": key.name,
            "namespace": key.namespace,
            "pods": tally.pods,
            "healthy": tally.healthy,
            "desired": tally.desired,
            "evicting": len(tally.disrupted),
            "wake_at": tally.wake_at,
            "unmanaged": tally.unmanaged,
            "unknown": clipped(tally.unknown),
            "unreported": fresh_status(budget, tally, now) != budget.status,
        }
