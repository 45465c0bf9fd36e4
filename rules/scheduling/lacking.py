"""What a refused node lacks for a pod, as data: by how much, taken by whom, wanted which values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from rules.scheduling.decision import Fact
from rules.scheduling.framework import Cycle
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.plugins import (
    node_affinity,
    node_volume_limits,
    taint_toleration,
    volume_restrictions,
    volume_zone,
)
from rules.scheduling.plugins.node_resources_fit import amounts_text, shortages
from rules.scheduling.plugins.pod_topology_spread import PodTopologySpread, hard_counts
from rules.scheduling.pods import PodEntry, key_text
from rules.scheduling.terms import Labels, Term
from rules.scheduling.volume_choice import choose, selected_node
from rules.scheduling.volumes import claim_class
from state.objects import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolume
from state.quantity import value
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
    for key, wanted in sorted(spec.node_selector.items()):
        if node.labels.get(key) != wanted:
            yield {"label": key, "operator": "", "wanted": wanted, "found": node.labels.get(key, "")}
    yield from unmet(node_affinity.required(spec), node.labels, node.name)


def unmet(selector: NodeSelector | None, labels: Labels, name: str) -> Iterator[Fact]:
    """What a node selector asks for and a node hasn't; of several terms, which are numbered, one suffices."""
    if selector is None or matches_node_selector(selector, labels, name):
        return
    for number, term in enumerate(selector.node_selector_terms):
        for e in term.match_expressions:
            if not matches_node_selector_term(NodeSelectorTerm(match_expressions=(e,)), labels, name):
                yield _wanted(e, labels.get(e.key, ""), number)
        for e in term.match_fields:
            if not matches_node_selector_term(NodeSelectorTerm(match_fields=(e,)), labels, name):
                yield _wanted(e, name, number)


def _wanted(requirement: NodeSelectorRequirement, found: str, term: int) -> Fact:
    wanted = ", ".join(requirement.values)
    return {
        "label": requirement.key,
        "operator": requirement.operator,
        "wanted": wanted,
        "found": found,
        "term": term,
    }


def _spread(cycle: Cycle, node: NodeInfo) -> Iterator[Fact]:
    for constraint, counts, least in hard_counts(cycle):
        domain = node.labels.get(constraint.topology_key)
        here = counts.get(domain, 0) if domain is not None else 0
        itself = int(constraint.selects(cycle.cls.labels))
        if domain is None or here + itself - least > constraint.max_skew:
            even = sorted(name for name, count in counts.items() if count + itself - least <= constraint.max_skew)
            yield {
                "topology_key": constraint.topology_key,
                "domain": domain or "",
                "pods": here,
                "fewest": least,
                "max_skew": constraint.max_skew,
                "skew": here + itself - least,
                "would_need": ", ".join(even),
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


def _users(cycle: Cycle, node: NodeInfo) -> Iterator[Fact]:
    for entry, volume in volume_restrictions.disk_users(cycle, node):
        yield {"disk": volume, "used_by": key_text(entry.key)}
    for entry, claim in volume_restrictions.claim_users(cycle, volume_restrictions.claims_for_one_pod(cycle)):
        yield {"claim": claim, "used_by": key_text(entry.key)}


def _limits(cycle: Cycle, node: NodeInfo) -> Iterator[Fact]:
    for excess in node_volume_limits.excesses(cycle, node):
        yield excess._asdict()


def _claims(cycle: Cycle, node: NodeInfo) -> Iterator[Fact]:
    """The pod's claims for which the node won't do: it can't reach the volume, or there is none to be had."""
    cluster, claims = cycle.cluster, cycle.state["VolumeBinding"]
    for claim in claims.bound:
        volume = cluster.find(PersistentVolume, claim.spec.volume_name or "")
        about = {"claim": claim.metadata.name, "volume": claim.spec.volume_name or ""}
        if volume is None:
            yield {**about, "missing": "yes"}
        elif volume.spec.node_affinity is not None:
            yield from ({**about, **fact} for fact in unmet(volume.spec.node_affinity.required, node.labels, ""))
    verdict = choose(cluster, claims, node)
    if verdict.found and verdict.enough_storage:
        return
    served = [claim.metadata.name for claim, _ in verdict.static]
    served += [claim.metadata.name for claim in verdict.provision]
    for claim in claims.waiting:
        if claim.metadata.name not in served:
            storage = (claim.spec.resources.requests if claim.spec.resources is not None else {}).get("storage", 0)
            yield {
                "claim": claim.metadata.name,
                "storage_class": claim_class(claim),
                "storage": value(storage),
                "provisioned_on": selected_node(cluster, claim) or "",
            }


def _zones(cycle: Cycle, node: NodeInfo) -> Iterator[Fact]:
    for key, zones in volume_zone.missed(cycle, node):
        yield {"label": key, "operator": "In", "wanted": ", ".join(sorted(zones)), "found": node.labels.get(key, "")}


_BY_PLUGIN: Mapping[str, Callable[[Cycle, NodeInfo], Iterator[Fact]]] = {
    "NodeResourcesFit": _resources,
    "NodePorts": _ports,
    "TaintToleration": _taints,
    "NodeAffinity": _affinity,
    PodTopologySpread.name: _spread,
    "InterPodAffinity": _neighbours,
    "VolumeRestrictions": _users,
    "NodeVolumeLimits": _limits,
    "VolumeBinding": _claims,
    "VolumeZone": _zones,
}
