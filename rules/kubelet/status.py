"""The status that a node reports for a pod: what its containers are doing, its phase, its conditions.

As the kubelet's ``generateAPIPodStatus``. The status before gives what lasts (start time, times of transitions, a final
phase), so that the same state always gives the same status.
"""

from __future__ import annotations

from rules.kubelet import probes
from rules.kubelet.conditions import conditions
from rules.kubelet.project import Layout, Slot
from rules.kubelet.records import ALWAYS, FINISHED, NEVER, RuntimeContainer
from state.objects import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    HostIP,
    PodIP,
    PodStatus,
    replace,
)
from state.qos import qos_class
from state.times import format_time

_CREATING, _INITIALIZING = "ContainerCreating", "PodInitializing"
_LOST = ContainerStateTerminated(
    exit_code=137,
    reason="ContainerStatusUnknown",
    message="The container could not be located when the pod was terminated",
)


def pod_status(layout: Layout, now: int) -> PodStatus:
    """The status of a pod as it is now."""
    view = layout.view
    before, pod = view.memory.status, view.pod
    for slot in layout.slots:
        slot.memory = view.remembered(slot.spec.name)
    if before.phase in FINISHED and not view.containers:
        return before  # nothing is left to be told from
    inits = tuple(_container_status(layout, slot) for slot in layout.slots if slot.role != "main")
    mains = tuple(
        sorted(
            (_container_status(layout, slot) for slot in layout.slots if slot.role == "main"),
            key=lambda status: status.name,
        )
    )
    failure = view.memory.failure
    phase = before.phase if before.phase in FINISHED else "Failed" if failure else _phase(layout, mains)
    sandbox = view.sandbox
    ip = sandbox.ip if sandbox is not None and sandbox.ip else before.pod_ip
    if pod.spec.host_network:
        ip = view.host_ip or None
    status = replace(
        before,
        phase=phase,
        reason=failure[0] if failure else before.reason,
        message=failure[1] if failure else before.message,
        start_time=before.start_time or format_time(now),
        host_ip=view.host_ip or None,
        host_ips=(HostIP(ip=view.host_ip),) if view.host_ip else (),
        pod_ip=ip,
        pod_ips=(PodIP(ip=ip),) if ip else (),
        qos_class=before.qos_class or qos_class(pod.spec),
        observed_generation=pod.metadata.generation,
        init_container_statuses=inits,
        container_statuses=mains,
    )
    return replace(status, conditions=conditions(view, status, now))


def _container_status(layout: Layout, slot: Slot) -> ContainerStatus:
    view, newest = layout.view, slot.newest
    state, last = _states(layout, slot)
    if newest is None:
        old = _old_status(layout, slot)
        return ContainerStatus(
            name=slot.spec.name,
            image=slot.spec.image or "",
            restart_count=old.restart_count if old is not None else 0,
            state=state,
            last_state=last,
            started=False,
        )
    if slot.role == "init":
        ready = newest.state == "EXITED" and newest.exit_code == 0
    else:
        ready = probes.ready(slot.spec, slot.memory, newest)
    return ContainerStatus(
        name=slot.spec.name,
        container_id=f"{view.runtime}://{newest.id}",
        image=newest.image,
        image_id=newest.image_ref,
        state=state,
        last_state=last,
        ready=ready,
        started=probes.started(slot.spec, slot.memory, newest),
        restart_count=newest.attempt,
    )


def _old_status(layout: Layout, slot: Slot) -> ContainerStatus | None:
    before = layout.view.memory.status
    statuses = before.container_statuses if slot.role == "main" else before.init_container_statuses
    return next((status for status in statuses if status.name == slot.spec.name and status.container_id), None)


def _states(layout: Layout, slot: Slot) -> tuple[ContainerState, ContainerState | None]:
    """A container's state and last state."""
    newest, waiting = slot.newest, slot.memory.waiting
    why = ContainerStateWaiting(reason=waiting.reason, message=waiting.message) if waiting is not None else None
    if newest is None:
        old = _old_status(layout, slot)
        if old is not None and layout.ending:
            return ContainerState(terminated=_LOST), None
        last = ContainerState(terminated=_LOST) if old is not None else None
        return ContainerState(waiting=why or _default_waiting(layout)), last
    earlier = [instance for instance in slot.instances[:-1] if instance.state == "EXITED"]
    last = ContainerState(terminated=_terminated(layout, earlier[-1])) if earlier else None
    if newest.state in ("RUNNING", "UNKNOWN"):
        return ContainerState(running=ContainerStateRunning(started_at=format_time(newest.started_at))), last
    if newest.state == "CREATED":
        return ContainerState(waiting=why or _default_waiting(layout)), last
    ended = _terminated(layout, newest)
    if why is not None and slot.due:
        return ContainerState(waiting=why), ContainerState(terminated=ended)
    return ContainerState(terminated=ended), last


def _default_waiting(layout: Layout) -> ContainerStateWaiting:
    return ContainerStateWaiting(reason=_INITIALIZING if layout.view.pod.spec.init_containers else _CREATING)


def _terminated(layout: Layout, instance: RuntimeContainer) -> ContainerStateTerminated:
    code = instance.exit_code
    return ContainerStateTerminated(
        exit_code=code,
        reason=instance.reason,
        message=instance.message or None,
        started_at=format_time(instance.started_at),
        finished_at=format_time(instance.finished_at),
        container_id=f"{layout.view.runtime}://{instance.id}",
    )


def _phase(layout: Layout, mains: tuple[ContainerStatus, ...]) -> str:
    """The phase, as the kubelet's getPhase: of the containers, and of what will become of them."""
    policy = layout.view.pod.spec.restart_policy or ALWAYS
    running = waiting = stopped = succeeded = 0
    for status in mains:
        state = status.state or ContainerState()
        if state.running is not None:
            running += 1
        elif state.terminated is not None:
            stopped += 1
            succeeded += state.terminated.exit_code == 0
        elif status.last_state is not None and status.last_state.terminated is not None:
            stopped += 1
        else:
            waiting += 1
    if layout.init_failed and policy == NEVER:
        return "Failed"
    if layout.ending and not any(slot.alive for slot in layout.slots):
        return "Succeeded" if stopped == succeeded and not waiting else "Failed"
    if waiting:
        return "Pending"
    if running or policy == ALWAYS:
        return "Running"
    if not layout.done:
        return "Running"  # what failed will be restarted
    if any(slot.alive for slot in layout.slots):
        return "Running"  # sidecars still end
    return "Succeeded" if stopped == succeeded else "Failed"
