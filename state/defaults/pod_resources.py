"""Defaults of a pod's own resources (``spec.resources``, KEP-2837), worked out from those of its containers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from state.defaults.resources import ResourceList
from state.objects import Container, PodSpec, ResourceRequirements, replace
from state.quantity import QuantityError, add, compare

_HUGE_PAGES = "hugepages-"


def pod_level_resources(spec: PodSpec) -> ResourceRequirements | None:
    """``spec.resources`` with the defaults of the API server; nothing is made up for a pod that has none.

    Limits of huge pages are those of the containers together. With limits given, what isn't requested is requested
    as the containers do together, else up to the limit.
    """
    resources = spec.resources
    if resources is None or not (resources.limits or resources.requests):
        return resources
    try:
        limits, requests = dict(resources.limits), dict(resources.requests)
        for name, quantity in together(spec, lambda needs: needs.limits).items():
            if name.startswith(_HUGE_PAGES) and name not in requests:
                limits.setdefault(name, quantity)
        if limits:
            for name, quantity in together(spec, lambda needs: needs.requests).items():
                if name in ("cpu", "memory"):
                    requests.setdefault(name, quantity)
            for name, quantity in limits.items():
                if name in ("cpu", "memory") or name.startswith(_HUGE_PAGES):
                    requests.setdefault(name, quantity)
    except QuantityError:  # validation reports it, with its path
        return resources
    if len(limits) == len(resources.limits) and len(requests) == len(resources.requests):
        return resources
    return replace(resources, limits=limits, requests=requests)


def together(spec: PodSpec, of: Callable[[ResourceRequirements], ResourceList]) -> ResourceList:
    """What the containers of a pod need at most at one time, sidecars counted from where they start."""
    running = _sum(_lists(spec.containers, of))
    sidecars: ResourceList = {}
    starting: ResourceList = {}
    for container in spec.init_containers:
        needs = of(container.resources) if container.resources is not None else {}
        if container.restart_policy == "Always":
            sidecars = _sum((sidecars, needs))
            running = _sum((running, needs))
            starting = _most(starting, sidecars)
        else:
            starting = _most(starting, _sum((sidecars, needs)))
    return _most(running, starting)


def _lists(
    containers: Iterable[Container], of: Callable[[ResourceRequirements], ResourceList]
) -> Iterable[ResourceList]:
    return (of(container.resources) for container in containers if container.resources is not None)


def _sum(lists: Iterable[ResourceList]) -> ResourceList:
    total: ResourceList = {}
    for resources in lists:
        for name, quantity in resources.items():
            total[name] = add(total[name], quantity) if name in total else quantity
    return total


def _most(one: ResourceList, other: ResourceList) -> ResourceList:
    most = dict(one)
    for name, quantity in other.items():
        if name not in most or compare(quantity, most[name]) > 0:
            most[name] = quantity
    return most
