"""What the pods will take that preemption made room for, as columns, for pods of one priority.

A pod counts the pods nominated to a node there if they are at least as important as itself, as kube-scheduler's
RunFilterPluginsWithNominatedPods.
"""

from __future__ import annotations

import numpy as np

from rules.scheduling.columns import TOO_LARGE, Ints, NodeColumns, NodeRows
from rules.scheduling.pods import PodClass, PodEntry, PodKey


class Nominations:
    """The nominated pods, by row, that pods of a priority have to count. Kept up to date pod by pod."""

    def __init__(self, columns: NodeColumns, priority: int) -> None:
        self.columns = columns
        self.priority = priority
        self.pods: Ints = np.zeros(columns.size, dtype=np.int64)
        self._taken: dict[PodKey, tuple[int, PodClass]] = {}
        self._requested: dict[str, Ints] = {}
        for node, nominated in columns.cluster.nominated.items():
            for entry in nominated.values():
                self.moved(entry, node, 1)

    def moved(self, entry: PodEntry, node: str, change: int) -> None:
        """A pod was nominated to a node (+1), or no longer is (-1)."""
        row = self.columns.rows.get(node)
        if row is None or entry.cls.priority < self.priority:
            return
        if change > 0:
            self._taken[entry.key] = (row, entry.cls)
        else:
            del self._taken[entry.key]
        self.pods[row] += change
        for resource, column in self._requested.items():
            column[row] += change * _amount(entry.cls, resource)

    def requested(self, resource: str) -> Ints:
        """How much the nominated pods of each row request."""
        column = self._requested.get(resource)
        if column is None:
            column = self._requested[resource] = np.zeros(self.columns.size, dtype=np.int64)
            for row, cls in self._taken.values():
                column[row] += _amount(cls, resource)
        return column

    def of(self, key: PodKey) -> tuple[int, PodClass] | None:
        """The row that a pod itself is nominated to, and its class."""
        return self._taken.get(key)


class Crowded(NodeRows):
    """The columns of a cluster as a pod sees them: with the other pods that are nominated to rows.

    The columns are to be up to date (``refresh``). ``held_cpu`` and ``held_memory``, which only scores read, stay.
    """

    def __init__(self, nominations: Nominations, pod: PodKey) -> None:
        columns = nominations.columns
        self._columns = columns
        self._nominations = nominations
        self._itself = nominations.of(pod)
        self._infos = columns.infos
        self.size = columns.size
        self.allowed_pods = columns.allowed_pods
        self.pods = columns.pods + nominations.pods
        if self._itself is not None:
            self.pods[self._itself[0]] -= 1
        self.held_cpu = columns.held_cpu
        self.held_memory = columns.held_memory

    def allocatable(self, resource: str) -> Ints:
        """How much each node has in all."""
        return self._columns.allocatable(resource)

    def requested(self, resource: str) -> Ints:
        """How much the pods of each node would request."""
        column = self._columns.requested(resource) + self._nominations.requested(resource)
        if self._itself is not None:
            row, cls = self._itself
            column[row] -= _amount(cls, resource)
        return column


def _amount(cls: PodClass, resource: str) -> int:
    return min(cls.requests.get(resource, 0), TOO_LARGE)
