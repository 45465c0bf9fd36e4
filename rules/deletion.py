"""What a DELETE makes of an object: grace, propagation and finalizers, as kube-apiserver's generic registry has them.

Only pods end gracefully. What a finalizer holds is marked and stays; who is to deal with the dependents is told by a
finalizer, too.
"""

from __future__ import annotations

from typing import NamedTuple

from state.objects import AnyObject, CustomObject, Namespace, ObjectMeta, Opaque, Pod, kind_key, replace
from state.times import SECOND, format_time, parse_time

#: Finalizers by which a deleted owner is kept until its dependents are dealt with.
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
#: The finalizer that keeps a deleted CustomResourceDefinition until there are no objects of its kind.
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_DEFINITION = "CustomResourceDefinition.apiextensions.k8s.io"
_LEAVING = {
    "type": "Terminating",
    "status": "True",
    "reason": "InstanceDeletionPending",
    "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will occur as soon as possible",
}
#: Kinds whose dependents stay unless the request says otherwise (batch/v1 and v1 have it so for old clients' sake).
ORPHANING_KINDS = ("Job", "ReplicationController")
#: Kinds whose dependents are never looked after.
_WITHOUT_DEPENDENTS = frozenset({"Event"})
_FINISHED = ("Succeeded", "Failed")
#: A longer grace period, of about three thousand years, is cut to this: the time at its end must have a year.
_MAX_GRACE_SECONDS = 10**11


class Deletion(NamedTuple):
    """What becomes of an object: as it is from now on, or, if ``is_gone``, as it is shown for the last time."""

    object: AnyObject
    is_gone: bool


def deletion(obj: AnyObject, now: int, policy: str | None = None, grace_period: int | None = None) -> Deletion:
    """What a DELETE at ``now`` (µs since the epoch) makes of an object; the very same one if there is nothing to do.

    Args:
        policy: the propagationPolicy: Background, Foreground, Orphan, or None: the kind's own.
        grace_period: in seconds; None for the pod's own. Of one that is ending already only a shorter one counts.
    """
    meta = obj.metadata
    if isinstance(obj, Namespace) and (obj.spec.finalizers or meta.deletion_timestamp is None):
        return Deletion(_terminating(obj, now, policy), is_gone=False)
    if isinstance(obj, CustomObject) and kind_key(obj) == _DEFINITION and meta.deletion_timestamp is None:
        return Deletion(_leaving(obj, now, policy), is_gone=False)
    asked = None if grace_period is None else _bounded(grace_period)
    left = meta.deletion_grace_period_seconds if meta.deletion_timestamp is not None else None
    if left and (asked is None or asked >= left):
        return Deletion(obj, is_gone=False)
    if left and asked is not None and meta.deletion_timestamp is not None:
        began = parse_time(meta.deletion_timestamp) - left * SECOND
        meta = replace(meta, **_ending(began, asked))
    elif isinstance(obj, Pod) and meta.deletion_timestamp is None:
        meta = _marked(meta, now, _grace(obj, asked))
    finalizers = _finalizers(obj, policy)
    if finalizers and meta.deletion_timestamp is None:
        meta = _marked(meta, now, 0)
    if finalizers != meta.finalizers:
        meta = replace(meta, finalizers=finalizers)
    if meta is not obj.metadata:
        obj = replace(obj, metadata=meta)
    return Deletion(obj, is_gone=is_over(obj) or meta.deletion_timestamp is None)


def unmet(obj: AnyObject, revision: str, wanted_uid: str | None, wanted_revision: str | None) -> str | None:
    """Which precondition of a DELETE an object at a revision doesn't meet; None if it is the one that is meant."""
    uid = obj.metadata.uid
    if wanted_uid is not None and wanted_uid != uid:
        return (
            f"the UID in the precondition ({wanted_uid}) does not match the UID in record ({uid}). The object might "
            "have been deleted and then recreated"
        )
    if wanted_revision is not None and wanted_revision != revision:
        return (
            f"the ResourceVersion in the precondition ({wanted_revision}) does not match the ResourceVersion in record "
            f"({revision}). The object might have been modified"
        )
    return None


def is_over(obj: AnyObject) -> bool:
    """Whether nothing holds an object any more that is being deleted: the last finalizer is gone, and grace is over."""
    meta = obj.metadata
    if meta.deletion_timestamp is None or meta.finalizers or meta.deletion_grace_period_seconds:
        return False
    return not (isinstance(obj, Namespace) and obj.spec.finalizers)


def _terminating(namespace: Namespace, now: int, policy: str | None) -> Namespace:
    """A namespace is Terminating until its content is gone, and then finalized."""
    if namespace.metadata.deletion_timestamp is not None:
        return namespace
    meta = replace(namespace.metadata, deletion_timestamp=format_time(now), finalizers=_finalizers(namespace, policy))
    return replace(namespace, metadata=meta, status=replace(namespace.status, phase="Terminating"))


def _leaving(definition: CustomObject, now: int, policy: str | None) -> CustomObject:
    """A CustomResourceDefinition stays until the objects of its kind are gone."""
    at, meta, body = format_time(now), definition.metadata, definition.body.value
    finalizers = _finalizers(definition, policy)
    if CLEANUP not in finalizers:
        finalizers = (*finalizers, CLEANUP)
    status = body.get("status") or {}
    others = [each for each in status.get("conditions") or () if each.get("type") != _LEAVING["type"]]
    status = {**status, "conditions": [*others, {**_LEAVING, "lastTransitionTime": at}]}
    meta = replace(meta, deletion_timestamp=at, finalizers=finalizers)
    return replace(definition, metadata=meta, body=Opaque({**body, "status": status}))


def _bounded(seconds: int) -> int:
    return 1 if seconds < 0 else min(seconds, _MAX_GRACE_SECONDS)


def _grace(pod: Pod, asked: int | None) -> int:
    """Seconds until a pod goes: only one on a node that hasn't finished gets any."""
    if not pod.spec.node_name or pod.status.phase in _FINISHED:
        return 0
    return _bounded(pod.spec.termination_grace_period_seconds or 0) if asked is None else asked


def _ending(began: int, grace: int) -> dict[str, str | int]:
    return {"deletion_timestamp": format_time(began + grace * SECOND), "deletion_grace_period_seconds": grace}


def _marked(meta: ObjectMeta, now: int, grace: int) -> ObjectMeta:
    """The metadata of an object whose deletion begins: that is of another generation, too."""
    generation = meta.generation + 1 if meta.generation else meta.generation
    return replace(meta, generation=generation, **_ending(now, grace))


def _finalizers(obj: AnyObject, policy: str | None) -> tuple[str, ...]:
    """The finalizers with those that tell the garbage collector what to do."""
    present, kind = obj.metadata.finalizers, kind_key(obj)
    if kind in _WITHOUT_DEPENDENTS:
        return present
    is_orphaning, is_foreground = policy == "Orphan", policy == "Foreground"
    if policy is None:
        is_foreground = FOREGROUND in present
        is_orphaning = ORPHAN in present or (kind in ORPHANING_KINDS and not is_foreground)
    if not (present or is_orphaning or is_foreground):
        return present
    wanted = {ORPHAN: is_orphaning, FOREGROUND: is_foreground}
    kept = tuple(name for name in present if wanted.get(name, True))
    return (*kept, *(name for name, is_wanted in wanted.items() if is_wanted and name not in kept))
