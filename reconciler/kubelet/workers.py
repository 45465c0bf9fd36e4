"""Who carries out tasks: threads for real, or a table of answers in virtual time."""

# ruff: noqa: D102 - the protocol says what each method does

from __future__ import annotations

import heapq
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from reconciler.drivers.runtime.base import RuntimeDriver, RuntimeDriverError
from reconciler.drivers.runtime.clock import Clock
from reconciler.kubelet import handlers
from reconciler.kubelet.tasks import Exec, Outcome, Pull, Sleep, Task

#: Tasks at the same time. They mostly wait, for containers and sockets.
THREADS = 32


class Workers(Protocol):
    """Takes tasks and gives outcomes, later."""

    def start(self, task: Task) -> None:
        """Takes a task; returns at once."""

    def finished(self) -> list[Outcome]:
        """The outcomes since the last call, in the order in which they came."""

    def next_outcome(self) -> int | None:
        """When the next outcome comes, if that is known (in virtual time), else None."""

    def wait(self, timeout: float) -> None:
        """Waits until there is an outcome, at most ``timeout`` seconds."""

    def close(self) -> None:
        """Stops. Tasks that have not begun never will."""


class ThreadedWorkers:
    """Carries tasks out for real."""

    def __init__(
        self, runtime: RuntimeDriver, clock: Clock, threads: int = THREADS, bell: threading.Event | None = None
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        #: Ends a wait, or the next one.
        self._bell = bell or threading.Event()
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="kubelet")

    def start(self, task: Task) -> None:
        self._pool.submit(self._run, task)

    def _run(self, task: Task) -> None:
        started_at = self._clock.now()
        try:
            success, message = handlers.carry_out(self._runtime, task, self._closing)
        except Exception as error:  # noqa: BLE001  # whatever it is, the outcome says so; a lost one would stall the pod
            success, message = False, f"{type(error).__name__}: {error}"
        self._outcomes.put(Outcome(task, success, message, started_at, self._clock.now()))
        self._bell.set()

    def finished(self) -> list[Outcome]:
        found = []
        while True:
            try:
                found.append(self._outcomes.get_nowait())
            except queue.Empty:
                return found

    def next_outcome(self) -> int | None:
        """Nobody knows."""
        return None

    def wait(self, timeout: float) -> None:
        """As the protocol says; also when somebody else rings the bell."""
        self._bell.wait(timeout)
        self._bell.clear()

    def close(self) -> None:
        """As the protocol says; waits for tasks that are under way, no longer than their timeouts."""
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


#: Says for a task at a time whether it succeeds, with which message, and after how many microseconds.
Answer = Callable[[Task, int], tuple[bool, str, int]]


class SimulatedWorkers:
    """Answers tasks in virtual time.

    By default an image is pulled and a command run by the (simulated) runtime, sleeping takes its time, and everything
    else succeeds at once, now and for ever: probes that passed are not repeated, so that a simulation comes to rest.
    """

    def __init__(self, runtime: RuntimeDriver, clock: Clock, answer: Answer | None = None) -> None:
        self._runtime = runtime
        self._clock = clock
        self._answer = answer or self._default
        self._agenda: list[tuple[int, int, Outcome]] = []
        self._count = 0

    def _default(self, task: Task, now: int) -> tuple[bool, str, int]:
        del now
        doing = task.doing
        if isinstance(doing, Sleep):
            return True, "", doing.seconds * 1_000_000
        try:
            if isinstance(doing, Pull):
                self._runtime.pull_image(doing.image)
            elif isinstance(doing, Exec):
                result = self._runtime.exec_sync(task.instance, doing.command, task.timeout)
                return result.exit_code == 0, (result.stdout + result.stderr).decode(errors="replace"), 0
        except RuntimeDriverError as error:
            return False, str(error), 0
        return True, "", 0

    def start(self, task: Task) -> None:
        now = self._clock.now()
        success, message, takes = self._answer(task, now)
        steady = self._answer == self._default and not isinstance(task.doing, Exec)
        if task.timeout and takes > task.timeout * 1_000_000:
            success, message, takes = False, f"timed out after {task.timeout:g}s", round(task.timeout * 1_000_000)
        self._count += 1
        outcome = Outcome(task, success, message, now, now + takes, steady)
        heapq.heappush(self._agenda, (now + takes, self._count, outcome))

    def finished(self) -> list[Outcome]:
        """As the protocol says: in order of time, then of start."""
        now = self._clock.now()
        found = []
        while self._agenda and self._agenda[0][0] <= now:
            found.append(heapq.heappop(self._agenda)[2])
        return found

    def next_outcome(self) -> int | None:
        return self._agenda[0][0] if self._agenda else None

    def wait(self, timeout: float) -> None:
        """Time is virtual: nothing comes by waiting."""

    def close(self) -> None:
        """Nothing is held."""
