"""The pods that a more important pod could displace, as columns, in the order in which they are spared.

The columns belong to one priority and follow the pods; trying who must go for a class is a loop over positions, not
over nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rules.scheduling.columns import TOO_LARGE, Ints, Mask, NodeColumns, NodeRows
from rules.scheduling.plugins.node_resources_fit import NodeResourcesFit
from rules.scheduling.pods import PodClass, PodEntry
from rules.scheduling.preemption import PRIORITY_OFFSET, budgets_of, importance, split_by_budget

_LATE = float("inf")


@dataclass(slots=True)
class Trial:
    """Where it works to displace pods, which ones by position, and the reasons why it doesn't elsewhere."""

    works: Mask
    victims: Mask
    reasons: dict[str, int]


class VictimTable:
    """Less important pods of every node, for one priority."""

    def __init__(self, columns: NodeColumns, priority: int) -> None:
        self.columns = columns
        self.priority = priority
        self._read = len(columns.log)
        self._budgets = budgets_of(columns.cluster)
        self.entries: list[list[PodEntry]] = [[] for _ in range(columns.size)]
        self._violating = [0] * columns.size
        for row in range(columns.size):
            self._look(row)
        self._fill()

    def sync(self) -> None:
        """Follows the pods."""
        log = self.columns.log
        if self._read == len(log):
            return
        rows = set(log[self._read :])
        self._read = len(log)
        for row in sorted(rows):
            self._look(row)
        self._fill()

    def _look(self, row: int) -> None:
        lower = [entry for entry in self.columns.infos[row].pods.values() if entry.cls.priority < self.priority]
        if lower:
            lower.sort(key=importance)
            violating, harmless = split_by_budget(lower, self._budgets)
            self.entries[row] = violating + harmless
            self._violating[row] = len(violating)
        else:
            self.entries[row] = []
            self._violating[row] = 0

    def _fill(self) -> None:
        """Makes the columns: one array row a position, one array column a node."""
        lengths = np.array([len(entries) for entries in self.entries], dtype=np.int64)
        self.depth = max(map(len, self.entries), default=0)
        positions = np.arange(self.depth)[:, None]
        self.any: Mask = lengths > 0
        self.present: Mask = positions < lengths
        self.violates: Mask = positions < np.array(self._violating, dtype=np.int64)
        self._where = np.nonzero(self.present.T)
        self.priorities = self._spread(entry.cls.priority for entry in self._flat())
        starts = (_LATE if (s := entry.start_time()) is None else float(s) for entry in self._flat())
        self.starts = np.full((self.depth, self.columns.size), _LATE)
        self.starts.T[self._where] = np.fromiter(starts, dtype=np.float64)
        self._requests: dict[str, tuple[Ints, Ints]] = {}

    def _flat(self) -> Iterable[PodEntry]:
        return (entry for entries in self.entries for entry in entries)

    def _spread(self, values: Iterable[int]) -> Ints:
        """Values of the pods in order, at their positions and rows."""
        table = np.zeros((self.depth, self.columns.size), dtype=np.int64)
        table.T[self._where] = np.fromiter(values, dtype=np.int64)
        return table

    def requests(self, resource: str) -> tuple[Ints, Ints]:
        """What each pod requests of a resource, and all of a node together."""
        found = self._requests.get(resource)
        if found is None:
            values = (min(entry.cls.requests.get(resource, 0), TOO_LARGE) for entry in self._flat())
            table = self._spread(values)
            found = self._requests[resource] = (table, table.sum(axis=0))
        return found

    def trial(self, fit: NodeResourcesFit, cls: PodClass, rows: Mask, columns: NodeRows) -> Trial:
        """Takes all less important pods away and gives them back, one position after the other, while the pod fits."""
        wanted = {resource: units for resource, units in cls.requests.items() if not fit.is_ignored(resource)}
        count = columns.pods - self.present.sum(axis=0)
        spare = {
            resource: columns.allocatable(resource) - columns.requested(resource) + self.requests(resource)[1] - units
            for resource, units in wanted.items()
        }
        tried = rows & self.any
        short = {f"Insufficient {resource}": free < 0 for resource, free in spare.items()}
        short["Too many pods"] = count >= columns.allowed_pods
        works = tried.copy()
        for lacking in short.values():
            works &= ~lacking
        reasons = {reason: int(np.count_nonzero(lacking & tried)) for reason, lacking in short.items()}
        victims = np.zeros_like(self.present)
        for position in range(self.depth):
            here = works & self.present[position]
            keeps = here & (count + 1 < columns.allowed_pods)
            for resource, free in spare.items():
                keeps &= self.requests(resource)[0][position] <= free
            count += keeps
            for resource in spare:
                spare[resource] -= np.where(keeps, self.requests(resource)[0][position], 0)
            victims[position] = here & ~keeps
        return Trial(works, victims, {reason: rows for reason, rows in reasons.items() if rows})

    def criteria(self, trial: Trial) -> list[NDArray[np.float64] | Ints]:
        """The five criteria for each row, the less the better, in their order."""
        victims = trial.victims
        if not self.depth:
            return []
        violations = (victims & self.violates).sum(axis=0)
        top = np.where(victims, self.priorities, -PRIORITY_OFFSET).max(axis=0)
        total = np.where(victims, self.priorities + PRIORITY_OFFSET, 0).sum(axis=0)
        most_important = victims & (self.priorities == top)
        starts = np.where(most_important, self.starts, _LATE).min(axis=0)
        return [violations, top, total, victims.sum(axis=0), -starts]

    def by_importance(self, entries: Sequence[PodEntry]) -> list[PodEntry]:
        """The most important first."""
        return sorted(entries, key=importance)
