"""Objects of kinds that have no type here, custom resources above all: carried whole, never interpreted."""

from __future__ import annotations

from state.objects._base import Opaque, Struct
from state.objects.meta import Object, ObjectMeta, OwnerReference


class CustomObject(Struct):
    """An object of a kind that nothing here interprets; ``body`` holds every field but the three named ones."""

    api_version: str
    kind: str
    metadata: ObjectMeta = ObjectMeta()
    body: Opaque = Opaque({})


AnyObject = Object | CustomObject


def kind_key(obj: AnyObject) -> str:
    """The name under which a snapshot keeps the kind: ``Pod``, or ``Job.batch.volcano.sh`` for one that isn't typed."""
    if isinstance(obj, CustomObject):
        group = obj.api_version.rpartition("/")[0]
        return f"{obj.kind}.{group}" if group else obj.kind
    return obj.kind


def controller_of(obj: AnyObject) -> OwnerReference | None:
    """The reference to the owner that manages the object (``controller: true``), or None."""
    for owner in obj.metadata.owner_references:
        if owner.controller:
            return owner
    return None
