"""Role-based access control: what the Roles and bindings in the store allow whom, as Kubernetes' RBAC authoriser says.

The four kinds are carried without a type; what of them makes no sense allows nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

import msgspec

from reconciler.apiserver.storage import Storage
from state.errors import StateError
from state.objects import AnyObject, CustomObject, LabelSelector, decode_hook
from state.selectors import matches
from state.store.feed import Watch
from state.store.records import CompactedError

GROUP, API_VERSION = "rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1"
_PREFIX = f"/registry/{GROUP}/"
#: Who is in it may do everything, whatever the store says.
MASTERS = "system:masters"
_ANY = "*"


@dataclass(frozen=True, slots=True)
class User:
    """Who sends a request."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    #: Whatever else an authenticator knows, by key.
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def subjects(self) -> Iterator[str]:
        """The names under which bindings may mean the user."""
        yield f"User:{self.name}"
        yield from (f"Group:{group}" for group in self.groups)


class Attributes(NamedTuple):
    """What a request wants to do: a verb on a resource, or (if ``path`` isn't empty) on something else."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


class PolicyRule(NamedTuple):
    """One rule of a role."""

    verbs: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()

    def allows(self, wanted: Attributes) -> bool:
        """Whether it allows what is wanted."""
        if not _has(self.verbs, wanted.verb):
            return False
        if wanted.path:
            return any(_is_path(pattern, wanted.path) for pattern in self.paths)
        full = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
        is_meant = _has(self.resources, full) or (
            bool(wanted.subresource) and f"*/{wanted.subresource}" in self.resources
        )
        return is_meant and _has(self.groups, wanted.group) and (not self.names or wanted.name in self.names)

    def to_dict(self) -> dict[str, list[str]]:
        """The rule as a review shows it."""
        fields = zip(("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"), self, strict=True)
        return {name: sorted(values) for name, values in fields if values}


def _has(values: frozenset[str], value: str) -> bool:
    return value in values or _ANY in values


def _is_path(pattern: str, path: str) -> bool:
    return pattern in (_ANY, path) or (pattern.endswith(_ANY) and path.startswith(pattern.rstrip(_ANY)))


def _rule(value: Any) -> PolicyRule:
    def texts(name: str) -> frozenset[str]:
        items = value.get(name)
        return frozenset(item for item in items if isinstance(item, str)) if isinstance(items, list) else frozenset()

    if not isinstance(value, dict):
        return PolicyRule()
    return PolicyRule(
        *(texts(name) for name in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"))
    )


Rules = tuple[PolicyRule, ...]


def _items(body: Mapping[str, Any], name: str) -> list[Any]:
    found = body.get(name)
    return found if isinstance(found, list) else []


def rules_of(role: CustomObject) -> Rules:
    """The rules of a role; what of them makes no sense allows nothing."""
    return tuple(map(_rule, _items(role.body.value, "rules")))


class _Policy:
    """All roles and bindings of one moment, by subject."""

    def __init__(self, objects: Iterable[AnyObject]) -> None:
        self.roles: dict[tuple[str, str, str], Rules] = {}
        everywhere: dict[str, list[PolicyRule]] = defaultdict(list)
        inside: dict[tuple[str, str], list[PolicyRule]] = defaultdict(list)
        bindings = []
        for obj in objects:
            if not isinstance(obj, CustomObject):
                continue
            body = obj.body.value
            if obj.kind in ("Role", "ClusterRole"):
                self.roles[obj.kind, obj.metadata.namespace, obj.metadata.name] = rules_of(obj)
            else:
                bindings.append((obj.metadata.namespace, body))
        for namespace, body in bindings:
            rules = self._referred(namespace, body.get("roleRef"))
            for subject in filter(None, (_subject(each) for each in _items(body, "subjects"))):
                (inside[namespace, subject] if namespace else everywhere[subject]).extend(rules)
        self.everywhere = {subject: tuple(rules) for subject, rules in everywhere.items()}
        self.inside = {place: tuple(rules) for place, rules in inside.items()}

    def _referred(self, namespace: str, reference: Any) -> Rules:
        if not isinstance(reference, dict):
            return ()
        kind, name = reference.get("kind"), reference.get("name")
        if kind == "ClusterRole":
            return self.roles.get(("ClusterRole", "", str(name)), ())
        return self.roles.get(("Role", namespace, str(name)), ()) if kind == "Role" and namespace else ()


def _subject(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    kind, name = value.get("kind"), value.get("name")
    if kind == "ServiceAccount":
        return f"User:system:serviceaccount:{value.get('namespace')}:{name}"
    return f"{kind}:{name}" if kind in ("User", "Group") else ""


class Authorizer:
    """Answers whether a user may do something. It looks at the store again when roles or bindings have changed.

    Usable from any thread.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = Lock()
        self._watch: Watch | None = None
        self._policy = _Policy(())

    @property
    def is_slow(self) -> bool:
        """Whether an answer may take its time, because the store is elsewhere."""
        return self._storage.store.shared

    def allows(self, user: User, wanted: Attributes) -> bool:
        """Whether a user may do what is wanted."""
        return MASTERS in user.groups or any(rule.allows(wanted) for rule in self.rules(user, wanted.namespace))

    def rules(self, user: User, namespace: str) -> Iterator[PolicyRule]:
        """The rules that hold for a user: those for the cluster, and those of a namespace."""
        policy = self._current()
        for subject in user.subjects:
            yield from policy.everywhere.get(subject, ())
            if namespace:
                yield from policy.inside.get((namespace, subject), ())

    def rules_of_role(self, kind: str, namespace: str, name: str) -> Rules | None:
        """The rules of a Role in a namespace or of a ClusterRole; None if there is none."""
        return self._current().roles.get((kind, namespace if kind == "Role" else "", name))

    def _current(self) -> _Policy:
        with self._lock:
            if not self._is_current():
                store = self._storage.store
                watch = store.watch(_PREFIX, store.revision())
                try:
                    self._policy = _Policy(_aggregated(list(self._objects())))
                except BaseException:
                    watch.close()
                    raise
                self._watch = watch  # of this policy, and of no older one
            return self._policy

    def _is_current(self) -> bool:
        if self._watch is None:
            return False
        try:
            if not self._watch.read(0):
                return True
        except CompactedError:
            pass  # something may have changed
        self._watch.close()
        self._watch = None
        return False

    def _objects(self) -> Iterator[AnyObject]:
        for kind in ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"):
            resource = self._storage.registry.of_kind(API_VERSION, kind)
            assert resource is not None
            yield from (stored.object for stored in self._storage.all(resource))


def _aggregated(objects: list[AnyObject]) -> Iterator[AnyObject]:
    """The objects, with the rules of a ClusterRole that gathers those of others put in."""
    roles = [obj for obj in objects if isinstance(obj, CustomObject) and obj.kind == "ClusterRole"]
    for obj in objects:
        body = obj.body.value if isinstance(obj, CustomObject) else {}
        aggregation = body.get("aggregationRule") if obj.kind == "ClusterRole" else None
        if not isinstance(aggregation, dict) or not isinstance(obj, CustomObject):
            yield obj
            continue
        chosen = list(filter(None, map(_selector, _items(aggregation, "clusterRoleSelectors"))))
        rules = [
            rule
            for role in roles
            if role is not obj and any(matches(selector, role.metadata.labels) for selector in chosen)
            for rule in _items(role.body.value, "rules")
        ]
        yield msgspec.structs.replace(obj, body=type(obj.body)({**body, "rules": rules}))


def _selector(value: Any) -> LabelSelector | None:
    try:
        return msgspec.convert(value, LabelSelector, dec_hook=decode_hook)
    except (msgspec.ValidationError, StateError):
        return None
