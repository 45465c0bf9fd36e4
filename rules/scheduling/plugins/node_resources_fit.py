"""NodeResourcesFit: the pods of a node may not request more than it has; by default the emptiest node is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rules.scheduling.columns import Ints, Mask, NodeRows
from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.pods import PodClass
from rules.scheduling.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS, is_extended
from rules.scheduling.status import MAX_SCORE, UNRESOLVABLE, UNSCHEDULABLE, Refusal

LEAST_ALLOCATED = "LeastAllocated"
MOST_ALLOCATED = "MostAllocated"
REQUESTED_TO_CAPACITY_RATIO = "RequestedToCapacityRatio"


class Shortage(NamedTuple):
    """A resource of which a node has too little for a pod; amounts in the resource's unit (millicores, bytes, pods)."""

    resource: str
    requested: int
    used: int
    capacity: int

    @property
    def reason(self) -> str:
        """The sentence."""
        return "Too many pods" if self.resource == PODS else f"Insufficient {self.resource}"

    @property
    def unresolvable(self) -> bool:
        """Whether even the empty node would be too small; kube-scheduler doesn't ask that of the number of pods."""
        return self.requested > self.capacity and self.resource != PODS


@dataclass(frozen=True, slots=True)
class Strategy:
    """How resources are scored: ``weights`` by resource; ``shape`` (utilization, score) for the ratio strategy."""

    type: str = LEAST_ALLOCATED
    weights: tuple[tuple[str, int], ...] = ((CPU, 1), (MEMORY, 1))
    shape: tuple[tuple[int, int], ...] = ()


def shortages(cls: PodClass, node: NodeInfo) -> list[Shortage]:
    """Every resource that the node lacks for a pod."""
    found = []
    if len(node.pods) + 1 > node.allowed_pods:
        found.append(Shortage(PODS, 1, len(node.pods), node.allowed_pods))
    for resource, wanted in cls.requests.items():
        capacity, used = node.allocatable.get(resource, 0), node.requested.get(resource, 0)
        if wanted > capacity - used:
            found.append(Shortage(resource, wanted, used, capacity))
    return found


def least_allocated(requested: int, allocatable: int) -> int:
    """0..100: the share left free."""
    if allocatable == 0 or requested > allocatable:
        return 0
    return (allocatable - requested) * MAX_SCORE // allocatable


def most_allocated(requested: int, allocatable: int) -> int:
    """0..100: the share in use."""
    if allocatable == 0:
        return 0
    return min(requested, allocatable) * MAX_SCORE // allocatable


def broken_linear(shape: Sequence[tuple[int, int]], utilization: int) -> int:
    """The score at a utilization on a line through the points of ``shape``, as helper.BuildBrokenLinearFunction."""
    for index, (x, y) in enumerate(shape):
        if utilization <= x:
            if index == 0:
                return y
            left_x, left_y = shape[index - 1]
            return left_y + _truncated((y - left_y) * (utilization - left_x), x - left_x)
    return shape[-1][1]


def used_for_score(cls: PodClass, node: NodeInfo, resource: str) -> tuple[int, int] | None:
    """Used (the pod included) and allocatable of a resource as scores see them; None: it doesn't count for the pod."""
    allocatable = node.allocatable.get(resource, 0)
    if resource == CPU:
        return node.held_cpu + cls.score_cpu, allocatable
    if resource == MEMORY:
        return node.held_memory + cls.score_memory, allocatable
    wanted = cls.requests.get(resource, 0)
    if wanted == 0 and resource != EPHEMERAL_STORAGE:
        return None
    return node.requested.get(resource, 0) + wanted, allocatable


class NodeResourcesFit(Plugin):
    """Rejects nodes that are too full, naming everything that is short; scores by a strategy."""

    name = "NodeResourcesFit"
    scores = True

    def __init__(
        self,
        strategy: Strategy | None = None,
        ignored: frozenset[str] = frozenset(),
        ignored_groups: frozenset[str] = frozenset(),
    ) -> None:
        self.strategy = strategy or Strategy()
        self.ignored = ignored
        self.ignored_groups = ignored_groups

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's Fit; asking for more than the node could ever give is unresolvable."""
        short = [s for s in shortages(cycle.cls, node) if not self.is_ignored(s.resource)]
        if not short:
            return None
        code = UNRESOLVABLE if any(s.unresolvable for s in short) else UNSCHEDULABLE
        return self.refuse(code, *(s.reason for s in short))

    def is_ignored(self, resource: str) -> bool:
        """Whether the configuration leaves the (extended) resource to somebody else."""
        if not (self.ignored or self.ignored_groups) or not is_extended(resource):
            return False
        return resource in self.ignored or resource.partition("/")[0] in self.ignored_groups

    def fits(self, cls: PodClass, node: NodeInfo) -> bool:
        """Whether the filter lets a pod of the class pass."""
        if len(node.pods) >= node.allowed_pods:
            return False
        allocatable, requested = node.allocatable, node.requested
        for resource, wanted in cls.requests.items():
            if wanted > allocatable.get(resource, 0) - requested.get(resource, 0) and not self.is_ignored(resource):
                return False
        return True

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        """The mean over the strategy's resources, each floored, then floored itself."""
        return self.score_of(cycle.cls, node)

    def score_of(self, cls: PodClass, node: NodeInfo) -> int:
        """The score of a node for a class of pods."""
        total = weights = 0
        ratio = self.strategy.type == REQUESTED_TO_CAPACITY_RATIO
        for resource, weight in self.strategy.weights:
            amounts = used_for_score(cls, node, resource)
            if amounts is None or amounts[1] == 0:
                continue
            score = self.resource_score(*amounts)
            if ratio and score <= 0:
                continue
            total += score * weight
            weights += weight
        if weights == 0:
            return 0
        return int(total / weights + 0.5) if ratio else total // weights

    def resource_score(self, requested: int, allocatable: int) -> int:
        """0..100 for one resource, by the strategy."""
        if self.strategy.type == LEAST_ALLOCATED:
            return least_allocated(requested, allocatable)
        if self.strategy.type == MOST_ALLOCATED:
            return most_allocated(requested, allocatable)
        full = allocatable == 0 or requested > allocatable
        utilization = MAX_SCORE if full else requested * MAX_SCORE // allocatable
        return broken_linear(self.strategy.shape, utilization)

    def fitting(self, columns: NodeRows, cls: PodClass) -> Mask:
        """The filter for many rows at once."""
        mask = columns.pods < columns.allowed_pods
        for resource, wanted in cls.requests.items():
            if not self.is_ignored(resource):
                mask &= wanted <= columns.allocatable(resource) - columns.requested(resource)
        return mask

    def shortage_columns(self, columns: NodeRows, cls: PodClass) -> tuple[Mask, Mask, dict[str, Mask]]:
        """The rows that are short of something, those of them for good, and the rows by reason."""
        short = columns.pods >= columns.allowed_pods
        final = np.zeros(columns.size, dtype=bool)
        reasons = {"Too many pods": short.copy()}
        for resource, wanted in cls.requests.items():
            if not self.is_ignored(resource):
                capacity = columns.allocatable(resource)
                lacking = wanted > capacity - columns.requested(resource)
                reasons[f"Insufficient {resource}"] = lacking
                short |= lacking
                final |= wanted > capacity
        return short, final, reasons

    def score_column(self, columns: NodeRows, cls: PodClass) -> Ints:
        """The score for many rows at once."""
        total = np.zeros(columns.size, dtype=np.int64)
        weights = np.zeros(columns.size, dtype=np.int64)
        ratio = self.strategy.type == REQUESTED_TO_CAPACITY_RATIO
        for resource, weight in self.strategy.weights:
            used = _used_column(columns, cls, resource)
            if used is None:
                continue
            allocatable = columns.allocatable(resource)
            counts = allocatable > 0
            score = self._resource_column(used, allocatable)
            if ratio:
                counts &= score > 0
            total += np.where(counts, score, 0) * weight
            weights += counts * weight
        divisor = np.maximum(weights, 1)
        return (total / divisor + 0.5).astype(np.int64) if ratio else total // divisor

    def _resource_column(self, used: Ints, allocatable: Ints) -> Ints:
        """``resource_score`` for many rows; anything where nothing is allocatable."""
        bounded = np.minimum(used, allocatable)
        counted = allocatable - bounded if self.strategy.type == LEAST_ALLOCATED else bounded
        share = counted * MAX_SCORE // np.maximum(allocatable, 1)
        if self.strategy.type != REQUESTED_TO_CAPACITY_RATIO:
            return share
        distinct, places = np.unique(share, return_inverse=True)
        scores = [broken_linear(self.strategy.shape, utilization) for utilization in distinct.tolist()]
        return np.array(scores, dtype=np.int64)[places]


def _used_column(columns: NodeRows, cls: PodClass, resource: str) -> Ints | None:
    """``used_for_score`` for many rows."""
    if resource == CPU:
        return columns.held_cpu + cls.score_cpu
    if resource == MEMORY:
        return columns.held_memory + cls.score_memory
    wanted = cls.requests.get(resource, 0)
    if wanted == 0 and resource != EPHEMERAL_STORAGE:
        return None
    return columns.requested(resource) + wanted


def amounts_text(shortage: Shortage) -> Mapping[str, int | str]:
    """A shortage as data: by how much."""
    lacking = shortage.requested - (shortage.capacity - shortage.used)
    return {
        "resource": shortage.resource,
        "requested": shortage.requested,
        "used": shortage.used,
        "capacity": shortage.capacity,
        "short": lacking,
    }


def _truncated(dividend: int, divisor: int) -> int:
    """Integer division towards zero."""
    return dividend // divisor if (dividend < 0) == (divisor < 0) else -(-dividend // divisor)
