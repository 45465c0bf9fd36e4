"""What a DELETE does: preconditions, grace, propagation, finalizers, as kube-apiserver's generic registry has it.

Only pods end gracefully. What a finalizer holds is marked and stays; who is to deal with the dependents is told by a
finalizer, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson

from reconciler.apiserver import strategy, wire
from reconciler.apiserver.admission import Admission
from reconciler.apiserver.options import DeleteOptions
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import ApiError, conflict, modified, not_found, success
from reconciler.apiserver.storage import Storage, Stored
from reconciler.apiserver.writer import ATTEMPTS, is_race
from rules.garbage import FOREGROUND, ORPHAN, ORPHANING_KINDS
from state.objects import AnyObject, Namespace, ObjectMeta, Pod, kind_key, replace
from state.times import SECOND, format_time

_FINISHED = ("Succeeded", "Failed")
#: Kinds of which a DELETE answers with what was deleted; of the others it says so with a Status.
_RETURNED = frozenset(
    {
        "CSIDriver",
        "CSINode",
        "CSIStorageCapacity",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "ResourceQuota",
        "Service",
        "ServiceAccount",
        "StorageClass",
        "VolumeAttachment",
    }
)
#: Kinds whose dependents are never looked after.
_WITHOUT_DEPENDENTS = frozenset({"Event"})
_MAX_GRACE_SECONDS = 10**11


class Deleted(NamedTuple):
    """What became of a DELETE. ``stored`` is the object as it is, or was; ``is_gone`` says which."""

    stored: Stored
    is_gone: bool
    accepted: bool = False

    def body(self, resource: Resource) -> bytes:
        """The answer."""
        meta = self.stored.object.metadata
        if self.is_gone and resource.kind not in _RETURNED:
            return orjson.dumps(success(meta.name, resource.group, resource.plural, meta.uid))
        return self.stored.json


class Deleter:
    """Deletes objects of any resource."""

    def __init__(self, storage: Storage, admission: Admission, clock: Callable[[], int]) -> None:
        self._storage, self._admission, self._clock = storage, admission, clock

    def delete(self, place: Place, options: DeleteOptions) -> Deleted:
        """Deletes an object, or begins to.

        Raises:
            ApiError: there is none, it may not be deleted, or it isn't the one that is meant.
        """
        for _ in range(ATTEMPTS):
            live = self._storage.get(place.resource, place.namespace, place.name)
            if live is None:
                raise not_found(*place.about)
            self._admission.check_deleted(place.resource, place.name)
            _check_preconditions(place, live, options)
            try:
                return self._delete(place.resource, live, options)
            except ApiError as error:
                if not is_race(error):
                    raise
        raise modified(*place.about)

    def _delete(self, resource: Resource, live: Stored, options: DeleteOptions) -> Deleted:
        now = self._clock()
        if isinstance(live.object, Namespace):
            return self._delete_namespace(resource, live, live.object, options, now)
        meta = live.object.metadata
        if meta.deletion_timestamp is not None and not _is_shortened(live.object, options):
            held = bool(meta.finalizers) or bool(meta.deletion_grace_period_seconds)
            if held:
                return Deleted(live, is_gone=False)
        finalizers = _finalizers(live.object, options)
        grace = _grace(live.object, options)
        if not isinstance(live.object, Pod) and not finalizers:
            return self._remove(resource, live, live.object, options)
        ending = _marked(resource, replace(meta, finalizers=finalizers), grace, now)
        new = replace(live.object, metadata=ending)
        if finalizers or grace:
            return self._keep(resource, live, new, options, finalizers)
        return self._remove(resource, live, new, options)

    def _keep(
        self, resource: Resource, live: Stored, new: AnyObject, options: DeleteOptions, finalizers: tuple[str, ...]
    ) -> Deleted:
        accepted = options.orphan is False and bool(finalizers)
        if options.dry_run:
            return Deleted(Stored(new, wire.encode(new), live.revision), is_gone=False, accepted=accepted)
        return Deleted(self._storage.update(resource, new, live), is_gone=False, accepted=accepted)

    def _remove(self, resource: Resource, live: Stored, last: AnyObject, options: DeleteOptions) -> Deleted:
        """Takes the object away; ``last`` is how it is shown."""
        revision = live.revision if options.dry_run else self._storage.delete(resource, live).revision
        return Deleted(Stored(last, wire.encode(last), revision), is_gone=True)

    def _delete_namespace(
        self, resource: Resource, live: Stored, namespace: Namespace, options: DeleteOptions, now: int
    ) -> Deleted:
        """A namespace is Terminating until its content is gone, and then finalized."""
        meta = namespace.metadata
        if meta.deletion_timestamp is not None and (namespace.spec.finalizers or meta.finalizers):
            return Deleted(live, is_gone=False)
        if not namespace.spec.finalizers and not meta.finalizers:
            return self._remove(resource, live, namespace, options)
        new = replace(
            namespace,
            metadata=replace(meta, deletion_timestamp=format_time(now), finalizers=_finalizers(namespace, options)),
            status=replace(namespace.status, phase="Terminating"),
        )
        return self._keep(resource, live, new, options, ())


def _check_preconditions(place: Place, live: Stored, options: DeleteOptions) -> None:
    meta = live.object.metadata
    if options.uid is not None and options.uid != meta.uid:
        raise conflict(
            *place.about,
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta.uid}). The object "
            "might have been deleted and then recreated",
        )
    if options.revision is not None and options.revision != str(live.revision):
        raise conflict(
            *place.about,
            f"the ResourceVersion in the precondition ({options.revision}) does not match the ResourceVersion in "
            f"record ({live.revision}). The object might have been modified",
        )


def _is_shortened(obj: AnyObject, options: DeleteOptions) -> bool:
    """Whether a pod that is ending already is asked to end sooner."""
    left = obj.metadata.deletion_grace_period_seconds or 0
    return isinstance(obj, Pod) and options.grace_period is not None and max(options.grace_period, 0) < left


def _grace(obj: AnyObject, options: DeleteOptions) -> int:
    """Seconds until the object goes."""
    if not isinstance(obj, Pod):
        return 0
    asked, own = options.grace_period, obj.spec.termination_grace_period_seconds
    grace = asked if asked is not None else own or 0
    grace = 1 if grace < 0 else min(grace, _MAX_GRACE_SECONDS)
    return grace if obj.spec.node_name and obj.status.phase not in _FINISHED else 0


def _marked(resource: Resource, meta: ObjectMeta, grace: int, now: int) -> ObjectMeta:
    """The metadata of an object that is being deleted."""
    if meta.deletion_timestamp is None:
        is_counted = strategy.is_counted(resource) and meta.generation is not None
        meta = replace(meta, generation=(meta.generation or 0) + 1 if is_counted else meta.generation)
    return replace(
        meta,
        deletion_timestamp=format_time(now + grace * SECOND),
        deletion_grace_period_seconds=grace,
    )


def _finalizers(obj: AnyObject, options: DeleteOptions) -> tuple[str, ...]:
    """The finalizers with those that tell the garbage collector what to do."""
    present = obj.metadata.finalizers
    if kind_key(obj) in _WITHOUT_DEPENDENTS:
        return present
    policy = options.propagation
    wanted: dict[str, bool] = {
        ORPHAN: policy == "Orphan" if policy is not None else ORPHAN in present or _orphans(obj, present),
        FOREGROUND: policy == "Foreground" if policy is not None else FOREGROUND in present,
    }
    kept = tuple(name for name in present if wanted.get(name, True))
    return (*kept, *(name for name, is_wanted in wanted.items() if is_wanted and name not in kept))


def _orphans(obj: AnyObject, present: tuple[str, ...]) -> bool:
    return kind_key(obj) in ORPHANING_KINDS and FOREGROUND not in present
