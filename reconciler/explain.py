"""Why an object of a plan is as it is, in words and as data: what was done to it and what wasn't, the same for what it
owns, and for a pod the scheduler's view of every node.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from reconciler.rewind import before_binding
from rules.actions import Action, Create, Event, Note
from rules.scheduling import Diagnosis, Scheduler
from rules.scheduling.pods import scheduler_of
from state.errors import StateError
from state.objects import AnyObject, Pod, controller_of
from state.snapshot import Key, Snapshot

if TYPE_CHECKING:
    from reconciler.plan import Plan

#: How many objects are named that an unknown one may have been meant to be.
_MAX_SUGGESTIONS = 5
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
        as_of: what the diagnosis is about: ``placing``, the moment at which the plan places the pod, or ``now``.
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
        as_of: str = "now",
    ) -> None:
        self.target = target
        self.actions = tuple(actions)
        self.notes = tuple(notes)
        self.events = tuple(events)
        self.origin = tuple(origin)
        self.dependents = dict(dependents)
        self.diagnosis = diagnosis
        self.as_of = as_of

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
            data["scheduling"] = {"asOf": self.as_of, **self.diagnosis.to_dict()}
        return data

    def __str__(self) -> str:
        lines = [str(self.target)]
        noted = {(note.rule, note.why) for note in self.notes}
        done = [action for action in self.actions if (action.rule, action.why) not in noted]
        lines += [f"  {action.verb}: {action.why}  [{action.rule}]" for action in done]
        lines += [f"  waiting: {note.why}  [{note.rule}]" for note in self.notes]
        lines += [f"  because of {action.target}: {action.why}  [{action.rule}]" for action in self.origin]
        for (rule, why), count in list(self.dependents.items())[:_MAX_REASONS]:
            lines.append(f"  {count} of its dependents: {why}  [{rule}]")
        if len(self.dependents) > _MAX_REASONS:
            lines.append(f"  and {len(self.dependents) - _MAX_REASONS} more reasons")
        if self.diagnosis is not None:
            lines += self._scheduling(self.diagnosis)
        if len(lines) == 1:
            lines.append("  as it should be: no rule has anything to do")
        return "\n".join(lines)

    def _scheduling(self, diagnosis: Diagnosis) -> list[str]:
        """What the scheduler has to say, but for the sentence that a note says already."""
        lines = str(diagnosis).splitlines()
        if any(diagnosis.fit_error and diagnosis.fit_error in note.why for note in self.notes):
            lines = lines[1:]
        if diagnosis.current is not None:
            moment = "when it was placed" if self.as_of == "placing" else "as things stand now, were it placed again"
            return [f"  {moment}:", *(f"    {line}" for line in lines)]
        return [f"  {line}" for line in lines]


def explain(plan: Plan, target: Key) -> Explanation:
    """Why the object is as it is.

    Raises:
        StateError: the plan knows no such object.
    """
    actions = [action for action in plan.actions if action.target == target]
    obj = plan.snapshot.get(target)
    if obj is None and not actions:
        raise StateError(f"there is no {target}{_suggestions(plan.snapshot, target)}")
    dependents = _dependents(plan.snapshot, obj)
    reasons = Counter((note.rule, note.why) for note in plan.notes if note.target in dependents)
    diagnosis, as_of = _diagnosis(plan, obj)
    return Explanation(
        target,
        actions=actions,
        notes=[note for note in plan.notes if note.target == target],
        events=[event for event in plan.events if event.target == target],
        origin=_origin(plan, obj),
        dependents=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        diagnosis=diagnosis,
        as_of=as_of,
    )


def _diagnosis(plan: Plan, obj: AnyObject | None) -> tuple[Diagnosis | None, str]:
    """The scheduler's view of a pod that is one of its own: as the plan places it, or as things stand now."""
    if not isinstance(obj, Pod) or scheduler_of(obj) not in {profile.name for profile in plan.profiles}:
        return None, "now"
    placing = before_binding(plan, Key.of(obj))
    view, pod = (plan.snapshot, obj) if placing is None else placing
    diagnosis = Scheduler(view, plan.profiles[0], plan.profiles[1:]).diagnose(pod)
    if placing is None:
        return diagnosis, "now"
    return dataclasses.replace(diagnosis, current=obj.spec.node_name), "placing"


def _suggestions(snapshot: Snapshot, target: Key) -> str:
    """Which objects of the kind there are: those with the most similar names, else the first few."""
    known = sorted(snapshot.table(target.kind))
    if not known:
        return f"; there is no {target.kind} at all"
    names = get_close_matches(target.name, sorted({name for _, name in known}), _MAX_SUGGESTIONS)
    like = [ns_name for close in names for ns_name in known if ns_name[1] == close] or known
    return f"; there are {', '.join(str(Key(target.kind, *ns_name)) for ns_name in like[:_MAX_SUGGESTIONS])}"


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
    seen: set[Key] = set()
    while obj is not None and Key.of(obj) not in seen:
        seen.add(Key.of(obj))
        owner = controller_of(obj)
        if owner is None:
            break
        key = Key(owner.kind, obj.metadata.namespace, owner.name)
        if key in creations:
            chain.append(creations[key])
        obj = plan.snapshot.get(key)
    return chain
