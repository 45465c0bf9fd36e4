"""LimitRanger: the defaults and bounds that a namespace's LimitRanges set for what is created in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from state.objects import (
    Container,
    LimitRange,
    LimitRangeItem,
    PersistentVolumeClaim,
    Pod,
    Quantity,
    ResourceRequirements,
    replace,
)
from state.quantity import add, canonical, compare, milli

Resources = Mapping[str, Quantity]
_ANNOTATION = "kubernetes.io/limit-ranger"


def limit_pod(pod: Pod, ranges: Sequence[LimitRange]) -> Pod:
    """The pod with the defaults of the LimitRanges, and an annotation that says which were set."""
    told: list[str] = []
    spec = pod.spec
    for field, what in (("containers", "container"), ("init_containers", "init container")):
        containers = tuple(
            _limited(container, _items(ranges, "Container"), what, told) for container in getattr(spec, field)
        )
        spec = replace(spec, **{field: containers})
    if not told:
        return pod
    annotations = {**pod.metadata.annotations, _ANNOTATION: f"LimitRanger plugin set: {'; '.join(told)}"}
    return replace(pod, spec=spec, metadata=replace(pod.metadata, annotations=annotations))


def _items(ranges: Sequence[LimitRange], kind: str) -> list[LimitRangeItem]:
    return [item for each in ranges for item in each.spec.limits if item.type == kind]


def _limited(container: Container, items: Iterable[LimitRangeItem], what: str, told: list[str]) -> Container:
    resources = container.resources or ResourceRequirements()
    limits, requests = dict(resources.limits), dict(resources.requests)
    new_requests, new_limits = [], []
    for item in items:
        for name, amount in item.default.items():
            if name not in limits:
                limits[name] = amount
                new_limits.append(name)
        for name, amount in item.default_request.items():
            if name not in requests:
                requests[name] = amount
                new_requests.append(name)
    for names, word in ((new_requests, "request"), (new_limits, "limit")):
        if names:
            told.append(f"{', '.join(sorted(names))} {word} for {what} {container.name}")
    if not new_requests and not new_limits:
        return container
    return replace(container, resources=replace(resources, limits=limits, requests=requests))


def limit_problems(obj: Pod | PersistentVolumeClaim, ranges: Sequence[LimitRange]) -> list[str]:
    """In which ways an object is out of bounds, in LimitRanger's words."""
    if isinstance(obj, PersistentVolumeClaim):
        requests = {} if obj.spec.resources is None else obj.spec.resources.requests
        return [
            problem
            for item in _items(ranges, "PersistentVolumeClaim")
            for problem in (*_too_little(item, requests, {}), *_too_much(item, requests, requests, is_claim=True))
        ]
    problems: list[str] = []
    for item in _items(ranges, "Container"):
        for container in (*obj.spec.containers, *obj.spec.init_containers):
            resources = container.resources or ResourceRequirements()
            problems += _too_little(item, resources.requests, resources.limits)
            problems += _too_much(item, resources.requests, resources.limits)
            problems += _too_far_apart(item, resources.requests, resources.limits)
    for item in _items(ranges, "Pod"):
        requests, limits = _total(obj, "requests"), _total(obj, "limits")
        problems += _too_little(item, requests, limits)
        problems += _too_much(item, requests, limits)
        problems += _too_far_apart(item, requests, limits)
    return problems


def _total(pod: Pod, field: str) -> dict[str, Quantity]:
    """What all containers of a pod ask for together, where each of them says."""
    lists = [getattr(container.resources or ResourceRequirements(), field) for container in pod.spec.containers]
    total: dict[str, Quantity] = {}
    for resources in lists:
        for name, amount in resources.items():
            total[name] = add(total[name], amount) if name in total else amount
    return total


def _too_little(item: LimitRangeItem, requests: Resources, limits: Resources) -> Iterable[str]:
    for name, bound in sorted(item.min.items()):
        request, limit = requests.get(name), limits.get(name)
        least = f"minimum {name} usage per {item.type} is {canonical(bound)}"
        if request is None:
            yield f"{least}.  No request is specified"
        elif compare(request, bound) < 0:
            yield f"{least}, but request is {canonical(request)}"
        elif limit is not None and compare(limit, bound) < 0:
            yield f"{least}, but limit is {canonical(limit)}"


def _too_much(item: LimitRangeItem, requests: Resources, limits: Resources, *, is_claim: bool = False) -> Iterable[str]:
    for name, bound in sorted(item.max.items()):
        request, limit = requests.get(name), limits.get(name)
        most = f"maximum {name} usage per {item.type} is {canonical(bound)}"
        if limit is None:
            yield f"{most}.  No limit is specified"
        elif compare(limit, bound) > 0:
            yield f"{most}, but {'request' if is_claim else 'limit'} is {canonical(limit)}"
        elif request is not None and compare(request, bound) > 0:
            yield f"{most}, but request is {canonical(request)}"


def _too_far_apart(item: LimitRangeItem, requests: Resources, limits: Resources) -> Iterable[str]:
    for name, bound in sorted(item.max_limit_request_ratio.items()):
        request, limit = requests.get(name), limits.get(name)
        start = f"{name} max limit to request ratio per {item.type} is {canonical(bound)}"
        if request is None or milli(request) == 0:
            yield f"{start}, but no request is specified or request is 0"
        elif limit is None or milli(limit) == 0:
            yield f"{start}, but no limit is specified or limit is 0"
        elif milli(limit) * 1000 > milli(request) * milli(bound):
            yield f"{start}, but provided ratio is {milli(limit) / milli(request):f}"
