"""The library's front door: ``reconcile`` for one answer, ``Reconciler`` for a loop that stays warm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from reconciler.apply import applied, apply, patched, place, prepare, prune
from reconciler.cycle import Cycle
from reconciler.nodes import parse_nodes
from reconciler.plan import Plan
from rules import Concern, make_concerns
from rules.garbage import delete_with_policy
from state.defaults import default
from state.identity import make_uid
from state.load import Loaded, LoadError, Refusal, load
from state.objects import AnyObject, Namespace, Node, ObjectMeta, replace
from state.snapshot import Change, Delta, Key, Snapshot
from state.times import format_time, parse_time
from state.workspace import Workspace

#: Manifests in any form: a dict, a list of dicts, a v1 List, JSON or YAML text, typed objects.
Manifests = Any
OnInvalid = Literal["raise", "skip"]
Time = int | str
_INITIAL_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
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
        concerns: the controllers; by default those of Kubernetes.

    Raises:
        InvalidObject: something was refused; every problem with its path.
    """
    loop = Reconciler(observed=observed, now=now, nodes=nodes, on_invalid=on_invalid, concerns=concerns)
    loop.apply(desired)
    return loop.step(now)


class Reconciler:
    """A control loop that stays warm: a step costs what changed since the last one.

    ``apply``, ``delete`` and ``observe`` say what changed; ``step`` gives the plan and moves ``snapshot`` forward.
    """

    def __init__(
        self,
        desired: Manifests = (),
        *,
        observed: Manifests | Snapshot = (),
        now: Time = 0,
        nodes: Nodes = 0,
        on_invalid: OnInvalid = "raise",
        concerns: Sequence[Concern] | None = None,
    ) -> None:
        self._on_invalid: OnInvalid = on_invalid
        self._refused: list[Refusal] = []
        self._warnings: list[str] = []
        self._concerns = concerns
        self._now = to_micros(now)
        snapshot = observed if isinstance(observed, Snapshot) else self._observed(observed)
        made_up = nodes if not isinstance(nodes, int | str) else parse_nodes(nodes, now=self._now)
        if made_up:
            changes = (Change(Key.of(node), None, node) for node in map(complete, made_up))
            snapshot = snapshot.apply(changes, snapshot.revision)
        self._cycle = self._fresh(snapshot)
        self.apply(desired)

    def _fresh(self, snapshot: Snapshot) -> Cycle:
        cycle = Cycle(snapshot, make_concerns() if self._concerns is None else self._concerns)
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
        objects = [complete(obj) for obj in self._load(observed).objects]
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
        """Applies manifests as ``kubectl apply`` does; with ``prune_others``, what was applied before and isn't named now
        is deleted.

        Raises:
            InvalidObject: something was refused; nothing of the call was applied.
        """
        loaded = self._load(desired)
        placed = {Key.of(obj): obj for obj in map(place, loaded.objects)}
        wanted, refused = prepare(self._cycle.ws, placed.values())
        self._refuse(refused)
        apply(self._cycle.ctx, wanted)
        if prune_others:
            prune(self._cycle.ctx, applied(self.ws) - placed.keys())

    def delete(self, target: str | Key, *, policy: str | None = None, grace_period: int | None = None) -> bool:
        """Deletes an object as a DELETE request does; False if there is none.

        ``policy`` is the propagationPolicy (Background, Foreground, Orphan), ``grace_period`` in seconds.
        """
        key = self._key(target)
        obj = self.ws.get(key)
        if obj is None:
            return False
        self._cycle.ctx.because("delete", {"object": str(key)}, "{object} is to be deleted")
        delete_with_policy(self._cycle.ctx, obj, policy, grace_period)
        return True

    def patch(self, target: str | Key, patch: dict[str, Any]) -> None:
        """Changes an object by a JSON merge patch; one that has a ``status`` alone reports it, as a kubelet would.

        Raises:
            InvalidObject: the object would not be valid; every problem.
            StateError: there is no such object.
        """
        key = self._key(target)
        wanted = patched(self.ws, key, patch)
        if isinstance(wanted, Refusal):
            raise LoadError([wanted])
        if set(patch) == {"status"}:
            self.ws.put(wanted)
            return
        self._cycle.ctx.because("patch", {"object": str(key)}, "{object} is to be changed")
        self._cycle.ctx.update(wanted)

    @staticmethod
    def _key(target: str | Key) -> Key:
        return Key.parse(target) if isinstance(target, str) else target

    def observe(self, delta: Delta) -> None:
        """Takes over changes that were made by others: a node gone, a pod's status."""
        self._cycle.observe(delta)

    def step(self, now: Time | None = None) -> Plan:
        """Works off everything that is due, and returns what was done and what wasn't.

        Raises:
            ConsequentError, OscillationError: a rule failed, or rules undo each other. The loop then starts again from
                the last snapshot, without what was applied since.
        """
        if now is not None:
            self.now = now
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
            refused=self._refused,
            warnings=self._warnings,
        )
        self._refused, self._warnings = [], []
        cycle.ctx.start(self.now)
        return plan


def _initial_namespaces(now: int) -> list[Namespace]:
    """The namespaces that every cluster begins with."""
    since = format_time(now)
    return [Namespace(metadata=ObjectMeta(name=name, creation_timestamp=since)) for name in _INITIAL_NAMESPACES]


def complete(obj: AnyObject) -> AnyObject:
    """An observed object, completed where a hand-written one says less than an API server would: namespace, defaults,
    and a uid, so that others can be owned by it.
    """
    placed = default(place(obj))
    if placed.metadata.uid:
        return placed
    return replace(placed, metadata=replace(placed.metadata, uid=make_uid(Key.of(placed), 0)))
