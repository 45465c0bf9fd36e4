"""The arguments of plugins (``pluginConfig``): each honoured, or refused with its path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rules.scheduling.framework import Plugin
from rules.scheduling.plugins.inter_pod_affinity import InterPodAffinity
from rules.scheduling.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from rules.scheduling.plugins.node_resources_fit import (
    LEAST_ALLOCATED,
    MOST_ALLOCATED,
    REQUESTED_TO_CAPACITY_RATIO,
    NodeResourcesFit,
    Strategy,
)
from rules.scheduling.plugins.pod_topology_spread import PodTopologySpread
from rules.scheduling.resources import CPU, MEMORY
from rules.scheduling.settings import Reader
from rules.scheduling.terms import Constraint

#: RequestedToCapacityRatio scores are 0..10 in the configuration and 0..100 here.
_SHAPE_SCALE = 10
_STRATEGIES = (LEAST_ALLOCATED, MOST_ALLOCATED, REQUESTED_TO_CAPACITY_RATIO)
_MOST_WEIGHT = 100


def fit(args: Reader) -> Plugin:
    """NodeResourcesFitArgs."""
    ignored = frozenset(args.strings("ignoredResources"))
    groups = frozenset(args.strings("ignoredResourceGroups"))
    strategy = Strategy()
    found = args.child("scoringStrategy")
    if found is not None:
        kind = found.one_of("type", _STRATEGIES, LEAST_ALLOCATED)
        weights = _weights(found, _MOST_WEIGHT) or ((CPU, 1), (MEMORY, 1))
        ratio = found.child("requestedToCapacityRatio")
        shape: tuple[tuple[int, int], ...] = ()
        if kind == REQUESTED_TO_CAPACITY_RATIO:
            if ratio is None:
                found.fail("requestedToCapacityRatio", "Required value: must be given with this type")
            shape = _shape(ratio)
        if ratio is not None:
            ratio.done()
        found.done()
        strategy = Strategy(type=kind, weights=weights, shape=shape)
    args.done()
    return NodeResourcesFit(strategy, ignored, groups)


def balanced(args: Reader) -> Plugin:
    """NodeResourcesBalancedAllocationArgs: weights can only be 1."""
    weights = _weights(args, 1) or ((CPU, 1), (MEMORY, 1))
    args.done()
    return NodeResourcesBalancedAllocation(tuple(resource for resource, _ in weights))


def inter_pod_affinity(args: Reader) -> Plugin:
    """InterPodAffinityArgs."""
    weight = args.integer("hardPodAffinityWeight", 1, 0, _MOST_WEIGHT)
    ignore = args.boolean("ignorePreferredTermsOfExistingPods", default=False)
    args.done()
    return InterPodAffinity(weight, ignore_preferred_of_existing=ignore)


def pod_topology_spread(args: Reader) -> Plugin:
    """PodTopologySpreadArgs."""
    listed = args.children("defaultConstraints")
    kind = args.one_of("defaultingType", ("System", "List"), "System")
    if kind == "System":
        if listed:
            args.fail("defaultConstraints", 'Invalid value: must be empty when .defaultingType is "System"')
        args.done()
        return PodTopologySpread()
    constraints = tuple(_constraint(item) for item in listed)
    args.done()
    return PodTopologySpread(constraints)


def check_volume_binding(args: Reader) -> None:
    """VolumeBindingArgs: the timeout concerns binding, not the decision; scoring by capacity isn't supported."""
    args.integer("bindTimeoutSeconds", 600, 0, 2**31)
    if args.children("shape"):
        args.fail("shape", "Forbidden: scoring by storage capacity (gate VolumeCapacityPriority) isn't supported")
    args.done()


def check_node_affinity(args: Reader) -> None:
    """NodeAffinityArgs."""
    if args.child("addedAffinity") is not None:
        args.fail("addedAffinity", "Forbidden: affinity added to every pod isn't supported")
    args.done()


def check_preemption(args: Reader) -> None:
    """DefaultPreemptionArgs: every node is a candidate here, which no random choice can honour."""
    percentage = args.integer("minCandidateNodesPercentage", 10, 0, 100)
    args.integer("minCandidateNodesAbsolute", 100, 0, 2**31)
    if percentage not in (10, 100):
        args.fail("minCandidateNodesPercentage", "Forbidden: all nodes are candidates; only 100 can be honoured")
    args.done()


#: Plugins that arguments change.
MAKERS: Mapping[str, Callable[[Reader], Plugin]] = {
    "NodeResourcesFit": fit,
    "NodeResourcesBalancedAllocation": balanced,
    "InterPodAffinity": inter_pod_affinity,
    "PodTopologySpread": pod_topology_spread,
}
#: Plugins whose arguments are only checked.
CHECKS: Mapping[str, Callable[[Reader], None]] = {
    "VolumeBinding": check_volume_binding,
    "NodeAffinity": check_node_affinity,
    "DefaultPreemption": check_preemption,
}


def _weights(reader: Reader, most: int) -> tuple[tuple[str, int], ...]:
    found = []
    for item in reader.children("resources"):
        found.append((item.text("name"), item.integer("weight", 1, 1, most)))
        item.done()
    return tuple(found)


def _shape(reader: Reader) -> tuple[tuple[int, int], ...]:
    points: list[tuple[int, int]] = []
    for item in reader.children("shape"):
        utilization = item.integer("utilization", 0, 0, 100)
        if points and utilization <= points[-1][0]:
            item.fail("utilization", f"Invalid value: {utilization}: utilization values must be sorted, increasing")
        points.append((utilization, item.integer("score", 0, 0, _SHAPE_SCALE) * _SHAPE_SCALE))
        item.done()
    if not points:
        reader.fail("shape", "Required value: at least one point must be specified")
    return tuple(points)


def _constraint(item: Reader) -> Constraint:
    known: Sequence[str] = ("DoNotSchedule", "ScheduleAnyway")
    made: dict[str, Any] = {
        "topology_key": item.text("topologyKey"),
        "max_skew": item.integer("maxSkew", 0, 1, 2**31),
        "hard": item.one_of("whenUnsatisfiable", known, "") == "DoNotSchedule",
    }
    if item.child("labelSelector") is not None:
        item.fail("labelSelector", "Forbidden: constraint must not define a selector, as they deduced for each pod")
    item.done()
    return Constraint(min_domains=1, selector=None, honor_affinity=True, honor_taints=False, **made)
