"""InterPodAffinity: near the pods a pod wants, away from those it avoids, and from those that avoid it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.pods import PodClass, PodEntry
from rules.scheduling.status import MAX_SCORE, SKIP, UNRESOLVABLE, UNSCHEDULABLE, PreFilterResult, Refusal
from rules.scheduling.terms import Labels, Term

REASON_AFFINITY = "node(s) didn't match pod affinity rules"
REASON_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
REASON_EXISTING = "node(s) didn't satisfy existing pods anti-affinity rules"

#: Pods by topology pair (key, value).
Pairs = dict[tuple[str, str], int]
#: A pod's class and the labels of its namespace.
_Pod = tuple[PodClass, Labels]


@dataclass(slots=True)
class _Counts:
    """What the required terms found, by topology pair."""

    affinity: Pairs = field(default_factory=dict)
    anti_affinity: Pairs = field(default_factory=dict)
    existing: Pairs = field(default_factory=dict)

    def copy(self) -> _Counts:
        return _Counts(dict(self.affinity), dict(self.anti_affinity), dict(self.existing))


def selects_all(terms: Sequence[Term], cls: PodClass, namespace_labels: Labels) -> bool:
    """Whether every term selects a pod."""
    return bool(terms) and all(term.matches(cls.namespace, cls.labels, namespace_labels) for term in terms)


class InterPodAffinity(Plugin):
    """Rejects nodes by required terms, the pod's own and those of pods that run; scores by preferred ones."""

    name = "InterPodAffinity"
    scores = True

    def __init__(self, hard_weight: int = 1, *, ignore_preferred_of_existing: bool = False) -> None:
        self.hard_weight = hard_weight
        self.ignore_preferred_of_existing = ignore_preferred_of_existing

    def pre_filter(self, cycle: Cycle) -> PreFilterResult:
        """Counts, over all nodes, what the terms select."""
        cls = cycle.cls
        counts = _Counts()
        own = bool(cls.affinity or cls.anti_affinity)
        for node in cycle.cluster.candidates():
            entries: Iterable[PodEntry] = node.pods.values() if own else node.with_anti_affinity.values()
            for entry in entries:
                self._move(cycle, counts, entry, node, 1)
        cycle.state[self.name] = counts
        return None if own or counts.existing else SKIP

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's InterPodAffinity: own affinity, own anti-affinity, that of pods that run."""
        counts: _Counts = cycle.state[self.name]
        cls = cycle.cls
        if cls.affinity and not self._near(cycle, counts, node):
            return self.refuse(UNRESOLVABLE, REASON_AFFINITY)
        for term in cls.anti_affinity:
            if (
                term.topology_key in node.labels
                and counts.anti_affinity.get((term.topology_key, node.labels[term.topology_key]), 0) > 0
            ):
                return self.refuse(UNSCHEDULABLE, REASON_ANTI_AFFINITY)
        if counts.existing and any(counts.existing.get(pair, 0) > 0 for pair in node.labels.items()):
            return self.refuse(UNSCHEDULABLE, REASON_EXISTING)
        return None

    def _near(self, cycle: Cycle, counts: _Counts, node: NodeInfo) -> bool:
        cls = cycle.cls
        if not all(term.topology_key in node.labels for term in cls.affinity):
            return False
        if all(counts.affinity.get((t.topology_key, node.labels[t.topology_key]), 0) > 0 for t in cls.affinity):
            return True
        # The first of a group of pods that want to be near each other has nobody to be near to.
        return not counts.affinity and selects_all(cls.affinity, cls, cycle.cluster.namespace_labels(cls.namespace))

    def move_pod(self, cycle: Cycle, entry: PodEntry, node: NodeInfo, change: int) -> None:
        """Counts a pod that is imagined on the node, or no longer counts one that is imagined gone."""
        self._move(cycle, cycle.state[self.name], entry, node, change)

    def _move(self, cycle: Cycle, counts: _Counts, entry: PodEntry, node: NodeInfo, change: int) -> None:
        """Adds or removes one pod on a node in all three counts."""
        cls, other, cluster = cycle.cls, entry.cls, cycle.cluster
        if other.anti_affinity:
            namespace = cluster.namespace_labels(cls.namespace)
            for term in other.anti_affinity:
                if term.matches(cls.namespace, cls.labels, namespace):
                    _count(counts.existing, node, term, change)
        if cls.affinity or cls.anti_affinity:
            namespace = cluster.namespace_labels(other.namespace)
            if selects_all(cls.affinity, other, namespace):
                for term in cls.affinity:
                    _count(counts.affinity, node, term, change)
            for term in cls.anti_affinity:
                if term.matches(other.namespace, other.labels, namespace):
                    _count(counts.anti_affinity, node, term, change)

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> bool:
        """Adds up the weights of all terms, both ways, by topology pair; skips if no term selects anything."""
        cls = cycle.cls
        own = bool(cls.preferred_affinity or cls.preferred_anti_affinity)
        if self.ignore_preferred_of_existing and not own:
            return False
        pairs: Pairs = {}
        cluster = cycle.cluster
        itself: _Pod = (cls, cluster.namespace_labels(cls.namespace))
        for node in cluster.candidates():
            entries: Iterable[PodEntry] = node.pods.values() if own else node.with_affinity.values()
            for entry in entries:
                other = entry.cls
                if own:
                    another = (other, cluster.namespace_labels(other.namespace))
                    _weigh(pairs, cls.preferred_affinity, another, node, 1)
                    _weigh(pairs, cls.preferred_anti_affinity, another, node, -1)
                if self.hard_weight:
                    for term in other.affinity:
                        if term.matches(cls.namespace, cls.labels, itself[1]):
                            _count_weight(pairs, node, term, self.hard_weight)
                _weigh(pairs, other.preferred_affinity, itself, node, 1)
                _weigh(pairs, other.preferred_anti_affinity, itself, node, -1)
        cycle.state[self.name + "/score"] = pairs
        return bool(pairs)

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        """The sum over the node's topology pairs."""
        pairs: Pairs = cycle.state[self.name + "/score"]
        labels = node.labels
        return sum(weight for (key, value), weight in pairs.items() if labels.get(key) == value)

    def normalize(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]:
        """Linear between the least and the most, truncated."""
        least, most = min(scores), max(scores)
        return [scaled(score, least, most) for score in scores]


def scaled(score: int, least: int, most: int) -> int:
    """A score between 0 (the least) and 100 (the most); 0 if all are equal."""
    if most == least:
        return 0
    return int(float(MAX_SCORE) * (float(score - least) / float(most - least)))


def _count(pairs: Pairs, node: NodeInfo, term: Term, change: int) -> None:
    value = node.labels.get(term.topology_key)
    if value is None:
        return
    pair = (term.topology_key, value)
    count = pairs.get(pair, 0) + change
    if count:
        pairs[pair] = count
    else:
        pairs.pop(pair, None)


def _count_weight(pairs: Pairs, node: NodeInfo, term: Term, weight: int) -> None:
    value = node.labels.get(term.topology_key)
    if value is not None:
        pair = (term.topology_key, value)
        pairs[pair] = pairs.get(pair, 0) + weight


def _weigh(pairs: Pairs, terms: Sequence[Term], pod: _Pod, node: NodeInfo, sign: int) -> None:
    cls, namespace_labels = pod
    for term in terms:
        if term.matches(cls.namespace, cls.labels, namespace_labels):
            _count_weight(pairs, node, term, sign * term.weight)
