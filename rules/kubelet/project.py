"""From a pod as its node sees it to the flat facts that the rules read: one about the pod, one for each container.

What takes counting or order is worked out here, as in the kubelet's ``computePodActions``: whose turn it is to start
(init containers one after the other, sidecars once started), whose to end, what is left to run. A container that runs
as it should has no fact: no rule can be concerned.
"""

from __future__ import annotations

from dataclasses import dataclass

from rules.actions import Fact
from rules.kubelet import probes
from rules.kubelet.records import (
    ALWAYS,
    FINISHED,
    MAX_BACK_OFF,
    NEVER,
    SECOND,
    ContainerMemory,
    PodView,
    RuntimeContainer,
    grace_seconds,
    is_sidecar,
)
from state.objects import Container
from state.restarts import restarts
from state.times import parse_time

_ALIVE = ("CREATED", "RUNNING", "UNKNOWN")


@dataclass(slots=True)
class Slot:
    """One container of the spec and its instances, the newest last. ``here``: the newest is in the current sandbox."""

    spec: Container
    role: str
    instances: list[RuntimeContainer]
    memory: ContainerMemory
    here: bool = False
    due: bool = False

    @property
    def newest(self) -> RuntimeContainer | None:
        """The newest instance."""
        return self.instances[-1] if self.instances else None

    @property
    def state(self) -> str:
        """The newest instance's state; "NONE" if there is no instance."""
        return self.instances[-1].state if self.instances else "NONE"

    @property
    def alive(self) -> bool:
        """Whether something runs, or may."""
        return self.state in _ALIVE


@dataclass(slots=True)
class Layout:
    """A pod's containers in order of start, and what follows from all of them together."""

    view: PodView
    slots: list[Slot]
    initialized: bool = False
    init_failed: bool = False
    #: The pod goes: deleted, failed, or nothing is left to run.
    ending: bool = False
    done: bool = False
    overdue: bool = False
    deadline: int | None = None

    def named(self, container: str) -> Slot:
        """The slot of a container."""
        return next(slot for slot in self.slots if slot.spec.name == container)


def lay_out(view: PodView, now: int) -> Layout:
    """Works out whose turn it is."""
    spec = view.pod.spec
    instances: dict[str, list[RuntimeContainer]] = {}
    for instance in view.containers:
        instances.setdefault(instance.name, []).append(instance)
    sandbox = view.sandbox
    current = sandbox.id if sandbox is not None else ""
    slots = []
    for role, containers in (("init", spec.init_containers), ("main", spec.containers)):
        for container in containers:
            mine = instances.get(container.name, [])
            slots.append(
                Slot(
                    spec=container,
                    role="sidecar" if role == "init" and is_sidecar(container) else role,
                    instances=mine,
                    memory=view.remembered(container.name),
                    here=bool(mine) and mine[-1].sandbox_id == current,
                )
            )
    layout = Layout(view, slots)
    _turns(layout)
    _ends(layout, now)
    return layout


def _turns(layout: Layout) -> None:
    """Marks the containers whose turn to start has come."""
    policy = layout.view.pod.spec.restart_policy or ALWAYS
    before = any(slot.here for slot in layout.slots if slot.role == "main")
    blocked = False
    for slot in layout.slots:
        if slot.role == "main":
            continue
        newest = slot.newest if slot.here else None
        state = newest.state if newest is not None else "NONE"
        if slot.role == "sidecar":
            slot.due = not blocked and not (slot.here and _on_its_way(slot))
            if not before and not (state == "RUNNING" and probes.started(slot.spec, slot.memory, newest)):
                blocked = True
        elif not before and not (newest is not None and state == "EXITED" and newest.exit_code == 0):
            failed = newest is not None and state == "EXITED" and not restarts(slot.spec, policy, newest.exit_code)
            layout.init_failed = layout.init_failed or failed
            slot.due = not blocked and not failed and not (slot.here and _on_its_way(slot))
            blocked = True
    layout.initialized = not blocked
    for slot in layout.slots:
        if slot.role == "main":
            slot.due = layout.initialized and _wanted(slot, policy)


def _wanted(slot: Slot, policy: str) -> bool:
    """Whether a container that doesn't run should (as the kubelet's ShouldContainerBeRestarted)."""
    newest = slot.newest
    if newest is None:
        return True
    if newest.state != "EXITED":
        return not _on_its_way(slot)
    return restarts(slot.spec, policy, newest.exit_code)


def _on_its_way(slot: Slot) -> bool:
    """Whether the newest instance runs, or was told to."""
    newest = slot.newest
    if newest is None or newest.state == "EXITED":
        return False
    return newest.state != "CREATED" or slot.memory.starting == newest.id


def _ends(layout: Layout, now: int) -> None:
    """Works out whether the pod goes, and why."""
    view = layout.view
    spec, status = view.pod.spec, view.memory.status
    policy = spec.restart_policy or ALWAYS
    mains = [slot for slot in layout.slots if slot.role == "main"]
    if layout.init_failed:
        layout.done = True
    elif mains:
        layout.done = not any(slot.alive or _wanted(slot, policy) for slot in mains)
    if spec.active_deadline_seconds is not None and status.start_time is not None:
        layout.deadline = parse_time(status.start_time) + spec.active_deadline_seconds * SECOND
        layout.overdue = now >= layout.deadline and status.phase not in FINISHED and not layout.done
    layout.ending = (
        view.removed
        or view.pod.metadata.deletion_timestamp is not None
        or view.memory.failure is not None
        or status.phase in FINISHED
        or layout.done
    )
    if layout.ending or view.sandbox is None or not view.sandbox.ready:
        for slot in layout.slots:
            slot.due = False


def facts(layout: Layout, now: int) -> list[tuple[Fact, Slot | None]]:
    """The facts about a pod, each with the slot that it is about; None for the pod's own."""
    found: list[tuple[Fact, Slot | None]] = []
    pod = _pod_fact(layout, now)
    if pod is not None:
        found.append((pod, None))
    for position, slot in enumerate(layout.slots):
        fact = _container_fact(layout, position, slot, now)
        if fact is not None:
            found.append((fact, slot))
    return found


def _pod_fact(layout: Layout, now: int) -> Fact | None:
    view, memory = layout.view, layout.view.memory
    sandbox = view.sandbox
    ready = sandbox is not None and sandbox.ready
    stale = stale_sandboxes(view)
    if ready and not layout.ending and not layout.overdue and not stale:
        return None
    waiting = memory.waiting
    meta = view.pod.metadata
    return {
        "kind": "pod",
        "namespace": meta.namespace,
        "name": meta.name,
        "ending": layout.ending,
        "deleted": view.removed or meta.deletion_timestamp is not None,
        "sandbox": "none" if sandbox is None else "ready" if ready else "stopped",
        "attempt": 0 if sandbox is None else sandbox.attempt + 1,
        "waiting": waiting is not None and (waiting.until is None or waiting.until > now),
        "alive": sum(slot.alive for slot in layout.slots),
        "overdue": layout.overdue,
        "stale": len(stale),
        "cleaned": memory.cleaned,
        "deadline": view.pod.spec.active_deadline_seconds,
    }


def stale_sandboxes(view: PodView) -> list[str]:
    """Sandboxes before the current one that hold no container any more."""
    if len(view.sandboxes) < 2:
        return []
    used = {container.sandbox_id for container in view.containers}
    return [sandbox.id for sandbox in view.sandboxes[:-1] if sandbox.id not in used]


def _container_fact(layout: Layout, position: int, slot: Slot, now: int) -> Fact | None:
    """The fact about a container; None if it is as it should be."""
    memory, newest = slot.memory, slot.newest
    if newest is not None and newest.state == "RUNNING" and not layout.ending and _is_well(slot, newest):
        return None
    running = newest is not None and newest.state in ("RUNNING", "UNKNOWN")
    stop = memory.stop if memory.stop is not None and newest is not None and memory.stop.id == newest.id else None
    ill = _illness(slot) if running and not layout.ending else ""
    hook = memory.post_start if newest is not None and memory.post_start_id == newest.id else ""
    obsolete = obsolete_instances(slot)
    told = newest is None or memory.starting != newest.id or newest.state == "CREATED"
    to_end = layout.ending and slot.alive
    if not (slot.due or ill or stop or to_end or hook in ("pending", "failed") or obsolete or not told):
        return None
    waiting = memory.waiting
    back_off = back_off_left(slot, now) if slot.due else 0
    return {
        "kind": "container",
        "pod": layout.view.pod.metadata.name,
        "name": slot.spec.name,
        "role": slot.role,
        "image": slot.spec.image or "",
        "state": slot.state,
        "due": slot.due,
        "attempt": next_attempt(layout.view, slot),
        "pull": _pull(layout.view, slot),
        "waiting": waiting is not None and (waiting.until is None or waiting.until > now),
        "backing_off": back_off > 0,
        "back_off_seconds": back_off // SECOND,
        "exit_code": newest.exit_code if newest is not None else 0,
        "ill": ill,
        "post_start": hook if running else "",
        "told": told,
        "ending": to_end,
        "stop": "none" if stop is None else "signalled" if stop.signalled else stop.hook or "ready",
        "turn": _turn_to_end(layout, position),
        "patience": stop is not None and now < stop.began_at + stop.grace,
        "hurry": stop is not None and to_end and grace_seconds(layout.view) * SECOND < stop.grace,
        "obsolete": len(obsolete),
    }


def _is_well(slot: Slot, newest: RuntimeContainer) -> bool:
    """Whether a running container is plainly as it should be: the common case, found out quickly."""
    memory = slot.memory
    return (
        len(slot.instances) == 1
        and memory.starting != newest.id
        and memory.stop is None
        and not memory.post_start
        and newest.image == slot.spec.image
        and not any(probe.passed is False for probe in memory.probes.values())
    )


def _illness(slot: Slot) -> str:
    """Why a running container is to be killed; "" if it isn't."""
    newest = slot.newest
    assert newest is not None
    if newest.state == "UNKNOWN":
        return "is in an unknown state"
    if newest.image != (slot.spec.image or ""):
        return "definition changed"
    for kind in ("liveness", "startup"):
        memory = slot.memory.probes.get(kind)
        if memory is not None and memory.id == newest.id and memory.passed is False:
            return f"failed {kind} probe"
    return ""


def _turn_to_end(layout: Layout, position: int) -> bool:
    """Sidecars end last, in reverse order: once the main containers and the sidecars after them have ended."""
    if layout.slots[position].role != "sidecar" or not layout.ending:
        return True
    return not any(slot.alive for slot in layout.slots[position + 1 :])


def obsolete_instances(slot: Slot) -> list[RuntimeContainer]:
    """Dead instances that nobody needs: all but the newest dead one, whose state is ``lastState``."""
    if len(slot.instances) < 2:
        return []
    dead = [instance for instance in slot.instances[:-1] if instance.state == "EXITED"]
    return dead[:-1] if slot.alive or not slot.instances else dead


def next_attempt(view: PodView, slot: Slot) -> int:
    """The number of the next instance: how often the container was restarted."""
    if slot.newest is not None:
        return slot.newest.attempt + (0 if slot.newest.state == "CREATED" else 1)
    before = view.memory.status.init_container_statuses + view.memory.status.container_statuses
    for status in before:
        if status.name == slot.spec.name and status.container_id:
            return status.restart_count + 1
    return 0


def back_off_left(slot: Slot, now: int) -> int:
    """How long a container that ended must still wait (as the kubelet's doBackOff)."""
    newest, memory = slot.newest, slot.memory
    if newest is None or newest.state != "EXITED" or not memory.back_off:
        return 0
    ended = newest.finished_at
    if ended - memory.backed_off_at > 2 * MAX_BACK_OFF:
        return 0
    return max(0, ended + memory.back_off - now)


def _pull(view: PodView, slot: Slot) -> str:
    """What is to be done about the image: "no", "due", "running", or "never" if it is missing and must not be
    pulled.
    """
    memory, image = slot.memory, slot.spec.image or ""
    if memory.pulling:
        return "running"
    policy = slot.spec.image_pull_policy or default_pull_policy(image)
    if policy == NEVER:
        return "no" if view.has_image(image) else "never"
    if memory.pulled == next_attempt(view, slot) or (policy != ALWAYS and view.has_image(image)):
        return "no"
    return "due"


def default_pull_policy(image: str) -> str:
    """Always for the tag ``latest`` or none, else IfNotPresent, as the API server fills in."""
    if "@" in image:
        return "IfNotPresent"
    _, _, tag = image.rpartition("/")[2].partition(":")
    return ALWAYS if tag in ("", "latest") else "IfNotPresent"
