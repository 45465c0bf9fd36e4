"""What the kubelet's rules read and write: a pod as its node sees it, what is remembered about it, and operations.

Nothing here is specific to a runtime: what a runtime driver lists fits ``RuntimeContainer`` by shape. Times are
microseconds since the epoch, durations microseconds unless the name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from msgspec import field

from rules.actions import Reason, Reasoned
from state.objects import Container, Pod, PodStatus, Struct, replace

SECOND = 1_000_000
#: First delay after a crash, and the longest, as the kubelet's (CrashLoopBackOff). The same for image pulls.
BACK_OFF = 10 * SECOND
MAX_BACK_OFF = 300 * SECOND
#: What a container gets to end at the very least, however little grace is left.
MIN_GRACE = 2 * SECOND
DEFAULT_GRACE_SECONDS = 30
#: How long the kubelet waits before it tries again what the runtime refused.
RETRY = 10 * SECOND
ALWAYS, ON_FAILURE, NEVER = "Always", "OnFailure", "Never"
FINISHED = ("Succeeded", "Failed")


class RuntimeContainer(Protocol):
    """A container as a runtime lists it."""

    @property
    def id(self) -> str: ...  # noqa: D102  # CRI's own names
    @property
    def sandbox_id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def attempt(self) -> int: ...  # noqa: D102
    @property
    def image(self) -> str: ...  # noqa: D102
    @property
    def image_ref(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def started_at(self) -> int: ...  # noqa: D102
    @property
    def finished_at(self) -> int: ...  # noqa: D102
    @property
    def exit_code(self) -> int: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def stopping(self) -> bool: ...  # noqa: D102


class Sandbox(Struct, frozen=True):
    """A pod's sandbox in the runtime."""

    id: str
    attempt: int
    ready: bool
    ip: str = ""


class Waiting(Struct, frozen=True):
    """Why a container doesn't run, as ``state.waiting`` says it. ``until``: when it is tried again; None if only when
    what it misses appears.
    """

    reason: str
    message: str
    until: int | None = None


class Stop(Struct, frozen=True):
    """A container that is to end. ``hook`` (preStop): "" if it has none, else "pending", "running" or "done"."""

    id: str
    began_at: int
    grace: int
    hook: str = ""
    signalled: bool = False


class ProbeMemory(Struct, frozen=True):
    """One probe of one container instance. ``passed`` is None until the first verdict."""

    id: str
    passed: bool | None
    run: int = 0
    last: bool | None = None
    next_at: int | None = 0
    message: str = ""


class ContainerMemory(Struct, frozen=True):
    """What the kubelet remembers of one container of a pod. Losing it costs a back-off delay, nothing else."""

    back_off: int = 0
    backed_off_at: int = 0
    waiting: Waiting | None = None
    pull_back_off: int = 0
    #: The attempt for which the image was pulled; -1 before. ``pulling`` while that goes on.
    pulled: int = -1
    pulling: bool = False
    stop: Stop | None = None
    #: The instance whose postStart hook is "pending", "running", "failed"; "" if done or none.
    post_start_id: str = ""
    post_start: str = ""
    #: The instance that the runtime was asked to start, until it is told in an event that it did (or couldn't).
    starting: str = ""
    probes: dict[str, ProbeMemory] = field(default_factory=dict)


class PodMemory(Struct, frozen=True):
    """What the kubelet remembers of one pod."""

    containers: dict[str, ContainerMemory] = field(default_factory=dict)
    #: The last status that was worked out; the API object's own until then.
    status: PodStatus = PodStatus()
    mounted: bool = False
    #: Why the pod can't be started, and when that is tried again.
    waiting: Waiting | None = None
    tries: int = 0
    #: Why the kubelet itself failed the pod: reason and message of the status.
    failure: tuple[str, str] | None = None
    cleaned: bool = False


_NEW = ContainerMemory()


@dataclass(slots=True)
class PodView:
    """A pod as its node sees it now. ``removed``: it isn't in the API any more."""

    pod: Pod
    memory: PodMemory
    sandboxes: tuple[Sandbox, ...] = ()
    containers: tuple[RuntimeContainer, ...] = ()
    removed: bool = False
    runtime: str = ""
    host_ip: str = ""
    #: Says whether an image is at hand.
    has_image: Callable[[str], bool] = bool

    @property
    def sandbox(self) -> Sandbox | None:
        """The newest sandbox."""
        return self.sandboxes[-1] if self.sandboxes else None

    @property
    def name(self) -> str:
        """As the kubelet writes it: ``name_namespace(uid)``."""
        meta = self.pod.metadata
        return f"{meta.name}_{meta.namespace}({meta.uid})"

    def remembered(self, container: str) -> ContainerMemory:
        """What is known of a container."""
        return self.memory.containers.get(container, _NEW)

    def remember(self, **changes: Any) -> None:
        """Changes what is known of the pod."""
        self.memory = replace(self.memory, **changes)

    def remember_container(self, container: str, **changes: Any) -> None:
        """Changes what is known of a container."""
        known = self.memory.containers
        self.memory = replace(
            self.memory, containers={**known, container: replace(known.get(container, _NEW), **changes)}
        )


def grace_seconds(view: PodView) -> int:
    """How long the pod may take to end: what the deletion says, else its spec."""
    asked = view.pod.metadata.deletion_grace_period_seconds
    if asked is not None and view.pod.metadata.deletion_timestamp is not None:
        return asked
    own = view.pod.spec.termination_grace_period_seconds
    return DEFAULT_GRACE_SECONDS if own is None else own


def is_sidecar(container: Container) -> bool:
    """Whether an init container stays while the pod runs."""
    return container.restart_policy == ALWAYS


class Operation(Reasoned, Struct, frozen=True):
    """One thing that the node agent is to do for a pod, and the rule that says so."""

    verb: ClassVar[str] = ""
    reason: Reason


class StartPod(Operation, frozen=True):
    """Mount the volumes, set up the network, run a sandbox."""

    verb: ClassVar[str] = "start-pod"
    attempt: int


class PullImage(Operation, frozen=True):
    """Get a container's image."""

    verb: ClassVar[str] = "pull-image"
    container: str
    image: str
    attempt: int


class RunContainer(Operation, frozen=True):
    """Create a container and start it."""

    verb: ClassVar[str] = "run-container"
    container: str
    attempt: int


class RunHook(Operation, frozen=True):
    """Run a lifecycle hook, "postStart" or "preStop", within ``timeout`` seconds (0: no limit)."""

    verb: ClassVar[str] = "run-hook"
    container: str
    id: str
    hook: str
    timeout: int = 0


class StopContainer(Operation, frozen=True):
    """Send the stop signal now, and SIGKILL after ``timeout`` seconds."""

    verb: ClassVar[str] = "stop-container"
    container: str
    id: str
    timeout: float


class RemoveContainer(Operation, frozen=True):
    """Forget a dead instance and its log."""

    verb: ClassVar[str] = "remove-container"
    container: str
    id: str


class StopSandbox(Operation, frozen=True):
    """End a sandbox in which nothing runs any more; give up the pod's volumes and address."""

    verb: ClassVar[str] = "stop-sandbox"
    id: str


class RemoveSandbox(Operation, frozen=True):
    """Forget an old sandbox."""

    verb: ClassVar[str] = "remove-sandbox"
    id: str


class CleanUp(Operation, frozen=True):
    """Remove everything that the pod had on the node. After it the API object can go."""

    verb: ClassVar[str] = "clean-up"
