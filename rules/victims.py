"""Which pods of a controller go when it has too many: the order of kube-controller-manager's ActivePodsWithRanks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cmp_to_key, partial
from typing import NamedTuple

from rules.pods import ready_since
from state.objects import ContainerStatus, Pod
from state.times import parse_time

#: Lower goes first; between -2147483648 and 2147483647.
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_INT32 = range(-(2**31), 2**31)
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_NANOSECONDS = 1000


class _Rank(NamedTuple):
    """What the order depends on. The lower of two ``first`` goes first; equal ones are told apart by the rest."""

    first: tuple[bool, int, bool, int, int]
    ready: str | None
    restarts: tuple[int, int]
    created: str | None
    uid: str
    pod: Pod


def choose_victims(pods: Sequence[Pod], surplus: int, related: Iterable[Pod], now: int) -> list[Pod]:
    """The pods to delete, first to go first.

    Args:
        pods: the replicas, in an order that doesn't depend on history.
        surplus: how many of them go.
        related: the pods counted on each node: of all ReplicaSets of one Deployment. Empty: nodes don't matter.
        now: the time (µs); ages are compared by the floor of their binary logarithm.
    """
    if surplus >= len(pods):
        return list(pods)
    crowd = Counter(pod.spec.node_name for pod in related)
    ranks = [_rank(pod, crowd[pod.spec.node_name]) for pod in pods]
    ranks.sort(key=cmp_to_key(partial(_compare, now)))
    return [rank.pod for rank in ranks[:surplus]]


def _rank(pod: Pod, crowd: int) -> _Rank:
    ready = ready_since(pod.status)
    first = (
        bool(pod.spec.node_name),
        _PHASES.get(pod.status.phase or "", 0),
        ready is not None,
        deletion_cost(pod),
        -crowd,
    )
    return _Rank(first, ready, _restarts(pod), pod.metadata.creation_timestamp, pod.metadata.uid, pod)


def deletion_cost(pod: Pod) -> int:
    """The pod's deletion cost annotation; 0 without one, or with one that is no 32-bit integer."""
    text = pod.metadata.annotations.get(DELETION_COST, "0")
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    if not (digits.isascii() and digits.isdecimal()) or (len(digits) > 1 and digits.startswith("0")):
        return 0
    cost = sign * int(digits)
    return cost if cost in _INT32 else 0


def _restarts(pod: Pod) -> tuple[int, int]:
    """The most restarts of a container, and of a sidecar, which breaks ties."""
    sidecars = {c.name for c in pod.spec.init_containers if c.restart_policy == "Always"}
    return (
        _most(pod.status.container_statuses),
        _most(s for s in pod.status.init_container_statuses if s.name in sidecars),
    )


def _most(statuses: Iterable[ContainerStatus]) -> int:
    return max((status.restart_count for status in statuses), default=0)


def _compare(now: int, a: _Rank, b: _Rank) -> int:
    """Negative if ``a`` goes before ``b``."""
    if a.first != b.first:
        return -1 if a.first < b.first else 1
    if a.ready is not None and b.ready is not None and a.ready != b.ready:
        return _younger_first(a, b, a.ready, b.ready, now)
    if a.restarts != b.restarts:
        return -1 if a.restarts > b.restarts else 1
    if a.created != b.created:
        return _younger_first(a, b, a.created, b.created, now)
    return (a.uid > b.uid) - (a.uid < b.uid)


def _younger_first(a: _Rank, b: _Rank, since_a: str | None, since_b: str | None, now: int) -> int:
    """Compares two times by the order of magnitude of their age; of one order the uid decides. Unknown is youngest."""
    if not since_a or not since_b:
        return -1 if not since_a else 1
    difference = _magnitude(since_a, now) - _magnitude(since_b, now)
    return difference or ((a.uid > b.uid) - (a.uid < b.uid))


def _magnitude(since: str, now: int) -> int:
    age = (now - parse_time(since)) * _NANOSECONDS
    return int(math.log2(age)) if age > 0 else -1
