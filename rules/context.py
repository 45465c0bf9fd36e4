"""What a consequent writes to. Each write changes the workspace at once, so that the next consequent sees it, and
leaves an action that names the rule that is firing.

The semantics of a write are the API server's: what a create fills in, when a delete is graceful, what raises a
generation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

from rules.actions import Action, Bind, BindClaim, Create, Delete, Event, Fact, Note, Reason, Update, UpdateStatus
from rules.admission import ForbiddenError
from rules.deletion import deletion, is_over
from rules.engine import Rule
from rules.plugins import Admission
from rules.refusals import DEFAULT_BACKOFF, Backoff, Limiter, Refused
from rules.registry import Problems, created, problems_of_made
from rules.strategies import COUNTED, counted, on_update, traits_of
from state.errors import StateError
from state.identity import generated_name, make_uid
from state.objects import (
    AnyObject,
    CustomObject,
    ObjectMeta,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodCondition,
    PodSpec,
    kind_key,
    replace,
)
from state.snapshot import Key
from state.times import format_time
from state.workspace import Workspace

ObjectT = TypeVar("ObjectT", bound=AnyObject)

SECOND = 1_000_000
_NO_REASON = Reason(rule="", because={}, template="")
#: A subject of a concern: notes and wake-up times are kept for each.
Subject = tuple[str, Key]


class Context:
    """One cycle's writes. ``now`` is in microseconds since the epoch."""

    def __init__(self, ws: Workspace, now: int = 0) -> None:
        self.ws = ws
        self.now = now
        self.actions: list[Action] = []
        self.events: list[Event] = []
        #: What is left undone, by who says so about what; outlives the cycle.
        self.notes: dict[Subject, Note] = {}
        #: When a subject is to be looked at again though nothing changed; outlives the cycle.
        self.wakeups: dict[Subject, int] = {}
        #: Who has a say in what is written.
        self.admission = Admission(ws)
        #: Why a subject doesn't have what it was to have, if that wasn't let in; outlives the cycle.
        self.refusals: dict[Subject, Refused] = {}
        #: The same of subjects that are being looked at anew.
        self._former_refusals: dict[Subject, Refused] = {}
        #: Whether that is tried again after a while, and told again; by concern, when.
        self.retries = False
        self._limiters: dict[str, Limiter] = {}
        #: Is told of a rule that failed on a subject, which is left alone then until it changes; without it the cycle
        #: ends there.
        self.on_failure: Callable[[StateError], None] | None = None
        #: Keeps the record of who owns which field of an object that has one (``metadata.managedFields``): from the
        #: concern that writes, the object before and after, the subresource and the time. Without it the record stays.
        self.owned: Callable[[str, AnyObject, AnyObject, str, int], AnyObject] | None = None
        self._subject: Subject = ("", Key("", "", ""))
        self._reason = _NO_REASON
        self._names: dict[str, int] = {}
        self._last_spec = PodSpec()

    # -- who is speaking ---------------------------------------------------------------------------------------------

    def firing(self, concern: str, rule: Rule, key: Key, fact: Fact) -> None:
        """Says which rule fires from now on, about which subject, because of which facts."""
        self._subject = (concern, key)
        self._reason = Reason(rule=rule.name, because=fact, template=rule.why)

    def because(self, rule: str, fact: Fact, template: str, target: Key | None = None) -> None:
        """Gives the reason of the next writes where no rule of an engine fires: the caller's own wish, about an object
        of which a note may have to be left.
        """
        if target is not None:
            self._subject = (rule, target)
        self._reason = Reason(rule=rule, because=fact, template=template)

    def clear(self, concern: str, key: Key) -> None:
        """Forgets what was said about a subject; it is about to be looked at anew."""
        subject = (concern, key)
        self.notes.pop(subject, None)
        self.wakeups.pop(subject, None)
        if self.refusals or self._former_refusals:
            self._former_refusals.pop(subject, None)
            if subject in self.refusals:
                self._former_refusals[subject] = self.refusals.pop(subject)

    def start(self, now: int) -> None:
        """Begins a cycle: no actions and events yet; notes and wake-up times stay."""
        self.now = now
        self.actions = []
        self.events = []
        self._names.clear()

    # -- what is said without changing anything ------------------------------------------------------------------------

    def note(self, target: Key | None = None, *, without: str = "") -> None:
        """Leaves a note with the firing rule's sentence: nothing is done about the subject, and why.

        ``without`` names a fact that is about this look, not about the subject, and so is no part of the reason.
        """
        if self.refusals and self._subject in self.refusals:  # the reason why, whatever else it waits for
            return
        reason = self._reason
        if without:
            because = {name: value for name, value in reason.because.items() if name != without}
            reason = Reason(rule=reason.rule, because=because, template=reason.template)
        self.notes[self._subject] = Note(target=target or self._subject[1], reason=reason)

    def wake(self, at: int) -> None:
        """Has the subject looked at again at a time, or at an earlier one already asked for."""
        before = self.wakeups.get(self._subject)
        self.wakeups[self._subject] = at if before is None else min(at, before)

    def event(self, target: Key, reason: str, message: str, *, warning: bool = False, source: str = "") -> None:
        """Records an event that no action stands for."""
        kind = "Warning" if warning else "Normal"
        self.events.append(Event(target=target, type=kind, reason=reason, message=message, source=source))

    def refused(self, error: ForbiddenError, backoff: Backoff = DEFAULT_BACKOFF) -> bool:
        """Leaves a note that the firing rule's object wasn't let in, and says whether that is to be told: if it is
        news, or was tried again after a while.
        """
        rule, because, template = self._reason.rule, self._reason.because, self._reason.template
        reason = Reason(rule=rule, because={**because, "refusal": error.subject}, template=f"{template}: {{refusal}}")
        self.notes[self._subject] = Note(target=self._subject[1], reason=reason)
        why, tries, again = self._former_refusals.get(self._subject, Refused(""))
        is_told = why != error.subject
        if self.retries and not error.quietly and (again is None or again <= self.now):
            is_told, tries = True, 1 if again is None else tries + 1
            again = self._limiters.setdefault(self._subject[0], Limiter(backoff)).at(tries, self.now)
        if again is not None:
            self.wake(again)
        self.refusals[self._subject] = Refused(error.subject, tries, again)
        return is_told and not error.quietly

    # -- writes --------------------------------------------------------------------------------------------------------

    def create(self, obj: ObjectT, problems: Problems = problems_of_made) -> ObjectT:
        """Stores a new object with uid, creation time and, from ``generateName``, a name; returns it as stored.

        Raises:
            ForbiddenError: it isn't let in, or isn't valid.
        """
        new: Any = created(obj, self.admission, self._identified, problems)
        if isinstance(new, Pod):
            new = self._sharing(new)
        stored: ObjectT = self.ws.put(new)
        self.actions.append(Create(target=Key.of(stored), reason=self._reason, object=stored))
        return stored

    def _identified(self, obj: AnyObject) -> AnyObject:
        """The new object with all that says which one it is."""
        meta = obj.metadata
        name = meta.name or self._generate(kind_key(obj), meta)
        key = Key(kind_key(obj), meta.namespace, name)
        assert self.ws.get(key) is None, f"{key} exists already"
        fresh: dict[str, Any] = {"name": name, "resource_version": str(self.ws.revision)}
        if not meta.uid:
            fresh["uid"] = make_uid(key, self.ws.revision)
        if meta.creation_timestamp is None:
            fresh["creation_timestamp"] = format_time(self.now)
        if meta.generation is None and traits_of(type(obj)).is_counted:
            fresh["generation"] = 1
        return replace(obj, metadata=replace(meta, **fresh))

    def _sharing(self, pod: Pod) -> Pod:
        """The pod with the spec of the last one created, if it is equal: pods of one template hold one object.

        They are smaller for it, and are seen to be alike at a glance.
        """
        if pod.spec != self._last_spec:
            self._last_spec = pod.spec
        elif pod.spec is not self._last_spec:
            pod = replace(pod, spec=self._last_spec)
        return pod

    def _generate(self, kind: str, meta: ObjectMeta) -> str:
        base = meta.generate_name or ""
        owner = meta.owner_references[0].uid if meta.owner_references else meta.namespace
        taken = self.ws.table(kind)
        seed = f"{owner}@{self.ws.revision}"
        for number in self._numbers(seed):
            name = generated_name(base, f"{seed}#{number}")
            if (meta.namespace, name) not in taken:
                return name
        raise AssertionError("the numbers don't end")

    def _numbers(self, seed: str) -> Iterator[int]:
        """Counts up within the cycle, so that each try for one owner is a new one."""
        while True:
            number = self._names.get(seed, 0)
            self._names[seed] = number + 1
            yield number

    def update(self, obj: ObjectT) -> ObjectT:
        """Stores changed metadata or spec; a changed spec raises ``metadata.generation``. No change, no action.

        One that is being deleted and isn't held by anything any more is gone then.
        """
        key = Key.of(obj)
        old = self.ws.get(key)
        assert old is not None, f"{key} doesn't exist"
        if old == obj:
            return obj
        obj = on_update(old, obj)
        if old.metadata.generation is not None:
            traits = COUNTED if isinstance(obj, CustomObject) else traits_of(type(obj))
            obj = counted(traits, obj, old)
        stored = self.ws.put(self._recorded(old, obj, ""))
        self.actions.append(Update(target=key, reason=self._reason, before=old, object=stored))
        if is_over(stored):
            self._remove(key, stored)
        return stored

    def update_status(self, obj: ObjectT) -> ObjectT:
        """Stores a changed status. No change, no action."""
        key = Key.of(obj)
        old = self.ws.get(key)
        assert old is not None, f"{key} doesn't exist"
        if old == obj:
            return obj
        stored = self.ws.put(self._recorded(old, obj, "status"))
        self.actions.append(UpdateStatus(target=key, reason=self._reason, before=old, object=stored))
        return stored

    def _recorded(self, old: AnyObject, obj: ObjectT, subresource: str) -> ObjectT:
        if self.owned is None or not old.metadata.managed_fields:
            return obj
        recorded: Any = self.owned(self._subject[0], old, obj, subresource, self.now)
        result: ObjectT = recorded
        return result

    def delete(self, obj: AnyObject, grace_period: int | None = None, *, policy: str | None = None) -> None:
        """Deletes as the API server does (see ``deletion``): a running pod ends gracefully, a finalizer holds the
        object; else it is gone. Deleting again what is ending is no action, unless that changes how it ends.

        ``grace_period`` is in seconds; None means the pod's own. ``policy`` is a propagationPolicy; None means the
        kind's own.
        """
        key = Key.of(obj)
        current = self.ws.get(key)
        if current is None:
            return
        ending, is_gone = deletion(current, self.now, policy, grace_period)
        if is_gone:
            self._remove(key, current, policy)
        elif ending is not current:
            self.ws.put(ending)
            grace = ending.metadata.deletion_grace_period_seconds or 0
            self.actions.append(
                Delete(target=key, reason=self._reason, before=current, grace_period=grace, policy=policy)
            )

    def _remove(self, key: Key, last: AnyObject, policy: str | None = None) -> None:
        self.ws.remove(key)
        self.actions.append(Delete(target=key, reason=self._reason, before=last, policy=policy))

    def bind(self, pod: Pod, node: str) -> Pod:
        """Assigns a pod to a node, and says so in its PodScheduled condition."""
        conditions = pod.status.conditions
        others = tuple([c for c in conditions if c.type != "PodScheduled"]) if conditions else ()
        bound = replace(
            pod,
            metadata=self.ws.stamped(pod.metadata),
            spec=replace(pod.spec, node_name=node),
            status=replace(pod.status, conditions=(*others, _scheduled(self.now)), nominated_node_name=None),
        )
        self.ws.bind(pod, bound)
        target = Key("Pod", pod.metadata.namespace, pod.metadata.name)
        self.actions.append(Bind(target=target, reason=self._reason, object=bound, node=node))
        return bound

    def bind_claim(self, claim: PersistentVolumeClaim, volume: PersistentVolume) -> None:
        """Stores a claim and a volume that now name each other, as one action."""
        stored = self.ws.put(volume)
        self.actions.append(
            BindClaim(target=Key.of(claim), reason=self._reason, claim=self.ws.put(claim), volume=stored)
        )


@lru_cache(maxsize=8)
def _scheduled(now: int) -> PodCondition:
    """The condition of a pod that comes to a node now; those of a cycle share it."""
    return PodCondition(type="PodScheduled", status="True", last_transition_time=format_time(now))
