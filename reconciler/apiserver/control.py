"""The control plane of an API server: controllers and scheduler work on a workspace that is kept equal to its store,
and what they decide is stored.

Everything is level-triggered: where a write is refused the workspace takes over what the store has, and they look
again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

import structlog

from reconciler.apiserver.api import Api
from reconciler.apiserver.compaction import Compactor
from reconciler.apiserver.leadership import Leadership, NotLeadingError
from reconciler.apiserver.mirror import Mirror
from reconciler.apiserver.owned_fields import ControllersFields
from reconciler.apiserver.policies.controllers import ConfiguredAdmission
from reconciler.cycle import Cycle
from reconciler.extensions import installed_concerns
from reconciler.live.events import Recorder
from rules import make_concerns
from rules.account_secrets import AccountSecrets, Issue
from rules.actions import Action
from rules.actions import Event as Reported
from rules.admission_policies import Check, PolicyStatus
from rules.certificates import Certificates, Hands
from rules.concern import Concern
from rules.events import event_of
from rules.ip_addresses import IpAddresses
from rules.namespaces import Namespaces
from rules.node_lifecycle import NodeLifecycle
from rules.node_ttl import NodeTtl
from rules.pod_garbage import QUARANTINE, PodGarbage
from rules.quotas import Quotas
from rules.service_cidrs import ServiceCidrs
from rules.services import CLUSTER_CIDR, Services
from state.collector import paused_collector
from state.errors import StateError
from state.objects import Event
from state.store.layout import ROOT
from state.workspace import Workspace

log = structlog.get_logger("reconciler")

#: Seconds after which a control plane that failed starts again.
_PAUSE = 1.0
#: Seconds of rest after a turn for each change that it took over, and at most. So a change alone is followed at once;
#: from 500 changes a second on, many small turns become a few large ones, which cost half as much.
_REST, _LONGEST_REST = 0.002, 0.05
#: Longest wait for news, so that a change of the clock is noticed.
_PATIENCE = 5.0
#: Actions of one turn, after which they are stored and news are looked at: nobody can have it create for minutes.
MOST_ACTIONS = 10_000
#: How long a quota stays charged for what isn't stored (µs).
_CHARGED = 5_000_000
#: Seconds between two looks at whether it leads now.
_STANDBY = 0.1


def control_concerns(
    cidrs: Sequence[str] = (CLUSTER_CIDR,),
    root_ca: str = "",
    *,
    tokens: bool = True,
    issue: Issue | None = None,
    signing: Hands | None = None,
    checks: Check | None = None,
) -> list[Concern]:
    """Kubernetes' controllers and scheduler, as a control plane with an API server runs them, and those of installed
    distributions. The arguments are those of ``Services``, ``Namespaces``, ``AccountSecrets``,
    ``Certificates`` and ``PolicyStatus``.

    Raises:
        ExtensionError: one that is installed can't be used.
    """
    installed = [concern() for concern in installed_concerns().values()]
    given = (
        Namespaces(root_ca, tokens=tokens),
        Services(cidrs),
        Quotas(_CHARGED),
        NodeLifecycle(listens=True),
        PodGarbage(quarantine=QUARANTINE),
    )
    first = (AccountSecrets(issue, root_ca), Certificates(signing), PolicyStatus(checks), NodeTtl(), ServiceCidrs())
    return [*first, *make_concerns(*given, *installed), IpAddresses()]


class ControlPlane:
    """Controllers over an ``Api``. ``turn`` is to be called again and again, by one thread; ``start`` has one do so.

    The store is read at the first turn. Hands may act on ``ws`` between turns: what they observed there is stored by
    ``push``, and what they report by ``record``.
    """

    def __init__(
        self,
        api: Api,
        concerns: Callable[[], Sequence[Concern]] = control_concerns,
        *,
        on_ready: Callable[[], None] | None = None,
        leadership: Leadership | None = None,
    ) -> None:
        self._leadership = leadership or Leadership(api.storage.store)
        self._api, self._concerns, self._on_ready = api, concerns, on_ready
        self._compactor = Compactor(api.storage.store)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._mirror: Mirror | None = None
        #: Is told of the events that are recorded, once they are in the workspace.
        self.on_events: Callable[[Sequence[Event]], None] = lambda _: None
        #: Is told when everything has been read.
        self.on_begin: Callable[[], None] = lambda: None
        #: How often a rule failed.
        self.failures = 0
        #: Is told after each turn what was done and reported, and how many seconds it took.
        self.on_turn: Callable[[Sequence[Action], Sequence[Reported], float], None] = lambda *_: None

    def begin(self, *, decides: bool = True) -> None:
        """Reads everything, into a new workspace, and watches from there on. Where another program on the store
        ``decides``, the workspace is there for hands alone.

        Raises:
            StoreError: the store can't be read.
        """
        self.close()
        with paused_collector():
            write = self._leadership.write if decides else self._api.storage.store.write
            self._mirror = mirror = Mirror(self._api.storage, self._on_ready, write)
            self._cycle = Cycle(mirror.snapshot, self._concerns() if decides else ())
            self.on_begin()
        mirror.attach(self._cycle.ws)
        self._cycle.ctx.on_failure = self._leave_alone
        ctx = self._cycle.ctx
        ctx.retries = True
        if self._api.writer.fields is not None:
            ctx.owned = ControllersFields(self._api.writer.fields, self._api.registry)
        ctx.admission = ConfiguredAdmission(ctx, self._api.writer.configured, self._api.registry)
        self._recorder = Recorder()
        #: Whether nothing was looked at yet.
        self._is_fresh = True
        #: Whether there was more to do than one turn does.
        self._is_behind = False
        #: Changes that the last turn took over.
        self._news = 0

    def _leave_alone(self, failure: StateError) -> None:
        """Goes on with the other objects: nobody can stop all controllers with one that is odd."""
        self.failures += 1
        log.error("a rule failed, and its object is left alone until it changes", cause=str(failure))

    def close(self) -> None:
        """Watches no more, until it begins again."""
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None

    @property
    def ws(self) -> Workspace:
        """The state that is worked on: another one whenever it ``begin`` s again."""
        return self._cycle.ws

    @property
    def wake_at(self) -> int | None:
        """When something is due though nothing changes (µs since the epoch), or None."""
        return self._cycle.wake_at

    # -- a thread of its own -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Runs it in a thread until ``stop``; it acts as long as it leads."""
        self._thread = threading.Thread(target=self._run, name="control-plane", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and the watch."""
        self._stopped.set()
        mirror = self._mirror  # the thread may drop it meanwhile
        if mirror is not None:
            mirror.close()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._leadership.leads():
                    self.turn(self._patience())
                    self._rest()
                else:
                    self._stand_by()
            except ValueError:
                if not self._stopped.is_set():  # the watch was closed, and not by ``stop``
                    raise
            except NotLeadingError as error:
                log.warning("the controllers stop in the middle of their work", cause=str(error))
                self.close()
            except StateError as error:
                if self._stopped.is_set():
                    return
                log.error("the control plane failed and starts again", cause=str(error), retry_in_seconds=_PAUSE)
                self.close()
                self._stopped.wait(_PAUSE)

    def _stand_by(self) -> None:
        """Waits while another server's controllers act. What they delete isn't remembered here either."""
        self.close()
        storage = self._api.storage
        with storage.store.watch(ROOT, storage.store.revision()) as watch:
            while not self._stopped.is_set() and not self._leadership.leads():
                for event in watch.read(_STANDBY):
                    if event.value is None:
                        storage.forget(event.key, event.revision)

    def _rest(self) -> None:
        """Lets what happens meanwhile come together, and requests have the interpreter for themselves: a turn costs
        much less for a hundred changes than a hundred turns.
        """
        if not self._is_behind:
            self._stopped.wait(min(_REST * self._news, _LONGEST_REST))

    def _patience(self) -> float:
        if self._mirror is None or self._is_fresh or self._is_behind:
            return 0.0
        at = self.wake_at
        if at is None:
            return _PATIENCE
        return min(max((at - self._api.clock()) / 1e6, 0.0), _PATIENCE)

    # -- one turn ------------------------------------------------------------------------------------------------------

    def turn(self, timeout: float = 0.0) -> bool:
        """Takes over what is new, decides, writes back. Waits for news at most ``timeout`` seconds.

        Returns whether anything was new, written or due.

        Raises:
            StateError: a rule failed, or rules undo each other; ``begin`` again.
            StoreError: the store can't be read or written; the same.
        """
        if self._mirror is None:
            self.begin()
        assert self._mirror is not None
        self._news = self._mirror.pull(timeout)
        started = time.perf_counter()
        self._is_fresh = False
        now = self._api.clock()
        ctx = self._cycle.ctx
        ctx.start(now)
        self._is_behind = not self._cycle.settle(now, MOST_ACTIONS)
        self.record((*filter(None, map(event_of, ctx.actions)), *ctx.events), now)
        is_pushed = self.push()
        self._compactor.tick(now)
        self.on_turn(ctx.actions, ctx.events, time.perf_counter() - started)
        return is_pushed or self._news > 0 or self._is_behind

    def record(self, reported: Iterable[Reported], now: int) -> list[Event]:
        """Puts into the workspace what was reported at ``now`` (µs since the epoch); returns the events."""
        stored = self._recorder.record(self.ws, reported, now)
        if stored:
            self.on_events(stored)
        return stored

    def push(self) -> bool:
        """Stores what was changed in the workspace, and says whether there was anything.

        Raises:
            StoreError: the store can't be written; ``begin`` again.
        """
        assert self._mirror is not None
        self.ws.commit()
        return self._mirror.push()

    def settle(self, limit: int = 1000) -> None:
        """Takes turns until nothing is left to do now.

        Raises:
            StateError: that doesn't end.
        """
        for _ in range(limit):
            if not self.turn():
                return
        raise StateError(f"no rest after {limit} turns of the control plane")
