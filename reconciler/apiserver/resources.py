"""What is served under which path: every built-in resource of Kubernetes, and those that definitions add at run time.

Of kinds without a type in ``state.objects``, ``built_in`` and ``crd_kind`` know what they need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple, Protocol

from reconciler.apiserver.built_in import BuiltInKind
from reconciler.apiserver.messages import Merged, messages, name_of_message
from reconciler.apiserver.metadata_warnings import finalizer_warnings
from reconciler.apiserver.resource_tables import CATEGORIES, NAME_RULES, UNTYPED, WARNINGS, WITH_SCALE, WITH_STATUS
from reconciler.apiserver.versions import CONVERSIONS, Conversion
from rules.scale import ScalePaths
from rules.strategies import COUNTED_KINDS, Traits, traits_of
from state.errors import Problem
from state.names import dns1123_subdomain
from state.objects import KINDS, AnyObject, CustomObject, Object
from state.validation import validate, validate_update
from state.validation.statuses import status_problems
from state.validation.updates import Parts, told_of_custom_update, told_of_update
from state.warnings import warnings_of

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_CHANGE = ("get", "patch", "update")
_READ = ("get", "list")
#: Namespaces can only be deleted one by one.
_SINGLE = tuple(verb for verb in VERBS if verb != "deletecollection")


#: Kinds whose updates name the version that they are of.
_CONDITIONAL = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CSIStorageCapacity",
        "CustomResourceDefinition",
        "Lease",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "PodDisruptionBudget",
        "RuntimeClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    }
)


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of a resource with a path of its own; ``group`` and ``version`` are those of ``kind`` if they differ."""

    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""
    #: Where a custom resource keeps what its scale is made of.
    paths: ScalePaths | None = None


class CustomKind(Protocol):
    """What is known of a kind that has no type: ``crd`` knows custom resources and their definitions."""

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """Its OpenAPI schema, if it has one."""

    def completed(self, body: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """All of an object but its identity, with defaults and without unknown fields; and the paths of those."""

    def problems(self, new: AnyObject, old: AnyObject | None) -> Iterable[Problem]:
        """What of an object isn't allowed, or not as a change of the old one."""

    def warnings(self, new: AnyObject, old: AnyObject | None) -> Iterable[str]:
        """What is said of an object that is taken all the same."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource. ``type`` is None for a kind that is carried without being interpreted."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    subresources: Mapping[str, Subresource] = field(default_factory=dict)
    type: type[Object] | None = None
    #: Whether it comes from a CustomResourceDefinition.
    is_custom: bool = False
    #: Whether its objects are only reported, and not stored (see ``reported``).
    is_reported: bool = False
    #: What is known of a kind without a type.
    custom: CustomKind | None = None
    #: What every client is told with each answer: that it is out of date, and what came after it.
    warnings: tuple[str, ...] = ()
    #: Further fields that a custom resource can be selected by: ``spec.colour``.
    selectable: tuple[str, ...] = ()
    #: How it is related to the version that is stored, if that is another one.
    conversion: Conversion | None = None

    @property
    def merged(self) -> Merged | None:
        """What strategic merge patches and server-side apply know the fields from; None if they don't."""
        if self.type is not None:
            return self.type
        return self.message

    @property
    def message(self) -> str | None:
        """The message of a built-in kind without a type."""
        return self.custom.message if isinstance(self.custom, BuiltInKind) else None

    def problems(self, new: AnyObject, old: AnyObject | None = None) -> tuple[Problem, ...]:
        """What of an object without a type isn't allowed."""
        return () if self.custom is None else tuple(self.custom.problems(new, old))

    @property
    def needs_revision(self) -> bool:
        """Whether an update has to say which version it is of (AllowUnconditionalUpdate)."""
        return self.is_custom or self.kind in _CONDITIONAL

    def warnings_of(self, new: AnyObject, old: AnyObject | None) -> tuple[str, ...]:
        """What is said of an object that is taken all the same."""
        if self.is_custom:
            return finalizer_warnings(new, old)
        return tuple(warnings_of(new, old) if self.custom is None else self.custom.warnings(new, old))

    def problems_of_part(self, new: AnyObject, old: AnyObject, subresource: str) -> tuple[Problem, ...]:
        """What of an object isn't allowed as a change of the old one's status, or of its approval."""
        reported = status_problems(new, old) if subresource == "status" else ()
        return (
            *validate(new, self.name_rule),
            *validate_update(new, old),
            *self.problems(new, old),
            *reported,
        )

    def problems_of_update(self, new: AnyObject, old: AnyObject) -> tuple[Problem, ...]:
        """What of an object isn't allowed as a change of the old one: all of it, as often as the API server says it."""
        if self.type is not None:
            return told_of_update(new, old, Parts())
        if isinstance(self.custom, BuiltInKind):
            return told_of_update(new, old, self.custom.parts(new, old))
        if self.is_custom and isinstance(new, CustomObject):
            return (*told_of_custom_update(new, old), *self.problems(new, old))
        return self.problems_of_part(new, old, "")

    @property
    def name_rule(self) -> Callable[[str], list[str]]:
        """Which names its objects may have, if it has no type that says so."""
        return NAME_RULES.get(self.kind) or NAME_RULES.get(self.group, dns1123_subdomain)

    @property
    def traits(self) -> Traits:
        """What its registry's strategy goes by."""
        if self.type is not None:
            return traits_of(self.type)
        is_counted = self.is_custom or self.kind in COUNTED_KINDS
        return Traits("status" in self.subresources, is_counted, self.is_custom)

    @property
    def api_version(self) -> str:
        """Group and version as in a manifest."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def table(self) -> str:
        """The name under which a snapshot keeps the kind, as ``state.objects.kind_key`` of an object."""
        return self.kind if self.type is not None or not self.group else f"{self.kind}.{self.group}"

    @property
    def prefix(self) -> str:
        """Where its objects are in the store; ends with a slash."""
        if self.type is not None or not self.group:
            return f"/registry/{self.plural}/"
        return f"/registry/{self.group}/{self.plural}/"

    def key(self, namespace: str, name: str) -> str:
        """Where one object is in the store."""
        return f"{self.prefix}{namespace}/{name}" if self.namespaced else f"{self.prefix}{name}"

    def place(self, key: str) -> tuple[str, str]:
        """Namespace ("" if cluster-scoped) and name of the object with a key."""
        namespace, _, name = key[len(self.prefix) :].rpartition("/")
        return namespace, name


class Place(NamedTuple):
    """Where a request goes: a resource, an object of it, a part of that. ``namespace`` is "" for one without."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def about(self) -> tuple[str, str, str]:
        """The resource, its group and the name, as refusals name them."""
        return self.resource.plural, self.resource.group, self.name


_STATUS = "status"
_SCALE = Subresource("Scale", _CHANGE, "autoscaling", "v1")
_STREAM = ("create", "get")
_PROXY = ("create", "delete", "get", "patch", "update")
#: Subresources beside ``status`` and ``scale``.
_OTHER: dict[str, dict[str, Subresource]] = {
    "namespaces": {"finalize": Subresource("Namespace", ("update",))},
    "nodes": {"proxy": Subresource("NodeProxyOptions", _PROXY)},
    "pods": {
        "attach": Subresource("PodAttachOptions", _STREAM),
        "binding": Subresource("Binding", ("create",)),
        "ephemeralcontainers": Subresource("Pod", _CHANGE),
        "eviction": Subresource("Eviction", ("create",), "policy", "v1"),
        "exec": Subresource("PodExecOptions", _STREAM),
        "log": Subresource("Pod", ("get",)),
        "portforward": Subresource("PodPortForwardOptions", _STREAM),
        "proxy": Subresource("PodProxyOptions", _PROXY),
        "resize": Subresource("Pod", _CHANGE),
    },
    "serviceaccounts": {"token": Subresource("TokenRequest", ("create",), "authentication.k8s.io", "v1")},
    "services": {"proxy": Subresource("ServiceProxyOptions", _PROXY)},
    "certificatesigningrequests": {"approval": Subresource("CertificateSigningRequest", _CHANGE)},
}


def _warned(kind: str) -> tuple[str, ...]:
    return (WARNINGS[kind],) if kind in WARNINGS else ()


def _subresources(plural: str, kind: str) -> dict[str, Subresource]:
    found = dict(_OTHER.get(plural, {}))
    if plural in WITH_STATUS:
        found[_STATUS] = Subresource(kind, _CHANGE)
    if plural in WITH_SCALE:
        found["scale"] = _SCALE
    return dict(sorted(found.items()))


def _custom(api_version: str, kind: str) -> BuiltInKind | None:
    """What is known of a built-in kind without a type."""
    message = name_of_message(api_version, kind)
    return BuiltInKind(message) if message in messages() else None


def _resource(
    api_version: str, plural: str, kind: str, short: Iterable[str], *, namespaced: bool, typed: type[Object] | None
) -> Resource:
    group, _, version = api_version.rpartition("/")
    return Resource(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        namespaced=namespaced,
        singular=kind.lower(),
        short=tuple(short),
        categories=tuple(name for name, members in CATEGORIES.items() if plural in members),
        verbs=_SINGLE if plural == "namespaces" else VERBS,
        subresources=_subresources(plural, kind),
        type=typed,
        custom=None if typed is not None else _custom(api_version, kind),
        conversion=CONVERSIONS.get((api_version, kind)),
        warnings=_warned(kind),
    )


def _built_in() -> Iterator[Resource]:
    for kind in KINDS.values():
        yield _resource(
            kind.api_version, kind.plural, kind.name, kind.short, namespaced=kind.namespaced, typed=kind.type
        )
    yield Resource(
        "",
        "v1",
        "componentstatuses",
        "ComponentStatus",
        False,
        "componentstatus",
        ("cs",),
        verbs=_READ,
        is_reported=True,
        warnings=_warned("ComponentStatus"),
    )
    for api_version, rows in UNTYPED.items():
        for plural, name, namespaced, short in rows:
            yield _resource(api_version, plural, name, short.split(), namespaced=namespaced, typed=None)


def _path(resource: Resource) -> tuple[str, str, str]:
    return resource.group, resource.version, resource.plural


class Registry:
    """All served resources. Definitions may come and go at any time, from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self._by_table: dict[str, Resource] = {}
        self._by_prefix: dict[str, Resource] = {}
        self._index(list(_built_in()))

    def add(self, resource: Resource) -> None:
        """Serves a resource from now on, instead of one at the same path."""
        with self._lock:
            self._index([*(each for each in self._by_path.values() if _path(each) != _path(resource)), resource])

    def remove(self, resource: Resource) -> None:
        """Serves it no more."""
        with self._lock:
            self._index([each for each in self._by_path.values() if each != resource])

    def _index(self, resources: list[Resource]) -> None:
        """Replaces the tables by new ones; readers have either the old or the new ones."""
        self._by_path = {_path(each): each for each in resources}
        self._by_kind = {(each.api_version, each.kind): each for each in resources}
        stored = [each for each in resources if each.conversion is None]
        self._by_table = {each.table: each for each in stored}
        self._by_prefix = {each.prefix: each for each in stored}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at a path."""
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource of a manifest."""
        return self._by_kind.get((api_version, kind))

    def of_table(self, table: str) -> Resource | None:
        """The resource of a snapshot's kind (``state.objects.kind_key``)."""
        return self._by_table.get(table)

    def of_key(self, key: str) -> Resource | None:
        """The resource whose object a key of the store names."""
        parts = key.split("/", 4)
        return self._by_prefix.get(f"/registry/{parts[2]}/") or self._by_prefix.get(f"/registry/{parts[2]}/{parts[3]}/")

    @property
    def resources(self) -> list[Resource]:
        """All of them, sorted by group, version and plural."""
        return [self._by_path[path] for path in sorted(self._by_path)]

    @property
    def group_versions(self) -> dict[str, list[str]]:
        """The versions of each group, newest and most stable first."""
        found: dict[str, set[str]] = {}
        for group, version, _ in self._by_path:
            found.setdefault(group, set()).add(version)
        return {group: sorted(found[group], key=version_rank) for group in sorted(found)}


def version_rank(version: str) -> tuple[int, int, int]:
    """Sorts versions as Kubernetes does: v2, v1, v1beta1, v1alpha1."""
    main, stage, minor = version.removeprefix("v"), 0, "0"
    for rank, word in enumerate(("beta", "alpha"), start=1):
        if word in main:
            main, _, minor = main.partition(word)
            stage = rank
    return (stage, -int(main or 0) if main.isdecimal() else 0, -int(minor) if minor.isdecimal() else 0)
