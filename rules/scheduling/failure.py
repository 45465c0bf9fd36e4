"""Why pods of a class fit nowhere, and whom they could preempt, worked out for all rows at once.

Only for classes for which nothing but the node itself and its resources matters; others go node by node. The words and
the choice are those of the plugins and of ``preemption``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rules.scheduling import static_columns
from rules.scheduling.columns import Mask, NodeColumns, NodeRows
from rules.scheduling.plugins import node_affinity, node_unschedulable, taint_toleration
from rules.scheduling.plugins.node_affinity import NodeAffinity
from rules.scheduling.plugins.node_resources_fit import NodeResourcesFit
from rules.scheduling.plugins.node_unschedulable import NodeUnschedulable
from rules.scheduling.plugins.taint_toleration import TaintToleration
from rules.scheduling.pods import PodClass
from rules.scheduling.preemption import NO_VICTIMS, NOT_HELPFUL, Preemption, failed
from rules.scheduling.recipe import Recipe
from rules.scheduling.status import fit_error
from rules.scheduling.victims import VictimTable


@dataclass(slots=True)
class Failure:
    """The counted reasons, and the rows where preemption may help."""

    reasons: dict[str, int] = field(default_factory=dict)
    helpable: Mask = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def count(self, reason: str, rows: int) -> None:
        """Adds rows refused with a reason."""
        if rows:
            self.reasons[reason] = self.reasons.get(reason, 0) + rows


def explain(columns: NodeColumns, amounts: NodeRows, recipe: Recipe, cls: PodClass) -> Failure:
    """The refusals of all rows in the order of the plugins; every row is refused.

    ``amounts`` are those of the columns, with the pods nominated to nodes counted there.
    """
    failure = Failure()
    left = np.ones(columns.size, dtype=bool)
    names = node_affinity.named_nodes(node_affinity.required(cls.spec))
    if names is not None and recipe.filtering(NodeAffinity) is not None:
        named = np.array([name in names for name in columns.names], dtype=bool)
        failure.count(node_affinity.EXCLUDED, int(np.count_nonzero(~named)))
        left &= named
    if recipe.filtering(NodeUnschedulable) is not None:
        _refuse(failure, left, static_columns.schedulable(columns, cls), node_unschedulable.REASON)
    if recipe.filtering(TaintToleration) is not None:
        _refuse_taints(failure, left, columns, cls)
    affinity = recipe.filtering(NodeAffinity)
    if affinity is not None:
        if affinity.enforced is not None:
            _refuse(failure, left, static_columns.selected(columns, affinity.enforced), node_affinity.REASON_ENFORCED)
        matched = static_columns.matched(columns, cls)
        if matched is not None:
            _refuse(failure, left, matched, node_affinity.REASON)
    fit = recipe.filtering(NodeResourcesFit)
    failure.helpable = np.zeros(columns.size, dtype=bool)
    if fit is not None:
        short, final, reasons = fit.shortage_columns(amounts, cls)
        for reason, rows in reasons.items():
            failure.count(reason, int(np.count_nonzero(rows & left)))
        failure.helpable = short & ~final & left
        left &= ~short
    for plugin in recipe.own_filters:
        fits = plugin.allowed(cls, columns)
        failure.helpable |= left & ~fits
        _refuse(failure, left, fits, plugin.sentence)
    return failure


def preempt(
    table: VictimTable, amounts: NodeRows, fit: NodeResourcesFit, cls: PodClass, failure: Failure
) -> Preemption:
    """As ``preemption.preempt`` for a pod that may preempt, on all rows at once."""
    trial = table.trial(fit, cls, failure.helpable, amounts)
    if not trial.works.any():
        others = {NOT_HELPFUL: ~failure.helpable, NO_VICTIMS: failure.helpable & ~table.any}
        counted = {reason: int(np.count_nonzero(rows)) for reason, rows in others.items()}
        reasons = {reason: rows for reason, rows in {**trial.reasons, **counted}.items() if rows}
        return Preemption(message=failed(fit_error(amounts.size, reasons)), was_tried=True)
    row = table.best(trial)
    return Preemption(node=amounts.infos[row].name, victims=table.victims(trial, row), was_tried=True)


def _refuse(failure: Failure, left: Mask, fits: Mask, reason: str) -> None:
    failure.count(reason, int(np.count_nonzero(left & ~fits)))
    left &= fits


def _refuse_taints(failure: Failure, left: Mask, columns: NodeColumns, cls: PodClass) -> None:
    groups = columns.taints
    counts = np.bincount(groups.codes[left], minlength=len(groups.taints)).tolist()
    for taints, rows in zip(groups.taints, counts, strict=True):
        taint = taint_toleration.untolerated(cls.spec.tolerations, taints)
        if taint is not None:
            failure.count(taint_toleration.reason(taint), rows)
    left &= static_columns.tolerated(columns, cls)
