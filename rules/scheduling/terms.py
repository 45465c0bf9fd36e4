"""Affinity terms and spread constraints of a pod, compiled: selectors parsed, namespaces resolved, defaults applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from state.objects import (
    LabelSelector,
    LabelSelectorRequirement,
    PodAffinityTerm,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
    replace,
)
from state.selectors import Selector, from_object

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"

Labels = Mapping[str, str]
#: A selector's content in a form that can be compared and hashed.
SelectorKey = tuple[object, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One (anti-)affinity term. ``key`` is its content without the weight: equal terms select equally."""

    topology_key: str
    namespaces: frozenset[str]
    namespace_selector: Selector | None
    selector: Selector | None
    weight: int
    key: tuple[object, ...]

    def matches(self, namespace: str, labels: Labels, namespace_labels: Labels) -> bool:
        """Whether the term selects a pod of that namespace with those labels."""
        if self.selector is None:
            return False
        if namespace not in self.namespaces and (
            self.namespace_selector is None or not self.namespace_selector.matches(namespace_labels)
        ):
            return False
        return self.selector.matches(labels)


@dataclass(frozen=True, slots=True, eq=False)
class Constraint:
    """One topology spread constraint. ``key`` identifies which pods it counts."""

    topology_key: str
    max_skew: int
    min_domains: int
    selector: Selector | None
    honor_affinity: bool
    honor_taints: bool
    hard: bool
    key: SelectorKey = field(default=None)

    def selects(self, labels: Labels) -> bool:
        """Whether the constraint counts pods with these labels (in the pod's own namespace)."""
        return self.selector is not None and self.selector.matches(labels)


def compile_terms(terms: Sequence[PodAffinityTerm], namespace: str, labels: Labels) -> tuple[Term, ...]:
    """The required terms of a pod of that namespace with those labels."""
    return tuple(_term(term, 0, namespace, labels) for term in terms)


def compile_weighted(terms: Sequence[WeightedPodAffinityTerm], namespace: str, labels: Labels) -> tuple[Term, ...]:
    """The preferred terms; a term of weight 0 counts for nothing, but is kept."""
    return tuple(_term(term.pod_affinity_term, term.weight, namespace, labels) for term in terms)


def compile_constraints(
    constraints: Sequence[TopologySpreadConstraint], labels: Labels, *, hard: bool
) -> tuple[Constraint, ...]:
    """The hard (DoNotSchedule) or the soft (ScheduleAnyway) constraints of a pod."""
    return tuple(_constraint(c, labels) for c in constraints if (c.when_unsatisfiable == "DoNotSchedule") == hard)


def selector_key(selector: LabelSelector | None) -> SelectorKey:
    """The content of a selector as a value that can be hashed."""
    if selector is None:
        return None
    expressions = tuple(sorted((e.key, e.operator, tuple(sorted(e.values))) for e in selector.match_expressions))
    return (tuple(sorted(selector.match_labels.items())), expressions)


def compile_selector(selector: LabelSelector | None) -> Selector | None:
    """The matcher of a selector; None (which selects nothing) for none."""
    return None if selector is None else from_object(selector)


def _term(term: PodAffinityTerm, weight: int, namespace: str, labels: Labels) -> Term:
    selector = with_label_keys(term.label_selector, labels, term.match_label_keys, term.mismatch_label_keys)
    names = frozenset(term.namespaces)
    if not names and term.namespace_selector is None:
        names = frozenset((namespace,))
    key = (term.topology_key, tuple(sorted(names)), selector_key(term.namespace_selector), selector_key(selector))
    return Term(
        topology_key=term.topology_key,
        namespaces=names,
        namespace_selector=compile_selector(term.namespace_selector),
        selector=compile_selector(selector),
        weight=weight,
        key=key,
    )


def _constraint(constraint: TopologySpreadConstraint, labels: Labels) -> Constraint:
    selector = with_label_keys(constraint.label_selector, labels, constraint.match_label_keys, ())
    return Constraint(
        topology_key=constraint.topology_key,
        max_skew=constraint.max_skew,
        min_domains=1 if constraint.min_domains is None else constraint.min_domains,
        selector=compile_selector(selector),
        honor_affinity=constraint.node_affinity_policy != "Ignore",
        honor_taints=constraint.node_taints_policy == "Honor",
        hard=constraint.when_unsatisfiable == "DoNotSchedule",
        key=selector_key(selector),
    )


def with_label_keys(
    selector: LabelSelector | None, labels: Labels, match: Sequence[str], mismatch: Sequence[str]
) -> LabelSelector | None:
    """The selector with ``matchLabelKeys`` and ``mismatchLabelKeys`` merged in, as an API server stores it.

    An API server has done so already for pods that went through one; doing it twice selects the same pods.
    """
    if selector is None:
        return None
    added = tuple(
        LabelSelectorRequirement(key=key, operator=operator, values=(labels[key],))
        for operator, keys in (("In", match), ("NotIn", mismatch))
        for key in keys
        if key in labels
    )
    return replace(selector, match_expressions=selector.match_expressions + added) if added else selector
