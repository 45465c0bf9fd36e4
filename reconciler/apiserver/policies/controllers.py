"""Admission of what controllers make where an API server is: that of every cluster, and what users configured."""

from __future__ import annotations

from reconciler.apiserver.admission import PodAdmission
from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.policies.configured import Configured
from reconciler.apiserver.rbac import User
from reconciler.apiserver.resources import Place, Registry
from reconciler.apiserver.status import ApiError
from rules.admission import ForbiddenError
from rules.context import Context
from state.errors import StateError
from state.objects import AnyObject, kind_key
from state.times import SECOND

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

    def __init__(self, obj: AnyObject, message: str) -> None:
        StateError.__init__(self, message)
        meta = obj.metadata
        self.subject = message.replace(meta.name, meta.generate_name) if meta.generate_name else message
        self.quietly = False
        self.kind, self.name = kind_key(obj), meta.name


class ConfiguredAdmission(PodAdmission):
    """All of it, for the objects of one context."""

    def __init__(self, ctx: Context, configured: Configured, registry: Registry) -> None:
        super().__init__(ctx.ws)
        self._ctx, self._configured, self._registry = ctx, configured, registry

    def __call__(self, obj: AnyObject) -> AnyObject:
        """A new object as it is stored.

        Raises:
            ForbiddenError: it isn't.
        """
        resource = self._registry.of_table(kind_key(obj))
        assert resource is not None
        meta = obj.metadata
        place = Place(resource, meta.namespace, meta.name)
        options = WriteOptions(manager="kube-controller-manager", user=_user_of(obj))
        try:
            attempt = self._configured.attempt("CREATE", place, options)
            if attempt is None:
                return super().__call__(obj)
            obj = super().__call__(attempt.completed(obj, None))
            attempt.check(obj, None)
        except ApiError as error:
            self._ctx.wake(self._ctx.now + _AGAIN)
            raise _RefusedError(obj, error.message) from error
        return obj


def _user_of(obj: AnyObject) -> User:
    """The account of the controller that makes an object."""
    owners = obj.metadata.owner_references
    name = _CONTROLLERS.get(owners[0].kind) if owners else None
    if name is None:
        return _MANAGER
    groups = (_ACCOUNTS, f"{_ACCOUNTS}:kube-system", "system:authenticated")
    return User(f"system:serviceaccount:kube-system:{name}", groups)
