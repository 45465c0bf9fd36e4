"""How a class of pods relates to other pods: its spread constraints and affinity as tallies, judged group by group.

The same rules as the plugins PodTopologySpread and InterPodAffinity, for all nodes at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rules.scheduling.cluster import Cluster
from rules.scheduling.columns import Ints, Mask, NodeColumns
from rules.scheduling.groups import Groups, Reading
from rules.scheduling.plugins.inter_pod_affinity import InterPodAffinity, selects_all
from rules.scheduling.plugins.pod_topology_spread import NO_MINIMUM, PodTopologySpread
from rules.scheduling.pods import PodClass
from rules.scheduling.static_columns import matched, tolerated
from rules.scheduling.status import MAX_SCORE
from rules.scheduling.tallies import ANTI, DISLIKE, LIKE, NEED, ROW, Tallies, Tally, first_pin, pin_of
from rules.scheduling.terms import HOSTNAME, Constraint, Term


class _Hard(NamedTuple):
    constraint: Constraint
    reading: Reading
    itself: int
    present: Mask


class _Soft(NamedTuple):
    constraint: Constraint
    reading: Reading


class Weighted(NamedTuple):
    """A tally that InterPodAffinity's score adds up, with its weight."""

    reading: Reading
    weight: int


class Relations:
    """The features and tallies of one class; ``judge`` and ``score`` work on its groups."""

    def __init__(self, cluster: Cluster, columns: NodeColumns, tallies: Tallies, groups: Groups, cls: PodClass) -> None:
        self.cluster = cluster
        self.columns = columns
        self.tallies = tallies
        self.groups = groups
        self.cls = cls
        self.hard: list[_Hard] = []
        self.soft: list[_Soft] = []
        self.all_keys = False
        self.near: list[Reading] = []
        self.near_itself = False
        self.apart: list[Reading] = []
        self.weighted: list[Weighted] = []
        #: How many of the carried terms were looked at.
        self.seen = 0

    @property
    def none(self) -> bool:
        """Whether other pods make no difference to the class."""
        return not (self.hard or self.soft or self.near or self.apart or self.weighted)

    @property
    def rejects(self) -> bool:
        """Whether other pods can make a node unfit."""
        return bool(self.hard or self.near or self.apart)

    # -- PodTopologySpread -------------------------------------------------------------------------------------------

    def add_hard_spread(self, plugin: PodTopologySpread) -> None:
        """The constraints that reject."""
        constraints = plugin.hard(self.cluster, self.cls)
        keys = self._has_keys([c.topology_key for c in constraints])
        for constraint in constraints:
            tally = self._spread_tally(constraint, constraint.topology_key, self._counted(constraint, keys))
            itself = int(constraint.selects(self.cls.labels))
            self.hard.append(_Hard(constraint, self.groups.reading(tally), itself, tally.present))

    def add_soft_spread(self, plugin: PodTopologySpread) -> None:
        """The constraints that score."""
        constraints = plugin.soft(self.cluster, self.cls)
        self.all_keys = plugin.needs_all_keys(self.cls)
        keys = self._has_keys([c.topology_key for c in constraints]) if self.all_keys else None
        for constraint in constraints:
            if constraint.topology_key == HOSTNAME:  # counted on the node itself, whatever the policies
                tally = self._spread_tally(constraint, ROW, None)
            else:
                tally = self._spread_tally(constraint, constraint.topology_key, self._counted(constraint, keys))
            self.soft.append(_Soft(constraint, self.groups.reading(tally)))

    def _spread_tally(self, constraint: Constraint, topology_key: str, eligible: Mask | None) -> Tally:
        namespace, selector = self.cls.namespace, constraint.selector

        def selects(cls: PodClass) -> bool:
            if selector is None or selector.everything or cls.namespace != namespace:
                return False
            return selector.matches(cls.labels)

        pin = first_pin(selector.equalities()) if selector is not None else None
        key = ("spread", namespace, constraint.key)
        return self.tallies.of_selected(key, topology_key, selects, pin, eligible=eligible)

    def _has_keys(self, keys: list[str]) -> Mask | None:
        """The rows that have all labels; None for all."""
        mask = np.ones(self.columns.size, dtype=bool)
        for key in keys:
            mask &= self.columns.label(key).codes >= 0
        return None if mask.all() else mask

    def _counted(self, constraint: Constraint, keys: Mask | None) -> Mask | None:
        """The rows whose pods count under the constraint's policies; None for all."""
        mask = np.ones(self.columns.size, dtype=bool) if keys is None else keys.copy()
        if constraint.honor_affinity:
            near = matched(self.columns, self.cls)
            if near is not None:
                mask &= near
        if constraint.honor_taints:
            mask &= tolerated(self.columns, self.cls)
        return None if mask.all() else mask

    # -- InterPodAffinity --------------------------------------------------------------------------------------------

    def add_affinity(self) -> None:
        """The required terms, own and carried by others."""
        cls = self.cls
        self.near_itself = selects_all(cls.affinity, cls, self.cluster.namespace_labels(cls.namespace))
        pin = next((p for p in map(pin_of, cls.affinity) if p is not None), None)
        key = ("all", *(term.key for term in cls.affinity))
        for term in cls.affinity:
            tally = self.tallies.of_selected(key, term.topology_key, self._all, pin, with_terminating=True)
            self.near.append(self.groups.reading(tally))
        self.apart.extend(self.groups.reading(self._selected_by(term)) for term in cls.anti_affinity)

    def add_preferences(self) -> None:
        """The own preferred terms."""
        for sign, terms in ((1, self.cls.preferred_affinity), (-1, self.cls.preferred_anti_affinity)):
            for term in terms:
                if term.weight:
                    self.weighted.append(Weighted(self.groups.reading(self._selected_by(term)), sign * term.weight))

    def find_carried(self, rejects: InterPodAffinity | None, scores: InterPodAffinity | None) -> bool:
        """Looks for terms of other pods that select this class and weren't looked at yet; whether it found any."""
        carried = self.tallies.carried
        if self.seen == len(carried):
            return False
        labels = self.cls.labels
        namespace = self.cluster.namespace_labels(self.cls.namespace)
        found = False
        weights = self._role_weights(scores)
        for item in carried[self.seen :]:
            if item.pin is not None and labels.get(item.pin[0]) != item.pin[1]:
                continue
            if not item.term.matches(self.cls.namespace, labels, namespace):
                continue
            if item.role == ANTI:
                if rejects is not None:
                    self.apart.append(self.groups.reading(item.tally))
                    found = True
            elif weights is not None:
                weight = weights[item.role] * (1 if item.role == NEED else item.term.weight)
                if weight:
                    self.weighted.append(Weighted(self.groups.reading(item.tally), weight))
                    found = True
        self.seen = len(carried)
        return found

    def _role_weights(self, scores: InterPodAffinity | None) -> dict[str, int] | None:
        if scores is None:
            return None
        own = self.cls.preferred_affinity or self.cls.preferred_anti_affinity
        if scores.ignore_preferred_of_existing and not own:
            return None
        return {NEED: scores.hard_weight, LIKE: 1, DISLIKE: -1}

    def _all(self, other: PodClass) -> bool:
        return selects_all(self.cls.affinity, other, self.cluster.namespace_labels(other.namespace))

    def _selected_by(self, term: Term) -> Tally:
        cluster = self.cluster

        def selects(other: PodClass) -> bool:
            return term.matches(other.namespace, other.labels, cluster.namespace_labels(other.namespace))

        key = ("term", term.key)
        return self.tallies.of_selected(key, term.topology_key, selects, pin_of(term), with_terminating=True)

    # -- judging the groups ------------------------------------------------------------------------------------------

    def judge(self, passing: Mask) -> None:
        """Takes the groups out of ``passing`` that spread or affinity rejects."""
        for constraint, reading, itself, present in self.hard:
            counts, missing = self.groups.read(reading)
            least = _least(reading.tally, present, constraint)
            passing &= counts <= constraint.max_skew + least - itself
            if missing is not None:
                passing &= ~missing
        if self.near:
            everywhere = np.ones(len(passing), dtype=bool)
            for reading in self.near:
                counts, missing = self.groups.read(reading)
                if missing is not None:
                    passing &= ~missing
                everywhere &= counts > 0
            if not (self.near_itself and not any(reading.tally.total for reading in self.near)):
                passing &= everywhere
        for reading in self.apart:
            counts, missing = self.groups.read(reading)
            passing &= (counts <= 0) if missing is None else (counts <= 0) | missing

    def spread_score(self, passing: Mask, sizes: Ints, rows: Mask | None) -> Ints | None:
        """PodTopologySpread's normalised score of each group; ``rows`` are those that pass, where domains are many."""
        if not self.soft:
            return None
        read = [self.groups.read(soft.reading) for soft in self.soft]
        lacking = [missing for _, missing in read if missing is not None] if self.all_keys else []
        ignored = np.logical_or.reduce(lacking) if lacking else None
        counted = passing if ignored is None else passing & ~ignored
        total = np.zeros(len(passing))
        for soft, (counts, missing) in zip(self.soft, read, strict=True):
            share = counts * math.log(self._domains(soft, counted, sizes, rows) + 2)
            share += float(soft.constraint.max_skew - 1)
            if missing is not None:
                share[missing] = 0.0
            total += share
        raw = np.floor(total)
        raw += total - raw >= 0.5  # half away from zero; nothing is negative
        return _reversed(raw.astype(np.int64), counted, ignored)

    def _domains(self, soft: _Soft, counted: Mask, sizes: Ints, rows: Mask | None) -> int:
        """How many domains the nodes that fit are in."""
        if soft.constraint.topology_key == HOSTNAME:
            return int(sizes[counted].sum())
        if not soft.reading.is_count:
            return len(set(self.groups.codes(soft.reading.feature)[counted].tolist()))
        assert rows is not None
        codes = soft.reading.tally.codes[rows & counted[self.groups.of_row]]
        return len(np.unique(codes))

    @property
    def needs_rows(self) -> bool:
        """Whether ``spread_score`` needs the passing rows themselves."""
        return any(soft.reading.is_count and soft.constraint.topology_key != HOSTNAME for soft in self.soft)

    def affinity_score(self, passing: Mask) -> Ints | None:
        """InterPodAffinity's normalised score of each group."""
        if not self.weighted:
            return None
        raw = np.zeros(len(passing), dtype=np.int64)
        for reading, weight in self.weighted:
            counts, missing = self.groups.read(reading)
            raw += (counts if missing is None else np.where(missing, 0, counts)) * weight
        among = raw[passing]
        least, most = int(among.min()), int(among.max())
        if most == least:
            return None
        scaled: Ints = (float(MAX_SCORE) * ((raw - least) / float(most - least))).astype(np.int64)
        return scaled


def _least(tally: Tally, present: Mask, constraint: Constraint) -> int:
    """The fewest pods in any eligible domain; 0 where there are fewer domains than minDomains."""
    domains = int(np.count_nonzero(present))
    if domains < constraint.min_domains:
        return 0
    return int(tally.counts[present].min()) if domains else NO_MINIMUM


def _reversed(raw: Ints, counted: Mask, ignored: Mask | None) -> Ints:
    """The fewer the better: 100 * (max + min - raw) / max over the groups that count; 0 for those that don't."""
    among = raw[counted]
    if not len(among):
        return np.zeros(len(raw), dtype=np.int64)
    most, least = int(among.max()), int(among.min())
    scores = MAX_SCORE * (most + least - raw) // most if most else np.full(len(raw), MAX_SCORE)
    if ignored is not None:
        scores[ignored] = 0
    return scores
