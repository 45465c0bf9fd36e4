"""Job: run pods until enough of them have succeeded, as kube-controller-manager's job controller does.

Which pods there are is ``rules.job_view``, which are lacking ``rules.job_pods``, how a Job ends and what it reports
``rules.job_status``, when it tries again ``rules.job_backoff``, what it makes of failures ``rules.job_policies``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.admission import ForbiddenError
from rules.concern import Concern, Touched, itself, wait
from rules.context import Context
from rules.engine import Rule, m
from rules.job_backoff import with_deletion
from rules.job_pods import BURST, Need, make_pod, need, with_index
from rules.job_status import (
    COMPLETE,
    FAILED,
    Verdict,
    countable,
    deadline_at,
    ending_status,
    expires_at,
    finish,
    fresh_status,
    noted_status,
    verdict,
)
from rules.job_tracking import let_go
from rules.job_view import FINALIZER, View, is_tracked, look, matches
from rules.methods import clipped
from rules.ownership import adopted, controllers, released
from rules.refusals import Backoff
from state.objects import Job, JobStatus, Pod, replace
from state.snapshot import Change, Key
from state.times import SECOND
from state.workspace import Workspace, controller_uid

_SOURCE = "job-controller"
#: A Job of which somebody else takes care says so in ``managedBy``.
_OURSELVES = (None, "kubernetes.io/job-controller")


def adoptable(ws: Workspace, job: Job) -> list[Pod]:
    """Pods without a controller that the Job's selector matches, unless one of both is being deleted."""
    selector = job.spec.selector
    if job.metadata.deletion_timestamp is not None or selector is None:
        return []
    orphans = ws.orphans(job.metadata.namespace, Pod, selector.match_labels)
    return [pod for pod in orphans if pod.metadata.deletion_timestamp is None and matches(job, pod)]


def _view(ctx: Context, key: Key) -> View:
    return look(ctx.ws, ctx.ws.must(Job, key), ctx.now)


def _status(view: View, end: Verdict | None, found: Need | None) -> JobStatus:
    return fresh_status(view, end, backing_off=found is not None and found.at > 0)


def _need(view: View, end: Verdict | None) -> Need | None:
    """What pods the Job needs; None when it makes and removes none any more."""
    return None if end is not None or view.job.metadata.deletion_timestamp is not None else need(view)


# -- consequents -------------------------------------------------------------------------------------------------------


def _adopt(ctx: Context, key: Key, _: Fact) -> None:
    job = ctx.ws.must(Job, key)
    for pod in adoptable(ctx.ws, job):
        taken = adopted(pod, job)
        finalizers = (*taken.metadata.finalizers, *(() if is_tracked(pod) else (FINALIZER,)))
        ctx.update(replace(taken, metadata=replace(taken.metadata, finalizers=finalizers)))


def _release(ctx: Context, key: Key, _: Fact) -> None:
    job = ctx.ws.must(Job, key)
    for pod in ctx.ws.owned(job, Pod):
        if not matches(job, pod):
            let_go(ctx, ctx.update(released(pod, job)))


def _stop(ctx: Context, key: Key, _: Fact) -> None:
    view = _view(ctx, key)
    end = verdict(view)
    if end is not None:
        ctx.update_status(replace(view.job, status=ending_status(view, end)))
        for pod in view.active[:BURST]:
            ctx.delete(pod)


def _discard(ctx: Context, key: Key, _: Fact) -> None:
    """Deletes pods that are too many; they don't count as failures."""
    view = _view(ctx, key)
    found = _need(view, verdict(view))
    for pod in [] if found is None else found.surplus[:BURST]:
        ctx.delete(let_go(ctx, pod))


def _create(ctx: Context, key: Key, _: Fact) -> None:
    view = _view(ctx, key)
    found = _need(view, verdict(view))
    if found is None or found.at > 0:
        return
    pod = make_pod(ctx.ws, view.job)
    if not view.indexed:
        for _number in range(min(found.missing, BURST)):
            ctx.create(pod)
    for index in found.indexes:
        ctx.create(with_index(view, pod, index))


def _report(ctx: Context, key: Key, _: Fact) -> None:
    """Notes which pods are to be counted, lets them go, and counts them: whatever of it fails, each is counted once."""
    view = _view(ctx, key)
    end = verdict(view)
    pods = countable(view, end)
    job, before = view.job, view.job.status
    status = _status(view, end, _need(view, end))
    if (status.failed or 0) > (before.failed or 0) and any(_leaves_no_trace(pod) for pod in pods):
        job = with_deletion(job, ctx.now)
    if pods:
        ctx.update_status(replace(job, status=noted_status(view, end, status)))
    for pod in pods:
        let_go(ctx, pod)
    ctx.update_status(replace(job, status=status))
    _announce(ctx, key, before, status, job.spec.completions)


def _leaves_no_trace(pod: Pod) -> bool:
    return pod.metadata.deletion_timestamp is not None and pod.status.phase != "Succeeded"


def _announce(ctx: Context, key: Key, before: JobStatus, after: JobStatus, completions: int | None) -> None:
    """The events of conditions that have changed."""
    former = {c.type: c.status for c in before.conditions}
    for condition in after.conditions:
        if former.get(condition.type) == condition.status:
            continue
        if condition.type == COMPLETE:
            if completions is not None and (after.succeeded or 0) > completions:
                message = "Too many succeeded pods running after completion count reached"
                ctx.event(key, "TooManySucceededPods", message, warning=True, source=_SOURCE)
            ctx.event(key, "Completed", "Job completed", source=_SOURCE)
        elif condition.type == FAILED:
            ctx.event(key, condition.reason or "", condition.message or "", warning=True, source=_SOURCE)
        elif condition.type == "Suspended":
            reason = "Suspended" if condition.status == "True" else "Resumed"
            ctx.event(key, reason, condition.message or "", source=_SOURCE)


def _expire(ctx: Context, key: Key, _: Fact) -> None:
    ctx.delete(ctx.ws.must(Job, key), policy="Foreground")


_OURS = m.managed_elsewhere == False  # noqa: E712 - an expression of durable.lang
_ALIVE = m.deleting == False  # noqa: E712
_GOING_ON = _OURS & (m.finished == False)  # noqa: E712
_CLAIMED = _GOING_ON & (m.adoptable == 0) & (m.strays == 0)

RULES = (
    Rule(
        name="job-managed-elsewhere",
        when=(m.managed_elsewhere == True) & (m.expires == False),  # noqa: E712
        then=wait,
        why="{name} is left to {manager}, which its managedBy names",
    ),
    Rule(
        name="job-adopt",
        when=_GOING_ON & _ALIVE & (m.adoptable > 0),
        then=_adopt,
        why="{name} takes over {adoptable} pods that match its selector and have no controller",
    ),
    Rule(
        name="job-release",
        when=_GOING_ON & _ALIVE & (m.strays > 0),
        then=_release,
        why="{name} lets go of {strays} pods that don't match its selector any more",
    ),
    Rule(
        name="job-stop",
        when=_CLAIMED & _ALIVE & (m.end != "") & (m.active > 0),
        then=_stop,
        why="{name} stops {active} pods: {end}",
    ),
    Rule(
        name="job-discard",
        when=_CLAIMED & (m.surplus > 0),
        then=_discard,
        why="{name} has {active} active pods and wants {want}",
    ),
    Rule(
        name="job-create",
        when=_CLAIMED & (m.missing > 0) & (m.makes_its_own == True),  # noqa: E712
        then=_create,
        why="{name} has {active} of {want} active pods, and {succeeded} that succeeded",
    ),
    Rule(
        name="job-status",
        when=_CLAIMED & (m.surplus == 0) & (m.missing == 0) & (m.unreported == True),  # noqa: E712
        then=_report,
        why="{name} has {active} active pods, {succeeded} that succeeded and {failed} that failed",
    ),
    Rule(
        name="job-expire",
        when=_ALIVE & (m.expired == True),  # noqa: E712
        then=_expire,
        why="{name} has ended, and its ttlSecondsAfterFinished have passed",
    ),
    Rule(
        name="job-keep",
        when=_ALIVE & (m.expired == False) & (m.expires == True),  # noqa: E712
        then=wait,
        why="{name} has ended and is kept until its ttlSecondsAfterFinished have passed",
    ),
    Rule(
        name="job-mismatch",
        when=_CLAIMED & _ALIVE & (m.missing > 0) & (m.makes_its_own == False),  # noqa: E712
        then=wait,
        why="{name} lacks {missing} pods: its selector doesn't match its template's labels",
    ),
    Rule(
        name="job-back-off",
        when=_CLAIMED & (m.missing == 0) & (m.backing_off > 0),
        then=wait,
        why="{name} waits before it makes {backing_off} more pods: {failed} have failed",
    ),
    Rule(
        name="job-suspended",
        when=_CLAIMED & _ALIVE & (m.suspended == True) & (m.active == 0) & (m.end == ""),  # noqa: E712
        then=wait,
        why="{name} is suspended: it runs no pods",
    ),
    Rule(
        name="job-idle",
        when=_CLAIMED & _ALIVE & (m.idle == True),  # noqa: E712
        then=wait,
        why="{name} runs no pods: its parallelism is 0",
    ),
    Rule(
        name="job-wait",
        when=_CLAIMED & (m.missing == 0) & (m.backing_off == 0) & (m.active > 0),
        then=wait,
        why="{name} waits for {active} pods to finish",
    ),
    Rule(
        name="job-wait-terminating",
        when=_CLAIMED & (m.missing == 0) & (m.active == 0) & (m.terminating > 0),
        then=wait,
        why="{name} waits for {terminating} pods to end",
    ),
)


# -- concern -----------------------------------------------------------------------------------------------------------


def _pod_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    """The pod's Jobs, before and now; for a pod without a controller all those that could adopt it."""
    keys = controllers(change, Job.kind)
    new = change.new
    if new is not None and controller_uid(new) is None:
        keys += ws.indexes.selecting(new.metadata.namespace, new.metadata.labels, (Job.kind,))
    return keys


class Jobs(Concern):
    """Runs the pods of Jobs, and removes Jobs that have ended when their time to live has passed."""

    name: ClassVar[str] = "jobs"
    subjects: ClassVar[Sequence[str]] = (Job.kind,)
    rules: ClassVar[Sequence[Rule]] = RULES
    watches: ClassVar[Mapping[str, Touched]] = {"Job": itself, "Pod": _pod_touched}
    sees_bindings: ClassVar[bool] = False
    backoff: ClassVar[Backoff] = Backoff(first=SECOND, longest=60 * SECOND, spacing=0)

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """How many pods there are, have succeeded and failed, and what is lacking."""
        job = ws.find(Job, key.namespace, key.name)
        if job is None:
            return None
        expiry = expires_at(job)
        common: dict[str, int | str | bool | None] = {
            "name": key.name,
            "namespace": key.namespace,
            "deleting": job.metadata.deletion_timestamp is not None,
            "manager": job.spec.managed_by or "",
            "managed_elsewhere": job.spec.managed_by not in _OURSELVES,
            "finished": finish(job) is not None,
            "expires": expiry is not None,
            "expired": expiry is not None and expiry <= now,
            "wake_at": expiry,
        }
        return common if common["finished"] or common["managed_elsewhere"] else common | _progress(ws, job, now)

    def refused(self, ctx: Context, key: Key, refusal: ForbiddenError) -> None:
        """Counts what there is all the same, and keeps the Job's deadline."""
        _report(ctx, key, {})
        at = deadline_at(ctx.ws.must(Job, key))
        if at is not None and at > ctx.now:
            ctx.wake(at)


def _progress(ws: Workspace, job: Job, now: int) -> dict[str, int | str | bool | None]:
    """The facts about a Job that goes on."""
    view = look(ws, job, now)
    end = verdict(view)
    found = _need(view, end)
    missing, at = (found.missing, found.at) if found is not None else (0, 0)
    deadline = deadline_at(job)
    return {
        "adoptable": len(adoptable(ws, job)),
        "strays": 0 if job.metadata.deletion_timestamp is not None else view.strays,
        "want": 0 if found is None else found.wanted,
        "active": len(view.active),
        "terminating": len(view.terminating),
        "succeeded": view.succeeded,
        "failed": view.failed,
        "end": "" if end is None else clipped(end.message),
        "suspended": view.suspended,
        "surplus": 0 if found is None else len(found.surplus),
        "missing": 0 if at else missing,
        "backing_off": missing if at else 0,
        "idle": end is None and not view.suspended and not view.active and found is not None and not found.wanted,
        "makes_its_own": matches(job, Pod(metadata=job.spec.template.metadata)),
        "unreported": bool(countable(view, end)) or _status(view, end, found) != job.status,
        "wake_at": min((t for t in (at, deadline or 0) if t > now), default=None),
    }
