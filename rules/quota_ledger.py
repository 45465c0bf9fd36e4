"""What is used of each ResourceQuota, counted from the objects of a workspace and carried forward with its changes.

A cache: a ledger that was begun now says the same as one that was kept all along.
"""

from __future__ import annotations

from collections.abc import Mapping

from rules.quota_usage import FINISHED, Amounts, is_in_scope, usage_of, usage_of_spec
from state import quantity
from state.kept import Remembered
from state.objects import AnyObject, Pod, PodSpec, Quantity, ResourceQuota, ResourceQuotaSpec
from state.quantity import Amount, Format
from state.snapshot import Change
from state.workspace import Workspace

#: Which suffixes a sum of quantities with different ones is printed with.
_PREFERRED = (Format.BINARY_SI, Format.DECIMAL_SI, Format.DECIMAL_EXPONENT)


class Account:
    """One quota's books: billionths by resource and suffix."""

    __slots__ = ("quota", "totals")

    def __init__(self, quota: ResourceQuota) -> None:
        self.quota = quota
        self.totals: dict[tuple[str, Format], int] = {}

    def book(self, usage: Amounts, sign: int) -> None:
        """Adds or takes away what an object counts for."""
        for name in self.quota.spec.hard:
            if name in usage:
                amount = quantity.parse(usage[name])
                at = (name, amount.format)
                self.totals[at] = self.totals.get(at, 0) + sign * amount.nanos

    def used(self) -> dict[str, Quantity]:
        """What is used of each resource that the quota limits."""
        return {name: self._sum(name) for name in self.quota.spec.hard}

    def _sum(self, name: str) -> str:
        found = [(form, self.totals.get((name, form), 0)) for form in _PREFERRED]
        form = next((form for form, nanos in found if nanos), Format.DECIMAL_SI)
        return str(Amount(sum(nanos for _, nanos in found), form))


class Ledger:
    """The books of all quotas that somebody asked about."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        #: By namespace and name. It listens from the first account on: without quotas it costs nothing.
        self._accounts: dict[str, dict[str, Account]] = {}
        self._of_spec = Remembered[int, tuple[PodSpec, Amounts]]()

    def used(self, quota: ResourceQuota) -> Mapping[str, Quantity]:
        """What is used of a quota of the workspace."""
        return self._account(quota).used()

    def usage(self, obj: AnyObject) -> Amounts:
        """What an object counts for."""
        return usage_of(obj, self._usage_of_spec)

    def _usage_of_spec(self, spec: PodSpec) -> Amounts:
        """Pods of one template share their containers, on whichever node they are."""
        known = self._of_spec.get(id(spec.containers))
        if known is None or not _asks_alike(known[0], spec):
            # the spec is kept, so that no other can have the id of its containers
            known = self._of_spec[id(spec.containers)] = (spec, usage_of_spec(spec))
        return known[1]

    def _account(self, quota: ResourceQuota) -> Account:
        namespace = quota.metadata.namespace
        if not self._accounts:
            self._ws.listen(self._record)
        accounts = self._accounts.setdefault(namespace, {})
        account = accounts.get(quota.metadata.name)
        if account is None or not _counts_alike(account.quota.spec, quota.spec):
            account = accounts[quota.metadata.name] = Account(quota)
            for kind in self._ws.kinds:
                for (place, _), obj in self._ws.table(kind).items():
                    if place == namespace:
                        self._book(account, obj, 1)
        return account

    def _book(self, account: Account, obj: AnyObject, sign: int) -> None:
        if obj.kind != "Event" and is_in_scope(account.quota, obj):
            account.book(self.usage(obj), sign)

    def _record(self, change: Change) -> None:
        accounts = self._accounts.get(change.key.namespace)
        if not accounts or counts_the_same(change.old, change.new):
            return
        if change.key.kind == ResourceQuota.kind and change.new is None:
            accounts.pop(change.key.name, None)
        for account in accounts.values():
            if change.old is not None:
                self._book(account, change.old, -1)
            if change.new is not None:
                self._book(account, change.new, 1)


def counts_the_same(old: AnyObject | None, new: AnyObject | None) -> bool:
    """Whether a change is none for any quota, as far as can be told at a glance."""
    if old is None or new is None:
        return old is new
    if not isinstance(old, Pod) or not isinstance(new, Pod):
        return old == new
    if (old.status.phase in FINISHED) != (new.status.phase in FINISHED):
        return False
    one, other = old.spec, new.spec
    return one is other or (
        _asks_alike(one, other)
        and one.active_deadline_seconds == other.active_deadline_seconds
        and one.priority_class_name == other.priority_class_name
        and one.affinity is other.affinity
    )


def _asks_alike(one: PodSpec, other: PodSpec) -> bool:
    """Whether two specs share all that says what a pod asks for."""
    return (
        one.containers is other.containers
        and one.init_containers == other.init_containers
        and one.resources is other.resources
        and one.overhead == other.overhead
    )


def _counts_alike(one: ResourceQuotaSpec, other: ResourceQuotaSpec) -> bool:
    return one is other or one == other
