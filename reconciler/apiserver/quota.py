"""ResourceQuota admission: what is created, or asks for more, must fit into every quota of its namespace. It is charged
before it is stored, so that of two that come at once only one gets the last place.
"""

from __future__ import annotations

from reconciler.apiserver.locks import Lock
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import ApiError, forbidden, modified
from reconciler.apiserver.storage import Storage, Stored
from rules.quota_usage import asked_of, is_in_scope, refusal, unknown, unsaid, usage_of
from state import quantity
from state.objects import AnyObject, PersistentVolumeClaim, Pod, ResourceQuota, Service, replace

#: Attempts to charge a quota that others charge, too: the control plane, and other servers on the same store.
_ATTEMPTS = 100
#: Kinds of which a change can ask for more.
_GROWING = (PersistentVolumeClaim, Pod, Service)


class QuotaAdmission:
    """Charges quotas. What is charged and then not stored after all, the quota controller takes back."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = Lock()

    def charge(self, resource: Resource, obj: AnyObject, old: AnyObject | None = None, *, dry_run: bool) -> None:
        """Charges an object that is about to be created, or what a changed one asks for beyond the old one.

        Raises:
            ApiError: a quota has no room for it.
        """
        quotas = self._storage.registry.of_table(ResourceQuota.kind)
        if quotas is None or not obj.metadata.namespace or obj.kind == "Event":
            return
        if old is not None and not isinstance(obj, _GROWING):
            return
        found = [
            stored
            for stored in self._storage.all(quotas, obj.metadata.namespace)
            if isinstance(stored.object, ResourceQuota) and is_in_scope(stored.object, obj)
        ]
        if not found:
            return
        with self._lock:
            for stored in found:
                self._charge(
                    Place(quotas, obj.metadata.namespace, stored.object.metadata.name), resource, obj, old, dry_run
                )

    def _charge(self, place: Place, resource: Resource, obj: AnyObject, old: AnyObject | None, dry_run: bool) -> None:
        for _ in range(_ATTEMPTS):
            live = self._storage.get(*place[:3])
            if live is None or not isinstance(live.object, ResourceQuota):
                return
            charged = _charged(live.object, resource, obj, old)
            if dry_run or charged is live.object:
                return
            if self._stored(place.resource, charged, live):
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


def _charged(quota: ResourceQuota, resource: Resource, obj: AnyObject, old: AnyObject | None) -> ResourceQuota:
    """The quota with an object's part of it taken; the same if it takes none.

    Raises:
        ApiError: it has no room, or can't tell.
    """
    asked = asked_of(quota, usage_of(obj), None if old is None else usage_of(old))
    used = quota.status.used
    why = (unsaid(quota, obj) if old is None else None) or unknown(quota, asked, used) or refusal(quota, asked, used)
    if why is not None:
        raise forbidden(resource.plural, resource.group, obj.metadata.name, why)
    if not asked:
        return quota
    total = {name: quantity.add(used[name], amount) for name, amount in asked.items()}
    return replace(quota, status=replace(quota.status, used={**used, **total}))
