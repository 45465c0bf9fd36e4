"""NodeResourcesBalancedAllocation: better where CPU and memory are used in equal shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rules.scheduling.columns import Ints, Mask, NodeRows
from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.pods import PodClass
from rules.scheduling.resources import CPU, MEMORY, is_scalar
from rules.scheduling.status import MAX_SCORE


def balance(fractions: Sequence[float]) -> int:
    """0..100 from the standard deviation of the shares in use; the float steps are kube-scheduler's, in its order."""
    deviation = 0.0
    if len(fractions) == 2:
        deviation = abs((fractions[0] - fractions[1]) / 2)
    elif len(fractions) > 2:
        mean = 0.0
        for fraction in fractions:
            mean += fraction
        mean /= len(fractions)
        squares = 0.0
        for fraction in fractions:
            squares += (fraction - mean) * (fraction - mean)
        deviation = math.sqrt(squares / len(fractions))
    return int((1 - deviation) * float(MAX_SCORE))


class NodeResourcesBalancedAllocation(Plugin):
    """Scores by the balance of true requests; ``resources`` in order."""

    name = "NodeResourcesBalancedAllocation"
    scores = True

    def __init__(self, resources: tuple[str, ...] = (CPU, MEMORY)) -> None:
        self.resources = resources

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> bool:
        """Skips pods that request none of the resources."""
        return self.concerns(cycle.cls)

    def concerns(self, cls: PodClass) -> bool:
        """Whether the pod requests one of the resources."""
        return any(cls.requests.get(resource) for resource in self.resources)

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        """As kube-scheduler's balancedResourceScorer."""
        return self.score_of(cycle.cls, node)

    def score_of(self, cls: PodClass, node: NodeInfo) -> int:
        """The score of a node for a class of pods."""
        fractions = []
        for resource in self.resources:
            wanted = cls.requests.get(resource, 0)
            allocatable = node.allocatable.get(resource, 0)
            if allocatable == 0 or (wanted == 0 and is_scalar(resource)):
                continue
            used = node.requested.get(resource, 0) + wanted
            fractions.append(min(float(used) / float(allocatable), 1.0))
        return balance(fractions)

    def score_column(self, columns: NodeRows, cls: PodClass) -> Ints:
        """The score for many rows at once."""
        fractions: list[NDArray[np.float64]] = []
        counting: list[Mask] = []
        for resource in self.resources:
            wanted = cls.requests.get(resource, 0)
            if wanted == 0 and is_scalar(resource):
                continue
            allocatable = columns.allocatable(resource)
            used = columns.requested(resource) + wanted
            divisor = np.maximum(allocatable, 1).astype(np.float64)
            fractions.append(np.minimum(used.astype(np.float64) / divisor, 1.0))
            counting.append(allocatable > 0)
        if all(counts.all() for counts in counting):
            return _balance_column(fractions, columns.size)
        result = np.zeros(columns.size, dtype=np.int64)
        kinds = np.stack(counting)
        for kind in np.unique(kinds, axis=1).T:  # rows differ in which resources count
            rows = np.flatnonzero((kinds == kind[:, None]).all(axis=0))
            chosen = [fraction[rows] for fraction, counts in zip(fractions, kind, strict=True) if counts]
            result[rows] = _balance_column(chosen, len(rows))
        return result


def _balance_column(fractions: Sequence[NDArray[np.float64]], size: int) -> Ints:
    """``balance`` for many rows, with the same float steps."""
    deviation = np.zeros(size)
    if len(fractions) == 2:
        deviation = np.abs((fractions[0] - fractions[1]) / 2)
    elif len(fractions) > 2:
        mean = np.zeros(size)
        for fraction in fractions:
            mean += fraction
        mean /= len(fractions)
        squares = np.zeros(size)
        for fraction in fractions:
            squares += (fraction - mean) * (fraction - mean)
        deviation = np.sqrt(squares / len(fractions))
    return ((1 - deviation) * float(MAX_SCORE)).astype(np.int64)
