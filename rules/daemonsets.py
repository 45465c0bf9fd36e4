"""DaemonSet: one pod on each node that suits it, and updates that leave most of them running.

What comes next is ``rules.daemon_steps``, which nodes suit and what a pod is ``rules.daemon_pods``, the former
templates ``rules.history``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules import history
from rules.actions import Fact
from rules.concern import Concern, Touched, itself, wait
from rules.context import Context
from rules.daemon_pods import make_pod, pinned
from rules.daemon_steps import View, Work, fresh_status, is_reported, look, next_work
from rules.engine import Rule, m
from rules.ownership import Claiming, has_its_labels, touches
from state.objects import AnyObject, DaemonSet, LabelSelector, Node, Pod, replace
from state.snapshot import Change, Key
from state.workspace import Workspace

#: Pods that one look at a set creates or deletes at most; the rest follows in the next pass.
BURST = 10_000
_SOURCE = "daemonset-controller"

PODS: Claiming[DaemonSet, Pod] = Claiming(Pod)


def find(ws: Workspace, key: Key) -> DaemonSet:
    """The DaemonSet of that key, which has to be there."""
    ds = ws.find(DaemonSet, key.namespace, key.name)
    assert ds is not None
    return ds


def _work(ctx: Context, key: Key) -> tuple[View, Work]:
    view = look(ctx.ws, find(ctx.ws, key), ctx.now)
    return view, next_work(view)


# -- consequents -------------------------------------------------------------------------------------------------------


def _refuse(ctx: Context, key: Key, _: Fact) -> None:
    ctx.note()
    ds = find(ctx.ws, key)
    generation = ds.metadata.generation
    if ds.status.observed_generation != generation:
        message = "This daemon set is selecting all pods. A non-empty selector is required."
        ctx.event(key, "SelectingAll", message, warning=True, source=_SOURCE)
        ctx.update_status(replace(ds, status=replace(ds.status, observed_generation=generation)))


def _create(ctx: Context, key: Key, _: Fact) -> None:
    view, work = _work(ctx, key)
    _create_on(ctx, view, work.create)


def _create_on(ctx: Context, view: View, nodes: Sequence[str]) -> None:
    if nodes:
        pod = make_pod(ctx.ws, view.ds, view.hash)
        for name in nodes[:BURST]:
            ctx.create(pinned(pod, name))


def _remove(ctx: Context, key: Key, _: Fact) -> None:
    for pod in _work(ctx, key)[1].excess[:BURST]:
        ctx.delete(pod)


def _restart(ctx: Context, key: Key, _: Fact) -> None:
    for pod in _work(ctx, key)[1].finished[:BURST]:
        failed = pod.status.phase == "Failed"
        state, verb = ("failed", "kill") if failed else ("succeeded", "delete")
        message = (
            f"Found {state} daemon pod {pod.metadata.namespace}/{pod.metadata.name}"
            f" on node {pod.spec.node_name}, will try to {verb} it"
        )
        reason = "FailedDaemonPod" if failed else "SucceededDaemonPod"
        ctx.event(key, reason, message, warning=failed, source=_SOURCE)
        ctx.delete(pod)


def _roll(ctx: Context, key: Key, _: Fact) -> None:
    view, work = _work(ctx, key)
    for pod in work.outdated[:BURST]:
        ctx.delete(pod)
    _create_on(ctx, view, work.surge)


def _report(ctx: Context, key: Key, _: Fact) -> None:
    view = look(ctx.ws, find(ctx.ws, key), ctx.now)
    status = fresh_status(view)
    if not is_reported(view, status):
        ctx.update_status(replace(view.ds, status=status))


def _forget(ctx: Context, key: Key, _: Fact) -> None:
    for revision in look(ctx.ws, find(ctx.ws, key), ctx.now).surplus_revisions():
        ctx.delete(revision)


_OURS = m.selects_all == False  # noqa: E712 - an expression of durable.lang
_ALIVE = _OURS & (m.deleting == False)  # noqa: E712
_READY = _ALIVE & (m.adoptable == 0) & (m.strays == 0) & (m.unrecorded == False)  # noqa: E712

RULES = (
    Rule(
        name="daemonset-selects-all",
        when=m.selects_all == True,  # noqa: E712
        then=_refuse,
        why="{name} selects all pods; a non-empty selector is required",
    ),
    *PODS.rules("daemonset", _ALIVE, "pods"),
    *history.rules("daemonset", _ALIVE),
    Rule(
        name="daemonset-restart",
        when=_READY & (m.finished > 0),
        then=_restart,
        why="{name} makes {finished} pods anew that have finished",
    ),
    Rule(
        name="daemonset-remove",
        when=_READY & (m.excess > 0),
        then=_remove,
        why="{name} has {excess} pods on nodes that don't suit it or have one already",
    ),
    Rule(
        name="daemonset-create",
        when=_READY & (m.missing > 0) & (m.makes_its_own == True),  # noqa: E712
        then=_create,
        why="{name} has no pod on {missing} of {want} nodes that suit it",
    ),
    Rule(
        name="daemonset-update",
        when=_READY & (m.rolling > 0) & (m.makes_its_own == True),  # noqa: E712
        then=_roll,
        why="{name} replaces pods of a former template on {rolling} nodes by ones of revision {revision}",
    ),
    Rule(
        name="daemonset-status",
        when=_ALIVE & (m.unreported == True) & (m.unrecorded == False),  # noqa: E712
        then=_report,
        why="{name} has pods on {have} of {want} nodes that suit it, {ready} of them ready",
    ),
    Rule(
        name="daemonset-history",
        when=_READY & (m.expendable > 0),
        then=_forget,
        why="{name} has {expendable} revisions more than its history may hold",
    ),
    Rule(
        name="daemonset-mismatch",
        when=_READY & (m.missing > 0) & (m.makes_its_own == False),  # noqa: E712
        then=wait,
        why="{name} lacks {missing} of {want} pods: its selector doesn't match its template's labels",
    ),
    Rule(
        name="daemonset-nowhere",
        when=_READY & (m.want == 0),
        then=wait,
        why="{name} runs nowhere: none of {nodes} nodes suits it",
    ),
    Rule(
        name="daemonset-wait",
        when=_READY & (m.missing == 0) & (m.want > 0) & (m.unavailable > 0),
        then=wait,
        why="{name} waits for {unavailable} of its {want} pods to become available",
    ),
)


# -- concern -----------------------------------------------------------------------------------------------------------


def _node_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    """All sets, if the node came or went, or its labels or taints changed."""
    if _traits(change.old) == _traits(change.new):
        return ()
    return [Key(DaemonSet.kind, *ns_name) for ns_name in ws.table(DaemonSet.kind)]


def _traits(node: AnyObject | None) -> tuple[object, ...]:
    """What a node has that pods may depend on."""
    return (node.metadata.labels, node.spec.taints) if isinstance(node, Node) else ()


class DaemonSets(Concern):
    """Keeps the pods of DaemonSets."""

    name: ClassVar[str] = "daemonsets"
    subjects: ClassVar[Sequence[str]] = (DaemonSet.kind,)
    rules: ClassVar[Sequence[Rule]] = RULES
    watches: ClassVar[Mapping[str, Touched]] = {
        "ControllerRevision": touches(DaemonSet.kind),
        "DaemonSet": itself,
        "Node": _node_touched,
        "Pod": touches(DaemonSet.kind),
    }

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """On which nodes there are pods, and what comes next."""
        ds = ws.find(DaemonSet, key.namespace, key.name)
        if ds is None:
            return None
        view = look(ws, ds, now)
        deleting = ds.metadata.deletion_timestamp is not None
        work = Work() if deleting or not view.recorded else next_work(view)
        status = fresh_status(view)
        return {
            "name": key.name,
            "namespace": key.namespace,
            "selects_all": ds.spec.selector == LabelSelector(),
            "deleting": deleting,
            "nodes": len(view.nodes),
            "want": view.wanted,
            "have": status.current_number_scheduled,
            "ready": status.number_ready,
            "unavailable": status.number_unavailable or 0,
            "adoptable": len(PODS.adoptable(ws, ds)),
            "strays": view.strays,
            "adoptable_revisions": len(history.REVISIONS.adoptable(ws, ds)),
            "unrecorded": not view.recorded,
            "revision": view.hash,
            "makes_its_own": has_its_labels(ds, ds.spec.template),
            "missing": len(work.create),
            "excess": len(work.excess),
            "finished": len(work.finished),
            "rolling": len(work.outdated) + len(work.surge),
            "wake_at": work.wake_at,
            "expendable": len(view.surplus_revisions()) if view.recorded else 0,
            "unreported": not is_reported(view, status),
        }
