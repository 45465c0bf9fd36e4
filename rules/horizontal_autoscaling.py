"""HorizontalPodAutoscalers: scale a workload by what its pods use, as kube-controller-manager's horizontal controller.

What a look finds is ``rules.autoscaler_assessment``, how many replicas a metric asks for ``rules.autoscaler_replicas``,
how fast that may go ``rules.autoscaler_limits``, where metrics come from ``rules.autoscaler_metrics``.

An autoscaler looks at most every 15 seconds. What it recommended and did lately it knows as long as the loop is warm:
a fresh one begins with the replicas that there are, as a restarted controller does, and so holds them for five minutes
before it takes any away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from rules.actions import Fact
from rules.autoscaler_assessment import Assessment, Assessor
from rules.autoscaler_limits import History
from rules.autoscaler_metrics import METRICS
from rules.autoscaler_spec import KIND, AutoscalerError, spec_of, status_of, with_status
from rules.concern import Touched, note
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern, clipped
from rules.scale import scaled
from state.objects import AnyObject, CustomObject
from state.snapshot import Change, Key
from state.times import SECOND
from state.workspace import Workspace

#: How often an autoscaler looks (µs).
PERIOD = 15 * SECOND
#: The kinds without a type that this is about.
UNDERSTOOD = frozenset({KIND, *METRICS})
_SOURCE = "horizontal-pod-autoscaler"
_TARGETS = ("Deployment", "ReplicaSet", "ReplicationController", "StatefulSet")


class HorizontalAutoscaling(MethodConcern):
    """Scales the targets of HorizontalPodAutoscalers."""

    name: ClassVar[str] = "horizontal-autoscaling"
    subjects: ClassVar[tuple[str, ...]] = (KIND,)
    sees_bindings: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._histories: dict[Key, History] = {}
        #: When an autoscaler may look again.
        self._next: dict[Key, int] = {}
        self._found: dict[Key, Assessment] = {}

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """The autoscalers themselves, and those in whose namespaces a metric or a workload changes."""
        return {KIND: _itself, **dict.fromkeys((*METRICS, *_TARGETS), _in_namespace)}

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """What one look finds; nothing before the period since the last one is over."""
        autoscaler = ws.get(key)
        if not isinstance(autoscaler, CustomObject) or autoscaler.metadata.deletion_timestamp is not None:
            for table in (self._histories, self._next, self._found):
                table.pop(key, None)
            return None
        fact: dict[str, int | str | bool | None] = {
            "name": key.name,
            "namespace": key.namespace,
            "problem": "",
            "change": 0,
            "held": "",
            "unreported": False,
            "next": 0,
        }
        soonest = self._next.get(key, 0)
        try:
            spec = spec_of(autoscaler)
        except AutoscalerError as error:
            return {**fact, "problem": clipped(str(error))}
        reference = spec.scale_target_ref
        fact["target"] = f"{reference.kind}/{reference.name}"
        if now < soonest:
            found = self._found[key]
            return {**fact, "current": found.desired, "held": clipped(found.held), "next": soonest}
        history = self._histories.setdefault(key, History())
        history.forget(spec, now)
        found = self._found[key] = Assessor(ws, autoscaler, spec, history, now).assess()
        self._next[key] = now + PERIOD
        return {
            **fact,
            "current": found.current,
            "change": found.desired - found.current,
            "desired": found.desired,
            "reason": found.reason,
            "held": clipped(found.held),
            "unreported": found.status != status_of(autoscaler),
            "next": 0 if found.is_settled else now + PERIOD,
        }

    # -- consequents ---------------------------------------------------------------------------------------------------

    def _scale(self, ctx: Context, key: Key, fact: Fact) -> None:
        found = self._found[key]
        assert found.target is not None
        target = ctx.ws.get(Key.of(found.target))
        assert target is not None
        ctx.update(scaled(target, found.desired, found.paths))
        message = f"New size: {found.desired}; reason: {found.reason}"
        ctx.event(key, "SuccessfulRescale", message, source=_SOURCE)

    def _report(self, ctx: Context, key: Key, _: Fact) -> None:
        autoscaler, found = ctx.ws.get(key), self._found[key]
        assert isinstance(autoscaler, CustomObject)
        ctx.update_status(with_status(autoscaler, found.status))
        for reason, message in found.warnings:
            ctx.event(key, reason, message, warning=True, source=_SOURCE)

    def _wait(self, ctx: Context, _: Key, fact: Fact) -> None:
        at = fact["next"]
        assert isinstance(at, int)
        ctx.wake(at)

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="autoscaler-invalid",
            when=m.problem != "",
            then=note,
            why="{name} scales nothing: {problem}",
        ),
        Rule(
            name="autoscaler-scale",
            when=m.change != 0,
            then=_scale,
            why="{name} wants {desired} pods of {target} instead of {current}: {reason}",
        ),
        Rule(
            name="autoscaler-status",
            when=m.unreported == True,  # noqa: E712 - an expression of durable.lang
            then=_report,
            why="{name} doesn't say what it sees of {target}",
        ),
        Rule(
            name="autoscaler-hold",
            when=(m.held != "") & (m.change == 0),
            then=note,
            why="{name} leaves {target} at {current} pods: {held}",
        ),
        Rule(
            name="autoscaler-wait",
            when=m.next > 0,
            then=_wait,
            why="{name} looks again in a while",
        ),
    )


def _itself(_: Workspace, change: Change) -> Iterable[Key]:
    """An autoscaler whose wishes change; its own report is no news to it."""
    return () if change.new is None or _wishes(change.old) == _wishes(change.new) else (change.key,)


def _wishes(obj: AnyObject | None) -> object:
    return obj.body.value.get("spec") if isinstance(obj, CustomObject) else None


def _in_namespace(ws: Workspace, change: Change) -> Iterable[Key]:
    table = ws.table(KIND)
    if not table:
        return ()
    place = change.key.namespace
    return [Key(KIND, namespace, name) for namespace, name in table if place in ("", namespace)]
