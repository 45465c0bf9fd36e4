"""Nodes that a class of pods can't tell apart but by what runs on them form a group.

Within a group, everything that depends on other nodes is the same: verdicts and scores of PodTopologySpread and
InterPodAffinity, and the normalised scores of TaintToleration and NodeAffinity. They are worked out once a pod for each
group, not for each node. A group is named by a tuple of codes, one for each feature; a feature is a fixed value of the
node, its topology domain where domains are few, or else the number of pods counted in its domain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rules.scheduling.columns import Ints, Mask, NodeColumns, Rows
from rules.scheduling.tallies import Tally

#: Up to so many domains a feature is the domain itself; beyond, the count in it.
FEW_DOMAINS = 16
#: The code of a node without the topology label.
MISSING = -1


class Reading(NamedTuple):
    """How to read a tally for every group: by a feature that is the domain, or that is the count."""

    tally: Tally
    feature: int
    is_count: bool


@dataclass(slots=True)
class _Feature:
    """One feature: fixed ``codes`` of all rows, or the counts of a ``tally``."""

    codes: Rows | Ints
    tally: Tally | None = None

    def column(self) -> Rows | Ints:
        if self.tally is None:
            return self.codes
        counts = self.tally.counts[self.tally.codes] if len(self.tally.counts) else np.zeros(len(self.codes), np.int64)
        return np.where(self.tally.codes >= 0, counts, MISSING)

    def at(self, row: int) -> int:
        if self.tally is None:
            return int(self.codes[row])
        code = self.tally.codes[row]
        return int(self.tally.counts[code]) if code >= 0 else MISSING


class Groups:
    """The groups of a class's nodes. ``of_row`` numbers each row's group; ``sizes`` counts rows that fit as such."""

    def __init__(self, columns: NodeColumns) -> None:
        self.columns = columns
        self.features: list[_Feature] = []
        self.of_row: Rows = np.zeros(columns.size, dtype=np.intp)
        self.sizes: list[int] = []
        self._names: dict[tuple[int, ...], int] = {}
        self._codes: Ints = np.zeros((0, 0), dtype=np.int64)
        self._missing: dict[int, Mask | None] = {}
        self._domain_features: dict[int, int] = {}

    # -- features ----------------------------------------------------------------------------------------------------

    def fixed(self, codes: Rows | Ints) -> int:
        """Adds a feature that never changes; its number."""
        self.features.append(_Feature(codes))
        return len(self.features) - 1

    def reading(self, tally: Tally) -> Reading:
        """Adds what is needed to read a tally for every group."""
        if len(tally.counts) <= FEW_DOMAINS:
            known = self._domain_features.get(id(tally.codes))
            if known is None:
                known = self._domain_features[id(tally.codes)] = self.fixed(tally.codes)
            return Reading(tally, known, is_count=False)
        self.features.append(_Feature(tally.codes, tally))
        return Reading(tally, len(self.features) - 1, is_count=True)

    @property
    def moving(self) -> list[Tally]:
        """The tallies whose counts name groups: when they change, rows change their group."""
        return [feature.tally for feature in self.features if feature.tally is not None]

    # -- groups ------------------------------------------------------------------------------------------------------

    def build(self, fits: Mask) -> None:
        """Forms the groups anew; ``fits`` says which rows fit as such."""
        mixed = np.zeros(self.columns.size, dtype=np.int64)
        table = [feature.column() for feature in self.features]
        for codes in table:
            distinct, inverse = np.unique(codes, return_inverse=True)
            mixed = mixed * len(distinct) + inverse
            _, mixed = np.unique(mixed, return_inverse=True)
        self.of_row = mixed.astype(np.intp)
        groups = int(self.of_row.max()) + 1 if self.columns.size else 0
        samples = np.zeros(groups, dtype=np.intp)
        samples[self.of_row[::-1]] = np.arange(self.columns.size)[::-1]
        self._codes = np.array([codes[samples] for codes in table], dtype=np.int64).reshape(len(table), groups)
        self._missing.clear()
        self._names = {tuple(name): number for number, name in enumerate(self._codes.T.tolist())}
        self.sizes = np.bincount(self.of_row[fits], minlength=groups).tolist()

    def is_misplaced(self, rows: Rows) -> Mask:
        """Which of the rows belong to another group now."""
        wrong = np.zeros(len(rows), dtype=bool)
        for number, feature in enumerate(self.features):
            if feature.tally is not None:
                wrong |= feature.column()[rows] != self._codes[number][self.of_row[rows]]
        return wrong

    def regroup(self, row: int, *, fits: bool) -> None:
        """Moves a row to the group that its features name now."""
        name = tuple([feature.at(row) for feature in self.features])
        group = self._names.get(name)
        if group is None:
            group = self._names[name] = len(self._names)
            self.sizes.append(0)
            self._missing.clear()
            self._codes = np.concatenate((self._codes, np.array(name, dtype=np.int64)[:, None]), axis=1)
        before = self.of_row[row]
        if group != before:
            self.of_row[row] = group
            if fits:
                self.sizes[before] -= 1
                self.sizes[group] += 1

    def codes(self, feature: int) -> Ints:
        """A feature's code in every group."""
        codes: Ints = self._codes[feature]
        return codes

    def read(self, reading: Reading) -> tuple[Ints, Mask | None]:
        """A tally's count for every group, and the groups whose nodes are in no domain (None: there are none)."""
        codes = self._codes[reading.feature]
        if reading.feature not in self._missing:
            found = codes == MISSING
            self._missing[reading.feature] = found if found.any() else None
        missing = self._missing[reading.feature]
        if reading.is_count:
            return codes, missing
        counts = reading.tally.counts
        return (counts[codes] if len(counts) else np.zeros(len(codes), dtype=np.int64)), missing
