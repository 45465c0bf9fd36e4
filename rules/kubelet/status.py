"""The status that a node reports for a pod: what its containers are doing, its phase, its conditions.

As the kubelet's ``generateAPIPodStatus``. The status before gives what lasts (start time, times of transitions, a final
phase), so that the same state always gives the same status. What a container is allocated is what its spec says: no
runtime here says what it applied, so that is reported as applied, too.
"""

from __future__ import annotations

from rules.kubelet import probes
from rules.kubelet.conditions import conditions
from rules.kubelet.project import Layout, Slot
from rules.kubelet.records import FINISHED, RuntimeContainer
from state.kept import by_identity
from state.objects import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    HostIP,
    PodIP,
    PodStatus,
    ResourceRequirements,
    VolumeMountStatus,
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
    view, newest, container = layout.view, slot.newest, slot.spec
    state, last = _states(layout, slot)
    mounts = _mounts(container)
    if newest is None:
        old = _old_status(layout, slot)
        return ContainerStatus(
            name=container.name,
            image=container.image or "",
            restart_count=old.restart_count if old is not None else 0,
            state=state,
            last_state=last,
            started=False,
            volume_mounts=mounts,
        )
    if slot.role == "init":
        ready = newest.state == "EXITED" and newest.exit_code == 0
    else:
        ready = probes.ready(container, slot.memory, newest)
    resources = container.resources or ResourceRequirements()
    return ContainerStatus(
        name=container.name,
        container_id=f"{view.runtime}://{newest.id}",
        image=newest.image,
        image_id=newest.image_ref,
        state=state,
        last_state=last,
        ready=ready,
        started=probes.started(container, slot.memory, newest),
        restart_count=newest.attempt,
        allocated_resources=resources.requests,
        resources=resources,
        volume_mounts=mounts,
    )


@by_identity
def _mounts(container: Container) -> tuple[VolumeMountStatus, ...]:
    """What is mounted in a container. That a mount is read-only goes for itself, not for what is mounted below it."""
    return tuple(
        VolumeMountStatus(
            name=mount.name,
            mount_path=mount.mount_path,
            read_only=mount.read_only or None,
            recursive_read_only="Disabled" if mount.read_only else None,
        )
        for mount in container.volume_mounts
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
    if layout.init_failed:
        return "Failed"
    if layout.ending and not any(slot.alive for slot in layout.slots):
        return "Succeeded" if stopped == succeeded and not waiting else "Failed"
    if waiting:
        return "Pending"
    if running or not layout.done:
        return "Running"  # what ended will be restarted
    if any(slot.alive for slot in layout.slots):
        return "Running"  # sidecars still end
    return "Succeeded" if stopped == succeeded else "Failed"
