"""``up``: files in, a cluster on this machine, until somebody says that it is enough."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Protocol

import structlog

from reconciler.drivers.network.base import ServiceStatus
from reconciler.live.directory import OwnedDirectory, StateDirectory
from reconciler.live.drivers import Drivers
from reconciler.live.loop import Live
from reconciler.live.ready import unready
from reconciler.live.server import Server
from reconciler.live.sources import POLL_SECONDS, Sources
from state.errors import InvalidObject, StateError
from state.load import LoadError
from state.objects import Event
from state.snapshot import Snapshot
from state.store.base import Store
from state.store.leader import Terms
from state.store.records import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from reconciler.apiserver.auth_server import Security
    from reconciler.apiserver.serving import HttpServer

log = structlog.get_logger("reconciler")

#: How often it is looked which services are served, should nothing else have changed, in seconds.
_LOOK_SECONDS = 1.0
#: After so many seconds an orderly end, when all pods have ended, doesn't wait for the store any more.
_STOP_SECONDS = 4.0
#: A store that others share and that doesn't answer for so many seconds isn't waited for when it is to end.
_PATIENCE_SECONDS = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class View(Protocol):
    """Whoever watches ``up``."""

    def say(self, text: str) -> None:
        """A sentence about what ``up`` itself does."""

    def events(self, events: Sequence[Event]) -> None:
        """What happened."""

    def state(self, snapshot: Snapshot, services: Sequence[ServiceStatus], now: int) -> None:
        """How everything is now; called a few times a second."""

    def end(self) -> None:
        """From now on there is nothing to be said but sentences."""


@dataclass(frozen=True, slots=True)
class Options:
    """What ``up`` is to do.

    ``store`` opens the store, ``terms`` says how several programs share it; each is a node of its own, and ``node`` is
    its name, if it isn't the machine's. The API is served where there is a ``port`` (0: any free one) or a
    ``kubeconfig`` to be written. ``keep`` leaves the pods running at the end. ``until_ready`` ends as soon as all of it
    runs, ``seconds`` after that time at the latest.
    """

    names: Sequence[str]
    state_directory: str
    store: Callable[[StateDirectory], Store]
    terms: Terms | None = None
    node: str = ""
    port: int | None = None
    kubeconfig: Path | None = None
    keep: bool = False
    until_ready: bool = False
    seconds: float | None = None

    @property
    def is_served(self) -> bool:
        """Whether the API is served."""
        return self.port is not None or self.kubeconfig is not None


def run(options: Options, view: View) -> bool:
    """Runs until a signal comes or the options say so. False: it should have become ready, and didn't in time.

    Raises:
        StateError: the manifests are refused, or the state directory can't be used; nothing was started.
        OSError: the same.
    """
    sources = Sources(options.names)
    loaded = sources.load()
    if loaded.refused:
        raise LoadError(loaded.refused)
    with contextlib.ExitStack() as undo:
        directory = OwnedDirectory(options.state_directory, options.node)
        undo.callback(directory.release)
        store = undo.enter_context(options.store(directory))
        signals = undo.enter_context(counted_signals(partial(_leave_if_silent, store)))
        hurry = threading.Timer(_STOP_SECONDS, store.close)
        undo.callback(hurry.cancel)
        drivers = Drivers(directory, directory.node if store.shared else "")
        undo.callback(drivers.close)
        security = _security(directory) if options.is_served else None
        root_ca = "" if security is None else security.authority.pem.decode()
        issue = None if security is None else security.accounts.issue_for_secret
        live = Live(directory, drivers, store, _now, root_ca=root_ca, issue=issue, terms=options.terms)
        undo.callback(live.close)
        up = Up(options, view, sources, live, drivers, signals=signals)
        http = None if security is None else undo.enter_context(_listening(options, live, security))
        live.apply(loaded)
        server = Server(directory, live)
        undo.callback(server.close)
        if http is not None:
            _serve(http, options.kubeconfig)
            view.say(f"the API is at {http.url}")
        undo.callback(hurry.start)  # who still waits for a store that doesn't answer gives up when it is closed
        return up.run()


def _leave_if_silent(store: Store) -> None:
    """Closes a store that doesn't answer, in a thread of its own: who waits for it gives up then."""

    def ask() -> None:
        with contextlib.suppress(StoreError):
            store.revision()
            answered.set()

    def watch() -> None:
        if not answered.wait(_PATIENCE_SECONDS):
            log.error("the store does not answer, and is not waited for; what runs here is ended all the same")
            store.close()

    if store.shared:
        answered = threading.Event()
        for target in (ask, watch):
            threading.Thread(target=target, name="last-question", daemon=True).start()


def _security(directory: OwnedDirectory) -> Security:
    from reconciler.apiserver.auth_server import Security  # noqa: PLC0415 - where the API is served

    return Security(directory.certificates, _now())


@contextlib.contextmanager
def _listening(options: Options, live: Live, security: Security) -> Iterator[HttpServer]:
    """A server of the API that has its port, and doesn't answer yet."""
    from reconciler.apiserver.serving import HttpServer  # noqa: PLC0415 - where the API is served

    http = HttpServer(
        live.api,
        live.definitions,
        live.leadership.leads,
        port=options.port or 0,
        security=security,
        cidrs=(live.service_cidr,),
    )
    live.control.on_turn = http.measurements.turned
    try:
        yield http
    finally:
        http.stop()


def _serve(http: HttpServer, kubeconfig: Path | None) -> None:
    """Has it answer; then there is the kubeconfig."""
    from reconciler.apiserver.kubeconfig import write  # noqa: PLC0415 - where the API is served

    http.start()
    if kubeconfig is not None:
        write(http.kubeconfig, kubeconfig)


class Up:
    """A loop with its sources, its view, and the signals that end it."""

    def __init__(
        self, options: Options, view: View, sources: Sources, live: Live, drivers: Drivers, *, signals: list[int]
    ) -> None:
        self._options = options
        self._view = view
        self._sources = sources
        self._live = live
        self._drivers = drivers
        self._signals = signals
        self._shown: Snapshot | None = None
        self._look_at = 0.0
        self._services: Sequence[ServiceStatus] = ()
        self._happened: list[Event] = []
        live.on_events = self._happened.extend

    def run(self) -> bool:
        """See the function ``run``."""
        is_ready = False
        try:
            is_ready = self._loop()
        except BrokenPipeError:
            log.warning("nobody reads the output any more")
        self._view.end()
        if self._options.keep:
            self._say("pods go on running; the next up with this state directory finds them")
        else:
            self._say("stopping; once more, and what still runs is killed")
            self._live.stop(lambda: len(self._signals) > 1, self._say)
        return is_ready or not self._options.until_ready

    def _say(self, text: str) -> None:
        """Tells the viewer, should there still be one: the end is to be reached in any case."""
        with contextlib.suppress(BrokenPipeError):
            self._view.say(text)

    def _loop(self) -> bool:
        """Turns until it is enough; says whether everything was ready then."""
        options = self._options
        ends_at = None if options.seconds is None else time.monotonic() + options.seconds
        look_at = 0.0
        is_behind = is_settled = False
        while not self._signals:
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + POLL_SECONDS
                is_behind |= self._sources.changed()
            if is_behind and is_settled:
                is_behind = not self._take_over()
            is_settled = self._live.turn()
            self._show()
            if options.until_ready and is_settled and not unready(self._live.snapshot):
                return True
            if ends_at is not None and time.monotonic() >= ends_at:
                break
            self._live.wait()
        return not unready(self._live.snapshot)

    def _take_over(self) -> bool:
        """Has the cluster become what the files say now, or says why not and leaves it as it is. False: the store did
        not answer, and it is to be tried again.
        """
        try:
            loaded = self._sources.load()
            self._live.apply(loaded)
        except InvalidObject as error:
            log.error("the manifests are not taken over; everything stays as it is", cause=str(error))
            self._view.say(f"the manifests are not taken over: {error}")
            return True
        except StateError as error:
            log.error("not all of the manifests is taken over", cause=str(error))
            self._view.say(f"not all of the manifests is taken over: {error}")
            return not isinstance(error, StoreUnavailableError)
        self._view.say(f"the manifests changed; {len(loaded.objects)} objects are desired now")
        return True

    def _show(self) -> None:
        if self._happened:
            self._view.events(tuple(self._happened))
            self._happened.clear()
        snapshot = self._live.snapshot
        if snapshot is not self._shown or time.monotonic() >= self._look_at:
            self._shown, self._look_at = snapshot, time.monotonic() + _LOOK_SECONDS
            self._services = self._drivers.network.observe().services
        self._view.state(snapshot, self._services, _now())


@contextlib.contextmanager
def counted_signals(on_first: Callable[[], None]) -> Iterator[list[int]]:
    """The signals that came meanwhile, which end nothing by themselves; those that were ignored stay so (nohup)."""
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            on_first()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN or number != signal.SIGHUP:
            signal.signal(number, note)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _now() -> int:
    return time.time_ns() // 1000
