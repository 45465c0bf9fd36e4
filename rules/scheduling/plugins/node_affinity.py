"""NodeAffinity: nodeSelector and required node affinity reject, preferred node affinity scores."""

from __future__ import annotations

from collections.abc import Sequence

from rules.scheduling.framework import Cycle, Plugin, scaled_to_max
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.status import SKIP, UNRESOLVABLE, NodeNames, PreFilterResult, Refusal
from rules.scheduling.terms import Labels
from state.objects import NodeAffinity as Added
from state.objects import NodeSelector, PodSpec, PreferredSchedulingTerm
from state.selectors import matches_node_selector, matches_node_selector_term

REASON = "node(s) didn't match Pod's node affinity/selector"
REASON_ENFORCED = "node(s) didn't match scheduler-enforced node affinity"
#: Of nodes that ``metadata.name`` in every term leaves out.
EXCLUDED = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
CONFLICT = "pod affinity terms conflict"
NAME_FIELD = "metadata.name"


def required(spec: PodSpec) -> NodeSelector | None:
    """The required node affinity of a pod."""
    if spec.affinity is None or spec.affinity.node_affinity is None:
        return None
    return spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution


def preferred(spec: PodSpec) -> Sequence[PreferredSchedulingTerm]:
    """The preferred node affinity terms of a pod."""
    if spec.affinity is None or spec.affinity.node_affinity is None:
        return ()
    return spec.affinity.node_affinity.preferred_during_scheduling_ignored_during_execution


def is_required_matched(spec: PodSpec, labels: Labels, name: str) -> bool:
    """Whether a node satisfies nodeSelector and required affinity, as GetRequiredNodeAffinity(pod).Match."""
    if any(labels.get(key) != value for key, value in spec.node_selector.items()):
        return False
    selector = required(spec)
    return selector is None or matches_node_selector(selector, labels, name)


def named_nodes(selector: NodeSelector | None) -> frozenset[str] | None:
    """The only node names possible, if every term pins ``metadata.name``; None if any node may do."""
    if selector is None or not selector.node_selector_terms:
        return None
    names: set[str] = set()
    for term in selector.node_selector_terms:
        pinned: set[str] | None = None
        for field in term.match_fields:
            if field.key == NAME_FIELD and field.operator == "In":
                pinned = set(field.values) if pinned is None else pinned & set(field.values)
        if pinned is None:
            return None
        names |= pinned
    return frozenset(names)


class NodeAffinity(Plugin):
    """Rejects nodes outside nodeSelector and required affinity; scores by the weights of the preferred terms.

    ``added`` is affinity that every pod gets beside its own.
    """

    name = "NodeAffinity"
    scores = True

    def __init__(self, added: Added | None = None) -> None:
        self.enforced = None if added is None else added.required_during_scheduling_ignored_during_execution
        self._favoured = () if added is None else added.preferred_during_scheduling_ignored_during_execution

    def preferred(self, spec: PodSpec) -> Sequence[PreferredSchedulingTerm]:
        """The terms that a pod's nodes are scored by."""
        return (*self._favoured, *preferred(spec))

    def pre_filter(self, cycle: Cycle) -> PreFilterResult:
        """Narrows the candidates when the pod names them."""
        selector = required(cycle.cls.spec)
        if selector is None and not cycle.cls.spec.node_selector and self.enforced is None:
            return SKIP
        names = named_nodes(selector)
        if names is None:
            return None
        return NodeNames(names) if names else self.refuse(UNRESOLVABLE, CONFLICT)

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's NodeAffinity."""
        if self.enforced is not None and not matches_node_selector(self.enforced, node.labels, node.name):
            return self.refuse(UNRESOLVABLE, REASON_ENFORCED)
        if is_required_matched(cycle.cls.spec, node.labels, node.name):
            return None
        return self.refuse(UNRESOLVABLE, REASON)

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> bool:
        """Skips pods without preferences."""
        return bool(self.preferred(cycle.cls.spec))

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        """The sum of the weights of the terms that match."""
        return sum(
            term.weight
            for term in self.preferred(cycle.cls.spec)
            if term.weight and matches_node_selector_term(term.preference, node.labels, node.name)
        )

    def normalize(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]:
        """Relative to the best."""
        return scaled_to_max(scores)
