"""Time passes on simulated nodes: the same rules, node agent and provisioner as for real, with drivers that do nothing
and a clock that jumps from one thing that is due to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.api import Manifests, Nodes, OnInvalid, Reconciler, Time, to_micros
from reconciler.drivers.network.simulated import SimulatedNetwork
from reconciler.drivers.runtime.clock import VirtualClock
from reconciler.drivers.runtime.simulated import Behaviours, SimulatedRuntime, run_forever
from reconciler.drivers.storage.simulated import SimulatedStorage
from reconciler.executor import Executor
from reconciler.kubelet import Kubelet, SimulatedWorkers
from reconciler.plan import Plan
from reconciler.provisioner import Provisioner
from reconciler.volumes import VirtualHost
from rules.actions import Action, Event, Note
from state.dump import dump
from state.errors import StateError
from state.load import Refusal
from state.snapshot import Key, Snapshot
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
        kubelet: bool = True,
        behaviours: Behaviours = run_forever,
    ) -> None:
        """``kubelet=False`` leaves the pods' status to the caller; ``behaviours`` says what containers do."""
        self.clock = VirtualClock(to_micros(now))
        self.loop = Reconciler(observed=observed, now=self.now, nodes=nodes, on_invalid=on_invalid)
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
        return self.next_due is None

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
        msg = f"no rest at {format_time(self.now)} after {MAX_STEPS_AT_ONCE} steps"
        raise StateError(msg)

    def run_until(self, end: int, progress: Callable[[int], None] | None = None) -> None:
        """Lets time pass until ``end`` (µs since the epoch). ``progress`` is told every time at which things happen."""
        while (due := self.next_due) is not None and due <= end:
            self.clock.set(max(due, self.now))
            if progress is not None:
                progress(self.now)
            self.happen()
        self.clock.set(max(end, self.now))
        self.loop.now = self.now

    def settle(self, horizon: int = HORIZON, progress: Callable[[int], None] | None = None) -> bool:
        """Lets time pass until nothing is left to happen, at most ``horizon`` µs. Returns whether it settled."""
        end = self.now + horizon
        while (due := self.next_due) is not None and due <= end:
            self.clock.set(max(due, self.now))
            if progress is not None:
                progress(self.now)
            self.happen()
        return self.settled


def simulate(
    desired: Manifests,
    observed: Manifests | Snapshot = (),
    *,
    nodes: Nodes = 0,
    now: Time = 0,
    until: str = "settled",
    on_invalid: OnInvalid = "raise",
    behaviours: Behaviours = run_forever,
    progress: Callable[[int], None] | None = None,
) -> Simulation:
    """What becomes of ``desired`` on simulated nodes as time passes.

    Args:
        desired, observed, nodes, now, on_invalid: as for ``reconcile``.
        until: ``"settled"`` (nothing is left to happen; at most a day), a duration (``"10m"``) or an RFC 3339 time.
        behaviours: what containers do; by default they start at once, pass their probes and run until stopped.
        progress: is told every virtual time at which something happens.

    Raises:
        InvalidObject: something was refused and ``on_invalid`` is ``"raise"``.
    """
    run = Simulation(desired, observed, nodes=nodes, now=now, on_invalid=on_invalid, behaviours=behaviours)
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
    msg = f"until {until!r}: expected settled, a duration as in 10m, or a time as in 2026-01-01T00:00:00Z"
    raise StateError(msg)


# -- the batch operation -----------------------------------------------------------------------------------------------


class StepError(StateError):
    """A step of a request that can't be taken; ``path`` is where it stands."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


def run_steps(simulation: Simulation, steps: list[Any]) -> list[dict[str, Any]]:
    """Takes the steps one after the other; after each one the state and what happened in it, as plain data.

    Raises:
        StepError: a step is none of ``STEPS``, or can't be taken. The steps before it are taken.
    """
    answers = []
    for number, step in enumerate(steps):
        path = f"steps[{number}]"
        if not isinstance(step, Mapping) or len(step) != 1 or not step.keys() <= STEPS.keys():
            raise StepError(path, f"expected an object with one of {', '.join(sorted(STEPS))}")
        ((name, argument),) = step.items()
        begin = len(simulation.timeline)
        STEPS[name](simulation, argument, f"{path}.{name}")
        simulation.happen()
        answers.append(_answer(simulation, begin))
    return answers


def report(simulation: Simulation) -> dict[str, Any]:
    """The state of a simulation as plain data."""
    return {
        "now": format_time(simulation.now),
        "settled": simulation.settled,
        "objects": [dump(obj) for obj in simulation.snapshot],
        "notes": [note.to_dict() for note in simulation.notes],
    }


def _answer(simulation: Simulation, begin: int) -> dict[str, Any]:
    happened = simulation.timeline[begin:]
    return {
        **report(simulation),
        "actions": [item.to_dict() for _, item in happened if isinstance(item, Action)],
        "events": [item.to_dict() for _, item in happened if isinstance(item, Event)],
    }


def _apply(simulation: Simulation, manifests: Any, _: str) -> None:
    simulation.loop.apply(manifests)


def _target(argument: Any, path: str) -> tuple[Key, Mapping[str, Any]]:
    """The object that a step is about: "pod/default/web-0", or kind, namespace and name."""
    if isinstance(argument, str):
        return Key.parse(argument), {}
    if not isinstance(argument, Mapping) or not isinstance(argument.get("kind"), str) or "name" not in argument:
        raise StepError(path, "expected KIND/NAMESPACE/NAME, or an object with kind, namespace and name")
    words = [argument["kind"], argument.get("namespace", ""), argument["name"]]
    return Key.parse("/".join(str(word) for word in words if word)), argument


def _patch(simulation: Simulation, argument: Any, path: str) -> None:
    key, fields = _target(argument, path)
    patch = fields.get("patch")
    if not isinstance(patch, dict):
        raise StepError(f"{path}.patch", "expected a JSON merge patch")
    simulation.loop.patch(key, patch)


def _status(simulation: Simulation, argument: Any, path: str) -> None:
    key, fields = _target(argument, path)
    status = fields.get("status")
    if not isinstance(status, dict):
        raise StepError(f"{path}.status", "expected a status")
    simulation.loop.patch(key, {"status": status})


def _delete(simulation: Simulation, argument: Any, path: str) -> None:
    key, fields = _target(argument, path)
    policy, grace = fields.get("propagationPolicy"), fields.get("gracePeriodSeconds")
    if not simulation.loop.delete(key, policy=policy, grace_period=grace):
        raise StepError(path, f"there is no {key}")


def _advance(simulation: Simulation, argument: Any, path: str) -> None:
    if not isinstance(argument, str):
        raise StepError(path, "expected a duration as in 30s")
    simulation.run_until(simulation.now + parse_duration(argument))


def _settle(simulation: Simulation, argument: Any, path: str) -> None:
    if argument is not True:
        raise StepError(path, "expected true")
    simulation.happen()
    simulation.settle()


#: What a step of the batch protocol may be.
STEPS: dict[str, Callable[[Simulation, Any, str], None]] = {
    "advance": _advance,
    "apply": _apply,
    "delete": _delete,
    "patch": _patch,
    "settle": _settle,
    "status": _status,
}
