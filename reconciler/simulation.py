"""Time passes on simulated nodes: the same rules, node agent and provisioner as for real, with drivers that do nothing
and a clock that jumps from one thing that is due to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reconciler.api import Manifests, Nodes, OnInvalid, Reconciler, Time, to_micros
from reconciler.drivers.network.simulated import SimulatedNetwork
from reconciler.drivers.runtime.clock import VirtualClock
from reconciler.drivers.runtime.simulated import Behaviours, SimulatedRuntime, run_forever
from reconciler.drivers.storage.simulated import SimulatedStorage
from reconciler.executor import Executor
from reconciler.kubelet import Kubelet, SimulatedWorkers
from reconciler.plan import Plan
from reconciler.profiles import SchedulerLike
from reconciler.provisioner import Provisioner
from reconciler.volumes import VirtualHost
from rules.actions import Action, Event, Note
from rules.concern import Concern
from state.errors import StateError
from state.load import Refusal
from state.snapshot import Snapshot
from state.times import TimeError, format_time, parse_duration, parse_time

#: Virtual time after which "settled" gives up: a container that crashes for ever never settles.
HORIZON = parse_duration("24h")
#: Steps at one moment after which rules and drivers are taken to undo each other.
MAX_STEPS_AT_ONCE = 1_000


class Simulation:
    """A cluster in virtual time.

    Attributes:
        now: the virtual time, µs since the epoch.
        timeline: every action and event with its time, in order.
        settled: whether nothing is left that would happen by itself.
        refused, warnings: as in a plan, of all manifests applied so far.
    """

    def __init__(
        self,
        desired: Manifests = (),
        observed: Manifests | Snapshot = (),
        *,
        nodes: Nodes = 0,
        now: Time = 0,
        on_invalid: OnInvalid = "raise",
        scheduler: SchedulerLike | None = None,
        concerns: Sequence[Concern] | None = None,
        kubelet: bool = True,
        behaviours: Behaviours = run_forever,
    ) -> None:
        """``kubelet=False`` leaves the pods' status to the caller; ``behaviours`` says what containers do."""
        self.clock = VirtualClock(to_micros(now))
        self.loop = Reconciler(
            observed=observed, now=self.now, nodes=nodes, on_invalid=on_invalid, scheduler=scheduler, concerns=concerns
        )
        self.runtime = SimulatedRuntime(self.clock, behaviours)
        storage = SimulatedStorage()
        agent = Kubelet(
            "",
            runtime=self.runtime,
            network=SimulatedNetwork(),
            storage=storage,
            volumes=VirtualHost(),
            workers=SimulatedWorkers(self.runtime, self.clock),
        )
        self._executor = Executor(
            self.loop.ws, kubelet=agent if kubelet else None, provisioner=Provisioner(storage, stand_in=True)
        )
        self.timeline: list[tuple[int, Action | Event]] = []
        self.refused: list[Refusal] = []
        self.warnings: list[str] = []
        self.plan: Plan | None = None
        self.loop.apply(desired)
        self.happen()

    @property
    def now(self) -> int:
        """The virtual time, µs since the epoch."""
        return self.clock.now()

    @property
    def snapshot(self) -> Snapshot:
        """The state now."""
        return self.loop.snapshot

    @property
    def notes(self) -> tuple[Note, ...]:
        """What is left undone now, and why."""
        return () if self.plan is None else self.plan.notes

    @property
    def next_due(self) -> int | None:
        """When something happens by itself (µs since the epoch), or None: all is settled."""
        wake_at = None if self.plan is None else self.plan.wake_at
        return min((at for at in (wake_at, self._executor.next_due()) if at is not None), default=None)

    @property
    def settled(self) -> bool:
        """Whether nothing is left that would happen by itself."""
        return self.next_due is None and not self.loop.ws.is_changed

    def happen(self) -> None:
        """Lets everything happen that is due now.

        Raises:
            StateError: it doesn't end.
        """
        for _ in range(MAX_STEPS_AT_ONCE):
            plan = self.loop.step(self.now)
            self.plan = plan
            self.refused += plan.refused
            self.warnings += plan.warnings
            self.timeline += [(self.now, action) for action in plan.actions]
            self.timeline += [(self.now, event) for event in plan.events]
            report = self._executor.sync(self.now)
            self.timeline += [(self.now, event) for event in report.events]
            due = self.next_due
            if not self.loop.ws.is_changed and (due is None or due > self.now):
                return
        raise StateError(f"no rest at {format_time(self.now)} after {MAX_STEPS_AT_ONCE} steps")

    def _pass(self, end: int, progress: Callable[[int], None] | None) -> None:
        """Lets happen what is due by ``end``, first of all what follows from changes made since the last time."""
        if self.loop.ws.is_changed:
            self.happen()
        while (due := self.next_due) is not None and due <= end:
            self.clock.set(max(due, self.now))
            if progress is not None:
                progress(self.now)
            self.happen()

    def run_until(self, end: int, progress: Callable[[int], None] | None = None) -> None:
        """Lets time pass until ``end`` (µs since the epoch). ``progress`` is told every time at which things happen."""
        self._pass(end, progress)
        self.clock.set(max(end, self.now))
        self.loop.now = self.now

    def settle(self, horizon: int = HORIZON, progress: Callable[[int], None] | None = None) -> bool:
        """Lets time pass until nothing is left to happen, at most ``horizon`` µs. Returns whether it settled."""
        end = self.now + horizon
        self._pass(end, progress)
        return self.settled


def simulate(
    desired: Manifests,
    observed: Manifests | Snapshot = (),
    *,
    nodes: Nodes = 0,
    now: Time = 0,
    until: str = "settled",
    on_invalid: OnInvalid = "raise",
    scheduler: SchedulerLike | None = None,
    concerns: Sequence[Concern] | None = None,
    behaviours: Behaviours = run_forever,
    progress: Callable[[int], None] | None = None,
) -> Simulation:
    """What becomes of ``desired`` on simulated nodes as time passes.

    Args:
        desired, observed, nodes, now, on_invalid, scheduler, concerns: as for ``reconcile``.
        until: ``"settled"`` (nothing is left to happen; at most a day), a duration (``"10m"``) or an RFC 3339 time.
        behaviours: what containers do; by default they start at once, pass their probes and run until stopped.
        progress: is told every virtual time at which something happens.

    Raises:
        InvalidObject: something was refused and ``on_invalid`` is ``"raise"``.
    """
    run = Simulation(
        desired,
        observed,
        nodes=nodes,
        now=now,
        on_invalid=on_invalid,
        scheduler=scheduler,
        concerns=concerns,
        behaviours=behaviours,
    )
    if until == "settled":
        run.settle(progress=progress)
    else:
        run.run_until(end_of(until, run.now), progress)
    return run


def end_of(until: str, now: int) -> int:
    """The time that ``10m`` or an RFC 3339 time stands for, µs since the epoch.

    Raises:
        StateError: it is neither.
    """
    for read, base in ((parse_duration, now), (parse_time, 0)):
        try:
            return base + read(until)
        except TimeError:
            continue
    raise StateError(f"until {until!r}: expected settled, a duration as in 10m, or a time as in 2026-01-01T00:00:00Z")
