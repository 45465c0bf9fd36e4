"""Pods as ``kubectl get pods`` shows them: one word for the state of all containers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reconciler.printers.cells import NONE, since
from reconciler.printers.columns import columns
from state.objects import ContainerState, ContainerStateTerminated, ContainerStatus, Pod
from state.times import parse_time

#: A node that does not answer gives this reason to its pods.
_NODE_LOST = "NodeLost"
_FINISHED = ("Succeeded", "Failed")
_NO_STATE = ContainerState()


class PodState(NamedTuple):
    """What kubectl computes about a pod: READY (of how many containers), STATUS, RESTARTS and when the last one was."""

    ready: int
    containers: int
    status: str
    restarts: int
    last_restart: str | None


def pod_state(pod: Pod) -> PodState:
    """The state of a pod in kubectl's words: ``Running``, ``Init:0/1``, ``CrashLoopBackOff``, ``Terminating``, …"""
    sidecars = {item.name for item in pod.spec.init_containers if item.restart_policy == "Always"}
    ready, seen, init_status = _initialization(pod, sidecars)
    status = init_status or _phase(pod)
    counted = pod.status.init_container_statuses[:seen]
    if not init_status or _is_true(pod, "Initialized"):
        counted = tuple(item for item in counted if item.name in sidecars) + pod.status.container_statuses
        running = sum(item.ready and _state(item).running is not None for item in pod.status.container_statuses)
        ready += running
        status = _containers_status(pod.status.container_statuses) or status
        if status == "Completed" and running:
            status = "Running" if _is_true(pod, "Ready") else "NotReady"
    if pod.metadata.deletion_timestamp and pod.status.reason == _NODE_LOST:
        status = "Unknown"
    elif pod.metadata.deletion_timestamp and pod.status.phase not in _FINISHED:
        status = "Terminating"
    return PodState(
        ready=ready,
        containers=len(pod.spec.containers) + len(sidecars),
        status=status,
        restarts=sum(item.restart_count for item in counted),
        last_restart=_last_end(counted),
    )


def _phase(pod: Pod) -> str:
    if any(item.type == "PodScheduled" and item.reason == "SchedulingGated" for item in pod.status.conditions):
        return "SchedulingGated"
    return pod.status.reason or pod.status.phase or ""


def _initialization(pod: Pod, sidecars: set[str]) -> tuple[int, int, str]:
    """How far initialization is: sidecars that are ready, init containers that had their turn, and what it waits for or
    failed of; "" when it is over.
    """
    ready = 0
    for number, container in enumerate(pod.status.init_container_statuses, 1):
        state = _state(container)
        if state.terminated is not None and state.terminated.exit_code == 0:
            continue
        if container.name in sidecars and container.started:
            ready += container.ready
            continue
        if state.terminated is not None:
            return ready, number, f"Init:{_end(state.terminated)}"
        if state.waiting is not None and state.waiting.reason not in (None, "", "PodInitializing"):
            return ready, number, f"Init:{state.waiting.reason}"
        return ready, number, f"Init:{number - 1}/{len(pod.spec.init_containers)}"
    return ready, len(pod.status.init_container_statuses), ""


def _containers_status(containers: Iterable[ContainerStatus]) -> str:
    """What the first container that isn't simply running says; "" if all are."""
    for container in containers:
        state = _state(container)
        if state.waiting is not None and state.waiting.reason:
            return state.waiting.reason
        if state.terminated is not None:
            return _end(state.terminated)
    return ""


def _end(end: ContainerStateTerminated) -> str:
    return end.reason or (f"Signal:{end.signal}" if end.signal else f"ExitCode:{end.exit_code}")


def _state(container: ContainerStatus) -> ContainerState:
    return container.state or _NO_STATE


def _is_true(pod: Pod, condition: str) -> bool:
    return any(item.type == condition and item.status == "True" for item in pod.status.conditions)


def _last_end(containers: Iterable[ContainerStatus]) -> str | None:
    ends = (item.last_state.terminated for item in containers if item.last_state is not None)
    times = [end.finished_at for end in ends if end is not None and end.finished_at]
    return max(times, key=parse_time, default=None)


def _readiness_gates(pod: Pod) -> str:
    gates = pod.spec.readiness_gates
    return f"{sum(_is_true(pod, gate.condition_type) for gate in gates)}/{len(gates)}" if gates else NONE


def _cells(pod: Pod, now: int) -> tuple[str, ...]:
    state = pod_state(pod)
    restarts = str(state.restarts)
    if state.restarts and state.last_restart:
        restarts = f"{restarts} ({since(state.last_restart, now)} ago)"
    return (
        f"{state.ready}/{state.containers}",
        state.status,
        restarts,
        pod.status.pod_ips[0].ip if pod.status.pod_ips else NONE,
        pod.spec.node_name or NONE,
        pod.status.nominated_node_name or NONE,
        _readiness_gates(pod),
    )


PRINTERS = {
    "Pod": columns(
        "Name,Ready,Status,Restarts,Age,+IP,+Node,+Nominated Node,+Readiness Gates", _cells, coloured="Status"
    )
}
