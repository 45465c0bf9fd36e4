"""What the node agent keeps about each pod, and when something about a pod is new."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter

from reconciler.drivers.runtime.base import PodSandboxStatus, RuntimeDriver
from reconciler.kubelet import tasks
from reconciler.kubelet.configs import GRACE
from reconciler.kubelet.hands import spec_of
from reconciler.kubelet.tasks import Outcome
from rules.actions import Event
from rules.kubelet import outcomes, probes
from rules.kubelet.records import PodMemory, PodView, Sandbox
from state.objects import Container, ObjectMeta, Pod, PodSpec
from state.snapshot import Key


@dataclass(slots=True)
class Entry:
    """A pod and what is known about it. ``due``: when to look at it again though nothing happens."""

    pod: Pod
    memory: PodMemory
    removed: bool = False
    due: int | None = None
    keys: set[Key] = field(default_factory=set)
    retry_at: int | None = None
    #: What the runtime listed last, and the same as the rules read it.
    listed: tuple[PodSandboxStatus, ...] = ()
    sandboxes: tuple[Sandbox, ...] = ()
    order: tuple[str, str, str] = field(init=False)

    def __post_init__(self) -> None:
        meta = self.pod.metadata
        self.order = (meta.namespace, meta.name, meta.uid)


#: Sorts entries by namespace, name and uid.
order_of = attrgetter("order")


def orphan(uid: str, node_name: str, runtime: RuntimeDriver) -> Pod:
    """What is left of a pod whose object is gone, as a pod: enough to end it."""
    sandboxes = runtime.list_pod_sandboxes(uid)
    config = sandboxes[-1].config if sandboxes else None
    names = sorted({(container.name, container.image) for container in runtime.list_containers(uid)})
    grace = config.annotations.get(GRACE) if config is not None else None
    return Pod(
        metadata=ObjectMeta(uid=uid, namespace=config.namespace if config else "", name=config.name if config else uid),
        spec=PodSpec(
            containers=tuple(Container(name=name, image=image) for name, image in names),
            node_name=node_name or None,
            termination_grace_period_seconds=int(grace) if grace is not None else None,
        ),
    )


def apply_outcome(view: PodView, outcome: Outcome, now: int) -> list[Event]:
    """Takes over how a task went."""
    task, message = outcome.task, outcome.message
    if task.purpose == "pull":
        assert isinstance(task.doing, tasks.Pull)
        image = task.doing.image
        if outcome.success:
            took = outcome.finished_at - outcome.started_at
            return outcomes.image_pulled(view, task.container, image, task.attempt, took)
        return outcomes.pull_failed(view, task.container, image, message, now)
    if task.purpose in ("postStart", "preStop"):
        error = "" if outcome.success else message or "failed"
        return outcomes.hook_finished(view, task.container, task.instance, task.purpose, error)
    container = spec_of(view.pod, task.container)
    seen = probes.ProbeOutcome(
        task.purpose, task.instance, outcome.started_at, outcome.success, message, outcome.steady
    )
    return outcomes.probe_finished(view, container, seen)


def differs(entry: Entry, pod: Pod) -> bool:
    """Whether a pod object says anything new to its node: more than the status that we reported. One of which nothing
    is left here always does: it should be gone.
    """
    old, new = entry.pod, pod
    if entry.removed or entry.memory.cleaned or (new.spec is not old.spec and new.spec != old.spec):
        return True
    before, after = old.metadata, new.metadata
    return (
        before.deletion_timestamp != after.deletion_timestamp
        or before.deletion_grace_period_seconds != after.deletion_grace_period_seconds
        or before.labels != after.labels
        or before.annotations != after.annotations
        or (new.status is not entry.memory.status and new.status != entry.memory.status)
    )
