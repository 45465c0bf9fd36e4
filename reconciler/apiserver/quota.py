"""ResourceQuota admission: what is created must fit into every quota of its namespace, and is charged before it is
stored, so that of two that come at once only one gets the last place.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import ApiError, forbidden
from reconciler.apiserver.storage import Storage
from rules.quotas import is_in_scope, usage_of
from state import quantity
from state.objects import AnyObject, Pod, Quantity, ResourceQuota, replace

#: Attempts to charge a quota that others charge, too.
_ATTEMPTS = 10
#: What a quota on it obliges every pod to say.
_COMPUTE = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})


class QuotaAdmission:
    """Charges quotas. What is charged and then not stored after all, the quota controller takes back."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def charge(self, resource: Resource, obj: AnyObject, *, dry_run: bool) -> None:
        """Charges an object that is about to be created.

        Raises:
            ApiError: a quota has no room for it.
        """
        quotas = self._storage.registry.of_table("ResourceQuota")
        if quotas is None or not obj.metadata.namespace or obj.kind == "Event":
            return
        for stored in self._storage.all(quotas, obj.metadata.namespace):
            if isinstance(stored.object, ResourceQuota) and is_in_scope(stored.object, obj):
                self._charge(quotas, stored.object, resource, obj, dry_run=dry_run)

    def _charge(
        self, quotas: Resource, quota: ResourceQuota, resource: Resource, obj: AnyObject, *, dry_run: bool
    ) -> None:
        name = quota.metadata.name
        for _ in range(_ATTEMPTS):
            live = self._storage.get(quotas, quota.metadata.namespace, name)
            if live is None or not isinstance(live.object, ResourceQuota):
                return
            now = live.object
            asked = {each: amount for each, amount in usage_of(obj).items() if each in now.spec.hard}
            if isinstance(obj, Pod):
                self._check_said(resource, obj, now, asked)
            if not asked:
                return
            used = {**now.status.used}
            total = {each: quantity.add(used.get(each, "0"), amount) for each, amount in asked.items()}
            over = sorted(each for each in asked if quantity.compare(total[each], now.spec.hard[each]) > 0)
            if over:
                raise _exceeded(resource, obj, now, (over, asked, used))
            if dry_run:
                return
            try:
                self._storage.update(quotas, replace(now, status=replace(now.status, used={**used, **total})), live)
            except ApiError as error:
                if error.reason != "Conflict":
                    raise
            else:
                return

    def _check_said(self, resource: Resource, pod: Pod, quota: ResourceQuota, asked: dict[str, Quantity]) -> None:
        """A quota of CPU or memory wants every pod to say how much it needs."""
        missing = sorted(name for name in quota.spec.hard if name in _COMPUTE and name not in asked)
        if missing:
            why = f"failed quota: {quota.metadata.name}: must specify {_for(pod, missing)}"
            raise forbidden(resource.plural, resource.group, pod.metadata.name, why)


def _for(pod: Pod, missing: Sequence[str]) -> str:
    names = ",".join(each.name for each in pod.spec.containers)
    return "; ".join(f"{name} for: {names}" for name in missing)


def _exceeded(
    resource: Resource,
    obj: AnyObject,
    quota: ResourceQuota,
    sums: tuple[list[str], dict[str, Quantity], dict[str, Quantity]],
) -> ApiError:
    over, asked, used = sums

    def shown(amounts: dict[str, Quantity]) -> str:
        return ",".join(f"{name}={quantity.canonical(amounts.get(name, '0'))}" for name in over)

    why = (
        f"exceeded quota: {quota.metadata.name}, requested: {shown(asked)}, used: {shown(used)}, "
        f"limited: {shown(quota.spec.hard)}"
    )
    return forbidden(resource.plural, resource.group, obj.metadata.name, why)
