"""NoExecute taints: a pod that doesn't tolerate one goes at once, one that tolerates it for a time goes after it, as
kube-controller-manager's taint eviction controller does it.

The time runs from when the taint was added (``timeAdded``), or from when it was first seen where that isn't said; it
isn't moved by other taints that come and go as long as one is left that ends. A control plane that starts again goes on
counting; Kubernetes' begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rules.actions import Fact
from rules.concern import Concern, Touched, wait
from rules.context import Context
from rules.engine import Rule, m
from rules.pods import disrupted
from rules.scheduling.plugins.taint_toleration import tolerates
from rules.taints import NO_EXECUTE, of_effect
from state.objects import Node, Pod, Taint
from state.snapshot import Change, Key
from state.times import SECOND, format_time, parse_time
from state.workspace import Workspace

_SOURCE = "taint-eviction-controller"
_REASON, _MESSAGE = "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
_EVENT = "TaintManagerEviction"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a pod stays: ``until`` (µs) because of ``taint``. None: for ever. ``tolerated``: not because it must."""

    taint: Taint | None = None
    until: int | None = None
    tolerated: bool = True


def patience(pod: Pod, taints: Sequence[Taint], now: int) -> Patience:
    """How long a pod may stay on a node with these NoExecute taints; of several tolerations of one the first counts.

    A time that is already running out is the caller's to remember.
    """
    since = _bound_at(pod)
    soonest = Patience()
    for taint in taints:
        toleration = next((t for t in pod.spec.tolerations if tolerates((t,), taint)), None)
        if toleration is None:
            return Patience(taint, now, tolerated=False)
        if toleration.toleration_seconds is not None:
            begin = max(since, now if taint.time_added is None else parse_time(taint.time_added))
            until = begin + max(toleration.toleration_seconds, 0) * SECOND
            if soonest.until is None or until < soonest.until:
                soonest = Patience(taint, until)
    return soonest


def _bound_at(pod: Pod) -> int:
    times = [c.last_transition_time for c in pod.status.conditions if c.type == "PodScheduled" and c.status == "True"]
    return parse_time(times[0]) if times and times[0] else 0


def _evict(ctx: Context, key: Key, fact: Fact) -> None:
    pod = ctx.ws.must(Pod, key)
    if fact["waited"] and not fact["tolerated"]:
        _cancel(ctx, key, fact)
    ctx.event(key, _EVENT, f"Marking for deletion Pod {key.namespace}/{key.name}", source=_SOURCE)
    ctx.delete(ctx.update_status(disrupted(pod, _REASON, _MESSAGE, ctx.now)))


def _cancel(ctx: Context, key: Key, _: Fact) -> None:
    ctx.event(key, _EVENT, f"Cancelling deletion of Pod {key.namespace}/{key.name}", source=_SOURCE)


RULES = (
    Rule(
        "taint-evict",
        m.tolerated == False,  # noqa: E712 - an expression of durable.lang
        _evict,
        "{object} does not tolerate the taint {taint} of node {node}",
    ),
    Rule(
        "taint-evict-late",
        (m.tolerated == True) & (m.over == True),  # noqa: E712
        _evict,
        "{object} has tolerated the taint {taint} of node {node} for as long as it does, until {until}",
    ),
    Rule(
        "taint-wait",
        (m.tolerated == True) & (m.over == False) & (m.until != ""),  # noqa: E712
        wait,
        "{object} tolerates the taint {taint} of node {node} until {until}",
    ),
    Rule(
        "taint-cancel",
        (m.waited == True) & (m.until == ""),  # noqa: E712
        _cancel,
        "{object} may stay on node {node}: it has no taint any more that the pod tolerates for a time only",
    ),
)


class TaintEviction(Concern):
    """Deletes the pods of nodes with NoExecute taints, at once or in time."""

    name: ClassVar[str] = "taint-eviction"
    subjects: ClassVar[Sequence[str]] = ("Pod",)
    rules: ClassVar[Sequence[Rule]] = RULES

    def __init__(self) -> None:
        super().__init__()
        #: The pods whose time runs out: when, and because of which taint.
        self._leaving: dict[Key, Patience] = {}

    def attach(self, ws: Workspace) -> None:
        """Forgets whose time was running out elsewhere."""
        self._leaving.clear()

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """A pod that comes to a node or gets other tolerations, and all pods of a node that gets other taints."""
        return {"Node": _node_touched, "Pod": self._pod_touched}

    def _pod_touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        key, old, new = change
        if not isinstance(new, Pod):
            self._leaving.pop(key, None)
            return ()
        node = new.spec.node_name
        if not node or (isinstance(old, Pod) and old.spec.node_name == node and _tolerates_alike(old, new)):
            return ()
        found = ws.find(Node, "", node)
        return (key,) if key in self._leaving or (found is not None and of_effect(found, NO_EXECUTE)) else ()

    def due_at_start(self, ws: Workspace) -> Iterable[Key]:
        """The pods on nodes with NoExecute taints."""
        nodes = ws.table(Node.kind).values()
        tainted = [node.metadata.name for node in nodes if isinstance(node, Node) and of_effect(node, NO_EXECUTE)]
        return [Key("Pod", *ns_name) for name in tainted for ns_name in ws.indexes.pods_on(name)]

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Which taint the pod leaves for, and when; None for a pod that is free to stay, or already ends."""
        pod = ws.find(Pod, key.namespace, key.name)
        before = self._leaving.pop(key, None)
        if pod is None or pod.metadata.deletion_timestamp is not None:
            return None
        node = ws.find(Node, "", pod.spec.node_name or "")
        patient = patience(pod, () if node is None else of_effect(node, NO_EXECUTE), now)
        if before is not None and patient.tolerated and patient.until is not None:
            patient = before
        if before is None and patient.until is None:
            return None
        if patient.tolerated and patient.until is not None:
            self._leaving[key] = patient
        return _fact(pod, patient, now, waited=before is not None)


def _fact(pod: Pod, patient: Patience, now: int, *, waited: bool) -> Fact:
    taint, until = patient.taint, patient.until
    return {
        "object": str(Key.of(pod)),
        "node": pod.spec.node_name or "",
        "taint": "" if taint is None else _written(taint),
        "tolerated": patient.tolerated,
        "until": "" if until is None else format_time(until),
        "over": until is not None and until <= now,
        "wake_at": until,
        "waited": waited,
    }


def _written(taint: Taint) -> str:
    """A taint as kubectl writes it."""
    value = f"={taint.value}" if taint.value else ""
    return f"{taint.key}{value}:{taint.effect}"


def _tolerates_alike(old: Pod, new: Pod) -> bool:
    return old.spec is new.spec or old.spec.tolerations == new.spec.tolerations


def _node_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    """All pods of a node whose NoExecute taints are others now."""
    old, new = change.old, change.new
    before = of_effect(old, NO_EXECUTE) if isinstance(old, Node) else ()
    after = of_effect(new, NO_EXECUTE) if isinstance(new, Node) else ()
    if before == after:
        return ()
    return [Key("Pod", *ns_name) for ns_name in ws.indexes.pods_on(change.key.name)]
