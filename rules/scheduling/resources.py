"""What a pod requests of a node, in the units in which kube-scheduler counts.

CPU is in millicores, everything else in whole units (bytes for memory), each sum rounded up once, as NodeInfo does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from state.objects import Container, ContainerStatus, Pod, PodSpec
from state.objects import Quantity as QuantityText
from state.quantity import parse

CPU = "cpu"
MEMORY = "memory"
EPHEMERAL_STORAGE = "ephemeral-storage"
PODS = "pods"
HUGE_PAGES = "hugepages-"

#: What a container that requests no CPU counts as in scores (millicores).
DEFAULT_CPU = 100
#: What a container that requests no memory counts as in scores (bytes).
DEFAULT_MEMORY = 200 * 1024 * 1024

_NANO = 10**9
_DEFAULTS = {CPU: DEFAULT_CPU * 10**6, MEMORY: DEFAULT_MEMORY * _NANO}
_NATIVE_PREFIX = "kubernetes.io/"
_ATTACHABLE = "attachable-volumes-"

#: Resource name -> billionths of a unit.
_Nanos = dict[str, int]


def units(resource: str, nanos: int) -> int:
    """An exact amount in the unit of its resource, rounded up."""
    return -(-nanos // 10**6) if resource == CPU else -(-nanos // _NANO)


def amount(resource: str, quantity: QuantityText) -> int:
    """A quantity in the unit of its resource, rounded up."""
    return units(resource, parse(quantity).nanos)


def is_scalar(resource: str) -> bool:
    """Whether NodeInfo counts the resource: extended ones, huge pages, attachable volumes, prefixed native ones."""
    return resource.startswith((HUGE_PAGES, _ATTACHABLE)) or _NATIVE_PREFIX in resource or is_extended(resource)


def is_extended(resource: str) -> bool:
    """Whether somebody else than Kubernetes offers the resource."""
    return "/" in resource and _NATIVE_PREFIX not in resource and not resource.startswith("requests.")


def is_counted(resource: str) -> bool:
    """Whether a node's or a pod's amount of the resource matters to the scheduler."""
    return resource in (CPU, MEMORY, EPHEMERAL_STORAGE) or is_scalar(resource)


def pod_requests(pod: Pod, missing: Mapping[str, int] | None = None, *, with_pod_level: bool = True) -> dict[str, int]:
    """The pod's effective request by resource, as component-helpers' PodRequests with every default gate.

    Containers and sidecars add up; an init container counts with the sidecars started before it, at its peak;
    pod-level resources replace the sum; overhead comes on top. ``missing`` is what a container without a request of
    a resource counts as (billionths).
    """
    total = _containers_total(pod, missing or {})
    spec = pod.spec
    if with_pod_level and pod_level(spec):
        assert spec.resources is not None
        for resource, quantity in spec.resources.requests.items():
            if _is_pod_level(resource):
                total[resource] = parse(quantity).nanos
    _add(total, _nanos(spec.overhead))
    return {resource: units(resource, nanos) for resource, nanos in total.items()}


def non_zero_requests(pod: Pod) -> tuple[int, int]:
    """CPU and memory that a pod *already on* a node counts for in scores, as NodeInfo's NonZeroRequested."""
    missing = dict(_DEFAULTS)
    if pod_level(pod.spec):
        stated = pod_requests(pod)
        missing = {resource: nanos for resource, nanos in missing.items() if resource not in stated}
    requests = pod_requests(pod, missing)
    return requests.get(CPU, 0), requests.get(MEMORY, 0)


def incoming_requests(pod: Pod) -> tuple[int, int]:
    """CPU and memory that a pod *being scheduled* counts for in the score of NodeResourcesFit (no pod-level ones)."""
    requests = pod_requests(pod, _DEFAULTS, with_pod_level=False)
    return requests.get(CPU, 0), requests.get(MEMORY, 0)


def pod_level(spec: PodSpec) -> bool:
    """Whether the pod itself, not only its containers, requests something (PodLevelResources)."""
    return spec.resources is not None and any(_is_pod_level(name) for name in spec.resources.requests)


def _is_pod_level(resource: str) -> bool:
    return resource in (CPU, MEMORY) or resource.startswith(HUGE_PAGES)


def _containers_total(pod: Pod, missing: Mapping[str, int]) -> _Nanos:
    status = pod.status
    total: _Nanos = {}
    for container in pod.spec.containers:
        _add(total, _requests(pod, container, status.container_statuses, missing))
    sidecars: _Nanos = {}
    peak: _Nanos = {}
    for container in pod.spec.init_containers:
        is_sidecar = container.restart_policy == "Always"
        request = _requests(pod, container, status.init_container_statuses if is_sidecar else (), missing)
        if is_sidecar:
            _add(total, request)
            _add(sidecars, request)
            request = sidecars
        else:
            _add(request, sidecars)
        _raise_to(peak, request)
    _raise_to(total, peak)
    return total


def _requests(
    pod: Pod, container: Container, statuses: Iterable[ContainerStatus], missing: Mapping[str, int]
) -> _Nanos:
    request = _nanos(container.resources.requests) if container.resources is not None else {}
    for status in statuses:
        if status.name == container.name and status.resources is not None:
            request = _resized(pod, request, status)
            break
    for resource, nanos in missing.items():
        request.setdefault(resource, nanos)
    return request


def _resized(pod: Pod, spec: _Nanos, status: ContainerStatus) -> _Nanos:
    """A container being resized in place counts with the most of what it wants, has and was promised."""
    infeasible = any(c.type == "PodResizePending" and c.reason == "Infeasible" for c in pod.status.conditions)
    request: _Nanos = {} if infeasible else dict(spec)
    assert status.resources is not None
    _raise_to(request, _nanos(status.resources.requests))
    _raise_to(request, _nanos(status.allocated_resources))
    return request


def _nanos(quantities: Mapping[str, QuantityText]) -> _Nanos:
    return {resource: parse(quantity).nanos for resource, quantity in quantities.items()}


def _add(total: _Nanos, more: Mapping[str, int]) -> None:
    for resource, nanos in more.items():
        total[resource] = total.get(resource, 0) + nanos


def _raise_to(total: _Nanos, other: Mapping[str, int]) -> None:
    for resource, nanos in other.items():
        if nanos > total.get(resource, -1):
            total[resource] = nanos
