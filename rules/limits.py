"""LimitRanger: the defaults and bounds that a namespace's LimitRanges set for what is created in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from rules.pod_resources import amounts, of_containers
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
from state.quantity import canonical, compare, milli

Resources = Mapping[str, Quantity]
_ANNOTATION = "kubernetes.io/limit-ranger"
_LISTS = (("containers", "container"), ("init_containers", "init container"))


def limit_pod(pod: Pod, ranges: Sequence[LimitRange]) -> Pod:
    """The pod with the defaults of the LimitRanges, and an annotation that says which the last of them set."""
    for each in ranges:
        pod = _with_defaults(pod, each)
    return pod


def _with_defaults(pod: Pod, limits: LimitRange) -> Pod:
    items = [item for item in limits.spec.limits if item.type == "Container"]
    told: list[str] = []
    lists = {
        field: tuple(_limited(container, items, what, told) for container in getattr(pod.spec, field))
        for field, what in _LISTS
    }
    if not told:
        return pod
    annotations = {**pod.metadata.annotations, _ANNOTATION: f"LimitRanger plugin set: {'; '.join(told)}"}
    return replace(pod, spec=replace(pod.spec, **lists), metadata=replace(pod.metadata, annotations=annotations))


def _limited(container: Container, items: Iterable[LimitRangeItem], what: str, told: list[str]) -> Container:
    resources = container.resources or ResourceRequirements()
    limits, requests = dict(resources.limits), dict(resources.requests)
    new_requests = _fill(requests, (item.default_request for item in items))
    new_limits = _fill(limits, (item.default for item in items))
    for names, word in ((new_requests, "request"), (new_limits, "limit")):
        if names:
            told.append(f"{', '.join(sorted(names))} {word} for {what} {container.name}")
    if not new_requests and not new_limits:
        return container
    return replace(container, resources=replace(resources, limits=limits, requests=requests))


def _fill(present: dict[str, Quantity], defaults: Iterable[Resources]) -> list[str]:
    """Sets what is missing; returns the names. Of several defaults the last one counts."""
    wanted = {name: amount for each in defaults for name, amount in each.items() if name not in present}
    present |= wanted
    return list(wanted)


def limit_problem(obj: Pod | PersistentVolumeClaim, ranges: Sequence[LimitRange]) -> str | None:
    """In which ways an object is out of the bounds of a LimitRange (the first one that it breaks), in LimitRanger's
    words; None if it keeps within all.
    """
    for each in ranges:
        found = _of_claim(obj, each) if isinstance(obj, PersistentVolumeClaim) else _of_pod(obj, each)
        problems = list(dict.fromkeys(found))
        if problems:
            return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    return None


def _of_claim(claim: PersistentVolumeClaim, limits: LimitRange) -> Iterator[str]:
    requests = {} if claim.spec.resources is None else claim.spec.resources.requests
    for item in limits.spec.limits:
        if item.type == "PersistentVolumeClaim":
            yield from _beyond("minimum", item.type, item.min, ("request", requests))
            yield from _beyond("maximum", item.type, item.max, ("request", requests))


def _of_pod(pod: Pod, limits: LimitRange) -> Iterator[str]:
    spec = pod.spec
    for item in limits.spec.limits:
        if item.type == "Container":
            asked = [(amounts(c, "requests"), amounts(c, "limits")) for c in (*spec.containers, *spec.init_containers)]
        elif item.type == "Pod":
            asked = [(of_containers(spec, "requests"), of_containers(spec, "limits"))]
        else:
            continue
        for requests, most in asked:
            yield from _beyond("minimum", item.type, item.min, ("request", requests), ("limit", most))
            yield from _beyond("maximum", item.type, item.max, ("limit", most), ("request", requests))
            yield from _too_far_apart(item, requests, most)


def _beyond(what: str, kind: str, bounds: Resources, *given: tuple[str, Resources]) -> Iterator[str]:
    """What is under a minimum, or over a maximum; the first of what is given has to be."""
    sign = -1 if what == "minimum" else 1
    for name, bound in sorted(bounds.items()):
        start = f"{what} {name} usage per {kind} is {canonical(bound)}"
        first, present = given[0]
        if name not in present:
            yield f"{start}.  No {first} is specified"
            continue
        over = ((word, found[name]) for word, found in given if name in found and compare(found[name], bound) == sign)
        yield from (f"{start}, but {word} is {canonical(amount)}" for word, amount in islice(over, 1))


def _too_far_apart(item: LimitRangeItem, requests: Resources, limits: Resources) -> Iterator[str]:
    for name, bound in sorted(item.max_limit_request_ratio.items()):
        request, limit = requests.get(name), limits.get(name)
        start = f"{name} max limit to request ratio per {item.type} is {canonical(bound)}"
        if request is None or milli(request) == 0:
            yield f"{start}, but no request is specified or request is 0"
        elif limit is None or milli(limit) == 0:
            yield f"{start}, but no limit is specified or limit is 0"
        elif milli(limit) * 1000 > milli(request) * milli(bound):
            yield f"{start}, but provided ratio is {milli(limit) / milli(request):f}"
