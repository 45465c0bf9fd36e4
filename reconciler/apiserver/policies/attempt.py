"""A write as those see it who have a say in it: the AdmissionRequest of a webhook, the variables of an expression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reconciler.apiserver import wire
from reconciler.apiserver.cel.kubernetes import Authority, Wanted
from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.policies.matching import Aim
from reconciler.apiserver.rbac import Attributes, User
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.status import ApiError, forbidden
from state.objects import AnyObject, Namespace

Json = dict[str, Any]
#: Whether a user may do something.
Allows = Callable[[User, Attributes], bool]
_VERBS = {"CREATE": "create", "UPDATE": "update", "DELETE": "delete"}
_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}
#: Where nobody is asked who they are.
NOBODY = User("system:anonymous", ("system:unauthenticated",))


@dataclass(slots=True)
class Attempt:
    """One write: what it does to which object, and who wants it. ``warnings`` is what is said meanwhile."""

    operation: str
    place: Place
    options: WriteOptions
    resources: tuple[Resource, ...]
    namespace: Namespace | None
    allows: Allows | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def user(self) -> User:
        """Who wants it."""
        return self.options.user or NOBODY

    def aim(self, new: AnyObject | None, old: AnyObject | None) -> Aim:
        """What rules look at."""
        shown = new or old
        assert shown is not None
        labels = shown.metadata.labels
        around = shown if isinstance(shown, Namespace) else self.namespace
        namespace = None if around is None else around.metadata.labels
        old_labels = None if old is None else old.metadata.labels
        return Aim(self.operation, self.place, self.resources, labels, old_labels, namespace)

    def request(self, resource: Resource) -> Json:
        """An AdmissionRequest, but for its id and the objects; ``resource`` is as what it is meant."""
        place = self.place
        own = self.resources[0]
        found: Json = {
            "kind": _kind(resource, place.subresource),
            "resource": _path(resource),
            "requestKind": _kind(own, place.subresource),
            "requestResource": _path(own),
            "name": place.name,
            "namespace": place.namespace,
            "operation": self.operation,
            "userInfo": _user(self.user),
            "dryRun": self.options.dry_run,
            "options": self._options(),
        }
        if place.subresource:
            found |= {"subResource": place.subresource, "requestSubResource": place.subresource}
        return {name: value for name, value in found.items() if value != ""}

    def _options(self) -> Json:
        options: Json = {"kind": _OPTIONS[self.operation], "apiVersion": "meta.k8s.io/v1"}
        if self.options.dry_run:
            options["dryRun"] = ["All"]
        if self.operation != "DELETE":
            options["fieldManager"] = self.options.manager
            options["fieldValidation"] = self.options.validation
        return options

    def names(self, resource: Resource, new: AnyObject | None, old: AnyObject | None) -> Json:
        """The variables of an expression. Who may do what is answered as the user who writes is, or one by name."""
        namespace = self.namespace
        return {
            "object": document(new, resource),
            "oldObject": document(old, resource),
            "request": self.request(resource),
            "namespaceObject": None if namespace is None else wire.document(namespace),
            "authorizer": self._authority(),
        }

    def _authority(self) -> Authority:
        place = self.place
        authority = Authority(self._may)
        wanted = Wanted(
            authority, place.resource.group, place.resource.plural, place.subresource, place.namespace, place.name
        )
        return Authority(self._may, request=wanted)

    def _may(self, user: str, wanted: tuple[str, ...]) -> bool:
        if self.allows is None:
            return True
        who = User(user, _groups_of(user)) if user else self.user
        verb, group, resource, part, namespace, name, path = wanted
        return self.allows(who, Attributes(verb, group, _ANY_VERSION, resource, part, namespace, name, path))

    def refusal(self, message: str, reason: str = "Forbidden", code: int = 403) -> ApiError:
        """The write is refused, in the name of the resource."""
        place = self.place
        error = forbidden(place.resource.plural, place.resource.group, place.name, message)
        error.reason, error.code = reason, code
        return error


_ANY_VERSION = "*"


def _groups_of(account: str) -> tuple[str, ...]:
    _, _, _, namespace, _ = f"{account}::::".split(":", 4)
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")


def document(obj: AnyObject | None, resource: Resource) -> Json | None:
    """An object as a version of its kind shows it."""
    if obj is None:
        return None
    found = wire.document(obj)
    return found if resource.conversion is None else resource.conversion.read(found)


def _kind(resource: Resource, subresource: str) -> Json:
    """What is sent: an object of the resource's kind, or of the one that a part of it has (Scale, Eviction)."""
    part = resource.subresources.get(subresource)
    if part is None or part.kind == resource.kind:
        return {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return {"group": part.group or resource.group, "version": part.version or resource.version, "kind": part.kind}


def _path(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}


def _user(user: User) -> Json:
    found: Json = {"username": user.name}
    if user.uid:
        found["uid"] = user.uid
    if user.groups:
        found["groups"] = list(user.groups)
    if user.extra:
        found["extra"] = {key: list(values) for key, values in user.extra}
    return found
