"""Nobody gives others, or themselves, rights that they don't have: what RBAC asks before a role or binding is stored.

Who may ``escalate`` a role, or ``bind`` one, needs not have its rights. Everybody else has to have them all, in the
namespace in question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.apiserver import certificate_hands
from reconciler.apiserver.auth import denial
from reconciler.apiserver.policies import parameters
from reconciler.apiserver.rbac import GROUP, MASTERS, Attributes, Authorizer, PolicyRule, User, rules_of
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import forbidden, not_found
from reconciler.apiserver.storage import Storage
from state.errors import quoted
from state.objects import AnyObject, CustomObject, replace

_ROLES = {"Role": "roles", "ClusterRole": "clusterroles"}
_BINDINGS = frozenset({"RoleBinding", "ClusterRoleBinding"})
_EVERY = frozenset({"*"})
#: What somebody has to have who lets a role gather the rules of others.
_FULL = (PolicyRule(_EVERY, _EVERY, _EVERY), PolicyRule(_EVERY, paths=_EVERY))


class Escalation:
    """The check, which every writer asks."""

    def __init__(self, authorizer: Authorizer, storage: Storage) -> None:
        self._authorizer, self._storage = authorizer, storage

    def check(self, place: Place, new: AnyObject, old: AnyObject | None, user: User | None) -> None:
        """Lets a change pass.

        Raises:
            ApiError: it would give rights that its author doesn't have, by a role, a certificate or a policy.
        """
        resource = place.resource
        if user is not None:
            certificate_hands.check(place, new, old, user, self._authorizer.allows)
        if user is None or MASTERS in user.groups:
            return
        wanted = parameters.wanted(self._storage, place, new, old)
        if wanted is not None and not self._authorizer.allows(user, wanted.right):
            raise wanted.refusal(place, new.metadata.name, user)
        if resource.group != GROUP:
            return
        if not isinstance(new, CustomObject) or (old is not None and _is_collected(new, old)):
            return
        if resource.kind in _ROLES:
            self._check_role(place, new, old, user)
        elif resource.kind in _BINDINGS:
            self._check_binding(place, new, user)

    def check_creation(self, place: Place, user: User | None) -> None:
        """Lets a PUT or an apply make an object that isn't there.

        Raises:
            ApiError: its author may change such objects, but not create them.
        """
        resource = place.resource
        create = Attributes(
            "create", resource.group, resource.version, resource.plural, "", place.namespace, place.name
        )
        if user is not None and not self._authorizer.allows(user, create):
            raise denial(user, create)

    def _check_role(self, place: Place, new: CustomObject, old: AnyObject | None, user: User) -> None:
        escalate = Attributes("escalate", GROUP, "*", place.resource.plural, "", place.namespace, place.name)
        if self._authorizer.allows(user, escalate):
            return
        name = new.metadata.name
        self._confirm(place, name, user, rules_of(new))
        gathers = [isinstance(obj, CustomObject) and obj.body.value.get("aggregationRule") for obj in (new, old)]
        if any(gathers) and _missing(self._authorizer.rules(user, ""), _FULL):
            why = "must have cluster-admin privileges to use the aggregationRule"
            raise forbidden(place.resource.plural, GROUP, name, why)

    def _check_binding(self, place: Place, new: CustomObject, user: User) -> None:
        reference = new.body.value.get("roleRef")
        kind, name = (reference.get("kind"), reference.get("name")) if isinstance(reference, dict) else (None, None)
        roles = _ROLES.get(str(kind))
        if roles is None:
            return  # it gives no rights, and is going to be refused
        bind = Attributes("bind", GROUP, "*", roles, "", place.namespace, str(name))
        if self._authorizer.allows(user, bind):
            return
        rules = self._authorizer.rules_of_role(str(kind), place.namespace, str(name))
        if rules is None:
            raise not_found(roles, GROUP, str(name))
        self._confirm(place, new.metadata.name, user, rules)

    def _confirm(self, place: Place, name: str, user: User, rules: Iterable[PolicyRule]) -> None:
        missing = _missing(self._authorizer.rules(user, place.namespace), rules)
        if missing:
            groups = " ".join(map(quoted, user.groups))
            who = f"user {quoted(user.name)} (groups=[{groups}])"
            why = f"{who} is attempting to grant RBAC permissions not currently held:"
            raise forbidden(place.resource.plural, GROUP, name, "\n".join((why, *_compact(missing))))


def _is_collected(new: CustomObject, old: AnyObject) -> bool:
    """Whether nothing changes but what lets the garbage collector delete an object in the end."""
    kept = replace(
        new.metadata,
        owner_references=old.metadata.owner_references,
        finalizers=old.metadata.finalizers,
        managed_fields=old.metadata.managed_fields,
        resource_version=old.metadata.resource_version,
    )
    return isinstance(old, CustomObject) and kept == old.metadata and new.body == old.body


def _missing(owned: Iterable[PolicyRule], wanted: Iterable[PolicyRule]) -> list[PolicyRule]:
    """The single rights of rules that no rule of an owner has."""
    have = tuple(owned)
    return [single for rule in wanted for single in _singles(rule) if not any(_covers(each, single) for each in have)]


def _singles(rule: PolicyRule) -> Iterator[PolicyRule]:
    """A rule as rules with one verb on one thing each."""
    names: Sequence[frozenset[str]] = [frozenset({name}) for name in sorted(rule.names)] or [frozenset()]
    for group in sorted(rule.groups):
        for resource in sorted(rule.resources):
            for verb in sorted(rule.verbs):
                for name in names:
                    yield PolicyRule(frozenset({verb}), frozenset({group}), frozenset({resource}), name)
    for path in sorted(rule.paths):
        for verb in sorted(rule.verbs):
            yield PolicyRule(frozenset({verb}), paths=frozenset({path}))


def _covers(owned: PolicyRule, single: PolicyRule) -> bool:
    """Whether one rule has a single right; rights on all of something are covered by rights on all of it only."""
    if not ("*" in owned.verbs or single.verbs <= owned.verbs):
        return False
    if single.paths:
        return all(any(_has_path(each, path) for each in owned.paths) for path in single.paths)
    if not ("*" in owned.groups or single.groups <= owned.groups):
        return False
    if owned.names and not (single.names and single.names <= owned.names):
        return False
    (resource,) = single.resources
    _, _, part = resource.partition("/")
    return "*" in owned.resources or resource in owned.resources or (bool(part) and f"*/{part}" in owned.resources)


def _has_path(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def _compact(missing: Iterable[PolicyRule]) -> list[str]:
    """Single rights as Kubernetes shows them: the verbs on one thing together."""
    verbs: dict[PolicyRule, list[str]] = {}
    for rule in missing:
        key = rule._replace(verbs=frozenset({""} if not rule.paths else rule.verbs))
        verbs.setdefault(key, []).extend(rule.verbs)
    return sorted(_shown(rule, found) for rule, found in verbs.items())


def _shown(rule: PolicyRule, verbs: Sequence[str]) -> str:
    parts = (
        ("APIGroups", rule.groups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.paths),
        ("ResourceNames", rule.names),
        ("Verbs", verbs),
    )
    shown = (f"{title}:[{' '.join(map(quoted, values))}]" for title, values in parts if values)
    return f"{{{', '.join(shown)}}}"
