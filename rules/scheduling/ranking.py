"""All nodes ranked for one class of pods, kept up to date row by row.

A node's total is a part that depends on the node and its pods alone (``scores``, which also says whether the node fits
as such) and a part that is the same for its whole group. Placing a pod changes one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rules.scheduling import static_columns
from rules.scheduling.cluster import Cluster
from rules.scheduling.columns import Filled, Ints, Mask, NodeColumns, NodeRows, Rows
from rules.scheduling.groups import Groups
from rules.scheduling.plugins.image_locality import ImageLocality
from rules.scheduling.plugins.inter_pod_affinity import InterPodAffinity
from rules.scheduling.plugins.node_affinity import NodeAffinity
from rules.scheduling.plugins.node_ports import NodePorts
from rules.scheduling.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from rules.scheduling.plugins.node_resources_fit import NodeResourcesFit
from rules.scheduling.plugins.node_unschedulable import NodeUnschedulable
from rules.scheduling.plugins.pod_topology_spread import PodTopologySpread
from rules.scheduling.plugins.taint_toleration import TaintToleration
from rules.scheduling.pods import PodClass
from rules.scheduling.recipe import Recipe
from rules.scheduling.relations import Relations
from rules.scheduling.status import MAX_SCORE
from rules.scheduling.tallies import Tallies, Tally

#: The score of a row that doesn't fit; low enough to stay negative whatever is added.
UNFIT = -(2**40)
#: Up to so many changed rows are worked out one by one, beyond it all at once.
_FEW_ROWS = 24


class Pick(NamedTuple):
    """The best row, its total, and how many rows fit."""

    row: int
    total: int
    feasible: int


class Ranking:
    """The ranking for one class."""

    def __init__(self, cluster: Cluster, columns: NodeColumns, tallies: Tallies, recipe: Recipe, cls: PodClass) -> None:
        self.cluster = cluster
        self.columns = columns
        self.tallies = tallies
        self.recipe = recipe
        self.cls = cls
        self._fit = recipe.filtering(NodeResourcesFit)
        self._fit_score = recipe.scoring(NodeResourcesFit)
        balanced = recipe.scoring(NodeResourcesBalancedAllocation)
        self._balance = balanced if balanced is not None and balanced[0].concerns(cls) else None
        self._own_filters = recipe.own_filters
        self._own_scorers = recipe.own_scorers
        self._ports = cls.ports if recipe.filtering(NodePorts) is not None else ()
        self._allowed = self._allowed_rows()
        self._allowed_list: list[bool] | None = None if self._allowed.all() else self._allowed.tolist()
        located = recipe.scoring(ImageLocality)
        images = static_columns.images(columns, cls) if located is not None else None
        self._images: Ints | None = images * located[1] if images is not None and located is not None else None
        self.scores: Ints = np.zeros(0, dtype=np.int64)
        self._read = 0
        self.groups = Groups(columns)
        self.relations = self._relate()
        self._taints = recipe.scoring(TaintToleration)
        self._taint_feature = self._fixed(static_columns.soft_taints(columns, cls) if self._taints else None)
        self._affinity = recipe.scoring(NodeAffinity)
        terms = self._affinity[0].preferred(cls.spec) if self._affinity else ()
        self._affinity_feature = self._fixed(static_columns.preferred(columns, terms))
        self._spread_weight = (recipe.scoring(PodTopologySpread) or (None, 0))[1]
        self._near_weight = (recipe.scoring(InterPodAffinity) or (None, 0))[1]
        self._rebuild()

    # -- what never changes ------------------------------------------------------------------------------------------

    def _allowed_rows(self) -> Mask:
        columns, cls, recipe = self.columns, self.cls, self.recipe
        mask = np.ones(columns.size, dtype=bool)
        if recipe.filtering(NodeUnschedulable) is not None:
            mask &= static_columns.schedulable(columns, cls)
        if recipe.filtering(TaintToleration) is not None:
            mask &= static_columns.tolerated(columns, cls)
        affinity = recipe.filtering(NodeAffinity)
        if affinity is not None:
            near = static_columns.matched(columns, cls)
            if near is not None:
                mask &= near
            if affinity.enforced is not None:
                mask &= static_columns.selected(columns, affinity.enforced)
        return mask

    def _relate(self) -> Relations:
        relations = Relations(self.cluster, self.columns, self.tallies, self.groups, self.cls)
        hard = self.recipe.filtering(PodTopologySpread)
        if hard is not None:
            relations.add_hard_spread(hard)
        soft = self.recipe.scoring(PodTopologySpread)
        if soft is not None:
            relations.add_soft_spread(soft[0])
        rejects, scores = self._affinity_plugins()
        if rejects is not None:
            relations.add_affinity()
        if scores is not None:
            relations.add_preferences()
        relations.find_carried(rejects, scores)
        return relations

    def _affinity_plugins(self) -> tuple[InterPodAffinity | None, InterPodAffinity | None]:
        scores = self.recipe.scoring(InterPodAffinity)
        return self.recipe.filtering(InterPodAffinity), None if scores is None else scores[0]

    def _fixed(self, codes: Ints | None) -> int | None:
        return None if codes is None else self.groups.fixed(codes)

    # -- following the pods ------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Brings the ranking up to date with the pods."""
        if self.relations.seen != len(self.tallies.carried) and self.relations.find_carried(*self._affinity_plugins()):
            self._rebuild()
            return
        log = self.columns.log
        if self._read == len(log):
            return
        changed = log[self._read :]
        rows = changed if len(changed) == 1 else sorted(set(changed))
        self._read = len(log)
        if len(rows) > _FEW_ROWS:
            self._update_many(np.array(rows, dtype=np.intp))
            return
        scores, groups = self.scores, self.groups
        for row in rows:
            before, score = scores[row] >= 0, self._score(row)
            scores[row] = score
            if before != (score >= 0):
                groups.sizes[groups.of_row[row]] += 1 if score >= 0 else -1
        if self._moving:
            for row in self._moved(rows):
                groups.regroup(row, fits=bool(scores[row] >= 0))

    def _update_many(self, rows: Rows) -> None:
        """Works changed rows out all at once; only those whose group changed are looked at one by one."""
        self.columns.refresh()
        fresh = self._score_all(rows)
        before, after = self.scores[rows] >= 0, fresh >= 0
        self.scores[rows] = fresh
        turned = before != after
        for row, fits in zip(rows[turned].tolist(), after[turned].tolist(), strict=True):
            self.groups.sizes[self.groups.of_row[row]] += 1 if fits else -1
        if self._moving:
            wider = np.array(self._moved(rows.tolist()), dtype=np.intp)
            for row in wider[self.groups.is_misplaced(wider)].tolist():
                self.groups.regroup(row, fits=bool(self.scores[row] >= 0))

    def _rebuild(self) -> None:
        """Works everything out anew, all rows at once."""
        self._read = len(self.columns.log)
        self.columns.refresh()
        self.scores = self._score_all(None)
        self.groups.build(self.scores >= 0)
        self._moving: Sequence[Tally] = self.groups.moving

    def _moved(self, rows: Sequence[int]) -> Sequence[int]:
        """The rows whose group may have changed: those in a domain in which a pod came or went."""
        wider: set[int] = set(rows)
        for tally in self._moving:
            if len(tally.counts) < self.columns.size:  # not every row is its own domain
                codes = {int(tally.codes[row]) for row in rows} - {-1}
                for code in codes:
                    wider.update(np.flatnonzero(tally.codes == code).tolist())
        return sorted(wider)

    def _score(self, row: int) -> int:
        """The row's own part of the total; ``UNFIT`` if it doesn't fit as such."""
        if self._allowed_list is not None and not self._allowed_list[row]:
            return UNFIT
        info, cls = self.columns.infos[row], self.cls
        if self._fit is not None and not self._fit.fits(cls, info):
            return UNFIT
        if self._ports and info.ports:
            for port in self._ports:
                if next(info.takers(port), None) is not None:
                    return UNFIT
        total = 0 if self._images is None else int(self._images[row])
        if self._fit_score is not None:
            total += self._fit_score[0].score_of(cls, info) * self._fit_score[1]
        if self._balance is not None:
            total += self._balance[0].score_of(cls, info) * self._balance[1]
        if self._own_filters or self._own_scorers:
            return int(self._own(NodeRows([info]), np.array([total]))[0])
        return total

    def _own(self, nodes: NodeRows, total: Ints) -> Ints:
        """The part of the plugins of the user's own."""
        for plugin, weight in self._own_scorers:
            total += plugin.ranks(self.cls, nodes) * weight
        for plugin in self._own_filters:
            total[~plugin.allowed(self.cls, nodes)] = UNFIT
        return total

    @property
    def stacks(self) -> bool:
        """Whether a pod of the class makes a difference to others of it by what it takes of its node alone.

        Then more than one of them can be placed at once: see ``runs``.
        """
        return self.relations.none and not (self._ports or self._own_filters or self._own_scorers)

    def score_filled(self, rows: Rows, copies: Ints) -> Ints:
        """The scores that rows would have with so many more pods of the class on each; the ranking is up to date."""
        self.columns.refresh()
        return self._score_columns(Filled(self.columns, rows, copies, self.cls), rows)

    def _score_all(self, rows: Rows | None) -> Ints:
        """``_score`` for some rows, or all of them."""
        if rows is None:
            return self._score_columns(self.columns, slice(None))
        return self._score_columns(Filled(self.columns, rows, 0, self.cls), rows)

    def _score_columns(self, amounts: NodeRows, chosen: Rows | slice) -> Ints:
        """``_score`` for the rows that were chosen, which are as ``amounts`` says."""
        cls = self.cls
        fits = self._allowed[chosen].copy()
        if self._fit is not None:
            fits &= self._fit.fitting(amounts, cls)
        if not fits.any():
            return np.full(amounts.size, UNFIT, dtype=np.int64)
        if self._ports:
            for index, info in enumerate(amounts.infos):
                if info.ports and any(next(info.takers(port), None) is not None for port in self._ports):
                    fits[index] = False
        total = np.zeros(amounts.size, dtype=np.int64) if self._images is None else self._images[chosen].copy()
        if self._fit_score is not None:
            total += self._fit_score[0].score_column(amounts, cls) * self._fit_score[1]
        if self._balance is not None:
            total += self._balance[0].score_column(amounts, cls) * self._balance[1]
        if self._own_filters or self._own_scorers:
            total = self._own(amounts, total)
        total[~fits] = UNFIT
        return total

    # -- picking -----------------------------------------------------------------------------------------------------

    def pick(self) -> Pick | None:
        """The best row, the first by name among equals."""
        if not self.columns.size:
            return None
        if not self.groups.features:
            row = int(self.scores.argmax())
            score = int(self.scores[row])
            base = MAX_SCORE * self._taints[1] if self._taints is not None else 0
            return Pick(row, score + base, self.groups.sizes[0]) if score >= 0 else None
        shares, feasible = self.judge()
        if feasible == 0:
            return None
        totals = shares[self.groups.of_row]
        totals += self.scores
        row = int(totals.argmax())
        return Pick(row, int(totals[row]), feasible)

    def feasible(self) -> Mask:
        """Which rows fit."""
        passing = self._passing(np.array(self.groups.sizes, dtype=np.int64))
        fits: Mask = (self.scores >= 0) & passing[self.groups.of_row]
        return fits

    def exclude(self, rows: Sequence[int]) -> tuple[Ints, list[int]]:
        """Takes rows that fit out of the ranking for a moment; what ``restore`` needs to put them back."""
        kept = (self.scores, self.groups.sizes)
        if rows:
            gone = np.array(rows, dtype=np.intp)
            self.scores = self.scores.copy()
            self.scores[gone] = UNFIT
            lost = np.bincount(self.groups.of_row[gone], minlength=len(self.groups.sizes))
            self.groups.sizes = (np.array(self.groups.sizes) - lost).tolist()
        return kept

    def restore(self, kept: tuple[Ints, list[int]]) -> None:
        """Puts rows back."""
        self.scores, self.groups.sizes = kept

    def _passing(self, sizes: Ints) -> Mask:
        passing: Mask = sizes > 0
        if not self.relations.none:
            self.relations.judge(passing)
        return passing

    def judge(self) -> tuple[Ints, int]:
        """Each group's part of the total (``UNFIT`` for groups that don't pass), and how many rows pass."""
        sizes = np.array(self.groups.sizes, dtype=np.int64)
        passing = self._passing(sizes)
        feasible = int(sizes[passing].sum())
        shares = np.full(len(sizes), UNFIT, dtype=np.int64)
        if feasible:
            shares = np.where(passing, self._group_scores(passing, sizes), UNFIT)
        return shares, feasible

    def _group_scores(self, passing: Mask, sizes: Ints) -> Ints:
        total = np.zeros(len(sizes), dtype=np.int64)
        if self._taints is not None:
            total += self._taints[1] * self._taint_scores(passing)
        if self._affinity is not None and self._affinity_feature is not None:
            raw = self.groups.codes(self._affinity_feature)
            top = int(raw[passing].max())
            if top:
                total += self._affinity[1] * (MAX_SCORE * raw // top)
        relations = self.relations
        rows = self.scores >= 0 if relations.needs_rows else None
        spread = relations.spread_score(passing, sizes, rows) if self._spread_weight else None
        if spread is not None:
            total += self._spread_weight * spread
        near = relations.affinity_score(passing) if self._near_weight else None
        if near is not None:
            total += self._near_weight * near
        return total

    def _taint_scores(self, passing: Mask) -> Ints | int:
        if self._taint_feature is None:
            return MAX_SCORE
        raw = self.groups.codes(self._taint_feature)
        top = int(raw[passing].max())
        return MAX_SCORE - MAX_SCORE * raw // top if top else MAX_SCORE
