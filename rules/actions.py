"""What rules say: a closed set of small frozen records. The same list is the library's result, the batch output, the
log, and what an executor carries out.

Every record names its rule, the facts that made it fire (``because``, for a program) and the sentence that they make
(``why``, for a person). The sentence is built when asked for: a plan may hold hundreds of thousands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from state.dump import dump
from state.objects import AnyObject, PersistentVolume, PersistentVolumeClaim, Pod, Struct
from state.snapshot import Key

Fact = Mapping[str, int | str | bool | None]


class Reason(Struct, frozen=True):
    """Why a rule fired: its name, the facts, and the template of the sentence over them."""

    rule: str
    because: Fact
    template: str

    def __str__(self) -> str:
        return self.template.format_map(self.because)


class Reasoned:
    """What a rule led to."""

    __slots__ = ()
    reason: Reason

    @property
    def rule(self) -> str:
        """The name of the rule that fired."""
        return self.reason.rule

    @property
    def because(self) -> Fact:
        """The facts that made the rule fire."""
        return self.reason.because

    @property
    def why(self) -> str:
        """The reason as a sentence."""
        return str(self.reason)


class Explained(Reasoned, Struct, frozen=True):
    """Something about an object, and why."""

    target: Key
    reason: Reason


class Action(Explained, frozen=True):
    """One thing to be done, or done: the verb is the class."""

    verb: ClassVar[str] = ""

    def details(self) -> dict[str, Any]:
        """What this verb says beyond target and reason, as plain data."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """The action as plain data, as in the batch protocol."""
        return {
            "action": self.verb,
            "target": str(self.target),
            "rule": self.rule,
            "why": self.why,
            "because": dict(self.because),
            **self.details(),
        }


class Create(Action, frozen=True):
    """Create an object."""

    verb: ClassVar[str] = "create"
    object: AnyObject

    def details(self) -> dict[str, Any]:
        """The whole object."""
        return {"object": dump(self.object)}


class Update(Action, frozen=True):
    """Change an object's metadata or spec."""

    verb: ClassVar[str] = "update"
    before: AnyObject
    object: AnyObject

    def details(self) -> dict[str, Any]:
        """The changes as a JSON merge patch."""
        return {"patch": merge_patch(dump(self.before), dump(self.object))}


class UpdateStatus(Action, frozen=True):
    """Report something in an object's status."""

    verb: ClassVar[str] = "update-status"
    before: AnyObject
    object: AnyObject

    def details(self) -> dict[str, Any]:
        """The changes as a JSON merge patch."""
        return {"patch": merge_patch(dump(self.before), dump(self.object))}


class Delete(Action, frozen=True):
    """Delete an object; a pod on a node gets ``grace_period`` seconds to end. ``policy`` says what becomes of
    dependents, if that isn't left to the kind: Background, Foreground or Orphan.
    """

    verb: ClassVar[str] = "delete"
    before: AnyObject
    grace_period: int = 0
    policy: str | None = None

    def details(self) -> dict[str, Any]:
        """The uid, as a precondition, the grace period, and the policy if there is one."""
        details = {"uid": self.before.metadata.uid, "gracePeriodSeconds": self.grace_period}
        return details if self.policy is None else {**details, "propagationPolicy": self.policy}


class Bind(Action, frozen=True):
    """Assign a pod to a node."""

    verb: ClassVar[str] = "bind"
    object: Pod
    node: str

    def details(self) -> dict[str, Any]:
        """The node."""
        return {"node": self.node}


class BindClaim(Action, frozen=True):
    """Bind a claim (the target) and a volume to each other."""

    verb: ClassVar[str] = "bind-claim"
    claim: PersistentVolumeClaim
    volume: PersistentVolume

    def details(self) -> dict[str, Any]:
        """The volume."""
        return {"volume": self.volume.metadata.name}


class Note(Explained, frozen=True):
    """Something left undone, and why: a waiting pod, a paused rollout, a kind that nothing here acts on."""

    def to_dict(self) -> dict[str, Any]:
        """The note as plain data, as in the batch protocol."""
        return {"target": str(self.target), "rule": self.rule, "why": self.why, "because": dict(self.because)}


class Event(Struct, frozen=True):
    """What Kubernetes would record as an Event about an object.

    ``part`` is the path of a field of it (``spec.containers{web}``); ``source`` reports it, on the machine ``host``.
    """

    target: Key
    type: str
    reason: str
    message: str
    source: str = ""
    part: str = ""
    host: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The event as plain data, as in the batch protocol."""
        return {
            "object": str(self.target),
            "type": self.type,
            "reason": self.reason,
            "message": self.message,
            "source": self.source,
        }


def merge_patch(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that leads from one document to another; lists are replaced whole."""
    patch: dict[str, Any] = {}
    for name in sorted({*before, *after}):
        if name not in after:
            patch[name] = None
        elif name not in before:
            patch[name] = after[name]
        elif before[name] != after[name]:
            old, new = before[name], after[name]
            patch[name] = merge_patch(old, new) if isinstance(old, dict) and isinstance(new, dict) else new
    return patch
