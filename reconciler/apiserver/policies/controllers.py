"""Admission of what controllers make where an API server is: that of every cluster, and what users configured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.policies.configured import Configured
from reconciler.apiserver.rbac import User
from reconciler.apiserver.resources import Place, Registry
from reconciler.apiserver.status import ApiError
from rules.admission import ForbiddenError
from rules.context import Context
from rules.plugins import Admission
from rules.pod_accounts import Accounts
from state.objects import AnyObject, kind_key
from state.times import SECOND

if TYPE_CHECKING:
    from reconciler.apiserver.policies.admission import Attempted

#: After this time what was refused is tried again: a webhook may be back, a policy may have changed (µs).
_AGAIN = 5 * SECOND
_MANAGER = User("system:kube-controller-manager", ("system:authenticated",))
_ACCOUNTS = "system:serviceaccounts"
#: Controllers by the kinds of the owners that they make something for.
_CONTROLLERS = {
    kind: f"{kind.lower()}-controller"
    for kind in ("CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet")
} | {"ReplicationController": "replication-controller", "Service": "endpointslice-controller"}


class _RefusedError(ForbiddenError):
    """A new object that a policy or a webhook doesn't let in, in its own words."""

    def told(self, name: str) -> str:
        """What was said of it, about an object of that name."""
        return self.why.replace(self.name, name)


class ConfiguredAdmission(Admission):
    """All of it, for the objects of one context."""

    def __init__(self, ctx: Context, configured: Configured, registry: Registry) -> None:
        super().__init__(ctx.ws, Accounts(), charges=True)
        self._ctx, self._configured, self._registry = ctx, configured, registry
        self._attempt: Attempted | None = None

    def complete(self, new: AnyObject, old: AnyObject | None = None) -> AnyObject:
        """As ``rules.registry.Admission``; of a new object."""
        new = super().complete(new, old)
        resource = self._registry.of_table(kind_key(new))
        assert resource is not None
        place = Place(resource, new.metadata.namespace, new.metadata.name)
        options = WriteOptions(manager="kube-controller-manager", user=_user_of(new))
        self._attempt = attempt = self._configured.attempt("CREATE", place, options)
        if attempt is not None:
            with self._refusing(new):
                new = attempt.completed(new, old)
        return new

    def check(self, new: AnyObject, old: AnyObject | None = None, *, dry_run: bool = False) -> None:
        """As ``rules.registry.Admission``; of the object that was completed last."""
        if self._attempt is not None:
            with self._refusing(new):
                self._attempt.check(new, old)
        super().check(new, old, dry_run=dry_run)

    @contextmanager
    def _refusing(self, obj: AnyObject) -> Iterator[None]:
        """Tells a controller that its object is refused; it tries again later."""
        try:
            yield
        except ApiError as error:
            self._ctx.wake(self._ctx.now + _AGAIN)
            raise _RefusedError(kind_key(obj), obj.metadata, error.message) from error


def _user_of(obj: AnyObject) -> User:
    """The account of the controller that makes an object."""
    owners = obj.metadata.owner_references
    name = _CONTROLLERS.get(owners[0].kind) if owners else None
    if name is None:
        return _MANAGER
    groups = (_ACCOUNTS, f"{_ACCOUNTS}:kube-system", "system:authenticated")
    return User(f"system:serviceaccount:kube-system:{name}", groups)
