"""Validation of what bounds the resources of a namespace: LimitRange and ResourceQuota (v1)."""

from __future__ import annotations

from state import names
from state.objects import LimitRange, LimitRangeItem, Quantity, ResourceQuota, ResourceQuotaSpec
from state.quantity import Amount
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.differences import internal
from state.validation.metadata import object_meta
from state.validation.resources import (
    container_resource_name,
    is_standard_quota,
    may_overcommit,
    quota_resource_name,
    resource_name,
    resource_quantity,
)

_LIMIT_TYPES = frozenset({"Container", "PersistentVolumeClaim", "Pod"})
_SCOPES = frozenset(
    {
        "BestEffort",
        "CrossNamespacePodAffinity",
        "NotBestEffort",
        "NotTerminating",
        "PriorityClass",
        "Terminating",
        "VolumeAttributesClass",
    }
)
_EXISTING_SCOPES = _SCOPES - {"PriorityClass", "VolumeAttributesClass"}
_CONFLICTS = (frozenset({"BestEffort", "NotBestEffort"}), frozenset({"Terminating", "NotTerminating"}))
_ONLY_EXISTS = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)
_COMPUTE_QUOTA = frozenset(
    {"cpu", "memory", "pods"} | {f"{side}.{name}" for side in ("limits", "requests") for name in ("cpu", "memory")}
)


def limit_range(found: Report, obj: LimitRange) -> None:
    """LimitRange (v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    seen: set[str] = set()
    for index, item in enumerate(obj.spec.limits):
        path = f"spec.limits[{index}]"
        messages = names.qualified_name(item.type)
        found.each_invalid(f"{path}.type", item.type, messages)
        if not messages and "/" not in item.type and item.type not in _LIMIT_TYPES:
            message = "must be a standard limit type or fully qualified"
            found.invalid(f"{path}.type", item.type, message)
        if item.type in seen:
            found.duplicate(f"{path}.type", item.type)
        seen.add(item.type)
        _limits(found, path, item)


def _limits(found: Report, path: str, item: LimitRangeItem) -> None:
    for name, given in (("default", item.default), ("defaultRequest", item.default_request)):
        if given and item.type == "Pod":
            found.forbidden(f"{path}.{name}", "may not be specified when `type` is 'Pod'")
    amounts = {
        "max": _amounts(found, f"{path}.max", item.max, item.type),
        "min": _amounts(found, f"{path}.min", item.min, item.type),
        "default": {},
        "defaultRequest": {},
    }
    if item.type != "Pod":
        amounts["default"] = _amounts(found, f"{path}.default", item.default, item.type)
        amounts["defaultRequest"] = _amounts(found, f"{path}.defaultRequest", item.default_request, item.type)
    if item.type == "PersistentVolumeClaim" and "storage" not in item.min and "storage" not in item.max:
        message = "either minimum or maximum storage value is required, but neither was provided"
        found.required(f"{path}.limits", message)
    amounts["ratio"] = _amounts(found, f"{path}.maxLimitRequestRatio", item.max_limit_request_ratio, item.type)
    for name in sorted(set().union(*amounts.values())):
        _order(found, path, name, {side: amount[name] for side, amount in amounts.items() if name in amount})


def _amounts(found: Report, path: str, resources: dict[str, Quantity], kind: str) -> dict[str, Amount]:
    amounts = {}
    for name, value in sorted(resources.items()):
        own_path = f"{path}[{name}]"
        if kind in {"Pod", "Container"}:
            container_resource_name(found, own_path, name)
        else:
            resource_name(found, own_path, name)
        amount = checks.quantity(found, own_path, value)
        if amount is not None:
            amounts[name] = amount
    return amounts


def _order(found: Report, path: str, name: str, given: dict[str, Amount]) -> None:
    """The order is min ≤ default request ≤ default ≤ max, so far as they are given."""
    words = {"min": "min", "max": "max", "default": "default", "defaultRequest": "default request"}
    for low, high, at, shown in (
        ("min", "max", "min", "min"),
        ("min", "defaultRequest", "defaultRequest", "defaultRequest"),
        ("defaultRequest", "max", "defaultRequest", "defaultRequest"),
        ("defaultRequest", "default", "defaultRequest", "defaultRequest"),
        ("min", "default", "default", "min"),
        ("default", "max", "default", "max"),
    ):
        if low in given and high in given and given[low] > given[high]:
            limit = "default limit" if (low, high) == ("defaultRequest", "default") else words[high]
            message = f"{words[low]} value {given[low]} is greater than {limit} value {given[high]}"
            found.invalid(f"{path}.{at}[{name}]", str(given[shown]), message)
    ratio = given.get("ratio")
    if ratio is not None:
        _ratio(found, f"{path}.maxLimitRequestRatio[{name}]", ratio, given)
    default, request = given.get("default"), given.get("defaultRequest")
    if not may_overcommit(name) and default is not None and request is not None and default != request:
        message = f"default value {default} must equal to defaultRequest value {request} in {name}"
        found.invalid(f"{path}.defaultRequest[{name}]", str(request), message)


def _ratio(found: Report, path: str, ratio: Amount, given: dict[str, Amount]) -> None:
    if ratio.milli() < 1000:
        found.invalid(path, str(ratio), f"ratio {ratio} is less than 1")
    if "min" in given and "max" in given and given["min"].nanos:
        highest = given["max"].milli() / given["min"].milli()
        if ratio.milli() / 1000 > highest:
            found.invalid(path, str(ratio), f"ratio {ratio} is greater than max/min = {highest:f}")


def resource_quota(found: Report, obj: ResourceQuota) -> None:
    """ResourceQuota (v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    _quantities(found, "spec.hard", obj.spec.hard)
    _scopes(found, obj.spec)
    _scope_selector(found, obj.spec)
    _quantities(found, "status.hard", obj.status.hard)
    _quantities(found, "status.used", obj.status.used)


def _quantities(found: Report, path: str, given: dict[str, Quantity]) -> None:
    for name, value in sorted(given.items()):
        quota_resource_name(found, f"{path}[{name}]", name)
        resource_quantity(found, f"{path}[{name}]", name, value)


def _scopes(found: Report, spec: ResourceQuotaSpec) -> None:
    path, value = "spec.scopes", list(spec.scopes)
    for scope in spec.scopes:
        if scope not in _SCOPES:
            found.invalid(path, value, "unsupported scope")
        for name in sorted(spec.hard):
            if is_standard_quota(name) and not _applies(scope, name):
                found.invalid(path, value, "unsupported scope applied to resource")
    if any(pair <= set(spec.scopes) for pair in _CONFLICTS):
        found.invalid(path, value, "conflicting scopes")


def _applies(scope: str, name: str) -> bool:
    """Whether a scope says anything about a resource."""
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in {"persistentvolumeclaims", "requests.storage"}
    return scope not in _SCOPES or name in _COMPUTE_QUOTA


def _scope_selector(found: Report, spec: ResourceQuotaSpec) -> None:
    if spec.scope_selector is None:
        return
    path, used = "spec.scopeSelector.matchExpressions", set()
    for requirement in spec.scope_selector.match_expressions:
        scope, operator, values = requirement.scope_name, requirement.operator, list(requirement.values)
        if scope not in _SCOPES:
            found.invalid(f"{path}.scopeName", scope, "unsupported scope")
        for name in sorted(spec.hard):
            if is_standard_quota(name) and not _applies(scope, name):
                found.invalid(
                    path, internal("ScopeSelector", spec.scope_selector), "unsupported scope applied to resource"
                )
        if scope in _EXISTING_SCOPES and operator != "Exists":
            found.invalid(f"{path}.operator", operator, _ONLY_EXISTS)
        if operator in {"In", "NotIn"}:
            if not values:
                message = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                found.required(f"{path}.values", message)
        elif operator in {"Exists", "DoesNotExist"}:
            if values:
                message = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                found.invalid(f"{path}.values", values, message)
        else:
            found.invalid(f"{path}.operator", operator, "not a valid selector operator")
        used.add(scope)
    if any(pair <= used for pair in _CONFLICTS):
        found.invalid(path, list(spec.scopes), "conflicting scopes")


def resource_quota_update(found: Report, new: ResourceQuota, old: ResourceQuota) -> None:
    """A quota keeps its scopes."""
    if set(new.spec.scopes) != set(old.spec.scopes):
        found.invalid("spec.scopes", list(new.spec.scopes), checks.IMMUTABLE)
