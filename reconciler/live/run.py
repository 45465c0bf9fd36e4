"""``up``: files in, a cluster on this machine, until somebody says that it is enough."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

import structlog

from reconciler.drivers.network.base import ServiceStatus
from reconciler.live.directory import OwnedDirectory
from reconciler.live.drivers import Drivers
from reconciler.live.loop import Live
from reconciler.live.ready import unready
from reconciler.live.server import Server
from reconciler.live.sources import POLL_SECONDS, Sources
from state.errors import InvalidObject
from state.load import LoadError
from state.objects import Event
from state.snapshot import Snapshot

log = structlog.get_logger("reconciler")

#: How often it is looked which services are served, should nothing else have changed, in seconds.
_LOOK_SECONDS = 1.0
#: When manifests are applied again that a failed rule made the loop lose, in seconds.
_LOST_SECONDS = 5.0
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

    ``keep`` leaves the pods running at the end. ``until_ready`` ends as soon as everything runs, ``seconds`` after that
    time at the latest.
    """

    names: Sequence[str]
    state_directory: str
    keep: bool = False
    until_ready: bool = False
    seconds: float | None = None


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
        signals = undo.enter_context(counted_signals())
        directory = OwnedDirectory(options.state_directory)
        undo.callback(directory.release)
        drivers = Drivers(directory)
        undo.callback(drivers.close)
        live = Live(directory, drivers, _now())
        undo.callback(live.close)
        live.apply(loaded)
        server = Server(directory, live)
        undo.callback(server.close)
        return Up(options, view, sources, live, drivers, signals=signals).run()


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
            self._live.stop(_now, lambda: len(self._signals) > 1, self._say)
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
        while not self._signals:
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + POLL_SECONDS
                if self._sources.changed():
                    self._take_over()
            if not self._live.turn(_now()):
                self._sources.forget()
                look_at = time.monotonic() + _LOST_SECONDS
            self._show()
            if options.until_ready and not unready(self._live.snapshot):
                return True
            if ends_at is not None and time.monotonic() >= ends_at:
                break
            self._live.wait()
        return not unready(self._live.snapshot)

    def _take_over(self) -> None:
        """Has the cluster become what the files say now, or says why not and leaves it as it is."""
        try:
            loaded = self._sources.load()
            self._live.apply(loaded)
        except InvalidObject as error:
            log.error("the manifests are not taken over; everything stays as it is", cause=str(error))
            self._view.say(f"the manifests are not taken over: {error}")
            return
        self._view.say(f"the manifests changed; {len(loaded.objects)} objects are desired now")

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
def counted_signals() -> Iterator[list[int]]:
    """The signals that came meanwhile, which end nothing by themselves; those that were ignored stay so (nohup)."""
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

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
