"""ResourceQuota admission over a store: what is asked for is charged before it is stored, so that of two that come at
once only one gets the last place.
"""

from __future__ import annotations

from reconciler.apiserver.locks import Lock
from reconciler.apiserver.lookup import StoredObjects
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import ApiError, modified
from reconciler.apiserver.storage import Storage, Stored
from rules.plugins import asks_of, charged
from rules.quota_usage import usage_of
from state.objects import AnyObject, ResourceQuota, replace

#: Attempts to charge a quota that others charge, too: the control plane, and other servers on the same store.
_ATTEMPTS = 100


class QuotaAdmission:
    """Charges quotas. What is charged and then not stored after all, the quota controller takes back."""

    def __init__(self, storage: Storage, lookup: StoredObjects) -> None:
        self._storage, self._lookup = storage, lookup
        self._lock = Lock()

    def charge(self, new: AnyObject, old: AnyObject | None, *, dry_run: bool) -> None:
        """Charges an object that is about to be created, or what a changed one asks for beyond the old one.

        Raises:
            ForbiddenError: a quota has no room for it.
            ApiError: others charge a quota all the time.
        """
        quotas, namespace = self._storage.registry.of_table(ResourceQuota.kind), new.metadata.namespace
        if quotas is None or not namespace:
            return
        found = [each for each in self._lookup.objects(ResourceQuota, namespace) if asks_of(each, new, old)]
        if not found:
            return
        with self._lock:
            for quota in found:
                self._charge(Place(quotas, namespace, quota.metadata.name), new, old, dry_run=dry_run)

    def _charge(self, place: Place, new: AnyObject, old: AnyObject | None, *, dry_run: bool) -> None:
        for _ in range(_ATTEMPTS):
            live = self._storage.get(*place[:3])
            if live is None or not isinstance(live.object, ResourceQuota):
                return
            quota = live.object
            used = charged(quota, quota.status.used, usage_of, new, old)
            if dry_run or used is quota.status.used:
                return
            if self._stored(place.resource, replace(quota, status=replace(quota.status, used=used)), live):
                return
        raise modified(*place.about)

    def _stored(self, resource: Resource, quota: ResourceQuota, live: Stored) -> bool:
        """Stores a charged quota, unless somebody else was faster."""
        try:
            self._storage.update(resource, quota, live)
        except ApiError as error:
            if error.reason != "Conflict":
                raise
            return False
        return True
