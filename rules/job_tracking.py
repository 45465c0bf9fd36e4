"""How a Job lets go of a pod: by taking the finalizer away that kept it until it was counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.concern import Concern, Touched
from rules.context import Context
from rules.engine import Rule, m
from rules.job_status import finish
from rules.job_view import FINALIZER, is_tracked
from state.objects import Job, Pod, controller_of, replace
from state.snapshot import Change, Key
from state.workspace import Workspace


def let_go(ctx: Context, pod: Pod) -> Pod:
    """Takes the finalizer from a pod. One that is being deleted and has no time left to end is gone then."""
    if not is_tracked(pod):
        return pod
    left = tuple(name for name in pod.metadata.finalizers if name != FINALIZER)
    return ctx.update(replace(pod, metadata=replace(pod.metadata, finalizers=left)))


def _let_go(ctx: Context, key: Key, _: Fact) -> None:
    pod = ctx.ws.find(Pod, key.namespace, key.name)
    if pod is not None:
        let_go(ctx, pod)


RULES = (
    Rule(
        name="job-pod-left-behind",
        when=m.name != "",
        then=_let_go,
        why="pod {name} is kept for its Job, which is gone or has ended",
    ),
)


def _needs_nobody(ws: Workspace, pod: Pod) -> bool:
    """Whether the pod waits for being counted by a Job that isn't there or has ended."""
    if not is_tracked(pod):
        return False
    owner = controller_of(pod)
    if owner is None or owner.kind != Job.kind:
        return owner is None
    job = ws.find(Job, pod.metadata.namespace, owner.name)
    return job is None or job.metadata.uid != owner.uid or finish(job) is not None


def _pod_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    return (change.key,) if isinstance(change.new, Pod) and _needs_nobody(ws, change.new) else ()


def _job_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    """The pods of a Job that came, went, or ended."""
    old, new = change.old, change.new
    if isinstance(old, Job) and isinstance(new, Job) and old.status is new.status:
        return
    for job in (old, new):
        if job is not None:
            yield from ws.indexes.owned_by(job.metadata.uid, Pod.kind)


class JobPods(Concern):
    """Frees pods that nobody will count any more."""

    name: ClassVar[str] = "job-pods"
    subjects: ClassVar[Sequence[str]] = (Pod.kind,)
    rules: ClassVar[Sequence[Rule]] = RULES
    watches: ClassVar[Mapping[str, Touched]] = {"Job": _job_touched, "Pod": _pod_touched}
    sees_bindings: ClassVar[bool] = False

    def due_at_start(self, ws: Workspace) -> Iterable[Key]:
        """The pods about which there is something to decide."""
        return [Key.of(pod) for pod in ws.objects(Pod) if _needs_nobody(ws, pod)]

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """The pod's name; None for one that is nobody's or waits for a Job."""
        pod = ws.find(Pod, key.namespace, key.name)
        return None if pod is None or not _needs_nobody(ws, pod) else {"name": key.name, "namespace": key.namespace}
