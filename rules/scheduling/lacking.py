"""What a refused node lacks for a pod, as data: by how much, taken by whom, wanted which values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from rules.scheduling.decision import Fact
from rules.scheduling.framework import Cycle
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.plugins import node_affinity, taint_toleration
from rules.scheduling.plugins.node_resources_fit import amounts_text, shortages
from rules.scheduling.plugins.pod_topology_spread import PodTopologySpread, domain_counts
from rules.scheduling.pods import PodEntry, key_text
from rules.scheduling.terms import Term
from state.objects import NodeSelectorTerm
from state.selectors import matches_node_selector, matches_node_selector_term

#: Facts about one refusal; more pods in the way than this aren't named.
_MOST_FACTS = 10


def lacking(cycle: Cycle, node: NodeInfo, plugin: str) -> tuple[Fact, ...]:
    """The facts behind a plugin's refusal; none for plugins that have no more to say than their reason."""
    explain = _BY_PLUGIN.get(plugin)
    return tuple(islice(explain(cycle, node), _MOST_FACTS)) if explain is not None else ()


def _resources(cycle: Cycle, node: NodeInfo) -> Iterator[Fact]:
    for shortage in shortages(cycle.cls, node):
        yield amounts_text(shortage)


def _ports(cycle: Cycle, node: NodeInfo) -> Iterator[Fact]:
    for port in cycle.cls.ports:
        for taken in node.takers(port):
            for entry in node.pods.values():
                if taken in entry.cls.ports:
                    yield {"port": port.port, "protocol": port.protocol, "taken_by": key_text(entry.key)}


def _taints(cycle: Cycle, node: NodeInfo) -> Iterator[Fact]:
    assert node.node is not None
    for taint in node.node.spec.taints:
        if taint_toleration.untolerated(cycle.cls.spec.tolerations, [taint]) is not None:
            yield {"taint": taint.key, "value": taint.value or "", "effect": taint.effect}


def _affinity(cycle: Cycle, node: NodeInfo) -> Iterator[Fact]:
    spec = cycle.cls.spec
    for key, value in sorted(spec.node_selector.items()):
        if node.labels.get(key) != value:
            yield {"label": key, "operator": "", "wanted": value, "found": node.labels.get(key, "")}
    selector = node_affinity.required(spec)
    if selector is None or matches_node_selector(selector, node.labels, node.name):
        return
    for term in selector.node_selector_terms:
        for e in term.match_expressions:
            alone = NodeSelectorTerm(match_expressions=(e,))
            if not matches_node_selector_term(alone, node.labels, node.name):
                wanted, found = ", ".join(e.values), node.labels.get(e.key, "")
                yield {"label": e.key, "operator": e.operator, "wanted": wanted, "found": found}


def _spread(cycle: Cycle, node: NodeInfo) -> Iterator[Fact]:
    constraints = [c for c in cycle.cls.hard_spread if c.hard]
    for index, constraint in enumerate(constraints):
        counts = domain_counts(cycle, index)
        domain = node.labels.get(constraint.topology_key)
        here = counts.get(domain, 0) if domain is not None else 0
        least = min(counts.values(), default=0)
        if domain is None or here + constraint.selects(cycle.cls.labels) - least > constraint.max_skew:
            eligible = sorted(name for name, count in counts.items() if count == least)
            yield {
                "topology_key": constraint.topology_key,
                "domain": domain or "",
                "pods": here,
                "fewest": least,
                "max_skew": constraint.max_skew,
                "skew": here + constraint.selects(cycle.cls.labels) - least,
                "would_need": ", ".join(eligible),
            }


def _neighbours(cycle: Cycle, node: NodeInfo) -> Iterator[Fact]:
    """The pods that the pod wants near, avoids, or is avoided by."""
    cls, cluster = cycle.cls, cycle.cluster
    mine = cluster.namespace_labels(cls.namespace)
    for term in cls.affinity:
        found = sorted(
            {n.labels[term.topology_key] for n, _ in _selected(cycle, term) if term.topology_key in n.labels}
        )
        domain = node.labels.get(term.topology_key, "")
        if domain not in found:
            near = str(term.selector or "")
            yield {
                "topology_key": term.topology_key,
                "domain": domain,
                "near": near,
                "would_need": ", ".join(found),
            }
    for term in cls.anti_affinity:
        for other, entry in _selected(cycle, term):
            if _same_domain(node, other, term):
                yield {"topology_key": term.topology_key, "avoids": key_text(entry.key)}
    for other in cluster.candidates():
        for entry in other.with_anti_affinity.values():
            for term in entry.cls.anti_affinity:
                if _same_domain(node, other, term) and term.matches(cls.namespace, cls.labels, mine):
                    yield {"topology_key": term.topology_key, "avoided_by": key_text(entry.key)}


def _selected(cycle: Cycle, term: Term) -> Iterator[tuple[NodeInfo, PodEntry]]:
    """The pods on nodes that a term selects."""
    cluster = cycle.cluster
    for node in cluster.candidates():
        for entry in node.pods.values():
            cls = entry.cls
            if term.matches(cls.namespace, cls.labels, cluster.namespace_labels(cls.namespace)):
                yield node, entry


def _same_domain(node: NodeInfo, other: NodeInfo, term: Term) -> bool:
    domain = node.labels.get(term.topology_key)
    return domain is not None and other.labels.get(term.topology_key) == domain


_BY_PLUGIN: Mapping[str, Callable[[Cycle, NodeInfo], Iterator[Fact]]] = {
    "NodeResourcesFit": _resources,
    "NodePorts": _ports,
    "TaintToleration": _taints,
    "NodeAffinity": _affinity,
    PodTopologySpread.name: _spread,
    "InterPodAffinity": _neighbours,
}
