"""DELETE: who may be deleted, and on which conditions. What becomes of an object is in ``rules.deletion``."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson

from reconciler.apiserver import wire
from reconciler.apiserver.options import DeleteOptions, WriteOptions
from reconciler.apiserver.policies.configured import Configured
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import ApiError, conflict, forbidden, modified, not_found, success
from reconciler.apiserver.storage import Storage, Stored
from reconciler.apiserver.writer import ATTEMPTS, is_race
from rules.admission import deletion_problem
from rules.deletion import deletion, unmet

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


class Deleted(NamedTuple):
    """What became of a DELETE. ``stored`` is the object as it is, or was; ``is_gone`` says which."""

    stored: Stored
    is_gone: bool
    accepted: bool = False
    warnings: tuple[str, ...] = ()

    def body(self, resource: Resource) -> bytes:
        """The answer."""
        meta = self.stored.object.metadata
        if self.is_gone and resource.kind not in _RETURNED:
            return orjson.dumps(success(meta.name, resource.group, resource.plural, meta.uid))
        return self.stored.json


class Deleter:
    """Deletes objects of any resource."""

    def __init__(self, storage: Storage, configured: Configured, clock: Callable[[], int]) -> None:
        self._storage, self._configured, self._clock = storage, configured, clock

    def delete(self, place: Place, options: DeleteOptions) -> Deleted:
        """Deletes an object, or begins to.

        Raises:
            ApiError: there is none, it may not be deleted, or it isn't the one that is meant.
        """
        for _ in range(ATTEMPTS):
            live = self._storage.get(place.resource, place.namespace, place.name)
            if live is None:
                raise not_found(*place.about)
            _check(place, live, options)
            written = WriteOptions(dry_run=options.dry_run, user=options.user)
            attempt = self._configured.attempt("DELETE", place, written)
            if attempt is not None:
                attempt.check(None, live.object)
            warnings = () if attempt is None else attempt.warnings
            try:
                return self._delete(place.resource, live, options)._replace(warnings=warnings)
            except ApiError as error:
                if not is_race(error):
                    raise
        raise modified(*place.about)

    def _delete(self, resource: Resource, live: Stored, options: DeleteOptions) -> Deleted:
        new, is_gone = deletion(live.object, self._clock(), options.propagation, options.grace_period)
        if is_gone:
            revision = live.revision if options.dry_run else self._storage.delete(resource, live).revision
            return Deleted(Stored(new, wire.encode(new), revision), is_gone=True)
        accepted = options.orphan is False
        if new is live.object:
            return Deleted(live, is_gone=False, accepted=accepted)
        if options.dry_run:
            return Deleted(Stored(new, wire.encode(new), live.revision), is_gone=False, accepted=accepted)
        return Deleted(self._storage.update(resource, new, live), is_gone=False, accepted=accepted)


def _check(place: Place, live: Stored, options: DeleteOptions) -> None:
    """Raises ApiError: the object may not be deleted, or isn't the one that is meant."""
    resource = place.resource
    why = deletion_problem(live.object)
    if why is not None:
        raise forbidden(resource.plural, resource.group, place.name, why)
    why = unmet(live.object, str(live.revision), options.uid, options.revision)
    if why is not None:  # BeforeDelete names the kind here, not the resource
        raise conflict(resource.kind, resource.group, place.name, why)
