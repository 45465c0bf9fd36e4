"""The admission plug-ins over what is stored, and a request's way through them and what users configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.apiserver.addressed import named
from reconciler.apiserver.lookup import StoredObjects
from reconciler.apiserver.quota import QuotaAdmission
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import ApiError, forbidden, invalid, not_found
from reconciler.apiserver.storage import Storage
from rules.admission import ForbiddenError
from rules.plugins import Plugins
from rules.pod_accounts import Accounts
from rules.registry import InvalidError
from rules.taints import NO_SCHEDULE, NOT_READY
from state.objects import AnyObject, Namespace, Node, Pod, Taint, replace
from state.warnings.pods import of_annotated_profiles

if TYPE_CHECKING:
    from reconciler.apiserver.policies.admission import Attempted

_NEW = Taint(key=NOT_READY, effect=NO_SCHEDULE)


class Admission(Plugins):
    """The plug-ins over a store."""

    def __init__(self, storage: Storage) -> None:
        lookup = StoredObjects(storage)
        super().__init__(lookup, Accounts())
        self._quotas = QuotaAdmission(storage, lookup)

    def complete(self, new: AnyObject, old: AnyObject | None = None) -> AnyObject:
        """As ``Plugins.complete``.

        Raises:
            ForbiddenError: one of them refuses.
            ApiError: the namespace doesn't exist.
        """
        new = super().complete(new, old)
        return _tainted(new) if old is None and isinstance(new, Node) else new

    def _namespace(self, name: str) -> Namespace | None:
        found = super()._namespace(name)
        if name and found is None:
            raise not_found("namespaces", "", name)
        return found

    def charge(self, new: AnyObject, old: AnyObject | None, *, dry_run: bool) -> None:
        """As ``Plugins.charge``."""
        self._quotas.charge(new, old, dry_run=dry_run)


def _tainted(node: Node) -> Node:
    """TaintNodesByCondition: nothing is placed on a node before it was found ready."""
    if any((taint.key, taint.effect) == (_NEW.key, _NEW.effect) for taint in node.spec.taints):
        return node
    return replace(node, spec=replace(node.spec, taints=(*node.spec.taints, _NEW)))


class Requested:
    """One request's way through the plug-ins and what is configured (``rules.registry.Admission``).

    Attributes:
        warnings: what its client is to be told.
    """

    def __init__(self, plugins: Admission, attempt: Attempted | None, place: Place, *, dry_run: bool) -> None:
        self._plugins, self._attempt, self._place, self._dry_run = plugins, attempt, place, dry_run
        self.warnings: tuple[str, ...] = ()
        self._annotated: tuple[str, ...] = ()

    def complete(self, new: AnyObject, old: AnyObject | None = None) -> AnyObject:
        """As ``rules.registry.Admission``. Raises ApiError, too: what is configured refuses."""
        new = self._plugins.complete(new, old)
        if self._attempt is not None:
            new = self._attempt.completed(new, old)
            new = new if old is None else named(self._place, new)
        if old is None and isinstance(new, Pod):  # its registry makes fields of them, and then they can't be told
            self._annotated = of_annotated_profiles(new)
        return new

    def check(self, new: AnyObject, old: AnyObject | None = None) -> None:
        """As ``rules.registry.Admission``. Raises ApiError, too: what is configured refuses."""
        self.warnings = () if self._place.subresource else self._place.resource.warnings_of(new, old)
        if self._annotated:
            self.warnings = tuple(dict.fromkeys(self._annotated + self.warnings))
        if self._attempt is not None:
            self._attempt.check(new, old)
            self.warnings += self._attempt.warnings
        if self._place.subresource != "status":
            self._plugins.check(new, old, dry_run=self._dry_run)


def refusal(resource: Resource, error: ForbiddenError) -> ApiError:
    """The answer to a request that isn't let in."""
    if isinstance(error, InvalidError):
        return invalid(resource.kind, resource.group, error.name, error.problems)
    return forbidden(resource.plural, resource.group, error.name, error.why, error.causes)
