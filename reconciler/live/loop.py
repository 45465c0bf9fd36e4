"""The live loop: controllers decide, the store remembers, drivers act, and what they observe is stored as well.

Where several programs share the store each is a node of its own: one of them decides, all act on what is bound to them.

One thread does all of it. What was decided is in the store before anybody acts on it, and drivers' verbs can be
repeated, so that a death at any moment costs nothing: the next loop on the same store and state directory goes on from
there. Everybody else, manifests included, goes through the API.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from reconciler.api import complete
from reconciler.apiserver.api import Api
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.control import ControlPlane, control_concerns
from reconciler.apiserver.crd import Definitions, schema_of
from reconciler.apiserver.leadership import Leadership
from reconciler.apiserver.policies.configured import warnings_about
from reconciler.apiserver.writer import ATTEMPTS
from reconciler.executor import Executor
from reconciler.live.directory import OwnedDirectory
from reconciler.live.drivers import DRIVER_ERRORS, TICK, Drivers
from reconciler.live.events import times
from reconciler.live.failures import Failures
from reconciler.live.heartbeat import Heartbeat
from reconciler.live.logs import PodLogs
from reconciler.live.machine import this_node
from reconciler.live.manifests import Manifests
from reconciler.live.stop import Stop
from reconciler.retries import Retries
from reconciler.usage import UsageReporter
from rules.account_secrets import Issue
from rules.actions import Event as Reported
from rules.node_zones import readiness
from state.defaults import default
from state.errors import StateError
from state.load import Loaded
from state.objects import Event, Node, ObjectMeta, StorageClass, replace
from state.snapshot import Key, Snapshot
from state.store.base import Store
from state.store.leader import Terms
from state.store.records import StoreError, StoreUnavailableError
from state.times import format_time
from state.workspace import Workspace

log = structlog.get_logger("reconciler")

#: Rounds in one turn after which the loop takes a breath: signals and files get their chance.
MAX_ROUNDS = 100
#: Back-off after a round that failed, µs.
FIRST_RETRY, LONGEST_RETRY = 1_000_000, 30_000_000
#: The class of claims that name none, as kind and minikube call theirs.
STORAGE_CLASS = "standard"
#: Warnings about what containers do, not about what drivers can't.
_NO_FAULT = ("BackOff", "ProbeWarning", "Unhealthy")
_TURN = "turn"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


class NodeTakenError(StateError):
    """Another program is the node that this one would be."""


class Live:
    """A cluster of this one machine. ``turn`` is to be called again and again, by one thread.

    ``api`` may be used by any thread, ``snapshot`` be read and ``wait_newer`` be called. ``on_events`` is told what is
    recorded.

    Args:
        directory: where all is that drivers need; directory, drivers and store are the caller's to close.
        root_ca, issue: the certificate (PEM) of whoever serves the API, if anybody does, and its tokens for Secrets.
        terms: how long its lease lasts where several programs share the store; one of them decides.
    """

    def __init__(
        self,
        directory: OwnedDirectory,
        drivers: Drivers,
        store: Store,
        clock: Callable[[], int],
        *,
        root_ca: str = "",
        issue: Issue | None = None,
        terms: Terms | None = None,
    ) -> None:
        self._directory, self._drivers, self._clock = directory, drivers, clock
        self.service_cidr = directory.block.service_cidr
        cidrs = (self.service_cidr,)
        self.api = Api(store, clock=clock, cidrs=cidrs, fields=ManagedFields(schema_of))
        bootstrap(self.api)
        self.definitions = Definitions(self.api)
        self.leadership = Leadership(store, terms)
        checks = partial(warnings_about, self.api.registry)
        concerns = partial(control_concerns, cidrs, root_ca, tokens=False, issue=issue, checks=checks)
        self.control = ControlPlane(self.api, concerns, on_ready=drivers.bell.set, leadership=self.leadership)
        self.control.on_events = self._tell
        self._executor: Executor | None = None
        #: What acts on pods while the store can't be read.
        self._holding: Executor | None = None
        #: This node, where there are others.
        self._node = directory.node if store.shared else ""
        #: Whether this program decides, in the workspace that it has now.
        self._decides = False
        self._failures = Failures()
        self._heartbeat = Heartbeat(directory.node)
        self._retries: Retries[str] = Retries(first=FIRST_RETRY, longest=LONGEST_RETRY)
        self._manifests = Manifests(self.api, self._node)
        self.api.subresources.logs = PodLogs(directory.logs, self._manifests.get)
        self._news = threading.Condition()
        self.snapshot = Snapshot()
        self.on_events: Callable[[Sequence[Event]], None] = lambda _: None
        self.definitions.start()
        self.leadership.start()

    # -- for the thread that owns the loop -----------------------------------------------------------------------------

    def apply(self, loaded: Loaded) -> None:
        """Takes manifests over as what is desired from now on; what earlier ones brought and isn't named goes.

        Raises:
            InvalidObject: something is wrong with them; nothing was taken over.
            ApplyError: something was refused; the rest was taken over.
        """
        self._manifests.apply(loaded, self.turn)

    def turn(self) -> bool:
        """Lets everything happen that is due now. A failure is logged and tried again later.

        Returns whether all is as it should be: False after a failure.

        Raises:
            NodeTakenError: another program is this node.
        """
        now = self._clock()
        if not self._retries.due(_TURN, now):
            self._hold(now)
            return False
        if self.leadership.leads() is not self._decides:
            self._drop()
        try:
            for _ in range(MAX_ROUNDS):
                if not self._round():
                    break
        except NodeTakenError:
            raise
        except (StateError, *DRIVER_ERRORS) as error:
            again = self._retries.failed(_TURN, self._clock())
            is_silent = isinstance(error, StoreUnavailableError)
            what = "the store does not answer; pods go on as they are" if is_silent else "a round of the loop failed"
            log.error(what, cause=str(error), retry_in_seconds=(again - self._clock()) / 1e6)
            if isinstance(error, StateError):
                self._drop()  # nobody knows what of the workspace is in the store
            return False
        self._retries.forget(_TURN)
        return True

    def wait(self) -> None:
        """Waits a tick, or until a probe or hook has ended, or something in the store has changed."""
        self._drivers.kubelet.wait(TICK)

    def stop(self, forced: Callable[[], bool], tell: Callable[[str], None]) -> None:
        """Ends everything that runs, in order; see ``stop``. Rules decide nothing any more.

        Raises:
            StoreUnavailableError: the store can't be told. All has ended, but the next loop on it starts it again.
        """
        if self.leadership.leads() is not self._decides:
            self._drop()
        failure = None
        try:
            stop = self._announced(tell)
        except StoreError as error:
            log.error("the store does not answer; what runs is ended all the same", cause=str(error))
            failure = error
            stop = Stop(Workspace(self.snapshot), self._drivers, tell, self._node)
            stop.begin(self._clock())
        stop.carry_out(self._clock, forced)
        if failure is not None:
            msg = "all has ended here, and the store could not be told: the next up starts it again"
            raise StoreUnavailableError(msg) from failure
        self._store()

    def _announced(self, tell: Callable[[str], None]) -> Stop:
        """The end of everything, as the store has been told of it."""
        if self._executor is None:
            self._begin()
        stop = Stop(self.control.ws, self._drivers, tell, self._node)
        for _ in range(ATTEMPTS):  # a write that is refused is to be tried again
            stop.begin(self._clock())
            if not self._store():
                break
        return stop

    def close(self) -> None:
        """Ends it; directory, drivers and store are the caller's to close."""
        self.control.stop()
        self.leadership.stop()
        self.definitions.stop()

    # -- one round -----------------------------------------------------------------------------------------------------

    def _drop(self) -> None:
        """Forgets the workspace; the next round reads the store."""
        self.control.close()
        self._executor = self._holding = None

    def _hold(self, now: int) -> None:
        """Has the pods go on that the store had last, as a kubelet that can't reach its API server. What comes of it is
        found again when the store can be read.
        """
        if self._executor is not None or not self.snapshot.revision:  # it can, or was never read
            return
        if self._holding is None:
            self._holding = Executor(Workspace(self.snapshot), kubelet=self._drivers.kubelet, node=self._node)
        try:
            self._holding.sync(now)
        except (StateError, *DRIVER_ERRORS) as error:
            log.error("pods can't be looked after", cause=str(error))

    def _begin(self) -> Executor:
        """Reads the store, and puts this machine's node and a default storage class into it if they aren't there."""
        self._decides = self.leadership.leads()
        self.control.begin(decides=self._decides)
        drivers, ws = self._drivers, self.control.ws
        made = Executor(
            ws,
            kubelet=drivers.kubelet,
            provisioner=drivers.provisioner,
            proxy=drivers.proxy,
            usage=UsageReporter(drivers.runtime),
            node=self._node,
        )
        self._introduce(ws, self._clock())
        self._executor = made
        return made

    def _introduce(self, ws: Workspace, now: int) -> None:
        node = complete(this_node(self._directory.node, self._directory.block, self._directory.path, now))
        assert isinstance(node, Node)
        known = ws.find(Node, "", node.metadata.name)
        if known is None:
            ws.put(node)
        elif not self._node or readiness(known) != "True" or _system(known) == _system(node):
            new = node.status
            if (known.status.capacity, known.status.node_info) != (new.capacity, new.node_info):
                status = replace(known.status, capacity=new.capacity, allocatable=new.capacity, node_info=new.node_info)
                ws.put(replace(known, status=status))
        if not ws.table("StorageClass"):
            ws.put(complete(_storage_class(self._drivers.storage.name, now)))
        self._store()
        stored = ws.find(Node, "", node.metadata.name)
        if self._node and stored is not None and _system(stored) != _system(node):
            msg = f"another program on the store is the node {self._node}; choose another name with --node-name"
            raise NodeTakenError(msg)

    def _round(self) -> bool:
        """Decides, remembers, acts, and remembers what was observed. Says whether there is more to do now."""
        executor = self._executor or self._begin()
        if self._heartbeat.sync(self.control.ws, self._clock()):
            self._store()
        self.control.turn()
        self._publish()
        now = self._clock()
        try:
            report = executor.sync(now)
            self._record([*report.events, *self._failures.news(report.failures)], now)
        finally:
            is_changed = self._store()
        due = [at for at in (self.control.wake_at, executor.next_due()) if at is not None]
        return is_changed or min(due, default=now + 1) <= now

    def _store(self) -> bool:
        """Stores what was changed in the workspace, and says whether there was anything."""
        is_changed = self.control.push()
        self._publish()
        return is_changed

    def _record(self, reported: Sequence[Reported], now: int) -> None:
        for event in self.control.record(reported, now):
            count = times(event)
            if (
                event.type == "Warning" and event.reason not in _NO_FAULT and count & (count - 1) == 0
            ):  # the 1st, 2nd, 4th, 8th ... time
                log.warning(event.reason, object=subject(event), cause=event.message, times=count)

    def _tell(self, events: Sequence[Event]) -> None:
        self.on_events(events)

    def _publish(self) -> None:
        snapshot = self.control.ws.snapshot
        if snapshot is not self.snapshot:
            with self._news:
                self.snapshot = snapshot
                self._news.notify_all()

    # -- for all threads -----------------------------------------------------------------------------------------------

    def wait_newer(self, than: Snapshot, timeout: float) -> Snapshot:
        """The snapshot as soon as it is another one, or the same after ``timeout`` seconds."""
        with self._news:
            self._news.wait_for(lambda: self.snapshot is not than, timeout)
            return self.snapshot


def subject(event: Event) -> str:
    """The object that an event is about, as text."""
    about = event.involved_object
    return str(Key(about.kind or "", about.namespace or "", about.name or ""))


def _system(node: Node) -> str:
    """What tells the reconciler that is a node from others."""
    info = node.status.node_info
    found = None if info is None else info.value.get("systemUUID")
    return found if isinstance(found, str) else ""


def _storage_class(provisioner: str, now: int) -> StorageClass:
    """The default class; it is older than any other that is marked as default, so that those win."""
    made = default(StorageClass(provisioner=provisioner, volume_binding_mode="WaitForFirstConsumer"))
    assert isinstance(made, StorageClass)
    since = format_time(now - 1_000_000)
    meta = ObjectMeta(name=STORAGE_CLASS, annotations={_DEFAULT_CLASS: "true"}, creation_timestamp=since)
    return replace(made, metadata=meta)
