"""PodTopologySpread: pods of a kind spread evenly over zones, hosts, or whatever label the constraint names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from rules.scheduling.cluster import Cluster
from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.plugins.node_affinity import is_required_matched
from rules.scheduling.plugins.taint_toleration import untolerated
from rules.scheduling.pods import PodClass, PodEntry
from rules.scheduling.spread_defaults import default_constraints
from rules.scheduling.status import MAX_SCORE, SKIP, UNRESOLVABLE, UNSCHEDULABLE, PreFilterResult, Refusal
from rules.scheduling.terms import HOSTNAME, Constraint, Labels

REASON = "node(s) didn't match pod topology spread constraints"
REASON_LABEL = f"{REASON} (missing required label)"
#: The minimum over no domain at all.
NO_MINIMUM = 2**31 - 1


def counts_node(constraint: Constraint, cls: PodClass, node: NodeInfo) -> bool:
    """Whether the constraint's inclusion policies let the node's pods count."""
    assert node.node is not None
    if constraint.honor_affinity and not is_required_matched(cls.spec, node.labels, node.name):
        return False
    return not constraint.honor_taints or untolerated(cls.spec.tolerations, node.node.spec.taints) is None


def count_pods(node: NodeInfo, constraint: Constraint, namespace: str) -> int:
    """The pods of the node that the constraint counts: no terminating ones, and none at all for the selector {}."""
    if constraint.selector is None or constraint.selector.everything:
        return 0
    return sum(
        entry.cls.namespace == namespace and not entry.terminating and constraint.selects(entry.cls.labels)
        for entry in node.pods.values()
    )


def has_keys(labels: Labels, constraints: Sequence[Constraint]) -> bool:
    """Whether a node has the topology keys of all constraints."""
    return all(constraint.topology_key in labels for constraint in constraints)


def raw_share(count: int, max_skew: int, weight: float) -> float:
    """What one constraint adds to a node's raw score."""
    return float(count) * weight + float(max_skew - 1)


def rounded(value: float) -> int:
    """Half away from zero, as Go's math.Round."""
    floor = math.floor(abs(value))
    whole = floor + 1 if abs(value) - floor >= 0.5 else floor
    return whole if value >= 0 else -whole


class _Minimum:
    """The two domains with the fewest pods, the way kube-scheduler follows them while pods come and go."""

    __slots__ = ("paths",)

    def __init__(self) -> None:
        self.paths: list[tuple[str, int]] = [("", NO_MINIMUM), ("", NO_MINIMUM)]

    def update(self, domain: str, count: int) -> None:
        first, second = self.paths
        if domain == first[0]:
            first = (domain, count)
        elif domain == second[0]:
            second = (domain, count)
        elif count < first[1]:
            self.paths = [(domain, count), first]
            return
        elif count < second[1]:
            self.paths = [first, (domain, count)]
            return
        self.paths = [second, first] if first[1] > second[1] else [first, second]


class _Counts:
    """Pods by domain for each hard constraint."""

    __slots__ = ("by_domain", "constraints", "minima")

    def __init__(self, constraints: Sequence[Constraint]) -> None:
        self.constraints = constraints
        self.by_domain: list[dict[str, int]] = [{} for _ in constraints]
        self.minima = [_Minimum() for _ in constraints]

    def copy(self) -> _Counts:
        twin = _Counts(self.constraints)
        twin.by_domain = [dict(counts) for counts in self.by_domain]
        for mine, other in zip(twin.minima, self.minima, strict=True):
            mine.paths = list(other.paths)
        return twin

    def minimum(self, index: int) -> int:
        """The fewest pods in any domain; 0 when there are fewer domains than minDomains."""
        if len(self.by_domain[index]) < self.constraints[index].min_domains:
            return 0
        return self.minima[index].paths[0][1]


class _Soft:
    """What PreScore found: the soft constraints, their weights, the pods by domain, the nodes left out."""

    __slots__ = ("by_domain", "constraints", "ignored", "weights")

    def __init__(self, constraints: Sequence[Constraint]) -> None:
        self.constraints = constraints
        self.ignored: set[str] = set()
        self.weights: list[float] = []
        self.by_domain: list[dict[str, int]] = [{} for _ in constraints]


class PodTopologySpread(Plugin):
    """Rejects nodes that would make the spread too uneven; scores by how few pods of the kind are near."""

    name = "PodTopologySpread"
    scores = True

    def __init__(self, defaults: tuple[Constraint, ...] | None = None) -> None:
        #: The cluster-level constraints of the configuration; None for the system's own.
        self.defaults = defaults

    def hard(self, cluster: Cluster, cls: PodClass) -> Sequence[Constraint]:
        """The constraints that reject."""
        if cls.spec.topology_spread_constraints:
            return cls.hard_spread
        return [c for c in default_constraints(cluster, cls, self.defaults) if c.hard]

    def soft(self, cluster: Cluster, cls: PodClass) -> Sequence[Constraint]:
        """The constraints that score."""
        if cls.spec.topology_spread_constraints:
            return cls.soft_spread
        return [c for c in default_constraints(cluster, cls, self.defaults) if not c.hard]

    def needs_all_keys(self, cls: PodClass) -> bool:
        """Whether a node without one of the soft constraints' keys is left out of the scoring."""
        return bool(cls.spec.topology_spread_constraints) or self.defaults is not None

    def pre_filter(self, cycle: Cycle) -> PreFilterResult:
        """Counts the pods by domain."""
        cls = cycle.cls
        constraints = self.hard(cycle.cluster, cls)
        if not constraints:
            return SKIP
        counts = _Counts(constraints)
        for node in cycle.cluster.candidates():
            if not has_keys(node.labels, constraints):
                continue
            for index, constraint in enumerate(constraints):
                if counts_node(constraint, cls, node):
                    domain = node.labels[constraint.topology_key]
                    by_domain = counts.by_domain[index]
                    by_domain[domain] = by_domain.get(domain, 0) + count_pods(node, constraint, cls.namespace)
        for index in range(len(constraints)):
            for domain, count in sorted(counts.by_domain[index].items()):
                counts.minima[index].update(domain, count)
        cycle.state[self.name] = counts
        return None

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's PodTopologySpread: skew = pods there + itself - fewest anywhere."""
        counts: _Counts = cycle.state[self.name]
        for index, constraint in enumerate(counts.constraints):
            domain = node.labels.get(constraint.topology_key)
            if domain is None:
                return self.refuse(UNRESOLVABLE, REASON_LABEL)
            itself = int(constraint.selects(cycle.cls.labels))
            skew = counts.by_domain[index].get(domain, 0) + itself - counts.minimum(index)
            if skew > constraint.max_skew:
                return self.refuse(UNSCHEDULABLE, REASON)
        return None

    def move_pod(self, cycle: Cycle, entry: PodEntry, node: NodeInfo, change: int) -> None:
        """Counts a pod that is imagined there, or no longer one imagined gone: a terminating one, too."""
        counts: _Counts = cycle.state[self.name]
        cls = cycle.cls
        if entry.cls.namespace != cls.namespace or not has_keys(node.labels, counts.constraints):
            return
        for index, constraint in enumerate(counts.constraints):
            if constraint.selects(entry.cls.labels) and counts_node(constraint, cls, node):
                domain = node.labels[constraint.topology_key]
                by_domain = counts.by_domain[index]
                by_domain[domain] = by_domain.get(domain, 0) + change
                counts.minima[index].update(domain, by_domain[domain])

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> bool:
        """Finds domains and their pods; each constraint weighs ln(domains + 2)."""
        cls = cycle.cls
        soft = _Soft(self.soft(cycle.cluster, cls))
        if not soft.constraints:
            return False
        all_keys = self.needs_all_keys(cls)
        for node in nodes:
            if all_keys and not has_keys(node.labels, soft.constraints):
                soft.ignored.add(node.name)
                continue
            for index, constraint in enumerate(soft.constraints):
                if constraint.topology_key != HOSTNAME:  # a node without the label is in a domain ""
                    soft.by_domain[index].setdefault(node.labels.get(constraint.topology_key, ""), 0)
        for index, constraint in enumerate(soft.constraints):
            on_hosts = constraint.topology_key == HOSTNAME
            domains = len(nodes) - len(soft.ignored) if on_hosts else len(soft.by_domain[index])
            soft.weights.append(math.log(domains + 2))
        self._count(cycle.cluster, cls, soft, all_keys=all_keys)
        cycle.state[self.name + "/score"] = soft
        return True

    def _count(self, cluster: Cluster, cls: PodClass, soft: _Soft, *, all_keys: bool) -> None:
        for node in cluster.candidates():
            if all_keys and not has_keys(node.labels, soft.constraints):
                continue
            for index, constraint in enumerate(soft.constraints):
                by_domain = soft.by_domain[index]
                domain = node.labels.get(constraint.topology_key, "")
                if domain in by_domain and counts_node(constraint, cls, node):
                    by_domain[domain] += count_pods(node, constraint, cls.namespace)

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        """The weighted number of pods of the kind in the node's domains."""
        soft: _Soft = cycle.state[self.name + "/score"]
        if node.name in soft.ignored:
            return 0
        total = 0.0
        for index, constraint in enumerate(soft.constraints):
            domain = node.labels.get(constraint.topology_key)
            if domain is None:
                continue
            if constraint.topology_key == HOSTNAME:
                count = count_pods(node, constraint, cycle.cls.namespace)
            else:
                count = soft.by_domain[index].get(domain, 0)
            total += raw_share(count, constraint.max_skew, soft.weights[index])
        return rounded(total)

    def normalize(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]:
        """The fewer the better: 100 * (max + min - score) / max; nodes left out get 0."""
        soft: _Soft = cycle.state[self.name + "/score"]
        counted = [score for node, score in zip(nodes, scores, strict=True) if node.name not in soft.ignored]
        most, least = max(counted, default=0), min(counted, default=0)
        return [
            0 if node.name in soft.ignored else MAX_SCORE if most == 0 else MAX_SCORE * (most + least - score) // most
            for node, score in zip(nodes, scores, strict=True)
        ]


def hard_counts(cycle: Cycle) -> Iterator[tuple[Constraint, Mapping[str, int], int]]:
    """After PreFilter: each hard constraint with the pods by domain and the fewest in any; for explanations."""
    counts: _Counts = cycle.state[PodTopologySpread.name]
    for index, constraint in enumerate(counts.constraints):
        yield constraint, counts.by_domain[index], counts.minimum(index)
