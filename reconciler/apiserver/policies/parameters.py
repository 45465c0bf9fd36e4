"""Nobody reads by a policy what he may not read himself: who names parameters has to have the right to get them.

As the strategies of kube-apiserver's admission policies and their bindings ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reconciler.apiserver.rbac import Attributes, User
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError, invalid
from reconciler.apiserver.storage import Storage
from state.errors import forbidden
from state.objects import AnyObject, CustomObject

GROUP = "admissionregistration.k8s.io"
_POLICIES = ("MutatingAdmissionPolicy", "ValidatingAdmissionPolicy")
_BINDINGS = {f"{kind}Binding": kind for kind in _POLICIES}


class Wanted(NamedTuple):
    """The right that it takes to store an object, and what is said, of which field, to who doesn't have it."""

    right: Attributes
    field: str
    why: str

    def refusal(self, place: Place, name: str, user: User) -> ApiError:
        """What is said to a user."""
        who = f"&{{{user.name}  [{' '.join(user.groups)}] map[]}}"  # as Go prints one
        problem = forbidden(f"spec.{self.field}", f"user {who} {self.why}")
        return invalid(place.resource.kind, GROUP, name, [problem])


def wanted(storage: Storage, place: Place, new: AnyObject, old: AnyObject | None) -> Wanted | None:
    """What it takes to store a policy or a binding as somebody sent it; None if it is nothing beside the object."""
    resource = place.resource
    if resource.group != GROUP or place.subresource:
        return None
    spec, before = _spec(new), _spec(old)
    if resource.kind in _POLICIES:
        kind = spec.get("paramKind") or {}
        right, why = _of_policy(storage, spec, before), _NO_KIND.format(kind.get("kind"), kind.get("apiVersion"))
        return None if right is None else Wanted(right, "paramKind", why)
    if resource.kind in _BINDINGS:
        right = _of_binding(storage, _BINDINGS[resource.kind], spec, before)
        return None if right is None else Wanted(right, "paramRef", _NO_OBJECT)
    return None


_NO_KIND = 'must have "get" permission on all objects of the referenced paramKind (kind={}, apiVersion={})'
_NO_OBJECT = 'does not have "get" permission on the object referenced by paramRef'


def _spec(obj: AnyObject | None) -> Mapping[str, Any]:
    return obj.body.value.get("spec") or {} if isinstance(obj, CustomObject) else {}


def _of_policy(storage: Storage, spec: Mapping[str, Any], before: Mapping[str, Any]) -> Attributes | None:
    """The right to get all parameters of a policy, None if it has none, or had them before."""
    kind = spec.get("paramKind")
    if not kind or kind == before.get("paramKind"):
        return None
    return _right(storage, kind)._replace(namespace="*", name="*")


def _of_binding(storage: Storage, kind: str, spec: Mapping[str, Any], before: Mapping[str, Any]) -> Attributes | None:
    """The right to get the parameters of a binding, None if it has none, or had them before."""
    reference = spec.get("paramRef")
    if not reference or all(spec.get(name) == before.get(name) for name in ("paramRef", "policyName")):
        return None
    policies = storage.registry.of_table(f"{kind}.{GROUP}")
    assert policies is not None
    policy = storage.get(policies, "", str(spec.get("policyName") or ""))
    wanted = _right(storage, _spec(None if policy is None else policy.object).get("paramKind") or {})
    return wanted._replace(namespace=reference.get("namespace") or "", name=reference.get("name") or "")


def _right(storage: Storage, kind: Mapping[str, Any]) -> Attributes:
    """The right to get objects of a kind, of all kinds if it isn't known."""
    api_version, name = str(kind.get("apiVersion") or ""), str(kind.get("kind") or "")
    if not api_version:
        return Attributes("get", "*", "*", "*")
    group, _, version = api_version.rpartition("/")
    resource = storage.registry.of_kind(api_version, name)
    return Attributes("get", group, version, "*" if resource is None else resource.plural)
