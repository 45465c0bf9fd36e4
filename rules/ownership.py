"""Who controls what: the owner reference of a controller, and how objects come to have it and lose it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from rules.actions import Fact
from rules.concern import Touched
from rules.context import Context
from rules.engine import Rule, m
from state import selectors
from state.objects import (
    AnyObject,
    DaemonSet,
    Deployment,
    LabelSelector,
    OwnerReference,
    PodTemplateSpec,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
    replace,
)
from state.snapshot import Change, Key
from state.workspace import Workspace, controller_uid

ObjectT = TypeVar("ObjectT", bound=AnyObject)
#: What makes objects its own that its selector matches.
Selecting = ReplicaSet | ReplicationController | Deployment | StatefulSet | DaemonSet
OwnerT = TypeVar("OwnerT", bound=Selecting)


def controller_ref(owner: AnyObject) -> OwnerReference:
    """The reference that an object controlled by ``owner`` carries."""
    return OwnerReference(
        api_version=owner.api_version,
        kind=owner.kind,
        name=owner.metadata.name,
        uid=owner.metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )


def adopted(obj: ObjectT, owner: AnyObject) -> ObjectT:
    """The object with ``owner`` as its controller."""
    references = (*obj.metadata.owner_references, controller_ref(owner))
    return replace(obj, metadata=replace(obj.metadata, owner_references=references))


def released(obj: ObjectT, owner: AnyObject) -> ObjectT:
    """The object without any reference to ``owner``."""
    references = tuple(ref for ref in obj.metadata.owner_references if ref.uid != owner.metadata.uid)
    return replace(obj, metadata=replace(obj.metadata, owner_references=references))


def controllers(change: Change, *kinds: str) -> list[Key]:
    """The controllers of these kinds that an object had before a change, or has after it."""
    old, new = change.old, change.new
    before = () if old is None else old.metadata.owner_references
    after = () if new is None else new.metadata.owner_references
    keys: list[Key] = []
    for references in (after,) if before is after else (before, after):
        for ref in references:
            if ref.controller:
                key = Key(ref.kind, change.key.namespace, ref.name)
                if ref.kind in kinds and key not in keys:
                    keys.append(key)
                break
    return keys


def selects(owner: Selecting) -> Callable[[Mapping[str, str]], bool]:
    """A function that says of labels whether the owner's selector matches them. An empty one, which no API server lets
    through, matches nothing: else it would take every object.
    """
    return partial(_is_selected, owner.spec.selector)


def has_its_labels(owner: Selecting, obj: AnyObject | PodTemplateSpec) -> bool:
    """Whether the owner's selector matches the object, or the objects that a template makes."""
    return _is_selected(owner.spec.selector, obj.metadata.labels)


def _is_selected(selector: LabelSelector | Mapping[str, str], labels: Mapping[str, str]) -> bool:
    if isinstance(selector, LabelSelector):
        is_empty = not selector.match_labels and not selector.match_expressions
        return not is_empty and selectors.matches(selector, labels)
    return bool(selector) and selectors.matches_map(selector, labels)


@dataclass(frozen=True)
class Claiming(Generic[OwnerT, ObjectT]):
    """How a kind of controller comes to have objects of a kind, as kube-controller-manager's ControllerRefManager:
    those that it may have and that nothing controls are taken over, its own that it may not have are let go.

    ``counts`` leaves objects out of both.
    """

    kind: type[ObjectT]
    may_have: Callable[[OwnerT, ObjectT], bool] = has_its_labels
    counts: Callable[[ObjectT], bool] = lambda _: True

    def adoptable(self, ws: Workspace, owner: OwnerT) -> list[ObjectT]:
        """The objects to take over, unless one of both is being deleted."""
        if owner.metadata.deletion_timestamp is not None:
            return []
        selector = owner.spec.selector
        labels = selector.match_labels if isinstance(selector, LabelSelector) else selector
        return [
            obj
            for obj in ws.orphans(owner.metadata.namespace, self.kind, labels)
            if obj.metadata.deletion_timestamp is None and self.counts(obj) and self.may_have(owner, obj)
        ]

    def strays(self, ws: Workspace, owner: OwnerT) -> list[ObjectT]:
        """The objects to let go."""
        return [obj for obj in ws.owned(owner, self.kind) if self.counts(obj) and not self.may_have(owner, obj)]

    def rules(self, prefix: str, when: object, what: str) -> tuple[Rule, Rule]:
        """What does both, given facts ``name``, ``adoptable`` and ``strays``; ``when`` is a condition, ``what`` says in
        words which objects it is about.
        """
        return (
            Rule(
                name=f"{prefix}-adopt",
                when=when & (m.adoptable > 0),
                then=self.adopt,
                why=f"{{name}} takes over {{adoptable}} {what} that match its selector and have no controller",
            ),
            Rule(
                name=f"{prefix}-release",
                when=when & (m.strays > 0),
                then=self._release,
                why=f"{{name}} lets go of {{strays}} {what} that don't match its selector any more",
            ),
        )

    def adopt(self, ctx: Context, key: Key, _: Fact) -> None:
        """Takes over what it can: a consequent."""
        owner: Any = ctx.ws.get(key)
        for obj in self.adoptable(ctx.ws, owner):
            ctx.update(adopted(obj, owner))

    def _release(self, ctx: Context, key: Key, _: Fact) -> None:
        owner: Any = ctx.ws.get(key)
        for obj in self.strays(ctx.ws, owner):
            ctx.update(released(obj, owner))


def touches(*kinds: str) -> Touched:
    """Makes an object's controllers of these kinds due, those before and those now; for an object without a controller
    all those whose selector matches it.
    """

    def touched(ws: Workspace, change: Change) -> Iterable[Key]:
        keys, new = controllers(change, *kinds), change.new
        if new is not None and controller_uid(new) is None:
            keys += ws.indexes.selecting(new.metadata.namespace, new.metadata.labels, kinds)
        return keys

    return touched
