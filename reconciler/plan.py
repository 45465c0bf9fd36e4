"""The result of a reconcile: what to do, what is left undone, and why for both; and the state that it leads to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import orjson

from reconciler.explain import Explanation, explain
from rules.actions import Action, Event, Note, Reason
from rules.events import event_of
from rules.horizontal_autoscaling import UNDERSTOOD
from rules.scheduling import DEFAULT, Profile
from state.dump import dump
from state.load import Refusal
from state.objects import KINDS
from state.snapshot import Key, Snapshot, find_key

_CARRIED = "{kind} is not a kind that this program acts on; the object is carried as it is"


class Plan:
    """What Kubernetes' control loop would do at ``now`` (µs since the epoch), in order.

    Attributes:
        actions: what is done, each with its rule and reason, in the order of doing.
        snapshot: the state that the actions lead to; reconciling it again gives no action.
        refused: manifests that were not taken, with every problem; empty unless the caller asked to go on without them.
        warnings: what was taken but looks wrong.
        wake_at: when something is due though nothing changes (µs since the epoch), or None.
        profiles: how pods were placed; what explanations go by.
    """

    def __init__(
        self,
        *,
        actions: Sequence[Action],
        notes: Sequence[Note],
        events: Sequence[Event],
        snapshot: Snapshot,
        now: int,
        wake_at: int | None = None,
        refused: Sequence[Refusal] = (),
        warnings: Sequence[str] = (),
        profiles: Sequence[Profile] = (DEFAULT,),
    ) -> None:
        self.actions = tuple(actions)
        self.snapshot = snapshot
        self.now = now
        self.wake_at = wake_at
        self.refused = tuple(refused)
        self.warnings = tuple(warnings)
        self.profiles = tuple(profiles)
        self._notes = notes
        self._events = events

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What is left undone and why, sorted by object: waiting pods, paused rollouts, kinds that nothing acts on."""
        carried = []
        for kind in self.snapshot.kinds:
            if kind in KINDS or kind in UNDERSTOOD:
                continue
            for namespace, name in self.snapshot.table(kind):
                reason = Reason(rule="carried", because={"kind": kind}, template=_CARRIED)
                carried.append(Note(target=Key(kind, namespace, name), reason=reason))
        return tuple(sorted((*self._notes, *carried), key=lambda note: (note.target, note.rule)))

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The Events that Kubernetes would record: one for each action that has one, then what the rules report."""
        of_actions = (event_of(action) for action in self.actions)
        return (*(event for event in of_actions if event is not None), *self._events)

    def explain(self, target: str | Key) -> Explanation:
        """Why an object is as it is: ``plan.explain("pod/default/web-0")``.

        Raises:
            StateError: the text names no object, or the object isn't in the plan.
        """
        return explain(self, find_key(target, self.snapshot) if isinstance(target, str) else target)

    def to_dict(self, *, objects: bool = False) -> dict[str, Any]:
        """The plan as plain data, as in the batch protocol; with ``objects`` the whole resulting state, too."""
        data: dict[str, Any] = {
            "actions": [action.to_dict() for action in self.actions],
            "notes": [note.to_dict() for note in self.notes],
            "events": [event.to_dict() for event in self.events],
        }
        if self.refused:
            data["refused"] = [refusal.to_dict() for refusal in self.refused]
        if self.warnings:
            data["warnings"] = list(self.warnings)
        if objects:
            data["objects"] = [dump(obj) for obj in self.snapshot]
        return data

    def to_json(self, *, objects: bool = False) -> bytes:
        """``to_dict`` as JSON; equal plans give equal bytes."""
        return orjson.dumps(self.to_dict(objects=objects), option=orjson.OPT_SORT_KEYS)

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for action in self.actions:
            name = f"{action.verb} {action.target.kind}"
            counts[name] = counts.get(name, 0) + 1
        done = ", ".join(f"{name} x{count}" for name, count in sorted(counts.items()))
        return f"<Plan: {done or 'nothing to do'}; {len(self._notes)} notes>"
