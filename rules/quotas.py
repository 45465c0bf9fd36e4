"""ResourceQuotas: their status, as kube-controller-manager's resourcequota controller.

What counts is ``rules.quota_usage``, the sums are ``rules.quota_ledger``; that nothing is created beyond a quota is
``rules.admission``'s part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.concern import ANY, Touched
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern
from rules.quota_ledger import Ledger, counts_the_same
from state import quantity
from state.objects import Quantity, ResourceQuota, ResourceQuotaStatus, replace
from state.snapshot import Change, Key
from state.workspace import Workspace


class Quotas(MethodConcern):
    """Keeps the status of ResourceQuotas: what is allowed, and what is used of it.

    An API server charges a quota before it stores what it charges for. ``patience`` (µs) is how long a charge may be
    without its object before it is taken back; what is deleted makes room at once.
    """

    name: ClassVar[str] = "quotas"
    subjects: ClassVar[tuple[str, ...]] = (ResourceQuota.kind,)
    sees_bindings: ClassVar[bool] = False

    def __init__(self, patience: int = 0) -> None:
        super().__init__()
        self._patience = patience
        self._ledger: Ledger | None = None
        #: Quotas of whose objects some went: what is used of them less is believed.
        self._freed: set[Key] = set()
        #: What a status said that couldn't be accounted for, and since when.
        self._doubted: dict[Key, tuple[Mapping[str, Quantity], int]] = {}

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """Whatever a quota may count."""
        return {ANY: self._touched}

    def _touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        """The quotas of the namespace in which something came, went, or asks for something else."""
        if not ws.table(ResourceQuota.kind):
            return ()
        key, old, new = change
        if not key.namespace or counts_the_same(old, new):
            return ()
        names = (name for namespace, name in ws.table(ResourceQuota.kind) if namespace == key.namespace)
        keys = [Key(ResourceQuota.kind, key.namespace, name) for name in names]
        if old is not None and key.kind != ResourceQuota.kind:
            self._freed.update(keys)
        return keys

    def run(self, ctx: Context, due: Sequence[Key]) -> None:
        """Looks at the quotas that are due, in the books by which creations are checked as well."""
        self._ledger = ctx.admission.ledger
        super().run(ctx, due)

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Whether the status says what is."""
        quota = ws.find(ResourceQuota, key.namespace, key.name)
        if quota is None:
            self._doubted.pop(key, None)
            return None
        doubted_until = self._doubt(key, quota, now)
        return {
            "name": key.name,
            "stale": quota.status != self._status(quota, charged=doubted_until is not None),
            "doubted_until": doubted_until or 0,
        }

    def _doubt(self, key: Key, quota: ResourceQuota, now: int) -> int | None:
        """Until when charges that nothing accounts for are kept; None without such."""
        freed = key in self._freed
        self._freed.discard(key)
        charged, used = quota.status.used, self._used(quota)
        if freed or not any(quantity.compare(charged.get(name, "0"), used[name]) > 0 for name in used):
            self._doubted.pop(key, None)
            return None
        before = self._doubted.get(key)
        since = before[1] if before is not None and before[0] == charged else now
        self._doubted[key] = (charged, since)
        return since + self._patience if now < since + self._patience else None

    def _used(self, quota: ResourceQuota) -> Mapping[str, Quantity]:
        assert self._ledger is not None
        return self._ledger.used(quota)

    def _status(self, quota: ResourceQuota, *, charged: bool) -> ResourceQuotaStatus:
        used = dict(self._used(quota))
        if charged:
            used = {name: max(used[name], quota.status.used.get(name, "0"), key=quantity.parse) for name in used}
        return ResourceQuotaStatus(hard=quota.spec.hard, used=used)

    # -- consequents ---------------------------------------------------------------------------------------------------

    def _report(self, ctx: Context, key: Key, fact: Fact) -> None:
        quota = ctx.ws.must(ResourceQuota, key)
        status = self._status(quota, charged=bool(fact["doubted_until"]))
        ctx.update_status(replace(quota, status=status))

    def _wait(self, ctx: Context, _: Key, fact: Fact) -> None:
        at = fact["doubted_until"]
        assert isinstance(at, int)
        ctx.wake(at)

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="quota-usage",
            when=m.stale == True,  # noqa: E712 - durable-rules' own expressions
            then=_report,
            why="{name} doesn't say what is used in its namespace",
        ),
        Rule(
            name="quota-charged",
            when=m.doubted_until > 0,
            then=_wait,
            why="{name} was charged for something that isn't there yet",
        ),
    )
