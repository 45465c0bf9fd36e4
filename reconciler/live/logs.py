"""Which file of a state directory has what an instance of a container wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reconciler.drivers.runtime.logs import Reader
from state.errors import StateError
from state.objects import ContainerStatus, Pod
from state.snapshot import Key


def status_of(pod: Pod, container: str) -> ContainerStatus:
    """The status of a container.

    Raises:
        StateError: there is none, in the kubelet's words.
    """
    status = pod.status
    known = (*status.container_statuses, *status.init_container_statuses, *status.ephemeral_container_statuses)
    found = next((each for each in known if each.name == container), None)
    if found is None:
        raise StateError(f'container "{container}" in pod "{pod.metadata.name}" is waiting to start')
    return found


def attempt_of(pod: Pod, container: str, *, previous: bool) -> int:
    """The number of a container's newest instance, or of the one before it.

    Raises:
        StateError: there is none, in the kubelet's words.
    """
    status = status_of(pod, container)
    state = status.state
    if previous and status.restart_count == 0:
        raise StateError(f'previous terminated container "{container}" in pod "{pod.metadata.name}" not found')
    if not previous and state is not None and state.waiting is not None and status.container_id is None:
        msg = f'container "{container}" in pod "{pod.metadata.name}" is waiting to start: {state.waiting.reason}'
        raise StateError(msg)
    return status.restart_count - previous


def has_ended(pod: Pod, container: str, attempt: int) -> bool:
    """Whether an instance of a container writes no more."""
    status = status_of(pod, container)
    running = status.state is not None and status.state.terminated is None
    return status.restart_count != attempt or not running


def log_file(logs: Path, pod: Pod, container: str, attempt: int) -> Path:
    """The file below the directory of all logs; it isn't there before the container wrote anything."""
    meta = pod.metadata
    return logs / f"{meta.namespace}_{meta.name}_{meta.uid}" / container / f"{attempt}.log"


class PodLog:
    """The log of one instance of a container (an ``OpenLog`` of the API)."""

    def __init__(self, reader: Reader, has_ended: Callable[[], bool]) -> None:
        self.read = reader.read
        self.has_ended = has_ended


class PodLogs:
    """The logs of all containers (a ``LogSource`` of the API).

    Args:
        logs: the directory of all logs.
        look: the object as it is now.
    """

    def __init__(self, logs: Path, look: Callable[[Key], object]) -> None:
        self._logs, self._look = logs, look

    def open(self, pod: Pod, container: str, *, previous: bool, tail: int | None) -> PodLog:
        """The log of a container's instance; see ``LogSource``."""
        attempt = attempt_of(pod, container, previous=previous)
        key, uid = Key.of(pod), pod.metadata.uid

        def is_over() -> bool:
            now = self._look(key)
            return not isinstance(now, Pod) or now.metadata.uid != uid or has_ended(now, container, attempt)

        return PodLog(Reader(log_file(self._logs, pod, container, attempt), tail), is_over)
