"""PodDisruptionBudget: how many pods may be evicted now, as kube-controller-manager's disruption controller counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from rules import selector_text
from rules.actions import Fact
from rules.concern import Concern, Touched, itself
from rules.context import Context
from rules.engine import Rule, m
from rules.ownership import controller_of
from rules.pods import is_ready
from state import selectors
from state.int_or_percent import scaled
from state.objects import (
    AnyObject,
    Condition,
    Deployment,
    Pod,
    PodDisruptionBudget,
    PodDisruptionBudgetStatus,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
    replace,
)
from state.snapshot import Change, Key
from state.times import SECOND, format_time, parse_time
from state.workspace import Workspace

_ALLOWED = "DisruptionAllowed"
_SOURCE = "controllermanager"
#: How long an evicted pod may take until it is being deleted; then it counts again.
_DELETION_TIMEOUT = 120 * SECOND
_SCALED = ("Deployment", "ReplicaSet", "ReplicationController", "StatefulSet")


@dataclass(slots=True)
class Tally:
    """The pods of a budget, counted."""

    pods: int = 0
    healthy: int = 0
    #: How many pods there should be, and how many of them have to be healthy; None if that can't be said.
    expected: int | None = None
    desired: int = 0
    #: Pods without a controller, and the first controller of which nobody knows how many pods it wants.
    unmanaged: int = 0
    unknown: str = ""
    #: Evicted pods that aren't being deleted yet, with the time of the eviction.
    disrupted: dict[str, str] = field(default_factory=dict)
    recheck_at: int | None = None


def find(ws: Workspace, key: Key) -> PodDisruptionBudget:
    """The budget of that key, which has to be there."""
    budget = ws.find(PodDisruptionBudget, key.namespace, key.name)
    assert budget is not None
    return budget


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
            tally.recheck_at = min(until, tally.recheck_at or until)


def _expect(ws: Workspace, pods: Sequence[Pod], tally: Tally) -> None:
    """Adds up how many pods the controllers of these pods want."""
    scales: dict[str, int] = {}
    for pod in pods:
        ref = controller_of(pod)
        if ref is None:
            tally.unmanaged += 1
        elif ref.uid not in scales:
            found = _scale(ws, Key(ref.kind, pod.metadata.namespace, ref.name), ref.uid)
            if found is None:
                tally.unknown = tally.unknown or f"{ref.kind} {ref.name}"
            else:
                scales[found[0]] = found[1]
                scales.setdefault(ref.uid, 0)
    tally.expected = None if tally.unknown else sum(scales.values())


def _scale(ws: Workspace, key: Key, uid: str) -> tuple[str, int] | None:
    """The controller that says how many pods there are to be, a ReplicaSet's Deployment for one, and how many."""
    obj = ws.get(key)
    if obj is None or obj.metadata.uid != uid:
        return None
    above = controller_of(obj)
    if isinstance(obj, ReplicaSet) and above is not None and above.kind == Deployment.kind:
        deployment = ws.find(Deployment, key.namespace, above.name)
        obj = deployment if deployment is not None and deployment.metadata.uid == above.uid else obj
    if not isinstance(obj, Deployment | ReplicaSet | ReplicationController | StatefulSet):
        return None
    return obj.metadata.uid, 1 if obj.spec.replicas is None else obj.spec.replicas


def fresh_status(budget: PodDisruptionBudget, tally: Tally, now: int) -> PodDisruptionBudgetStatus:
    """The status to report. Where the expected number isn't known nothing may be evicted."""
    if tally.expected is None:
        message = f"found no controllers for {tally.unknown}"
        status = replace(budget.status, disruptions_allowed=0, observed_generation=budget.metadata.generation)
        return _with_condition(budget, status, Condition(status="False", reason="SyncFailed", message=message), now)
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
    return _with_condition(budget, status, Condition(status=value, reason=reason), now)


def _with_condition(
    budget: PodDisruptionBudget, status: PodDisruptionBudgetStatus, new: Condition, now: int
) -> PodDisruptionBudgetStatus:
    """The status with its condition, which keeps its time as long as its value stays."""
    present = next((c for c in status.conditions if c.type == _ALLOWED), None)
    kept = present is not None and present.status == new.status
    new = replace(
        new,
        type=_ALLOWED,
        observed_generation=budget.metadata.generation,
        last_transition_time=present.last_transition_time if present is not None and kept else format_time(now),
    )
    if present is None:
        return replace(status, conditions=(*status.conditions, new))
    return replace(status, conditions=tuple(new if c is present else c for c in status.conditions))


# -- consequents -------------------------------------------------------------------------------------------------------


def _report(ctx: Context, key: Key, _: Fact) -> None:
    budget = find(ctx.ws, key)
    tally = count(ctx.ws, budget, ctx.now)
    if not tally.pods:
        ctx.event(key, "NoPods", "No matching pods found", source=_SOURCE)
    if tally.unmanaged:
        message = (
            f"Pods selected by this PodDisruptionBudget (selector: {selector_text.printed(budget.spec.selector)}) were "
            "found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may "
            'result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB '
            "to an integer value."
        )
        ctx.event(key, "UnmanagedPods", message, warning=True, source=_SOURCE)
    ctx.update_status(replace(budget, status=fresh_status(budget, tally, ctx.now)))


def _wait(ctx: Context, _: Key, fact: Fact) -> None:
    at = fact["recheck_at"]
    if isinstance(at, int):
        ctx.wake(at)


def _note(ctx: Context, _: Key, __: Fact) -> None:
    ctx.note()


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
        then=_wait,
        why="{name} waits for {evicting} evicted pods to be deleted",
    ),
    Rule(
        name="disruption-unknown",
        when=m.unknown != "",
        then=_note,
        why="{name} allows no disruption: nobody says how many pods {unknown} wants",
    ),
    Rule(
        name="disruption-unmanaged",
        when=(m.unmanaged > 0) & (m.unknown == ""),
        then=_note,
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
            "recheck_at": tally.recheck_at,
            "unmanaged": tally.unmanaged,
            "unknown": tally.unknown,
            "unreported": fresh_status(budget, tally, now) != budget.status,
        }
