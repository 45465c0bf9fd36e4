"""The live loop: rules decide, the journal remembers, drivers act, and the next round begins with what they observe.

One thread does all of it. What was decided is on disk before anybody acts on it, and drivers' verbs can be repeated, so
that a death at any moment costs nothing: the next loop on the same state directory goes on from there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import structlog

from reconciler.api import Reconciler, complete
from reconciler.executor import Executor
from reconciler.extensions import controllers
from reconciler.live.directory import OwnedDirectory
from reconciler.live.drivers import DRIVER_ERRORS, TICK, Drivers
from reconciler.live.events import Recorder
from reconciler.live.failures import Failures
from reconciler.live.journal import Journal
from reconciler.live.machine import this_node
from reconciler.live.stop import Stop
from reconciler.plan import Plan
from reconciler.retries import Retries
from rules.actions import Event as Reported
from rules.services import Services
from state.defaults import default
from state.errors import StateError
from state.load import Loaded, LoadError
from state.objects import Event, Node, ObjectMeta, StorageClass, replace
from state.snapshot import Key, Snapshot
from state.times import format_time

log = structlog.get_logger("reconciler")

#: Rounds in one turn after which the loop takes a breath: commands and signals get their chance.
MAX_ROUNDS = 100
#: Back-off after a round that failed, µs.
FIRST_RETRY, LONGEST_RETRY = 1_000_000, 30_000_000
#: The class of claims that name none, as kind and minikube call theirs.
STORAGE_CLASS = "standard"
#: Warnings about what containers do, not about what drivers can't.
_NO_FAULT = ("BackOff", "ProbeWarning", "Unhealthy")
_TURN = "turn"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


class Live:
    """A cluster of this one machine. ``turn`` is to be called again and again, by one thread.

    ``snapshot`` can be read from any thread, and ``wait_newer`` and ``call`` be called. ``on_events`` is told what is
    recorded.
    """

    def __init__(self, directory: OwnedDirectory, drivers: Drivers, now: int) -> None:
        self._drivers = drivers
        self._directory = directory
        self._journal = Journal(directory.journal)
        if self._journal.dropped_bytes:
            log.warning("the last change was not written completely and is dropped", bytes=self._journal.dropped_bytes)
        found = self._journal.snapshot
        concerns = controllers(None, Services((directory.block.service_cidr,)))
        self._loop = Reconciler(observed=found if len(found) else (), now=now, concerns=concerns)
        self._executor, self._executor_ws = self._new_executor(), self._loop.ws
        self._recorder = Recorder()
        self._failures = Failures()
        self._retries: Retries[str] = Retries(first=FIRST_RETRY, longest=LONGEST_RETRY)
        self._commands: queue.SimpleQueue[tuple[Callable[[Reconciler], object], Future[object]]] = queue.SimpleQueue()
        self._news = threading.Condition()
        self.snapshot = found
        self.plan: Plan | None = None
        self.on_events: Callable[[Sequence[Event]], None] = lambda _: None
        self._introduce(now)

    def _new_executor(self) -> Executor:
        drivers = self._drivers
        return Executor(self._loop.ws, kubelet=drivers.kubelet, provisioner=drivers.provisioner, proxy=drivers.proxy)

    def _introduce(self, now: int) -> None:
        """Puts this machine's node and a default storage class into the state, as far as they aren't there."""
        ws = self._loop.ws
        node = complete(this_node(self._directory.node, self._directory.block, self._directory.path, now))
        assert isinstance(node, Node)
        known = ws.find(Node, "", node.metadata.name)
        if known is None:
            ws.put(node)
        elif known.status.capacity != node.status.capacity:
            capacity = node.status.capacity
            ws.put(replace(known, status=replace(known.status, capacity=capacity, allocatable=capacity)))
        if not ws.table("StorageClass"):
            ws.put(complete(_storage_class(self._drivers.storage.name, now)))

    # -- for the thread that owns the loop -----------------------------------------------------------------------------

    def apply(self, loaded: Loaded) -> None:
        """Takes manifests over as what is desired from now on; what was applied before and isn't named goes.

        Raises:
            InvalidObject: something was refused; nothing was taken over.
        """
        if loaded.refused:
            raise LoadError(loaded.refused)
        for warning in loaded.warnings:
            log.warning("a manifest may not mean what it says", cause=warning)
        self._loop.apply(loaded.objects, prune_others=True)

    def turn(self, now: int) -> bool:
        """Lets everything happen that is due now (µs since the epoch).

        A failure is logged and tried again later. False says that rules failed, so that what was applied last is lost.
        """
        if not self._retries.due(_TURN, now):
            return True
        answers = self._run_commands()
        try:
            for _ in range(MAX_ROUNDS):
                if not self._round(now):
                    break
        except (StateError, *DRIVER_ERRORS) as error:
            again = self._retries.failed(_TURN, now)
            log.error("a round of the loop failed", cause=str(error), retry_in_seconds=(again - now) / 1e6)
            for future, _ in answers:
                future.set_exception(StateError(str(error)))
            return self._executor_ws is self._loop.ws
        self._retries.forget(_TURN)
        for future, value in answers:
            future.set_result(value)
        return True

    def wait(self) -> None:
        """Waits a tick, or until a probe or hook has ended."""
        self._drivers.kubelet.wait(TICK)

    def stop(self, clock: Callable[[], int], forced: Callable[[], bool], tell: Callable[[str], None]) -> None:
        """Ends everything that runs, in order; see ``stop``. Rules decide nothing any more."""
        stop = Stop(self._loop.ws, self._drivers, tell)
        stop.begin(clock())
        self._save()
        stop.carry_out(clock, forced)
        self._save()

    def _save(self) -> None:
        ws = self._loop.ws
        ws.commit()
        self._publish(ws.snapshot)
        self._journal.save(ws.snapshot)

    def close(self) -> None:
        """Ends it; drivers and directory are the caller's to close. Whoever still waits for a command is told so."""
        for future, _ in self._run_commands():
            future.set_exception(StateError("the reconciler stops"))
        self._journal.close()

    def _round(self, now: int) -> bool:
        """Decides, remembers, acts. Says whether there is more to do now."""
        plan = self._loop.step(now)
        if self._executor_ws is not self._loop.ws:
            self._executor, self._executor_ws = self._new_executor(), self._loop.ws
        self.plan = plan
        self._record(plan.events, now)
        self._journal.save(plan.snapshot)
        self._publish(plan.snapshot)
        report = self._executor.sync(now)
        self._record([*report.events, *self._failures.news(report.failures)], now, log_warnings=True)
        due = [at for at in (plan.wake_at, self._executor.next_due()) if at is not None]
        return self._loop.ws.is_changed or min(due, default=now + 1) <= now

    def _record(self, events: Sequence[Reported], now: int, *, log_warnings: bool = False) -> None:
        stored = self._recorder.record(self._loop.ws, events, now)
        for event in stored if log_warnings else ():
            count = event.count or 1
            if (
                event.type == "Warning" and event.reason not in _NO_FAULT and count & (count - 1) == 0
            ):  # the 1st, 2nd, 4th, 8th ... time
                log.warning(event.reason, object=subject(event), cause=event.message, times=count)
        if stored:
            self.on_events(stored)

    def _publish(self, snapshot: Snapshot) -> None:
        if snapshot is not self.snapshot:
            with self._news:
                self.snapshot = snapshot
                self._news.notify_all()

    def _run_commands(self) -> list[tuple[Future[object], object]]:
        """Does what other threads asked for. They are answered when it is on disk."""
        done = []
        while not self._commands.empty():
            command, future = self._commands.get()
            try:
                done.append((future, command(self._loop)))
            except StateError as error:
                future.set_exception(error)
        return done

    # -- for all threads -----------------------------------------------------------------------------------------------

    def call(self, command: Callable[[Reconciler], object], timeout: float) -> object:
        """Has the owner of the loop run a command on it, and waits until that is on disk.

        Raises:
            StateError: the command failed.
            TimeoutError: the loop is too busy.
        """
        future: Future[object] = Future()
        self._commands.put((command, future))
        return future.result(timeout)

    def wait_newer(self, than: Snapshot, timeout: float) -> Snapshot:
        """The snapshot as soon as it is another one, or the same after ``timeout`` seconds."""
        with self._news:
            self._news.wait_for(lambda: self.snapshot is not than, timeout)
            return self.snapshot


def subject(event: Event) -> str:
    """The object that an event is about, as text."""
    about = event.involved_object
    return str(Key(about.kind or "", about.namespace or "", about.name or ""))


def _storage_class(provisioner: str, now: int) -> StorageClass:
    """The default class; it is older than any other that is marked as default, so that those win."""
    made = default(StorageClass(provisioner=provisioner, volume_binding_mode="WaitForFirstConsumer"))
    assert isinstance(made, StorageClass)
    since = format_time(now - 1_000_000)
    meta = ObjectMeta(name=STORAGE_CLASS, annotations={_DEFAULT_CLASS: "true"}, creation_timestamp=since)
    return replace(made, metadata=meta)
