"""Validation of rbac.authorization.k8s.io/v1."""

from __future__ import annotations

from typing import Any

from state import names
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.plain._values import Json, items, part, path_segment, selector, text

_GROUP = "rbac.authorization.k8s.io"


def role(found: Report, obj: Json) -> None:
    """Role."""
    for path, rule in items(obj, "rules", ""):
        _rule(found, path, rule, namespaced=True)


def cluster_role(found: Report, obj: Json) -> None:
    """ClusterRole; it may be put together from others."""
    for path, rule in items(obj, "rules", ""):
        _rule(found, path, rule, namespaced=False)
    aggregation = obj.get("aggregationRule")
    if aggregation is None:
        return
    if not aggregation.get("clusterRoleSelectors"):
        message = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        found.required("aggregationRule.clusterRoleSelectors", message)
    for path, value in items(aggregation, "clusterRoleSelectors", "aggregationRule"):
        before = len(found.problems)
        selector(found, path, value)
        if len(found.problems) > before:
            found.invalid(path, value, "invalid label selector.")


def _rule(found: Report, path: str, rule: Json, *, namespaced: bool) -> None:
    if not rule.get("verbs"):
        found.required(f"{path}.verbs", "verbs must contain at least one value")
    urls, own_path = rule.get("nonResourceURLs"), f"{path}.nonResourceURLs"
    if urls:
        if namespaced:
            found.invalid(own_path, urls, "namespaced rules cannot apply to non-resource URLs")
        if any(rule.get(field) for field in ("apiGroups", "resources", "resourceNames")):
            found.invalid(own_path, urls, "rules cannot apply to both regular resources and non-resource URLs")
        return
    if not rule.get("apiGroups"):
        found.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        found.required(f"{path}.resources", "resource rules must supply at least one resource")


def role_binding(found: Report, obj: Json) -> None:
    """RoleBinding."""
    _binding(found, obj, ("Role", "ClusterRole"))


def cluster_role_binding(found: Report, obj: Json) -> None:
    """ClusterRoleBinding."""
    _binding(found, obj, ("ClusterRole",))


def _binding(found: Report, obj: Json, kinds: tuple[str, ...]) -> None:
    reference = part(obj, "roleRef")
    group, kind = text(reference, "apiGroup"), text(reference, "kind")
    if group != _GROUP:
        found.unsupported("roleRef.apiGroup", group, (_GROUP,))
    if kind not in kinds:
        found.unsupported("roleRef.kind", kind, kinds)
    path_segment(found, "roleRef.name", text(reference, "name"))
    for path, subject in items(obj, "subjects", ""):
        _subject(found, path, subject, namespaced=len(kinds) > 1)


def _subject(found: Report, path: str, subject: Json, *, namespaced: bool) -> None:
    kind, group, name = text(subject, "kind"), text(subject, "apiGroup"), text(subject, "name")
    if not name:
        found.required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            checks.text(found, f"{path}.name", name, names.dns1123_subdomain)
        if group:
            found.unsupported(f"{path}.apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            found.required(f"{path}.namespace")
    elif kind in {"User", "Group"}:
        if group != _GROUP:
            found.unsupported(f"{path}.apiGroup", group, (_GROUP,))
    else:
        found.unsupported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))


def binding_update(found: Report, new: Json, old: Json) -> None:
    """A binding keeps the role that it binds."""
    if new.get("roleRef") != old.get("roleRef"):
        found.invalid("roleRef", _shown(part(new, "roleRef")), "cannot change roleRef")


def _shown(reference: Json) -> dict[str, Any]:
    """A reference to a role as the API server shows it, by the names of its own language."""
    return {
        "APIGroup": text(reference, "apiGroup"),
        "Kind": text(reference, "kind"),
        "Name": text(reference, "name"),
    }
