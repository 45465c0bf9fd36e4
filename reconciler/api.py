"""The library's front door: ``reconcile`` for one answer, ``Reconciler`` for a loop that stays warm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from reconciler.apply import applied, apply, place, place_key, prepare, prune, update
from reconciler.changes import PatchType, is_report, patched
from reconciler.cycle import Cycle
from reconciler.drivers.network.base import NetworkDriver
from reconciler.drivers.runtime.base import RuntimeDriver
from reconciler.drivers.runtime.clock import Clock, VirtualClock
from reconciler.drivers.storage.base import StorageDriver
from reconciler.executor import Report
from reconciler.hands import Hands
from reconciler.nodes import parse_nodes
from reconciler.observed import observation_problems
from reconciler.plan import Plan
from reconciler.profiles import SchedulerLike, profiles_of
from reconciler.untyped import DEFINITION, definitions_of
from rules import Concern, make_concerns
from rules.admission import ForbiddenError, deletion_problem
from rules.deletion import unmet
from rules.placement import Placement
from rules.scheduling import DEFAULT, Profile
from rules.strategies import on_create
from state.collector import paused_collector
from state.defaults import default
from state.errors import StateError
from state.identity import make_uid
from state.load import Loaded, LoadError, Refusal, load
from state.objects import AnyObject, Namespace, Node, ObjectMeta, replace
from state.snapshot import Change, Delta, Key, Snapshot, find_key
from state.times import format_time, parse_time
from state.workspace import Workspace

#: Manifests in any form: a dict, a list of dicts, a v1 List, JSON or YAML text, typed objects.
Manifests = Any
OnInvalid = Literal["raise", "skip"]
Time = int | str
_INITIAL_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_POLICIES = (None, "Background", "Foreground", "Orphan")
_PRECONDITIONS = {"uid", "resourceVersion"}
Nodes = int | str | Sequence[Node]


def to_micros(now: Time) -> int:
    """A time as µs since the epoch; text is RFC 3339."""
    return parse_time(now) if isinstance(now, str) else now


def reconcile(
    desired: Manifests,
    observed: Manifests | Snapshot = (),
    *,
    now: Time = 0,
    nodes: Nodes = 0,
    on_invalid: OnInvalid = "raise",
    scheduler: SchedulerLike | None = None,
    concerns: Sequence[Concern] | None = None,
) -> Plan:
    """What Kubernetes' control plane would do about ``desired``, given what is ``observed``, and why.

    A pure function: it reads no clock, file or environment, changes no argument, and equal arguments give equal bytes.

    Args:
        desired: manifests to apply, in any form and order.
        observed: the objects of the cluster as they are, or a ``Snapshot``.
        now: the time, as RFC 3339 text or µs since the epoch.
        nodes: made-up nodes to add: ``3``, ``"3x4cpu,16Gi"`` or Node objects.
        on_invalid: ``"raise"``, or ``"skip"`` to go on without the objects that are refused (``plan.refused``).
        scheduler: how pods are placed, instead of by the default profile: a KubeSchedulerConfiguration (a dict, or YAML
            or JSON text), or profiles from ``rules.scheduling``, which may have plugins of your own.
        concerns: the controllers; by default those of Kubernetes. They bring their own scheduler.

    Raises:
        InvalidObject: something was refused; every problem with its path.
        ConfigurationError: the scheduler configuration can't be honoured; says the path.
    """
    loop = Reconciler(
        observed=observed, now=now, nodes=nodes, on_invalid=on_invalid, scheduler=scheduler, concerns=concerns
    )
    loop.apply(desired)
    return loop.step(now)


class Reconciler:
    """A control loop that stays warm: a step costs what changed since the last one.

    ``apply``, ``delete`` and ``observe`` say what changed; ``step`` gives the plan and moves ``snapshot`` forward. With
    drivers, a step also carries out what the state asks for, and the next one begins with what they observed; ``run``
    takes step after step.

    Args:
        desired, observed, now, nodes, on_invalid, scheduler, concerns: as for ``reconcile``.
        runtime, network, storage: the drivers (``reconciler.drivers``); None leaves that part to others. They stay the
            caller's to close.
        clock: with drivers, what time it is; by default the machine's.
        directory: with a runtime of real processes, where the node agent keeps volumes and logs.
    """

    def __init__(
        self,
        desired: Manifests = (),
        *,
        observed: Manifests | Snapshot = (),
        now: Time = 0,
        nodes: Nodes = 0,
        on_invalid: OnInvalid = "raise",
        scheduler: SchedulerLike | None = None,
        concerns: Sequence[Concern] | None = None,
        runtime: RuntimeDriver | None = None,
        network: NetworkDriver | None = None,
        storage: StorageDriver | None = None,
        clock: Clock | None = None,
        directory: Path | None = None,
    ) -> None:
        if scheduler is not None and concerns is not None:
            raise StateError(
                "scheduler and concerns: give one of the two; a Placement among the concerns takes profiles"
            )
        self._on_invalid: OnInvalid = on_invalid
        self._refused: list[Refusal] = []
        self._warnings: list[str] = []
        self._concerns = concerns
        self._profiles = profiles_of(scheduler) if concerns is None else _profiles_among(concerns)
        self._hands: Hands | None = None
        #: What the drivers did in the last step, if there are any.
        self.report: Report | None = None
        if any(driver is not None for driver in (runtime, network, storage)):
            self._hands = Hands(runtime=runtime, network=network, storage=storage, clock=clock, directory=directory)
            now = self._hands.clock.now()
        self._now = to_micros(now)
        snapshot = observed if isinstance(observed, Snapshot) else self._observed(observed)
        made_up = nodes if not isinstance(nodes, int | str) else parse_nodes(nodes, now=self._now)
        if made_up:
            changes = (Change(Key.of(node), None, node) for node in map(complete, made_up))
            snapshot = snapshot.apply(changes, snapshot.revision)
        self._cycle = self._fresh(snapshot)
        self.apply(desired)

    def _fresh(self, snapshot: Snapshot) -> Cycle:
        concerns = make_concerns(Placement(self._profiles)) if self._concerns is None else self._concerns
        cycle = Cycle(snapshot, concerns)
        cycle.ctx.start(self._now)
        return cycle

    @property
    def now(self) -> int:
        """The time at which what is applied or deleted happens, µs since the epoch; ``step`` moves it, too."""
        return self._now

    @now.setter
    def now(self, now: Time) -> None:
        self._now = to_micros(now)
        self._cycle.ctx.now = self._now

    @property
    def ws(self) -> Workspace:
        """The state being worked on, for those who write observations into it. Another one after a failed step."""
        return self._cycle.ws

    @property
    def snapshot(self) -> Snapshot:
        """The state after the last step."""
        return self._cycle.ws.snapshot

    def _observed(self, observed: Manifests) -> Snapshot:
        loaded = self._load(observed)
        objects, refused = [], []
        definitions = definitions_of(loaded.objects)
        for each, origin in zip(loaded.objects, loaded.origins, strict=True):
            obj = complete(each, definitions)
            problems = observation_problems(obj)
            if problems:
                refused.append(Refusal(origin=origin, key=Key.of(obj), problems=problems))
            else:
                objects.append(obj)
        self._refuse(refused)
        return Snapshot.of([*map(complete, _initial_namespaces(self.now)), *objects])

    def _load(self, source: Manifests) -> Loaded:
        loaded = load(source)
        self._warnings.extend(loaded.warnings)
        self._refuse(loaded.refused)
        return loaded

    def _refuse(self, refused: Iterable[Refusal]) -> None:
        refusals = tuple(refused)
        if refusals and self._on_invalid == "raise":
            raise LoadError(refusals)
        self._refused.extend(refusals)

    def apply(self, desired: Manifests, *, prune_others: bool = False) -> None:
        """Applies manifests as ``kubectl apply`` does; with ``prune_others``, what was applied before and isn't named
        now is deleted; but nothing is while a manifest was refused of which nobody knows what it names.

        Raises:
            InvalidObject: something was refused; nothing of the call was applied.
        """
        loaded = self._load(desired)
        placed: dict[Key, AnyObject] = {}
        definitions = [*definitions_of(loaded.objects), *self.ws.table(DEFINITION).values()]
        for obj in (place(each, definitions) for each in loaded.objects):
            key = Key.of(obj)
            if key in placed:
                self._warnings.append(f"{key} is desired more than once; the last manifest counts")
            placed[key] = obj
        wanted, refused = prepare(self.ws, placed.values(), self.ws.table(DEFINITION).values())
        self._refuse(refused)
        apply(self._cycle.ctx, wanted)
        if prune_others:
            named = [refusal.key for refusal in loaded.refused]
            if None not in named:
                kept = {*placed, *(place_key(key, definitions) for key in named if key is not None)}
                prune(self._cycle.ctx, applied(self.ws) - kept)

    def delete(
        self,
        target: str | Key,
        *,
        policy: str | None = None,
        grace_period: int | None = None,
        preconditions: Mapping[str, Any] | None = None,
    ) -> bool:
        """Deletes an object as a DELETE request does; False if there is none.

        ``policy`` is the propagationPolicy (Background, Foreground, Orphan), ``grace_period`` in seconds.
        ``preconditions`` are the ``uid`` and the ``resourceVersion`` that the object has to have.

        Raises:
            StateError: there is no such policy or precondition, the object may not be deleted, or isn't the one that
                is meant.
        """
        if policy not in _POLICIES:
            raise StateError(f"propagation policy {policy!r}: expected Background, Foreground or Orphan")
        wanted = dict(preconditions or {})
        if not wanted.keys() <= _PRECONDITIONS or not all(isinstance(each, str | None) for each in wanted.values()):
            raise StateError(f"preconditions: found {wanted!r}, expected a text as uid, resourceVersion or both")
        key = self._key(target)
        obj = self.ws.get(key)
        if obj is None:
            return False
        problem = deletion_problem(obj)
        if problem is not None:
            raise ForbiddenError(key.kind, obj.metadata, problem)
        revision = obj.metadata.resource_version or ""
        why = unmet(obj, revision, wanted.get("uid"), wanted.get("resourceVersion"))
        if why is not None:
            raise StateError(f"{key}: {why}")
        self._cycle.ctx.because("delete", {"object": str(key)}, "{object} is to be deleted")
        self._cycle.ctx.delete(obj, grace_period, policy=policy)
        return True

    def patch(self, target: str | Key, patch: Any, form: PatchType = "merge") -> None:
        """Changes an object as a PATCH request of this form does. What a patch says of the status is reported, as a
        kubelet would; one that changes nothing else is no action.

        Raises:
            InvalidObject: the object would not be valid; every problem.
            StateError: there is no such object, the patch makes no sense or is for another revision of it, or admission
                doesn't let the change in.
        """
        key = self._key(target)
        live, wanted = self.ws.get(key), patched(self.ws, key, patch, form)
        if live is not None and is_report(wanted, live):
            if wanted != live:
                self.ws.put(wanted)
            return
        self._cycle.ctx.because("patch", {"object": str(key)}, "{object} is to be changed")
        update(self._cycle.ctx, wanted)

    def _key(self, target: str | Key) -> Key:
        return find_key(target, self.ws) if isinstance(target, str) else target

    def observe(self, delta: Delta) -> None:
        """Takes over changes that were made by others: a node gone, a pod's status."""
        self._cycle.observe(delta)

    def step(self, now: Time | None = None) -> Plan:
        """Works off everything that is due, and returns what was done and what wasn't.

        Raises:
            ConsequentError, OscillationError: a rule failed, or rules undo each other. The loop then starts again from
                the last snapshot, without what was applied since.
        """
        if now is None and self._hands is not None:
            now = self._hands.clock.now()
        if now is not None:
            self.now = now
        with paused_collector():
            plan = self._decide()
        if self._hands is not None:
            self.report = self._hands.sync(self.ws, self.now)
        return plan

    def _decide(self) -> Plan:
        """Runs the rules to a fixed point, and makes the next snapshot and the plan of what they did."""
        cycle = self._cycle
        try:
            cycle.settle(self.now)
        except BaseException:
            self._cycle = self._fresh(self.snapshot)
            raise
        cycle.ws.commit()
        plan = Plan(
            actions=cycle.ctx.actions,
            notes=tuple(cycle.ctx.notes.values()),
            events=cycle.ctx.events,
            snapshot=cycle.ws.snapshot,
            now=self.now,
            wake_at=cycle.wake_at,
            profiles=self._profiles,
            refused=self._refused,
            warnings=self._warnings,
        )
        self._refused, self._warnings = [], []
        cycle.ctx.start(self.now)
        return plan

    def run(self, until: Callable[[Reconciler], bool] = lambda _: False, *, tick: float = 0.1) -> None:
        """Takes step after step until ``until`` says so; in virtual time, or without drivers, until all is settled.

        ``tick`` is how long to wait, in seconds, before real drivers are asked again what happened.
        """
        hands = self._hands
        while True:
            plan = self.step()
            if until(self):
                return
            if self.ws.is_changed:
                continue
            if hands is None:
                return
            if not isinstance(hands.clock, VirtualClock):
                hands.wait(tick)
                continue
            due = [at for at in (plan.wake_at, hands.next_due()) if at is not None]
            if not due:
                return
            hands.clock.set(max(min(due), self.now))

    def close(self) -> None:
        """Stops what runs beside the loop. Pods go on; the drivers are the caller's to close."""
        if self._hands is not None:
            self._hands.close()


def _profiles_among(concerns: Iterable[Concern]) -> Sequence[Profile]:
    """How the controllers place pods."""
    return next((concern.profiles for concern in concerns if isinstance(concern, Placement)), (DEFAULT,))


def _initial_namespaces(now: int) -> list[Namespace]:
    """The namespaces that every cluster begins with."""
    since = format_time(now)
    return [Namespace(metadata=ObjectMeta(name=name, creation_timestamp=since)) for name in _INITIAL_NAMESPACES]


def complete(obj: AnyObject, definitions: Iterable[AnyObject] = ()) -> AnyObject:
    """An observed object, completed where a hand-written one says less than an API server would: namespace, defaults,
    and a uid, so that others can be owned by it.
    """
    placed = default(place(obj, definitions))
    if placed.metadata.uid:
        return placed
    return on_create(replace(placed, metadata=replace(placed.metadata, uid=make_uid(Key.of(placed), 0))))
