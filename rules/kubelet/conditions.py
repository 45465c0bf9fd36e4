"""A pod's conditions: Ready and what leads to it, as ``pkg/kubelet/status/generate.go`` words them."""

from __future__ import annotations

from collections.abc import Iterable

from rules.kubelet.records import PodView, is_sidecar
from state.objects import ContainerStatus, PodCondition, PodStatus
from state.times import format_time

TRUE, FALSE = "True", "False"
#: The conditions that the kubelet owns, in the order in which it reports them. Others' stay as they are.
OWNED = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
_Verdict = tuple[str, str | None, str | None]
_TRUE: _Verdict = (TRUE, None, None)


def conditions(view: PodView, status: PodStatus, now: int) -> tuple[PodCondition, ...]:
    """All conditions of a pod with that status. A time of transition changes only with its condition's status."""
    others = tuple(condition for condition in view.pod.status.conditions if condition.type not in OWNED)
    containers = _containers_ready(view, status)
    verdicts = (
        (TRUE if view.sandbox is not None and view.sandbox.ready else FALSE, None, None),
        _initialized(view, status),
        _ready(view, containers, others),
        containers,
        _TRUE,
    )
    before = {condition.type: condition for condition in view.memory.status.conditions}
    generation = view.pod.metadata.generation
    moment = format_time(now)
    made = []
    for kind, (value, reason, message) in zip(OWNED, verdicts, strict=True):
        old = before.get(kind)
        since = old.last_transition_time if old is not None and old.status == value else moment
        made.append(
            PodCondition(
                type=kind,
                status=value,
                reason=reason,
                message=message,
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    return (*made, *others)


def _listed(what: str, names: Iterable[str]) -> str:
    return f"containers with {what} status: [{' '.join(names)}]"


def _containers_ready(view: PodView, status: PodStatus) -> _Verdict:
    if status.phase == "Succeeded":
        return FALSE, "PodCompleted", None
    if status.phase == "Failed":
        return FALSE, "PodFailed", None
    ready = {container.name for container in status.container_statuses if container.ready}
    ready.update(container.name for container in status.init_container_statuses if container.ready)
    wanted = [container for container in view.pod.spec.init_containers if is_sidecar(container)]
    wanted += view.pod.spec.containers
    unready = [container.name for container in wanted if container.name not in ready]
    if unready:
        return FALSE, "ContainersNotReady", _listed("unready", unready)
    return _TRUE


def _ready(view: PodView, containers: _Verdict, others: tuple[PodCondition, ...]) -> _Verdict:
    if containers[0] != TRUE:
        return containers
    found = {condition.type: condition.status for condition in others}
    problems = []
    for gate in view.pod.spec.readiness_gates:
        value = found.get(gate.condition_type)
        if value is None:
            problems.append(f'corresponding condition of pod readiness gate "{gate.condition_type}" does not exist.')
        elif value != TRUE:
            problems.append(f'the status of pod readiness gate "{gate.condition_type}" is not "True", but {value}')
    return (FALSE, "ReadinessGatesNotReady", ", ".join(problems)) if problems else _TRUE


def _initialized(view: PodView, status: PodStatus) -> _Verdict:
    if status.phase == "Succeeded":
        return TRUE, "PodCompleted", None
    if not view.pod.spec.init_containers or any(_was_started(container) for container in status.container_statuses):
        return _TRUE
    sidecars = {container.name for container in view.pod.spec.init_containers if is_sidecar(container)}
    incomplete = [
        container.name
        for container in status.init_container_statuses
        if not (container.started if container.name in sidecars else container.ready)
    ]
    if incomplete:
        return FALSE, "ContainersNotInitialized", _listed("incomplete", incomplete)
    return _TRUE


def _was_started(container: ContainerStatus) -> bool:
    state, last = container.state, container.last_state
    if state is not None and (state.running is not None or state.terminated is not None):
        return True
    return last is not None and last.terminated is not None
