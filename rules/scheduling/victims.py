"""The pods that a more important pod could displace, as columns, in the order in which they are spared.

The columns belong to one priority and follow the pods; trying who must go for a class is a loop over positions, not
over nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
        self._lengths = lengths = np.array([len(entries) for entries in self.entries], dtype=np.int64)
        self.depth = max(map(len, self.entries), default=0)
        positions = np.arange(self.depth)[:, None]
        self.any: Mask = lengths > 0
        self.present: Mask = positions < lengths
        self.violates: Mask = positions < np.array(self._violating, dtype=np.int64)
        self._where = np.nonzero(self.present.T)
        self.priorities = self._spread(entry.cls.priority for entry in self._flat())
        self._is_uniform = len({entry.cls.priority for entry in self._flat()}) < 2
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
        tried = rows & self.any
        left = columns.pods - self._lengths
        short = {"Too many pods": left >= columns.allowed_pods}
        #: Of each resource that could be short: what each pod requests, and what stays free beside the incoming pod.
        scarce: list[tuple[Ints, Ints]] = []
        for resource, units in cls.requests.items():
            if fit.is_ignored(resource):
                continue
            free = columns.allocatable(resource) - columns.requested(resource) - units
            requests, total = self.requests(resource)
            if (free[tried] < 0).any():
                scarce.append((requests, free + total))
                short[f"Insufficient {resource}"] = scarce[-1][1] < 0
        works = tried.copy()
        for lacking in short.values():
            works &= ~lacking
        reasons = {reason: int(np.count_nonzero(lacking & tried)) for reason, lacking in short.items()}
        victims = np.zeros_like(self.present)
        counts = bool((columns.pods >= columns.allowed_pods)[works].any())
        for position in range(self.depth):
            here = works & self.present[position]
            keeps = here.copy()
            if counts:
                keeps &= left + 1 < columns.allowed_pods
            for requests, free in scarce:
                keeps &= requests[position] <= free
            if counts:
                left += keeps
            for requests, free in scarce:
                np.subtract(free, requests[position] * keeps, out=free)
            victims[position] = here ^ keeps
        return Trial(works, victims, {reason: rows for reason, rows in reasons.items() if rows})

    def best(self, trial: Trial) -> int:
        """The first of the rows that are least under each of the five criteria in turn, with the victims of a trial."""
        rows = np.flatnonzero(trial.works)
        for values in self._criteria(trial.victims):
            mine = values[rows]
            rows = rows[mine == mine.min()]
            if len(rows) == 1:
                break
        return int(rows[0])

    def _criteria(self, victims: Mask) -> Iterator[NDArray[np.float64] | Ints]:
        """The five criteria in their order for every row, the less the better.

        While all pods have the same priority, the second says nothing and the third what the fourth does.
        """
        if self.violates.any():
            yield self._added(victims & self.violates)
        if self._is_uniform:
            yield self._added(victims)
            yield -self._earliest(victims)
            return
        top = np.where(victims, self.priorities, -PRIORITY_OFFSET).max(axis=0)
        yield top
        yield self._added((self.priorities + PRIORITY_OFFSET) * victims)
        yield self._added(victims)
        yield -self._earliest(victims & (self.priorities == top))

    # Going through the positions one by one is much faster than numpy's way along a short first axis.

    def _added(self, table: Mask | Ints) -> Ints:
        """The sum over the positions, for every row."""
        total = np.zeros(self.columns.size, dtype=np.int64)
        for position in range(self.depth):
            total += table[position]
        return total

    def _earliest(self, chosen: Mask) -> NDArray[np.float64]:
        """The first start among the pods chosen, for every row."""
        earliest = np.full(self.columns.size, _LATE)
        for position in range(self.depth):
            np.minimum(earliest, np.where(chosen[position], self.starts[position], _LATE), out=earliest)
        return earliest

    def victims(self, trial: Trial, row: int) -> list[PodEntry]:
        """Who would have to go from a row, the most important first."""
        gone = trial.victims[:, row].tolist()
        return sorted((e for e, leaves in zip(self.entries[row], gone, strict=False) if leaves), key=importance)
