"""The admission plug-ins that every cluster has, in their order: some complete an object before it is validated, some
say no after it was. What each does is in ``rules.admission``, ``rules.pod_accounts`` and ``rules.quota_usage``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rules.admission import (
    ForbiddenError,
    Lookup,
    admit,
    admit_pod,
    admit_update,
    change_problem,
    check_priority,
    creation_problem,
    terminating,
)
from rules.pod_accounts import Accounts, no_account
from rules.quota_ledger import Ledger
from rules.quota_usage import Amounts, asked_of, is_in_scope, refusal, unknown, unsaid
from state import quantity
from state.objects import (
    AnyObject,
    LimitRange,
    Namespace,
    PersistentVolumeClaim,
    Pod,
    PodSpec,
    Quantity,
    ResourceQuota,
    Service,
    ServiceAccount,
    kind_key,
    replace,
)
from state.workspace import Workspace

#: Kinds of which a change can ask for more of a quota.
_GROWING = (PersistentVolumeClaim, Pod, Service)


class Plugins:
    """The plug-ins of a cluster, over what they look things up in (``rules.registry.Admission``).

    ``accounts`` completes pods by their ServiceAccounts where those exist. How quotas are charged is for subclasses.
    """

    def __init__(self, lookup: Lookup, accounts: Accounts | None = None) -> None:
        self._lookup, self._accounts = lookup, accounts

    def complete(self, new: AnyObject, old: AnyObject | None = None) -> AnyObject:
        """What the mutating plug-ins make of an object. A pod that has a phase has been here before, with all of its
        template (``rules.pods.pod_from_template``).

        Raises:
            ForbiddenError: one of them refuses.
        """
        if old is not None:
            return admit_update(new)
        self._check_namespace(new)
        if not isinstance(new, Pod):
            return admit(self._lookup, new)
        if self._accounts is not None:
            new = replace(new, spec=self._with_account(new, self._accounts))
            check_priority(self._lookup, new)
        return new if new.status.phase else admit_pod(self._lookup, new)

    def check(self, new: AnyObject, old: AnyObject | None = None, *, dry_run: bool = False) -> None:
        """What the validating plug-ins say of an object.

        Raises:
            ForbiddenError: one of them refuses.
        """
        why = creation_problem(self._lookup, new) if old is None else change_problem(self._lookup, new, old)
        if why is not None:
            raise ForbiddenError(kind_key(new), new.metadata, why)
        self.charge(new, old, dry_run=dry_run)

    def charge(self, new: AnyObject, old: AnyObject | None, *, dry_run: bool) -> None:
        """ResourceQuota: every quota has to have room; only then each is charged, unless it is a dry run.

        Raises:
            ForbiddenError: one hasn't.
        """
        raise NotImplementedError

    def _namespace(self, name: str) -> Namespace | None:
        """The namespace that something new is to be in."""
        return self._lookup.find(Namespace, "", name) if name else None

    def _check_namespace(self, new: AnyObject) -> None:
        namespace = self._namespace(new.metadata.namespace)
        why = "" if namespace is None else terminating(namespace)
        if why:
            name = new.metadata.namespace
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {name} is being terminated",
                "field": "metadata.namespace",
            }
            raise ForbiddenError(kind_key(new), new.metadata, why, causes=[cause], quietly=True)

    def _with_account(self, pod: Pod, accounts: Accounts) -> PodSpec:
        spec, namespace = pod.spec, pod.metadata.namespace
        name = spec.service_account_name or "default"
        account = self._lookup.find(ServiceAccount, namespace, name)
        if account is None:
            raise ForbiddenError(Pod.kind, pod.metadata, no_account(namespace, name))
        return accounts.completed(spec, namespace, account)


class Admission(Plugins):
    """The plug-ins over a workspace.

    ``charges`` is for a control plane beside an API server: both write what they take of a quota into its status, and
    go by what stands there. A plan has nobody beside it and goes by the objects.
    """

    def __init__(self, ws: Workspace, accounts: Accounts | None = None, *, charges: bool = False) -> None:
        super().__init__(ws, accounts)
        self._ws, self._charges = ws, charges
        self.ledger = Ledger(ws)

    def check(self, new: AnyObject, old: AnyObject | None = None, *, dry_run: bool = False) -> None:
        """As ``Plugins.check``. Most pods come where nothing limits them, and there are many of them."""
        if not isinstance(new, Pod) or self._ws.table(LimitRange.kind) or self._ws.table(ResourceQuota.kind):
            super().check(new, old, dry_run=dry_run)

    def charge(self, new: AnyObject, old: AnyObject | None, *, dry_run: bool) -> None:
        """As ``Plugins.charge``."""
        found = []
        for quota in self._ws.objects(ResourceQuota):
            if asks_of(quota, new, old):
                used = quota.status.used if self._charges else self.ledger.used(quota)
                found.append((quota, charged(quota, used, self.ledger.usage, new, old)))
        if self._charges and not dry_run:
            for quota, used in found:
                self._ws.put(replace(quota, status=replace(quota.status, used=used)))


def charged(
    quota: ResourceQuota, used: Amounts, usage: Callable[[AnyObject], Amounts], new: AnyObject, old: AnyObject | None
) -> Mapping[str, Quantity]:
    """What is used of a quota with a new object, or with what a changed one asks for beyond the old one; the very same
    if that is nothing.

    Raises:
        ForbiddenError: there is no room for it, or nobody can tell.
    """
    asked = asked_of(quota, usage(new), None if old is None else usage(old))
    why = (unsaid(quota, new) if old is None else None) or unknown(quota, asked, used) or refusal(quota, asked, used)
    if why is not None:
        raise ForbiddenError(kind_key(new), new.metadata, why)
    if not asked:
        return used
    return {**used, **{name: quantity.add(used[name], amount) for name, amount in asked.items()}}


def asks_of(quota: ResourceQuota, new: AnyObject, old: AnyObject | None) -> bool:
    """Whether a quota has a say in a write at all."""
    if quota.metadata.namespace != new.metadata.namespace or new.kind == "Event":
        return False
    return (old is None or isinstance(new, _GROWING)) and is_in_scope(quota, new)
