"""What is served under which path: every built-in resource of Kubernetes, and those that definitions add at run time.

Of kinds without a type in ``state.objects``, ``built_in`` and ``crd_kind`` know what they need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple, Protocol

from reconciler.apiserver.built_in import BuiltInKind
from reconciler.apiserver.messages import Merged, messages, name_of_message
from reconciler.apiserver.versions import CONVERSIONS, Conversion
from rules.scale import ScalePaths
from state.errors import Problem
from state.objects import KINDS, AnyObject, Object

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_CHANGE = ("get", "patch", "update")
_READ = ("get", "list")
#: Namespaces can only be deleted one by one.
_SINGLE = tuple(verb for verb in VERBS if verb != "deletecollection")


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
        """All of an object but its identity, with defaults and without unknown fields; and the paths of those.

        Raises:
            MistypedError: a value has a wrong type (built-in kinds only).
        """

    def problems(self, new: AnyObject, old: AnyObject | None) -> Iterable[Problem]:
        """What of an object isn't allowed, or not as a change of the old one."""


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
    #: How it is related to the version that is stored, if that is another one.
    conversion: Conversion | None = None

    @property
    def merged(self) -> Merged | None:
        """What strategic merge patches and server-side apply know the fields from; None if they don't."""
        if self.type is not None:
            return self.type
        return self.custom.message if isinstance(self.custom, BuiltInKind) else None

    def problems(self, new: AnyObject, old: AnyObject | None = None) -> tuple[Problem, ...]:
        """What of an object without a type isn't allowed."""
        return () if self.custom is None else tuple(self.custom.problems(new, old))

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
_ALL = ("all",)
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
_WITH_STATUS = frozenset(
    [
        "cronjobs",
        "daemonsets",
        "deployments",
        "jobs",
        "namespaces",
        "nodes",
        "persistentvolumeclaims",
        "persistentvolumes",
        "poddisruptionbudgets",
        "pods",
        "replicasets",
        "replicationcontrollers",
        "resourcequotas",
        "services",
        "statefulsets",
        "volumeattachments",
        "customresourcedefinitions",
        "ingresses",
        "horizontalpodautoscalers",
        "certificatesigningrequests",
        "flowschemas",
        "prioritylevelconfigurations",
        "apiservices",
        "resourceclaims",
        "servicecidrs",
    ]
)
_WITH_SCALE = frozenset({"deployments", "replicasets", "replicationcontrollers", "statefulsets"})
_IN_ALL = frozenset(
    [
        "cronjobs",
        "daemonsets",
        "deployments",
        "horizontalpodautoscalers",
        "jobs",
        "pods",
        "replicasets",
        "replicationcontrollers",
        "services",
        "statefulsets",
    ]
)
#: Built-in resources without a type: plural, kind, whether namespaced, short names.
_UNTYPED: dict[str, tuple[tuple[str, str, bool, str], ...]] = {
    "v1": (("podtemplates", "PodTemplate", True, ""),),
    "admissionregistration.k8s.io/v1": (
        ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration", False, ""),
        ("validatingadmissionpolicies", "ValidatingAdmissionPolicy", False, ""),
        ("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", False, ""),
        ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration", False, ""),
    ),
    "apiextensions.k8s.io/v1": (("customresourcedefinitions", "CustomResourceDefinition", False, "crd crds"),),
    "apiregistration.k8s.io/v1": (("apiservices", "APIService", False, ""),),
    "autoscaling/v1": (("horizontalpodautoscalers", "HorizontalPodAutoscaler", True, "hpa"),),
    "autoscaling/v2": (("horizontalpodautoscalers", "HorizontalPodAutoscaler", True, "hpa"),),
    "certificates.k8s.io/v1": (("certificatesigningrequests", "CertificateSigningRequest", False, "csr"),),
    "events.k8s.io/v1": (("events", "Event", True, "ev"),),
    "flowcontrol.apiserver.k8s.io/v1": (
        ("flowschemas", "FlowSchema", False, ""),
        ("prioritylevelconfigurations", "PriorityLevelConfiguration", False, ""),
    ),
    "networking.k8s.io/v1": (
        ("ingressclasses", "IngressClass", False, ""),
        ("ingresses", "Ingress", True, "ing"),
        ("ipaddresses", "IPAddress", False, "ip"),
        ("networkpolicies", "NetworkPolicy", True, "netpol"),
        ("servicecidrs", "ServiceCIDR", False, ""),
    ),
    "node.k8s.io/v1": (("runtimeclasses", "RuntimeClass", False, ""),),
    "rbac.authorization.k8s.io/v1": (
        ("clusterrolebindings", "ClusterRoleBinding", False, ""),
        ("clusterroles", "ClusterRole", False, ""),
        ("rolebindings", "RoleBinding", True, ""),
        ("roles", "Role", True, ""),
    ),
    "resource.k8s.io/v1": (
        ("deviceclasses", "DeviceClass", False, ""),
        ("resourceclaims", "ResourceClaim", True, ""),
        ("resourceclaimtemplates", "ResourceClaimTemplate", True, ""),
        ("resourceslices", "ResourceSlice", False, ""),
    ),
    "storage.k8s.io/v1": (("volumeattributesclasses", "VolumeAttributesClass", False, "vac"),),
}


#: Built-in resources that are out of date.
_WARNINGS = {
    "ComponentStatus": "v1 ComponentStatus is deprecated in v1.19+",
    "Endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}


def _warned(kind: str) -> tuple[str, ...]:
    return (_WARNINGS[kind],) if kind in _WARNINGS else ()


def _subresources(plural: str, kind: str) -> dict[str, Subresource]:
    found = dict(_OTHER.get(plural, {}))
    if plural in _WITH_STATUS:
        found[_STATUS] = Subresource(kind, _CHANGE)
    if plural in _WITH_SCALE:
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
        categories=_ALL if plural in _IN_ALL else (),
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
    for api_version, rows in _UNTYPED.items():
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
