"""StatefulSet: pods with names of their own that come, go and change in order, each with the claims that it keeps.

What comes next is ``rules.stateful_steps``, what a pod is ``rules.stateful_pods``, the former templates
``rules.history``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules import history
from rules.actions import Fact
from rules.concern import Concern, Touched, itself, wait
from rules.context import Context
from rules.engine import Rule, m
from rules.history import template_of
from rules.ownership import Claiming, controllers, touches
from rules.stateful_pods import (
    identity_labels,
    is_member,
    make_claim,
    make_pod,
    missing_claims,
    ordinals,
    parent_and_ordinal,
    retained,
    with_identity,
)
from rules.stateful_steps import View, Work, fresh_status, look, next_available, next_work, revision_for
from state.defaults import default
from state.objects import Pod, StatefulSet, replace
from state.snapshot import Change, Key
from state.workspace import Workspace

PODS: Claiming[StatefulSet, Pod] = Claiming(Pod, is_member)


def find(ws: Workspace, key: Key) -> StatefulSet:
    """The StatefulSet of that key, which has to be there."""
    sts = ws.find(StatefulSet, key.namespace, key.name)
    assert sts is not None
    return sts


def _work(ctx: Context, key: Key) -> tuple[View, Work]:
    view = look(ctx.ws, find(ctx.ws, key), ctx.now)
    return view, next_work(ctx.ws, view)


# -- consequents -------------------------------------------------------------------------------------------------------


def _restart(ctx: Context, key: Key, _: Fact) -> None:
    for pod in _work(ctx, key)[1].finished:
        ctx.delete(pod)


def _create(ctx: Context, key: Key, _: Fact) -> None:
    view, work = _work(ctx, key)
    patterns: dict[str, Pod] = {}
    for ordinal in work.missing:
        revision = revision_for(view, ordinal)
        assert revision is not None
        name = revision.metadata.name
        if name not in patterns:
            template = view.sts.spec.template if revision is view.update else template_of(revision)
            patterns[name] = make_pod(ctx.ws, view.sts, template, name, ordinal)
        _create_claims(ctx, view.sts, ordinal)
        pod = ctx.create(with_identity(patterns[name], view.sts, ordinal))
        for claim in retained(ctx.ws, view.sts, pod, ordinal):
            ctx.update(claim)


def _create_claims(ctx: Context, sts: StatefulSet, ordinal: int) -> None:
    for template, claim_key in missing_claims(ctx.ws, sts, ordinal):
        ctx.create(default(make_claim(sts, template, claim_key)))


def _mend(ctx: Context, key: Key, _: Fact) -> None:
    view, work = _work(ctx, key)
    for ordinal, pod, lacks_claims, lacks_labels in work.amiss:
        if lacks_claims:
            _create_claims(ctx, view.sts, ordinal)
        if lacks_labels:
            labels = {**pod.metadata.labels, **identity_labels(view.sts, ordinal)}
            ctx.update(replace(pod, metadata=replace(pod.metadata, labels=labels)))
        for claim in retained(ctx.ws, view.sts, pod, ordinal):
            ctx.update(claim)


def _scale_down(ctx: Context, key: Key, _: Fact) -> None:
    for pod in _work(ctx, key)[1].condemned:
        ctx.delete(pod)


def _replace(ctx: Context, key: Key, _: Fact) -> None:
    outdated = _work(ctx, key)[1].outdated
    if outdated is not None:
        ctx.delete(outdated)


def _report(ctx: Context, key: Key, _: Fact) -> None:
    view = look(ctx.ws, find(ctx.ws, key), ctx.now)
    ctx.update_status(replace(view.sts, status=fresh_status(view)))


def _forget(ctx: Context, key: Key, _: Fact) -> None:
    for revision in look(ctx.ws, find(ctx.ws, key), ctx.now).surplus_revisions():
        ctx.delete(revision)


_ALIVE = m.deleting == False  # noqa: E712 - an expression of durable.lang
_CLAIMED = (m.adoptable == 0) & (m.strays == 0)
_READY = _ALIVE & _CLAIMED & (m.unrecorded == False)  # noqa: E712

RULES = (
    *PODS.rules("statefulset", _ALIVE, "pods"),
    *history.rules("statefulset", _ALIVE),
    Rule(
        name="statefulset-restart",
        when=_READY & (m.finished > 0),
        then=_restart,
        why="{name} makes {finished} pods anew that have finished",
    ),
    Rule(
        name="statefulset-mend",
        when=_READY & (m.amiss > 0),
        then=_mend,
        why="{name} has {amiss} pods with labels or claims that aren't as they should be",
    ),
    Rule(
        name="statefulset-create",
        when=_READY & (m.missing > 0) & (m.makes_its_own == True),  # noqa: E712
        then=_create,
        why="{name} has {have} of {want} pods",
    ),
    Rule(
        name="statefulset-scale-down",
        when=_READY & (m.amiss == 0) & (m.condemned > 0),
        then=_scale_down,
        why="{name} has {have} pods and wants {want}",
    ),
    Rule(
        name="statefulset-update",
        when=_READY & (m.outdated != ""),
        then=_replace,
        why="{name} replaces pod {outdated} by one of revision {revision}",
    ),
    Rule(
        name="statefulset-status",
        when=(m.unreported == True) & (m.unrecorded == False),  # noqa: E712
        then=_report,
        why="{name} has {have} pods, {ready} of them ready",
    ),
    Rule(
        name="statefulset-history",
        when=_READY & (m.expendable > 0),
        then=_forget,
        why="{name} has {expendable} revisions more than its history may hold",
    ),
    Rule(
        name="statefulset-wait",
        when=_READY & (m.blocker != "") & (m.finished == 0),
        then=wait,
        why="{name} waits for {blocker} to {event}",
    ),
    Rule(
        name="statefulset-unavailable",
        when=_CLAIMED & (m.unrecorded == False) & (m.blocker == "") & (m.unavailable > 0),  # noqa: E712
        then=wait,
        why="{name} waits for {unavailable} of its {want} pods to become available",
    ),
    Rule(
        name="statefulset-mismatch",
        when=_READY & (m.missing > 0) & (m.makes_its_own == False),  # noqa: E712
        then=wait,
        why="{name} lacks {missing} of {want} pods: its selector doesn't match its template's labels",
    ),
)


# -- concern -----------------------------------------------------------------------------------------------------------


def _named(ws: Workspace, namespace: str, pod: str) -> list[Key]:
    """The set that a pod of this name would belong to, if there is one."""
    sets = ws.table(StatefulSet.kind)
    parts = parent_and_ordinal(pod) if sets else None
    if parts is None or (namespace, parts[0]) not in sets:
        return []
    return [Key(StatefulSet.kind, namespace, parts[0])]


def _pod_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    """The pod's controllers, before and now, and the set that its name points to."""
    keys = controllers(change, StatefulSet.kind)
    return [*keys, *_named(ws, change.key.namespace, change.key.name)]


def _claim_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    """The sets that the claim may be one of: its name is a template's, a dash, and a pod's."""
    if not ws.table(StatefulSet.kind):
        return []
    _, *rest = change.key.name.split("-")
    pods = ("-".join(rest[start:]) for start in range(len(rest)))
    return [key for pod in pods for key in _named(ws, change.key.namespace, pod)]


class StatefulSets(Concern):
    """Keeps the pods and claims of StatefulSets."""

    name: ClassVar[str] = "statefulsets"
    subjects: ClassVar[Sequence[str]] = (StatefulSet.kind,)
    rules: ClassVar[Sequence[Rule]] = RULES
    watches: ClassVar[Mapping[str, Touched]] = {
        "ControllerRevision": touches(StatefulSet.kind),
        "PersistentVolumeClaim": _claim_touched,
        "Pod": _pod_touched,
        "StatefulSet": itself,
    }
    sees_bindings: ClassVar[bool] = False

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Which pods there are, what comes next, and what it waits for."""
        sts = ws.find(StatefulSet, key.namespace, key.name)
        if sts is None:
            return None
        view = look(ws, sts, now)
        recorded = bool(view.update_name)
        work = next_work(ws, view) if recorded else Work()
        status = fresh_status(view)
        want = len(ordinals(sts))
        return {
            "name": key.name,
            "namespace": key.namespace,
            "deleting": view.deleting,
            "want": want,
            "have": len(view.pods),
            "ready": status.ready_replicas or 0,
            "unavailable": max(0, want - (status.available_replicas or 0)),
            "adoptable": len(PODS.adoptable(ws, sts)),
            "strays": view.strays,
            "adoptable_revisions": len(history.REVISIONS.adoptable(ws, sts)),
            "unrecorded": not recorded,
            "revision": view.update_name,
            "makes_its_own": _makes_its_own(sts),
            "finished": len(work.finished),
            "missing": len(work.missing),
            "amiss": len(work.amiss),
            "condemned": len(work.condemned),
            "outdated": "" if work.outdated is None else work.outdated.metadata.name,
            "blocker": work.blocker,
            "event": work.event,
            "wake_at": next_available(view),
            "expendable": len(view.surplus_revisions()) if recorded else 0,
            "unreported": status != sts.status,
        }


def _makes_its_own(sts: StatefulSet) -> bool:
    """Whether pods of the set's template match its selector; if not, it would let each of them go again."""
    return is_member(sts, Pod(metadata=replace(sts.spec.template.metadata, name=f"{sts.metadata.name}-0")))
