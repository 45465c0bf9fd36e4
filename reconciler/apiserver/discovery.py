"""What a server says about itself: the groups, versions and resources that it serves, and its release."""

from __future__ import annotations

import platform
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from reconciler.apiserver.resources import Registry, Resource, Subresource

#: The release whose behaviour is followed.
MAJOR, MINOR, PATCH = "1", "36", "2"
#: Core resources that aren't stored.
_VIRTUAL: dict[str, tuple[dict[str, Any], ...]] = {
    "v1": (
        {
            "name": "bindings",
            "singularName": "binding",
            "namespaced": True,
            "kind": "Binding",
            "verbs": ["create"],
        },
    ),
    "authentication.k8s.io/v1": (
        {
            "name": "selfsubjectreviews",
            "singularName": "selfsubjectreview",
            "namespaced": False,
            "kind": "SelfSubjectReview",
            "verbs": ["create"],
        },
        {
            "name": "tokenreviews",
            "singularName": "tokenreview",
            "namespaced": False,
            "kind": "TokenReview",
            "verbs": ["create"],
        },
    ),
    "authorization.k8s.io/v1": tuple(
        {
            "name": f"{kind.lower()}s",
            "singularName": kind.lower(),
            "namespaced": kind.startswith("Local"),
            "kind": kind,
            "verbs": ["create"],
        }
        for kind in (
            "LocalSubjectAccessReview",
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        )
    ),
}


#: The group of the aggregator itself, which comes first.
AGGREGATOR = "apiregistration.k8s.io"
#: kube-apiserver's priorities of the other built-in groups (APIServices have them as ``groupPriorityMinimum``).
PRIORITIES = {
    "": 18_000,
    "apps": 17_800,
    "events.k8s.io": 17_750,
    "authentication.k8s.io": 17_700,
    "authorization.k8s.io": 17_600,
    "autoscaling": 17_500,
    "batch": 17_400,
    "certificates.k8s.io": 17_300,
    "networking.k8s.io": 17_200,
    "policy": 17_100,
    "rbac.authorization.k8s.io": 17_000,
    "storage.k8s.io": 16_800,
    "admissionregistration.k8s.io": 16_700,
    "apiextensions.k8s.io": 16_700,
    "scheduling.k8s.io": 16_600,
    "coordination.k8s.io": 16_500,
    "node.k8s.io": 16_300,
    "discovery.k8s.io": 16_200,
    "flowcontrol.apiserver.k8s.io": 16_100,
    "resource.k8s.io": 15_900,
}


def version() -> dict[str, Any]:
    """The answer of /version."""
    release = f"v{MAJOR}.{MINOR}.{PATCH}"
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": MAJOR,
        "minor": MINOR,
        "emulationMajor": MAJOR,
        "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR,
        "minCompatibilityMinor": str(int(MINOR) - 1),
        "gitVersion": release,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "cpython",
        "platform": f"linux/{machine}",
    }


def index(registry: Registry, pages: Iterable[str]) -> dict[str, Any]:
    """The answer of /: every path that isn't below a version; ``pages`` are those beside the API itself."""
    versions = ((name, each) for name, found in served_versions(registry).items() for each in found if name)
    groups = {path for name, each in versions for path in (f"/apis/{name}", f"/apis/{name}/{each}")}
    return {"paths": sorted({"/api", "/api/v1", "/apis", "/apis/", "/version", *groups, *pages})}


def core_versions(address: str) -> dict[str, Any]:
    """The answer of /api; ``address`` is the server's own."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def served_versions(registry: Registry) -> dict[str, list[str]]:
    """The versions of each group, those without stored resources included."""
    versions = registry.group_versions
    for api_version in _VIRTUAL:
        group, _, name = api_version.rpartition("/")
        if name not in versions.setdefault(group, []):
            versions[group].append(name)
    return {name: versions[name] for name in sorted(versions, key=_rank)}


def _rank(name: str) -> tuple[bool, int, str]:
    """Sorts groups by their priority: clients take a short name or kind from the first group that has it."""
    return name != AGGREGATOR, -PRIORITIES.get(name, 0), name


def group(name: str, versions: list[str]) -> dict[str, Any]:
    """An APIGroup."""
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def group_list(registry: Registry) -> dict[str, Any]:
    """The answer of /apis."""
    groups = [group(name, versions) for name, versions in served_versions(registry).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def one_group(registry: Registry, name: str) -> dict[str, Any] | None:
    """The answer of /apis/GROUP, None if there is no such group."""
    versions = served_versions(registry).get(name) if name else None
    return None if versions is None else {"kind": "APIGroup", "apiVersion": "v1", **group(name, versions)}


def resource_list(registry: Registry, group_name: str, version_name: str) -> dict[str, Any] | None:
    """The answer of /api/v1 and /apis/GROUP/VERSION, None if that isn't served."""
    api_version = f"{group_name}/{version_name}" if group_name else version_name
    found = [each for each in registry.resources if (each.group, each.version) == (group_name, version_name)]
    virtual = _VIRTUAL.get(api_version, ())
    if not found and not virtual:
        return None
    rows = [*virtual, *(row for resource in found for row in _rows(resource))]
    if not all(each.is_custom for each in found) or virtual:
        rows.sort(key=lambda row: row["name"].split("/"))
    head: dict[str, Any] = {"kind": "APIResourceList"}
    if group_name:
        head["apiVersion"] = "v1"
    return {**head, "groupVersion": api_version, "resources": rows}


def _rows(resource: Resource) -> list[dict[str, Any]]:
    main: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short:
        main["shortNames"] = list(resource.short)
    if resource.categories:
        main["categories"] = list(resource.categories)
    if not resource.is_reported:
        main["storageVersionHash"] = _hash(resource)
    return [main, *(_row(resource, name, part) for name, part in resource.subresources.items())]


def _row(resource: Resource, name: str, part: Subresource) -> dict[str, Any]:
    row: dict[str, Any] = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
    if part.version:
        row |= {"group": part.group, "version": part.version}
    return {**row, "kind": part.kind, "verbs": list(part.verbs)}


def _hash(resource: Resource) -> str:
    """Tells one way of storing a kind from another; opaque to clients."""
    api_version = resource.api_version if resource.conversion is None else resource.conversion.stored[0]
    group_name, _, version_name = api_version.rpartition("/")
    text = f"{group_name}/{version_name}/{resource.kind}"
    return b64encode(sha256(text.encode()).digest()[:8]).decode()


# -- aggregated discovery ----------------------------------------------------------------------------------------------


def aggregated(registry: Registry, *, core: bool) -> dict[str, Any]:
    """An APIGroupDiscoveryList (apidiscovery.k8s.io/v2): of /api with ``core``, else of /apis."""
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": None} if name else {"creationTimestamp": None},
            "versions": [_aggregated_version(registry, name, each) for each in versions],
        }
        for name, versions in served_versions(registry).items()
        if core != bool(name)
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated_version(registry: Registry, group_name: str, version_name: str) -> dict[str, Any]:
    found = resource_list(registry, group_name, version_name)
    assert found is not None
    is_custom = any(each.is_custom for each in registry.resources if each.group == group_name)
    resources: dict[str, dict[str, Any]] = {}
    for row in found["resources"]:
        name, _, part = row["name"].partition("/")
        own = (group_name, version_name) if is_custom else ("", "")  # that of built-in kinds goes without saying
        kind = {"group": row.get("group", own[0]), "version": row.get("version", own[1]), "kind": row["kind"]}
        if part:
            entry = {"subresource": part, "responseKind": kind, "verbs": row["verbs"]}
            resources[name].setdefault("subresources", []).append(entry)
            continue
        resources[name] = {
            "resource": name,
            "responseKind": kind,
            "scope": "Namespaced" if row["namespaced"] else "Cluster",
            "singularResource": row["singularName"],
            "verbs": row["verbs"],
        }
        resources[name] |= {field: row[field] for field in ("shortNames", "categories") if field in row}
    return {"version": version_name, "resources": list(resources.values()), "freshness": "Current"}
