"""Why an object of a plan is as it is, in words and as data: what was done to it and what wasn't, the same for what it
owns, and for a pod the scheduler's view of every node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rules.actions import Action, Create, Event, Note
from rules.scheduling import Diagnosis, Scheduler
from state.errors import StateError
from state.objects import AnyObject, Pod
from state.snapshot import Key, Snapshot

if TYPE_CHECKING:
    from reconciler.plan import Plan

#: How many different reasons of an object's dependents are told; Kubernetes' own describe is as brief.
_MAX_REASONS = 10


class Explanation:
    """What a plan has to say about one object. ``str()`` for a person, ``to_dict()`` for a program.

    Attributes:
        target: the object.
        actions, notes, events: what is done about it, what isn't, and what is reported.
        origin: the actions that created it and its owners, nearest first.
        dependents: notes about what it owns, directly or not, with how often each is said.
        diagnosis: for a pod, the scheduler's verdict and scores for every node.
    """

    def __init__(
        self,
        target: Key,
        *,
        actions: Sequence[Action],
        notes: Sequence[Note],
        events: Sequence[Event],
        origin: Sequence[Action],
        dependents: Mapping[tuple[str, str], int],
        diagnosis: Diagnosis | None = None,
    ) -> None:
        self.target = target
        self.actions = tuple(actions)
        self.notes = tuple(notes)
        self.events = tuple(events)
        self.origin = tuple(origin)
        self.dependents = dict(dependents)
        self.diagnosis = diagnosis

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain data."""
        data: dict[str, Any] = {
            "target": str(self.target),
            "actions": [action.to_dict() for action in self.actions],
            "notes": [note.to_dict() for note in self.notes],
            "events": [event.to_dict() for event in self.events],
            "origin": [{"target": str(a.target), "rule": a.rule, "why": a.why} for a in self.origin],
            "dependents": [
                {"rule": rule, "why": why, "count": count} for (rule, why), count in self.dependents.items()
            ],
        }
        if self.diagnosis is not None:
            data["scheduling"] = self.diagnosis.to_dict()
        return data

    def __str__(self) -> str:
        lines = [str(self.target)]
        lines += [f"  {action.verb}: {action.why}  [{action.rule}]" for action in self.actions]
        lines += [f"  waiting: {note.why}  [{note.rule}]" for note in self.notes]
        lines += [f"  because of {action.target}: {action.why}  [{action.rule}]" for action in self.origin]
        for (rule, why), count in list(self.dependents.items())[:_MAX_REASONS]:
            lines.append(f"  {count} of its dependents: {why}  [{rule}]")
        if len(self.dependents) > _MAX_REASONS:
            lines.append(f"  and {len(self.dependents) - _MAX_REASONS} more reasons")
        if self.diagnosis is not None:
            lines += [f"  {line}" for line in str(self.diagnosis).splitlines()]
        if len(lines) == 1:
            lines.append("  as it should be: no rule has anything to do")
        return "\n".join(lines)


def explain(plan: Plan, target: Key) -> Explanation:
    """Why the object is as it is.

    Raises:
        StateError: the plan knows no such object.
    """
    actions = [action for action in plan.actions if action.target == target]
    obj = plan.snapshot.get(target)
    if obj is None and not actions:
        like = sorted(str(key) for key in _keys(plan.snapshot, target.kind))[:5]
        hint = f"; there are {', '.join(like)}" if like else ""
        msg = f"there is no {target}{hint}"
        raise StateError(msg)
    dependents = _dependents(plan.snapshot, obj)
    reasons = Counter((note.rule, note.why) for note in plan.notes if note.target in dependents)
    return Explanation(
        target,
        actions=actions,
        notes=[note for note in plan.notes if note.target == target],
        events=[event for event in plan.events if event.target == target],
        origin=_origin(plan, obj),
        dependents=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        diagnosis=Scheduler(plan.snapshot).diagnose(obj) if isinstance(obj, Pod) else None,
    )


def _keys(snapshot: Snapshot, kind: str) -> Iterable[Key]:
    return (Key(kind, *ns_name) for ns_name in snapshot.table(kind))


def _dependents(snapshot: Snapshot, obj: AnyObject | None) -> set[Key]:
    """All objects that the object owns, directly or through others."""
    if obj is None or not obj.metadata.uid:
        return set()
    owned: dict[str, list[AnyObject]] = {}
    for candidate in snapshot:
        for owner in candidate.metadata.owner_references:
            owned.setdefault(owner.uid, []).append(candidate)
    found: set[Key] = set()
    waiting = [obj.metadata.uid]
    while waiting:
        for child in owned.get(waiting.pop(), ()):
            if Key.of(child) not in found:
                found.add(Key.of(child))
                waiting.append(child.metadata.uid)
    return found


def _origin(plan: Plan, obj: AnyObject | None) -> list[Action]:
    """Who made the object's owners, and why, nearest first."""
    creations = {action.target: action for action in plan.actions if isinstance(action, Create)}
    chain: list[Action] = []
    while obj is not None:
        owner = next((ref for ref in obj.metadata.owner_references if ref.controller), None)
        if owner is None:
            break
        key = Key(owner.kind, obj.metadata.namespace, owner.name)
        if key in creations:
            chain.append(creations[key])
        obj = plan.snapshot.get(key)
    return chain
