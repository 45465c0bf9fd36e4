"""A runtime without processes: containers are entries in a table, and time is a clock that the caller moves.

What a container does is told by a ``Behaviour``, looked up by its config when it is created; by default it runs until
it is stopped. Faults are injected the same way, or by ``fail`` and ``exit_container``. The same calls at the same times
always give the same result; nothing runs in the background.
"""

# ruff: noqa: D102 - the protocol says what each method does

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from reconciler.drivers.runtime.base import (
    START_ERROR_CODE,
    ContainerConfig,
    ContainerState,
    ContainerStats,
    ContainerStatus,
    ExecResult,
    ImageError,
    LogLine,
    NotFoundError,
    PodSandboxConfig,
    PodSandboxStatus,
    RuntimeDriverError,
)
from reconciler.drivers.runtime.clock import Clock

#: Exit codes of a process that a signal ended: 128 + its number.
SIGKILL_CODE = 137
SIGTERM_CODE = 143

ExecHandler = Callable[[Sequence[str], int], ExecResult]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a container does, and what goes wrong with it. Durations are microseconds.

    ``runs_for``: it ends by itself after that long with ``exit_code`` (None: never). ``starts_after``: how long it
    stays CREATED after the start. ``stops_after``: how long it takes to end once asked to; None means that it must be
    killed. ``start_error``: it can't be started, with this message. ``reason`` replaces "Completed" or "Error"
    ("OOMKilled"). ``log`` is what it writes when it starts. ``exec`` answers commands, given the time; by default all
    succeed.
    """

    runs_for: int | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    starts_after: int = 0
    stops_after: int | None = 0
    stop_exit_code: int = SIGTERM_CODE
    start_error: str = ""
    log: tuple[str, ...] = ()
    exec: ExecHandler | None = None
    cpu_milli: int = 0
    memory_bytes: int = 0


#: Runs until it is stopped, and stops at once.
FOREVER = Behaviour()
Behaviours = Callable[[PodSandboxConfig, ContainerConfig], Behaviour]


def run_forever(_: PodSandboxConfig, __: ContainerConfig) -> Behaviour:
    """The default: every container runs until it is stopped."""
    return FOREVER


@dataclass(slots=True)
class _Container:
    status: ContainerStatus
    behaviour: Behaviour
    order: int
    start_asked: bool = False
    #: When the next thing happens to it by itself, and what: "run", "exit", "stop" (it obeyed) or "kill".
    due: int | None = None
    event: str = ""
    kill_at: int | None = None


class SimulatedRuntime:
    """See the module. ``clock`` is the time that ``Behaviour`` durations are counted in."""

    name = "simulated"

    def __init__(self, clock: Clock, behaviours: Behaviours = run_forever) -> None:
        self._clock = clock
        self._behaviours = behaviours
        self._sandboxes: dict[str, PodSandboxStatus] = {}
        self._containers: dict[str, _Container] = {}
        self._pods: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
        self._images: dict[str, str] = {}
        self._faults: dict[tuple[str, str], list[str]] = {}
        self._image_errors: dict[str, str] = {}
        self._agenda: list[tuple[int, int, str]] = []
        self._changed: set[str] = set()
        self._order = 0

    # -- faults ------------------------------------------------------------------------------------------------------

    def fail(self, verb: str, subject: str, message: str, times: int = 1) -> None:
        """Makes the next ``times`` calls of a verb fail for a pod uid (sandboxes), container or image name."""
        self._faults.setdefault((verb, subject), []).extend([message] * times)

    def break_image(self, image: str, message: str = "") -> None:
        """Makes pulls of an image fail with a message until ``break_image(image)`` heals it."""
        if message:
            self._image_errors[image] = message
            self._images.pop(image, None)
        else:
            self._image_errors.pop(image, None)

    def exit_container(self, container_id: str, exit_code: int, reason: str = "", message: str = "") -> None:
        """Ends a running container now, as if its process did."""
        self._advance()
        container = self._container(container_id)
        if container.status.state is ContainerState.RUNNING:
            self._exit(container, self._clock.now(), exit_code, reason, message)

    def _check(self, verb: str, subject: str, error: type[RuntimeDriverError] = RuntimeDriverError) -> None:
        waiting = self._faults.get((verb, subject))
        if waiting:
            raise error(waiting.pop(0))

    # -- sandboxes ---------------------------------------------------------------------------------------------------

    def run_pod_sandbox(self, config: PodSandboxConfig) -> str:
        sandbox_id = config.id
        if sandbox_id not in self._sandboxes:
            self._check("run_pod_sandbox", config.uid)
            self._sandboxes[sandbox_id] = PodSandboxStatus(sandbox_id, config, True, self._clock.now())
            self._pods.setdefault(config.uid, ({}, {}))[0][sandbox_id] = None
            self._changed.add(config.uid)
        return sandbox_id

    def stop_pod_sandbox(self, sandbox_id: str) -> None:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None or not sandbox.ready:
            return
        self._advance()
        uid = sandbox.config.uid
        for container_id in self._pods[uid][1]:
            container = self._containers[container_id]
            if container.status.sandbox_id == sandbox_id:
                self._kill(container)
        self._sandboxes[sandbox_id] = replace(sandbox, ready=False)
        self._changed.add(uid)

    def remove_pod_sandbox(self, sandbox_id: str) -> None:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        self.stop_pod_sandbox(sandbox_id)
        uid = sandbox.config.uid
        sandboxes, containers = self._pods[uid]
        for container_id in [c for c in containers if self._containers[c].status.sandbox_id == sandbox_id]:
            self.remove_container(container_id)
        del self._sandboxes[sandbox_id], sandboxes[sandbox_id]
        if not sandboxes:
            del self._pods[uid]
        self._changed.add(uid)

    def list_pod_sandboxes(self, pod_uid: str = "") -> tuple[PodSandboxStatus, ...]:
        if pod_uid:
            mine = self._pods.get(pod_uid)
            return () if mine is None else tuple(self._sandboxes[sandbox_id] for sandbox_id in mine[0])
        return tuple(self._sandboxes.values())

    # -- images ------------------------------------------------------------------------------------------------------

    def pull_image(self, image: str) -> str:
        """As the protocol says; the reference is the name."""
        self._check("pull_image", image, ImageError)
        if image in self._image_errors:
            raise ImageError(self._image_errors[image])
        self._images[image] = image
        return image

    def image_ref(self, image: str) -> str | None:
        return self._images.get(image)

    # -- containers --------------------------------------------------------------------------------------------------

    def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            raise NotFoundError(f"no sandbox {sandbox_id}")
        container_id = config.id(sandbox_id)
        if container_id in self._containers:
            return container_id
        if not sandbox.ready:
            raise RuntimeDriverError(f"sandbox {sandbox_id} is not ready")
        self._check("create_container", config.name)
        uid = sandbox.config.uid
        status = ContainerStatus(
            id=container_id,
            sandbox_id=sandbox_id,
            pod_uid=uid,
            name=config.name,
            attempt=config.attempt,
            image=config.image,
            image_ref=self._images.get(config.image, config.image),
            state=ContainerState.CREATED,
            created_at=self._clock.now(),
            log_path=f"{sandbox.config.log_directory}/{config.log_path}" if config.log_path else "",
            labels=config.labels,
            annotations=config.annotations,
        )
        self._order += 1
        self._containers[container_id] = _Container(status, self._behaviours(sandbox.config, config), self._order)
        self._pods[uid][1][container_id] = None
        self._changed.add(uid)
        return container_id

    def start_container(self, container_id: str) -> None:
        container = self._container(container_id)
        status = container.status
        if status.state is not ContainerState.CREATED or container.start_asked:
            return
        container.start_asked = True
        now = self._clock.now()
        waiting = self._faults.get(("start_container", status.name))
        error = waiting.pop(0) if waiting else container.behaviour.start_error
        if error:
            self._exit(container, now, START_ERROR_CODE, "StartError", error)
            raise RuntimeDriverError(error)
        if container.behaviour.starts_after:
            self._schedule(container, now + container.behaviour.starts_after, "run")
        else:
            self._run(container, now)

    def stop_container(self, container_id: str, timeout: float) -> None:
        self._advance()
        container = self._containers.get(container_id)
        if container is None or container.status.state is ContainerState.EXITED:
            return
        now = self._clock.now()
        if container.status.state is ContainerState.CREATED:
            self._kill(container)
            return
        kill_at = now + round(timeout * 1_000_000)
        if container.kill_at is None:
            self._set(container, stopping=True)
        container.kill_at = kill_at if container.kill_at is None else min(container.kill_at, kill_at)
        takes = container.behaviour.stops_after
        if container.event != "stop":
            obeys_at = None if takes is None else now + takes
            ends_at = container.due if container.event == "exit" else None
            if obeys_at is not None and (ends_at is None or obeys_at < ends_at):
                self._schedule(container, obeys_at, "stop")
        if container.due is None or container.due > container.kill_at:
            self._schedule(container, container.kill_at, "kill")
        self._advance()

    def remove_container(self, container_id: str) -> None:
        container = self._containers.pop(container_id, None)
        if container is not None:
            uid = container.status.pod_uid
            del self._pods[uid][1][container_id]
            self._changed.add(uid)

    def list_containers(self, pod_uid: str = "") -> tuple[ContainerStatus, ...]:
        self._advance()
        if pod_uid:
            mine = self._pods.get(pod_uid)
            return () if mine is None else tuple(self._containers[container_id].status for container_id in mine[1])
        return tuple(container.status for container in self._containers.values())

    def changed_pods(self) -> frozenset[str]:
        self._advance()
        changed = frozenset(self._changed)
        self._changed.clear()
        return changed

    def next_change(self) -> int | None:
        """When the next container starts or ends by itself."""
        while self._agenda:
            due, _, container_id = self._agenda[0]
            container = self._containers.get(container_id)
            if container is not None and container.due == due:
                return due
            heapq.heappop(self._agenda)
        return None

    # -- looking inside ------------------------------------------------------------------------------------------------

    def container_stats(self, pod_uid: str = "") -> tuple[ContainerStats, ...]:
        """As the protocol says; the numbers follow from the behaviour and the time."""
        now = self._clock.now()
        stats = []
        for status in self.list_containers(pod_uid):
            if status.state is ContainerState.RUNNING:
                behaviour = self._containers[status.id].behaviour
                cpu = (now - status.started_at) * behaviour.cpu_milli  # µs × 1/1000 core = ns
                stats.append(ContainerStats(status.id, now, cpu, behaviour.memory_bytes, 1))
        return tuple(stats)

    def logs(self, container_id: str, *, tail: int | None = None, follow: bool = False) -> Iterator[LogLine]:
        """As the protocol says; ``follow`` gives the same, since nobody else moves the clock meanwhile."""
        del follow
        container = self._container(container_id)
        lines = container.behaviour.log if container.status.started_at else ()
        first = 0 if tail is None else max(0, len(lines) - tail)
        return iter([LogLine(container.status.started_at, "stdout", line.encode()) for line in lines[first:]])

    def exec_sync(self, container_id: str, command: Sequence[str], timeout: float) -> ExecResult:
        del timeout
        self._advance()
        container = self._container(container_id)
        if container.status.state is not ContainerState.RUNNING:
            raise RuntimeDriverError(f"container {container.status.name} is not running")
        self._check("exec_sync", container.status.name)
        handler = container.behaviour.exec
        return ExecResult(0) if handler is None else handler(command, self._clock.now())

    def close(self) -> None:
        """Nothing is held."""

    # -- what happens by itself ----------------------------------------------------------------------------------------

    def _container(self, container_id: str) -> _Container:
        container = self._containers.get(container_id)
        if container is None:
            raise NotFoundError(f"no container {container_id}")
        return container

    def _advance(self) -> None:
        """Lets everything happen that is due by now, in order of time, then of creation."""
        agenda, now = self._agenda, self._clock.now()
        while agenda and agenda[0][0] <= now:
            due, _, container_id = heapq.heappop(agenda)
            container = self._containers.get(container_id)
            if container is None or container.due != due:
                continue
            behaviour = container.behaviour
            if container.event == "run":
                self._run(container, due)
            elif container.event == "exit":
                self._exit(container, due, behaviour.exit_code, behaviour.reason, behaviour.message)
            elif container.event == "stop":
                self._exit(container, due, behaviour.stop_exit_code)
            else:
                self._exit(container, due, SIGKILL_CODE)

    def _schedule(self, container: _Container, due: int, event: str) -> None:
        container.due, container.event = due, event
        heapq.heappush(self._agenda, (due, container.order, container.status.id))

    def _run(self, container: _Container, at: int) -> None:
        container.due, container.event = None, ""
        self._set(container, state=ContainerState.RUNNING, started_at=at)
        if container.behaviour.runs_for is not None:
            self._schedule(container, at + container.behaviour.runs_for, "exit")

    def _kill(self, container: _Container) -> None:
        if container.status.state is ContainerState.CREATED:
            self._exit(container, self._clock.now(), START_ERROR_CODE, "StartError", "stopped before it started")
        elif container.status.state is ContainerState.RUNNING:
            self._exit(container, self._clock.now(), SIGKILL_CODE)

    def _exit(self, container: _Container, at: int, code: int, reason: str = "", message: str = "") -> None:
        container.due, container.event = None, ""
        self._set(
            container,
            state=ContainerState.EXITED,
            exit_code=code,
            finished_at=at,
            reason=reason or ("Error" if code else "Completed"),
            message=message,
            stopping=False,
        )

    def _set(self, container: _Container, **changes: object) -> None:
        container.status = replace(container.status, **changes)  # type: ignore[arg-type]  # by name
        self._changed.add(container.status.pod_uid)
