"""Who controls what: the owner reference of a controller, and how objects come to have it and lose it."""

from __future__ import annotations

from typing import TypeVar

from state.objects import AnyObject, OwnerReference, replace
from state.snapshot import Change, Key
from state.workspace import controller_uid

ObjectT = TypeVar("ObjectT", bound=AnyObject)


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


def controller_of(obj: AnyObject) -> OwnerReference | None:
    """The reference to the owner that manages the object, or None."""
    for owner in obj.metadata.owner_references:
        if owner.controller:
            return owner
    return None


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


def is_orphan(obj: AnyObject) -> bool:
    """Whether nothing manages the object, so that a controller may adopt it."""
    return controller_uid(obj) is None
