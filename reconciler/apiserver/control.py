"""The control plane of an API server: controllers and scheduler work from list and watch of its store, on a workspace
that follows it, and write back what they decide, each write on the condition that nobody else was there before.

Everything is level-triggered: a write that is refused means that the workspace takes over what the store has, and looks
again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import structlog

from reconciler.apiserver import wire
from reconciler.apiserver.admission import PodAdmission
from reconciler.apiserver.api import Api
from reconciler.apiserver.event_limits import EventLimits
from reconciler.apiserver.storage import Storage
from reconciler.cycle import Cycle
from reconciler.live.events import Recorder
from rules import make_concerns
from rules.concern import Concern
from rules.events import event_of
from rules.namespaces import Namespaces
from rules.quotas import Quotas
from rules.services import CLUSTER_CIDR, Services
from state.errors import StateError
from state.objects import AnyObject
from state.snapshot import Change, Key, Snapshot
from state.store.feed import Watch
from state.store.records import ABSENT, Entry, Event, Refused, StoreError, Write

log = structlog.get_logger("reconciler")

_ALL = "/registry/"
#: Seconds after which a control plane that failed starts again.
_PAUSE = 1.0
#: Longest wait for news, so that a change of the clock is noticed.
_PATIENCE = 5.0


def control_concerns(cidrs: Sequence[str] = (CLUSTER_CIDR,), root_ca: str = "") -> list[Concern]:
    """Kubernetes' controllers and scheduler, as a control plane with an API server runs them."""
    return make_concerns(Services(cidrs), Quotas(), Namespaces(root_ca))


class ControlPlane:
    """Controllers over an ``Api``. ``turn`` is to be called again and again, by one thread; ``start`` has one do so."""

    def __init__(self, api: Api, concerns: Callable[[], Sequence[Concern]] = control_concerns) -> None:
        self._api, self._concerns = api, concerns
        self._storage: Storage = api.storage
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._begin()

    def _begin(self) -> None:
        """Reads everything, and watches from there on."""
        store = self._storage.store
        page = store.list(_ALL)
        #: The revision of each object that the workspace has.
        self._revisions: dict[Key, int] = {}
        objects = []
        for entry in page.entries:
            found = self._decoded(entry)
            if found is not None:
                self._revisions[Key.of(found)] = entry.revision
                objects.append(found)
        self._watch: Watch = store.watch(_ALL, page.revision)
        self._cycle = Cycle(Snapshot.of(objects, page.revision), self._concerns())
        self._cycle.ctx.admission = PodAdmission(self._cycle.ws)
        self._recorder = Recorder()
        self._limits = EventLimits(self._cycle.ws)
        self._written: list[Change] = []
        self._is_observing = False
        #: Whether nothing was looked at yet.
        self._is_fresh = True
        self._cycle.ws.listen(self._note)

    def _note(self, change: Change) -> None:
        if not self._is_observing:
            self._written.append(change)

    def _decoded(self, entry: Entry) -> AnyObject | None:
        resource = self._storage.registry.of_key(entry.key)
        return None if resource is None else self._storage.object_of(resource, entry)

    # -- a thread of its own -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Runs it in a thread until ``stop``."""
        self._thread = threading.Thread(target=self._run, name="control-plane", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and the watch."""
        self._stopped.set()
        self._watch.close()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.turn(self._patience())
            except ValueError:
                if not self._stopped.is_set():  # the watch was closed, and not by ``stop``
                    raise
            except StateError as error:
                self._restart(error)

    def _restart(self, error: StateError) -> None:
        if self._stopped.is_set():
            return
        log.error("the control plane failed and starts again", cause=str(error), retry_in_seconds=_PAUSE)
        while not self._stopped.wait(_PAUSE):
            try:
                self._watch.close()
                self._begin()
            except StoreError as again:
                log.error("the control plane can't read the store", cause=str(again), retry_in_seconds=_PAUSE)
            else:
                return

    def _patience(self) -> float:
        if self._is_fresh:
            return 0.0
        at = self._cycle.wake_at
        if at is None:
            return _PATIENCE
        return min(max((at - self._api.clock()) / 1e6, 0.0), _PATIENCE)

    # -- one turn ------------------------------------------------------------------------------------------------------

    def turn(self, timeout: float = 0.0) -> bool:
        """Takes over what is new, decides, writes back. Waits for news at most ``timeout`` seconds.

        Returns whether anything was new, written or due.

        Raises:
            StateError: a rule failed, or rules undo each other.
            StoreError: the store can't be read or written.
        """
        events = self._watch.read(timeout)
        self._is_fresh = False
        self._take_over(events)
        now = self._api.clock()
        ctx = self._cycle.ctx
        ctx.start(now)
        self._cycle.settle(now)
        reported = (*filter(None, map(event_of, ctx.actions)), *ctx.events)
        self._recorder.record(self._cycle.ws, self._limits.worth_recording(reported, now), now)
        self._cycle.ws.commit()
        written, self._written = self._written, []
        self._write_back(written)
        return bool(events or written)

    def settle(self, limit: int = 1000) -> None:
        """Takes turns until nothing is left to do now.

        Raises:
            StateError: that doesn't end.
        """
        for _ in range(limit):
            if not self.turn():
                return
        raise StateError(f"no rest after {limit} turns of the control plane")

    def _take_over(self, events: Iterable[Event]) -> None:
        """What others wrote; what it wrote itself it knows."""
        changes = []
        for event in events:
            if event.value is None:
                assert event.previous is not None
                found = self._decoded(event.previous)
                if found is not None and self._is_news(key := Key.of(found), event.revision):
                    self._storage.forget(event.key, event.revision)
                    del self._revisions[key]
                    changes.append(Change(key, None, None))
            else:
                found = self._decoded(Entry(event.key, event.value, event.revision))
                if found is not None and self._is_news(key := Key.of(found), event.revision, ABSENT):
                    self._revisions[key] = event.revision
                    changes.append(Change(key, None, found))
        self._observe(changes)

    def _is_news(self, key: Key, revision: int, unknown: int | None = None) -> bool:
        known = self._revisions.get(key, unknown)
        return known is not None and revision > known

    def _observe(self, changes: Sequence[Change]) -> None:
        self._is_observing = True
        try:
            self._cycle.observe(changes)
        finally:
            self._is_observing = False

    # -- writing back --------------------------------------------------------------------------------------------------

    def _write_back(self, changes: Sequence[Change]) -> None:
        """Stores what was decided, in order. What follows a refused write of the same object isn't tried."""
        refused: set[Key] = set()
        batch: dict[Key, Write] = {}
        for change in changes:
            if change.key in batch:
                refused |= self._flush(batch)
                batch = {}
            if change.key not in refused:
                write = self._write_of(change)
                if write is not None:
                    batch[change.key] = write
        self._flush(batch)

    def _write_of(self, change: Change) -> Write | None:
        key, _, new = change
        resource = self._storage.registry.of_table(key.kind)
        if resource is None:
            return None
        at = resource.key(key.namespace, key.name)
        known = self._revisions.get(key, ABSENT)
        if new is not None:
            return Write(at, wire.encode(new), known)
        return None if known == ABSENT else Write(at, None, known)

    def _flush(self, batch: dict[Key, Write]) -> set[Key]:
        """Stores writes to different objects; returns those that were refused."""
        refused = set()
        results = self._storage.store.write(list(batch.values()))
        for (key, write), result in zip(batch.items(), results, strict=True):
            if isinstance(result, Refused):
                refused.add(key)
                self._take_back(key, result.current)
            elif write.value is None:
                self._storage.forget(write.key, result.revision)
                self._revisions.pop(key, None)
            else:
                self._revisions[key] = result.revision
        return refused

    def _take_back(self, key: Key, current: Entry | None) -> None:
        """Takes over what the store has instead of what was to be written."""
        found = None if current is None else self._decoded(current)
        if current is None or found is None:
            self._revisions.pop(key, None)
        else:
            self._revisions[key] = current.revision
        self._observe([Change(key, None, found)])
