"""What a runtime driver does, and the records it takes and gives. It follows CRI, verb by verb.

A pod has a *sandbox* (what its containers share), and containers are created in it, then started. A driver knows
nothing of manifests and makes no decisions: the kubelet says what is to run, and decides about what ended.

Every verb is idempotent: doing it twice is doing it once, and undoing what isn't there is no error. The id of a sandbox
or container is a function of who it is (pod uid, name, attempt), so a caller that died between asking and hearing the
answer asks again and gets the same one. A driver that was killed half-way is asked what exists (the ``list`` verbs).

Times are integers of microseconds since the epoch; durations say their unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Literal, Protocol, runtime_checkable

#: Exit code of a container that could not be started at all, as containerd reports it.
START_ERROR_CODE = 128
#: Exit code of a container whose real one is lost (its supervisor died with the machine, say), as the kubelet assumes.
UNKNOWN_EXIT_CODE = 137


class RuntimeDriverError(Exception):
    """A verb could not be carried out; the message says what and why. Trying again may help."""


class ImageError(RuntimeDriverError):
    """An image could not be had."""


class NotFoundError(RuntimeDriverError):
    """The sandbox or container that a verb needs doesn't exist."""


class ContainerState(StrEnum):
    """Where a container is in its life, as in CRI."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    EXITED = "EXITED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class PodSandboxConfig:
    """A pod's sandbox to run. ``ip`` is "" if the pod has no address of its own; logs go under ``log_directory``."""

    uid: str
    namespace: str
    name: str
    attempt: int = 0
    hostname: str = ""
    ip: str = ""
    log_directory: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The sandbox's id: the same for the same pod and attempt."""
        return _digest("sandbox", self.uid, str(self.attempt))


@dataclass(frozen=True, slots=True)
class PodSandboxStatus:
    """A sandbox that exists. ``ready``: containers can run in it."""

    id: str
    config: PodSandboxConfig
    ready: bool
    created_at: int


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory or file of the host that a container sees under a path of its own."""

    host_path: str
    container_path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """What a container may use; 0 means no limit. A driver that doesn't enforce a limit says so."""

    cpu_milli: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """A container to create. ``log_path`` is relative to the sandbox's log directory; no log is kept if it is ""."""

    name: str
    image: str
    attempt: int = 0
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    log_path: str = ""
    stdin: bool = False
    tty: bool = False
    stop_signal: str = "SIGTERM"
    limits: Resources = Resources()
    termination_message_path: str = ""

    def id(self, sandbox_id: str) -> str:
        """The container's id in that sandbox: the same for the same name and attempt."""
        return _digest("container", sandbox_id, self.name, str(self.attempt))


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """A container that exists.

    ``reason`` is set when it exited: "Completed", "Error", "OOMKilled", "StartError", or "ContainerStatusUnknown".
    ``started_at`` and ``finished_at`` are 0 before it did; ``pid`` is 0 unless it runs on this machine. ``stopping`` is
    true once ``stop_container`` was asked for, until it exited.
    """

    id: str
    sandbox_id: str
    pod_uid: str
    name: str
    attempt: int
    image: str
    image_ref: str
    state: ContainerState
    created_at: int
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    pid: int = 0
    stopping: bool = False
    log_path: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerStats:
    """What a running container uses: processor time since its start, memory in RAM now, and how many processes."""

    id: str
    at: int
    cpu_nanoseconds: int
    memory_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command in a container gave. ``timed_out``: it was killed at its deadline."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a container wrote, without its newline."""

    at: int
    stream: Literal["stdout", "stderr"]
    text: bytes


@runtime_checkable
class RuntimeDriver(Protocol):
    """Sandboxes and containers, from creation to removal."""

    @property
    def name(self) -> str:
        """What the runtime is called; the scheme of ``containerID`` in a pod's status."""

    def run_pod_sandbox(self, config: PodSandboxConfig) -> str:
        """Makes the sandbox ready and returns its id. The same config again gives the same sandbox.

        Raises:
            RuntimeDriverError: it could not be made.
        """

    def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Ends a sandbox: containers that still run are killed at once. An unknown one is no error."""

    def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Stops and forgets the sandbox and its containers. Their logs go too."""

    def list_pod_sandboxes(self, pod_uid: str = "") -> tuple[PodSandboxStatus, ...]:
        """Every sandbox, or a pod's, in order of creation (then id)."""

    def pull_image(self, image: str) -> str:
        """Has the image at hand and returns its reference.

        Raises:
            ImageError: it can't be had.
        """

    def image_ref(self, image: str) -> str | None:
        """The reference of an image that is at hand, else None."""

    def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Creates a container, not yet started, and returns its id. The same name and attempt again: the same
        container.

        Raises:
            NotFoundError: there is no such sandbox.
            RuntimeDriverError: it could not be made, or the sandbox isn't ready.
        """

    def start_container(self, container_id: str) -> None:
        """Starts a created container, once: one that runs or ran is left alone. May return before it runs.

        Raises:
            NotFoundError: there is no such container.
            RuntimeDriverError: it can't be started; its status says the same (EXITED, reason StartError, code 128).
        """

    def stop_container(self, container_id: str, timeout: float) -> None:
        """Asks the container to end, and kills it after ``timeout`` seconds; doesn't wait, its status tells.

        Asking again can make the time shorter, never longer. One that never started exits with reason StartError.
        An unknown or exited one is no error.
        """

    def remove_container(self, container_id: str) -> None:
        """Forgets the container and its log, killing it if it runs. An unknown one is no error."""

    def list_containers(self, pod_uid: str = "") -> tuple[ContainerStatus, ...]:
        """Every container, or a pod's, in order of creation (then attempt, then id)."""

    def changed_pods(self) -> frozenset[str]:
        """The uids of pods whose sandboxes or containers changed since the last call; at the first call, of all pods.

        What the kubelet calls its PLEG. It has one reader: the owner of the driver.
        """

    def next_change(self) -> int | None:
        """When something will change by itself, if the driver knows (a simulated one does), else None."""

    def container_stats(self, pod_uid: str = "") -> tuple[ContainerStats, ...]:
        """What running containers use, in the order of ``list_containers``."""

    def logs(self, container_id: str, *, tail: int | None = None, follow: bool = False) -> Iterator[LogLine]:
        """The container's log, or its last ``tail`` lines. ``follow`` goes on until the container has exited.

        Raises:
            NotFoundError: there is no such container.
        """

    def exec_sync(self, container_id: str, command: Sequence[str], timeout: float) -> ExecResult:
        """Runs a command in a running container's surroundings and waits for it. Safe to call from other threads.

        Raises:
            NotFoundError: there is no such container.
            RuntimeDriverError: the container doesn't run, or the command can't be started.
        """

    def close(self) -> None:
        """Gives up what the process holds. Containers go on running for the next driver."""


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()
