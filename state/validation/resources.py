"""Validation of resources: their names, their quantities, and what containers request of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache

from state import names
from state.objects import Quantity, ResourceClaim, ResourceRequirements
from state.quantity import Amount, QuantityError, canonical, parse
from state.validation import _checks as checks
from state.validation._report import Report

ResourceList = dict[str, Quantity]

_COMPUTE = ("cpu", "memory")
_CONTAINER = ("cpu", "memory", "ephemeral-storage")
_COUNTED = (
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
)
_SHARES = tuple(f"{side}.{name}" for side in ("requests", "limits") for name in _CONTAINER)
_QUOTA = frozenset((*_CONTAINER, *_SHARES, *_COUNTED, "requests.storage"))
_STANDARD = frozenset((*_QUOTA, "storage"))
_HUGE_PAGES = "hugepages-"


def is_huge_page(name: str) -> bool:
    """Whether a resource is huge pages of some size."""
    return name.startswith(_HUGE_PAGES)


def may_overcommit(name: str) -> bool:
    """Whether a limit may be above the request: not of huge pages, nor of devices."""
    return _is_native(name) and not is_huge_page(name)


def is_standard_quota(name: str) -> bool:
    """Whether a quota knows the resource without a domain before it."""
    return name in _QUOTA or name.startswith((_HUGE_PAGES, f"requests.{_HUGE_PAGES}"))


def resource_name(found: Report, path: str, name: str) -> None:
    """A resource is one of Kubernetes' own or has a domain."""
    messages = names.qualified_name(name)
    found.each_invalid(path, name, messages)
    if not messages and "/" not in name and name not in _STANDARD and not is_standard_quota(name):
        found.invalid(path, name, "must be a standard resource type or fully qualified")


def container_resource_name(found: Report, path: str, name: str) -> None:
    """A resource that a container can use."""
    resource_name(found, path, name)
    if "/" not in name:
        if name not in _CONTAINER and not is_huge_page(name):
            found.invalid(path, name, "must be a standard resource for containers")
    elif not _is_native(name) and not is_extended(name):
        found.invalid(path, name, "doesn't follow extended resource name standard")


def pod_resource_name(found: Report, path: str, name: str) -> None:
    """A resource that can be given for a pod as a whole."""
    before = len(found.problems)
    resource_name(found, path, name)
    if len(found.problems) == before and name not in _COMPUTE and not is_huge_page(name):
        found.unsupported(path, name, ("cpu", "hugepages-", "memory"))


def quota_resource_name(found: Report, path: str, name: str) -> None:
    """A resource that a quota can limit."""
    resource_name(found, path, name)
    if "/" not in name and not is_standard_quota(name):
        found.invalid(path, name, "must be a standard resource for quota")


def resource_quantity(found: Report, path: str, name: str, value: Quantity) -> Amount | None:
    """An amount of a resource: not negative, and whole for what is counted in pieces."""
    amount = checks.quantity(found, path, value)
    if amount is not None:
        if amount.nanos < 0:
            found.invalid(path, canonical(value), "must be greater than or equal to 0")
        if (name in _COUNTED or is_extended(name)) and amount.milli() % 1000:
            found.invalid(path, canonical(value), checks.NOT_INTEGER)
    return amount


def requirements(
    found: Report,
    path: str,
    needs: ResourceRequirements,
    claims: Collection[str] = (),
    name_rule: Callable[[Report, str, str], None] = container_resource_name,
) -> None:
    """What a container requests and is limited to; ``claims`` are the names of the pod's resource claims."""
    limits = _amounts(found, f"{path}.limits", needs.limits, name_rule)
    for name, value in sorted(needs.requests.items()):
        request_path = f"{path}.requests[{name}]"
        name_rule(found, request_path, name)
        amount = resource_quantity(found, request_path, name, value)
        if name not in needs.limits:
            if not may_overcommit(name):
                found.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        elif amount is not None and (limit := limits.get(name)) is not None:
            if amount != limit and not may_overcommit(name):
                message = f"must be equal to {name} limit of {canonical(needs.limits[name])}"
                found.invalid(f"{path}.requests", canonical(value), message)
            elif amount > limit:
                message = f"must be less than or equal to {name} limit of {canonical(needs.limits[name])}"
                found.invalid(f"{path}.requests", canonical(value), message)
        _huge_pages(found, request_path, name, value, amount)
    named = needs.limits.keys() | needs.requests.keys()
    if any(map(is_huge_page, named)) and not named & set(_COMPUTE):
        found.forbidden(path, "HugePages require cpu or memory")
    _claims(found, f"{path}.claims", needs.claims, claims)


def _amounts(
    found: Report, path: str, resources: ResourceList, name_rule: Callable[[Report, str, str], None]
) -> dict[str, Amount | None]:
    amounts = {}
    for name, value in sorted(resources.items()):
        own_path = f"{path}[{name}]"
        name_rule(found, own_path, name)
        amounts[name] = resource_quantity(found, own_path, name, value)
        _huge_pages(found, own_path, name, value, amounts[name])
    return amounts


def _huge_pages(found: Report, path: str, name: str, value: Quantity, amount: Amount | None) -> None:
    if amount is None or not is_huge_page(name):
        return
    size = _page_size(name)
    if size <= 0 or amount.value() % size:
        shown = canonical(value)
        found.invalid(path, shown, f"{shown} is not positive integer multiple of {name}")


def _page_size(name: str) -> int:
    """The bytes of a page, 0 if the name doesn't tell."""
    try:
        size = parse(name.removeprefix(_HUGE_PAGES))
    except QuantityError:
        return 0
    return 0 if size.milli() % 1000 else size.value()


def _claims(found: Report, path: str, claims: tuple[ResourceClaim, ...], known: Collection[str]) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        own_path, key = f"{path}[{index}]", f"{claim.name}/{claim.request}" if claim.request else claim.name
        if not claim.name:
            found.required(own_path)
            continue
        if claim.name in seen or key in seen:
            found.duplicate(own_path, claim.name if claim.name in seen else key)
        elif claim.request:
            checks.text(found, f"{own_path}.request", claim.request, names.dns1123_label)
        elif any(other.startswith(f"{claim.name}/") for other in seen):
            found.duplicate(own_path, claim.name)
        seen.add(key)
        if claim.name not in known:
            message = f": {', '.join(sorted(known))}" if known else " which is empty"
            found.not_found(own_path, claim.name, f"must be one of the names in pod.spec.resourceClaims{message}")


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


@lru_cache(4096)
def is_extended(name: str) -> bool:
    """Whether a resource is neither Kubernetes' own nor one of a quota (``IsExtendedResourceName``)."""
    return not _is_native(name) and not name.startswith("requests.") and not names.qualified_name(f"requests.{name}")
