"""How many replicas a metric asks for, as kube-controller-manager's replica calculator.

The idea is ``ceil(replicas * usage / target)``. Pods that have no say are the difficulty: those that aren't ready yet
and those without metrics count as whatever changes least. All amounts are in thousandths, all times µs since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import NamedTuple

from rules.autoscaler_metrics import MetricsError, Sample, Samples
from rules.pods import is_ready
from state.objects import Pod
from state.quantity import milli
from state.times import SECOND, parse_time

#: Changes of the ratio of usage to target that are too small to act on.
TOLERANCE = 0.1
#: How long after its start a pod's CPU may be that of its initialization.
INITIALIZATION = 300 * SECOND
#: How long after its start a pod that isn't ready counts as one that never was.
READINESS_DELAY = 30 * SECOND
_NO_PODS = "no pods returned by selector while calculating replica count"
_NO_METRICS = "did not receive metrics for targeted pods (pods might be unready)"


class Proposal(NamedTuple):
    """What a metric asks for, and what it is now: an amount, or percent of what was requested."""

    replicas: int
    value: int
    percent: int | None = None


class Groups(NamedTuple):
    """The pods by what they have to say."""

    ready: int
    unready: set[str]
    missing: set[str]
    ignored: set[str]


def group_pods(pods: Mapping[str, Pod], samples: Samples, resource: str, now: int) -> Groups:
    """Which pods count, aren't ready yet, have no metrics, or are on their way out."""
    groups = Groups(0, set(), set(), set())
    ready = 0
    for name, pod in pods.items():
        if pod.metadata.deletion_timestamp is not None or pod.status.phase == "Failed":
            groups.ignored.add(name)
        elif pod.status.phase == "Pending":
            groups.unready.add(name)
        elif name not in samples:
            groups.missing.add(name)
        elif resource == "cpu" and _is_unready(pod, samples[name], now):
            groups.unready.add(name)
        else:
            ready += 1
    return groups._replace(ready=ready)


def _is_unready(pod: Pod, sample: Sample, now: int) -> bool:
    """Whether a pod's CPU says nothing yet: it is starting, or was never ready."""
    condition = next((each for each in pod.status.conditions if each.type == "Ready"), None)
    if condition is None or not pod.status.start_time:
        return True
    started = parse_time(pod.status.start_time)
    since = parse_time(condition.last_transition_time) if condition.last_transition_time else 0
    if started + INITIALIZATION > now:
        return condition.status == "False" or sample.at < since + sample.window
    return condition.status == "False" and started + READINESS_DELAY > since


def is_within(ratio: float) -> bool:
    """Whether usage is close enough to its target."""
    return 1.0 - TOLERANCE <= ratio <= 1.0 + TOLERANCE


def by_utilization(  # noqa: PLR0917 - as the calculator has them
    pods: Mapping[str, Pod], samples: Samples, current: int, target: int, resource: str, container: str, now: int
) -> Proposal:
    """Replicas so that pods use ``target`` percent of what they request of a resource.

    Raises:
        MetricsError: that can't be said.
    """
    groups, known = _known(pods, samples, resource, now)
    requests = {name: _request(pods[name], container, resource) for name in sorted(pods)}

    def ratio_of(values: Mapping[str, int]) -> tuple[float, Proposal]:
        counted = [name for name in values if name in requests]
        requested = sum(requests[name] for name in counted)
        if not requested:
            raise MetricsError("no metrics returned matched known pods")
        total = sum(values[name] for name in counted)
        percent = total * 100 // requested
        return percent / target, Proposal(current, total // len(counted), percent)

    fallback = max(100, target)
    return _proposed(groups, known, current, ratio_of, lambda name: requests[name] * fallback // 100)


def by_average(  # noqa: PLR0917 - as the calculator has them
    pods: Mapping[str, Pod], samples: Samples, current: int, target: int, resource: str, now: int
) -> Proposal:
    """Replicas so that pods have ``target`` of a metric on average.

    Raises:
        MetricsError: that can't be said.
    """
    groups, known = _known(pods, samples, resource, now)

    def ratio_of(values: Mapping[str, int]) -> tuple[float, Proposal]:
        usage = sum(values.values()) // len(values)
        return usage / target, Proposal(current, usage)

    return _proposed(groups, known, current, ratio_of, lambda _: target)


def by_value(pods: Mapping[str, Pod], usage: int, current: int, target: int) -> Proposal:
    """Replicas so that something that pods share is ``target``; with no replicas, so many as make up the ratio.

    Raises:
        MetricsError: there are no pods.
    """
    ratio = usage / target
    if not current:
        return Proposal(ceil(ratio), usage)
    if is_within(ratio):
        return Proposal(current, usage)
    if not pods:
        raise MetricsError(_NO_PODS)
    ready = sum(1 for pod in pods.values() if pod.status.phase == "Running" and is_ready(pod))
    return Proposal(ceil(ratio * ready), usage)


def by_share(usage: int, actual: int, target: int) -> Proposal:
    """Replicas so that each of them has ``target`` of something that they share."""
    replicas = actual
    if not actual or not is_within(usage / (target * actual)):
        replicas = ceil(usage / target)
    return Proposal(replicas, ceil(usage / actual) if actual else 0)


def _known(pods: Mapping[str, Pod], samples: Samples, resource: str, now: int) -> tuple[Groups, dict[str, int]]:
    """The groups of pods, and the values of those that count."""
    if not pods:
        raise MetricsError(_NO_PODS)
    groups = group_pods(pods, samples, resource, now)
    left_out = groups.unready | groups.ignored
    known = {name: samples[name].value for name in sorted(samples) if name not in left_out}
    if not known:
        raise MetricsError(_NO_METRICS)
    return groups, known


def _proposed(
    groups: Groups,
    known: dict[str, int],
    current: int,
    ratio_of: Callable[[Mapping[str, int]], tuple[float, Proposal]],
    full: Callable[[str], int],
) -> Proposal:
    """The replicas that a ratio of usage to target asks for; ``full`` is what a pod has that is right on target."""
    ratio, now_is = ratio_of(known)
    grows_with_unready = bool(groups.unready) and ratio > 1.0
    if not grows_with_unready and not groups.missing:
        return now_is if is_within(ratio) else now_is._replace(replicas=ceil(ratio * groups.ready))
    values = dict(known)
    for name in sorted(groups.missing):
        if ratio < 1.0:
            values[name] = full(name)
        elif ratio > 1.0:
            values[name] = 0
    if grows_with_unready:
        values |= dict.fromkeys(sorted(groups.unready), 0)
    again, _ = ratio_of(values)
    replicas = ceil(again * len(values))
    turned = (ratio < 1.0 < again) or (again < 1.0 < ratio)
    opposed = (again < 1.0 and replicas > current) or (again > 1.0 and replicas < current)
    return now_is if is_within(again) or turned or opposed else now_is._replace(replicas=replicas)


def _request(pod: Pod, container: str, resource: str) -> int:
    """What a pod's containers and sidecars request, or one of them."""
    own = pod.spec.resources
    if not container and own is not None and resource in own.requests:
        return milli(own.requests[resource])
    sidecars = (each for each in pod.spec.init_containers if each.restart_policy == "Always")
    total = 0
    for each in (*pod.spec.containers, *sidecars):
        if container not in ("", each.name):
            continue
        requests = {} if each.resources is None else each.resources.requests
        if resource not in requests:
            raise MetricsError(f"missing request for {resource} in container {each.name} of Pod {pod.metadata.name}")
        total += milli(requests[resource])
    return total
