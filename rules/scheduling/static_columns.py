"""What a class of pods makes of the nodes as such, whatever runs on them, for all rows at once.

The rules are those of the plugins NodeUnschedulable, TaintToleration, NodeAffinity and ImageLocality, asked once for
each distinct set of taints or label value instead of once for each node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from rules.scheduling.columns import Ints, Mask, NodeColumns
from rules.scheduling.plugins import image_locality, node_affinity, taint_toleration
from rules.scheduling.plugins.node_unschedulable import tolerates_cordon
from rules.scheduling.pods import PodClass
from state.objects import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PreferredSchedulingTerm
from state.selectors import matches_node_selector_term

_SAMPLE = "x"


def schedulable(columns: NodeColumns, cls: PodClass) -> Mask:
    """NodeUnschedulable."""
    groups = columns.taints
    tolerated = tolerates_cordon(cls)
    return np.array([tolerated or not cordoned for cordoned in groups.unschedulable], dtype=bool)[groups.codes]


def tolerated(columns: NodeColumns, cls: PodClass) -> Mask:
    """TaintToleration's filter."""
    groups, tolerations = columns.taints, cls.spec.tolerations
    verdicts = [taint_toleration.untolerated(tolerations, taints) is None for taints in groups.taints]
    return np.array(verdicts, dtype=bool)[groups.codes]


def soft_taints(columns: NodeColumns, cls: PodClass) -> Ints | None:
    """TaintToleration's raw score; None if it is 0 everywhere."""
    groups, tolerations = columns.taints, cls.spec.tolerations
    counts = [taint_toleration.soft_untolerated(tolerations, taints) for taints in groups.taints]
    return np.array(counts, dtype=np.int64)[groups.codes] if any(counts) else None


def matched(columns: NodeColumns, cls: PodClass) -> Mask | None:
    """NodeAffinity's filter: nodeSelector and required affinity; None if every node will do."""
    selector = node_affinity.required(cls.spec)
    if selector is None and not cls.spec.node_selector:
        return None
    mask = np.ones(columns.size, dtype=bool)
    for key, value in cls.spec.node_selector.items():
        column = columns.label(key)
        code = column.numbers.get(value)
        mask &= (column.codes == code) if code is not None else False
    if selector is not None:
        mask &= selected(columns, selector)
        names = node_affinity.named_nodes(selector)
        if names is not None:
            mask &= _named(columns, list(names))
    return mask


def selected(columns: NodeColumns, selector: NodeSelector) -> Mask:
    """The rows that a node selector picks."""
    anywhere = np.zeros(columns.size, dtype=bool)
    for term in selector.node_selector_terms:
        anywhere |= _term(columns, term)
    return anywhere


def preferred(columns: NodeColumns, terms: Iterable[PreferredSchedulingTerm]) -> Ints | None:
    """NodeAffinity's raw score by some terms; None if it is 0 everywhere."""
    total: Ints | None = None
    for preference in terms:
        if not preference.weight:
            continue
        mask = _term(columns, preference.preference)
        if mask.any():
            total = np.zeros(columns.size, dtype=np.int64) if total is None else total
            total[mask] += preference.weight
    return total


def images(columns: NodeColumns, cls: PodClass) -> Ints | None:
    """ImageLocality's score; None if it is 0 everywhere."""
    sizes, holders = columns.images
    if not any(image in sizes for image in cls.images):
        return None
    total = np.zeros(columns.size, dtype=np.int64)
    for image in cls.images:
        if image in sizes:
            rows = [columns.rows[name] for name in holders[image]]
            total[rows] += image_locality.share(sizes[image], len(rows), columns.size)
    distinct, inverse = np.unique(total, return_inverse=True)
    scores = [image_locality.priority(int(size), len(cls.images)) for size in distinct]
    return np.array(scores, dtype=np.int64)[inverse] if any(scores) else None


def _term(columns: NodeColumns, term: NodeSelectorTerm) -> Mask:
    """The rows that a node selector term matches; an empty term matches none."""
    mask = np.full(columns.size, bool(term.match_expressions or term.match_fields))
    for expression in term.match_expressions:
        mask &= _expression(columns, expression)
    for field in term.match_fields:
        mask &= _field(columns, field)
    return mask


def _expression(columns: NodeColumns, expression: NodeSelectorRequirement) -> Mask:
    """One requirement, asked once for each distinct value of its label, and once for nodes without it."""
    column = columns.label(expression.key)
    alone = NodeSelectorTerm(match_expressions=(expression,))

    def ask(labels: dict[str, str]) -> bool:
        return matches_node_selector_term(alone, labels, _SAMPLE)

    verdicts = _verdicts(expression, column.values, column.numbers, ask)
    return np.array(verdicts, dtype=bool)[column.codes]  # code -1 reads the last: the label is absent


def _verdicts(
    expression: NodeSelectorRequirement,
    values: Sequence[str],
    index: dict[str, int],
    ask: Callable[[dict[str, str]], bool],
) -> list[bool]:
    key, operator = expression.key, expression.operator
    absent = ask({})
    if operator == "In" and expression.values and ask({key: expression.values[0]}):
        verdicts = [False] * len(values)
        for value in expression.values:
            if value in index:
                verdicts[index[value]] = True
    elif operator == "NotIn" and absent:
        verdicts = [True] * len(values)
        for value in expression.values:
            if value in index:
                verdicts[index[value]] = False
    elif operator in ("Exists", "DoesNotExist"):
        verdicts = [ask({key: _SAMPLE})] * len(values)
    else:
        verdicts = [ask({key: value}) for value in values]
    return [*verdicts, absent]


def _field(columns: NodeColumns, field: NodeSelectorRequirement) -> Mask:
    """One requirement on the node's name."""
    alone = NodeSelectorTerm(match_fields=(field,))
    elsewhere = matches_node_selector_term(alone, {}, f"{_SAMPLE}/{''.join(field.values)}")
    mask = np.full(columns.size, elsewhere)
    for name in field.values:
        row = columns.rows.get(name)
        if row is not None:
            mask[row] = matches_node_selector_term(alone, {}, name)
    return mask


def _named(columns: NodeColumns, names: Sequence[str]) -> Mask:
    mask = np.zeros(columns.size, dtype=bool)
    mask[[columns.rows[name] for name in names if name in columns.rows]] = True
    return mask
