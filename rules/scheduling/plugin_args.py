"""The arguments of plugins (``pluginConfig``): each honoured, or refused with its path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rules.scheduling.framework import Plugin
from rules.scheduling.plugins.inter_pod_affinity import InterPodAffinity
from rules.scheduling.plugins.node_affinity import NodeAffinity
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
from state import names
from state.objects import Affinity, Pod, PodSpec
from state.objects import NodeAffinity as AddedAffinity
from state.validation import validate

#: RequestedToCapacityRatio scores are 0..10 in the configuration and 0..100 here.
_SHAPE_SCALE = 10
_AFFINITY = "spec.affinity.nodeAffinity"
_EVEN = ((CPU, 1), (MEMORY, 1))
_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")
_POLICIES = ("Honor", "Ignore")
_STRATEGIES = (LEAST_ALLOCATED, MOST_ALLOCATED, REQUESTED_TO_CAPACITY_RATIO)
_MOST_WEIGHT = 100


def fit(args: Reader) -> Plugin:
    """NodeResourcesFitArgs."""
    ignored = frozenset(_names(args, "ignoredResources"))
    groups = frozenset(_names(args, "ignoredResourceGroups", "resource group name can't contain '/'"))
    found = args.child("scoringStrategy")
    strategy = Strategy() if found is None else _strategy(found)
    args.done()
    return NodeResourcesFit(strategy, ignored, groups)


def _names(args: Reader, field: str, without_prefix: str = "") -> list[str]:
    """Names of resources, or of their groups, which have no slash."""
    values = args.strings(field)
    for index, value in enumerate(values):
        problems = [without_prefix] if without_prefix and "/" in value else names.qualified_name(value)
        if problems:
            args.fail(f"{field}[{index}]", f'Invalid value: "{value}": {problems[0]}')
    return values


def _strategy(found: Reader) -> Strategy:
    kind = found.one_of("type", _STRATEGIES, LEAST_ALLOCATED)
    weights = tuple(_weights(found, _MOST_WEIGHT, "resource weight of {name} not in valid range (0, 100]")) or _EVEN
    ratio = found.child("requestedToCapacityRatio")
    shape = () if ratio is None else _shape(ratio)
    if kind == REQUESTED_TO_CAPACITY_RATIO and not shape:
        found.fail("requestedToCapacityRatio", "Required value: must be given with this type")
    if ratio is not None:
        ratio.done()
    found.done()
    return Strategy(type=kind, weights=weights, shape=shape if kind == REQUESTED_TO_CAPACITY_RATIO else ())


def balanced(args: Reader) -> Plugin:
    """NodeResourcesBalancedAllocationArgs: weights can only be 1."""
    resources: list[str] = []
    for index, (resource, _) in enumerate(_weights(args, 1, "must be 1")):
        if resource in resources:
            args.fail(f"resources[{index}].name", f'Duplicate value: "{resource}"')
        resources.append(resource)
    args.done()
    return NodeResourcesBalancedAllocation(tuple(resources) or (CPU, MEMORY))


def inter_pod_affinity(args: Reader) -> Plugin:
    """InterPodAffinityArgs."""
    weight = args.integer("hardPodAffinityWeight", 1, 0, _MOST_WEIGHT)
    ignore = args.boolean("ignorePreferredTermsOfExistingPods", default=False)
    args.done()
    return InterPodAffinity(weight, ignore_preferred_of_existing=ignore)


def node_affinity(args: Reader) -> Plugin:
    """NodeAffinityArgs."""
    added = args.convert("addedAffinity", AddedAffinity)
    wearer = Pod(spec=PodSpec(affinity=Affinity(node_affinity=added)))
    for problem in validate(wearer):
        if problem.path.startswith(_AFFINITY):
            args.fail(f"addedAffinity{problem.path.removeprefix(_AFFINITY)}", problem.body)
    args.done()
    return NodeAffinity(added)


def pod_topology_spread(args: Reader) -> Plugin:
    """PodTopologySpreadArgs."""
    listed = args.children("defaultConstraints")
    kind = args.one_of("defaultingType", ("System", "List"), "System")
    if kind == "System":
        if listed:
            args.fail("defaultingType", 'Invalid value: "System": when .defaultConstraints are not empty')
        args.done()
        return PodTopologySpread()
    constraints = tuple(_constraint(item) for item in listed)
    for index, (item, constraint) in enumerate(zip(listed, constraints, strict=True)):
        if any((c.topology_key, c.hard) == (constraint.topology_key, constraint.hard) for c in constraints[:index]):
            action = item.get("whenUnsatisfiable")
            args.fail(f"defaultConstraints[{index}]", f'Duplicate value: "{{{constraint.topology_key}, {action}}}"')
    args.done()
    return PodTopologySpread(constraints)


def check_volume_binding(args: Reader) -> None:
    """VolumeBindingArgs: the timeout concerns binding, not the decision; scoring by capacity isn't on by default."""
    message = "invalid BindTimeoutSeconds, should not be a negative value"
    args.integer("bindTimeoutSeconds", 600, message=message)
    if args.get("shape") is not None:
        message = "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring"
        args.fail("shape", f"Invalid value: {message}")
    args.done()


def check_preemption(args: Reader) -> None:
    """DefaultPreemptionArgs: every node is a candidate here, which no random choice can honour."""
    percentage = args.integer("minCandidateNodesPercentage", 10, 0, 100)
    absolute = args.integer("minCandidateNodesAbsolute", 100, message="not in valid range [{}, {})")
    if percentage == absolute == 0:
        message = "cannot be zero at the same time as minCandidateNodesAbsolute"
        args.fail("minCandidateNodesPercentage", f"Invalid value: 0: {message}")
    if percentage not in (10, 100):
        args.fail("minCandidateNodesPercentage", "Forbidden: all nodes are candidates; only 100 can be honoured")
    args.done()


def check_dynamic_resources(args: Reader) -> None:
    """DynamicResourcesArgs: how long its filter may take, which isn't counted here."""
    args.text("filterTimeout", "")
    if args.get("bindingTimeout") is not None:
        gates = "DRADeviceBindingConditions or DRAResourceClaimDeviceStatus feature gate is disabled"
        args.fail("bindingTimeout", f"Forbidden: {gates}")
    args.done()


#: Plugins that arguments change.
MAKERS: Mapping[str, Callable[[Reader], Plugin]] = {
    "NodeResourcesFit": fit,
    "NodeResourcesBalancedAllocation": balanced,
    "InterPodAffinity": inter_pod_affinity,
    "NodeAffinity": node_affinity,
    "PodTopologySpread": pod_topology_spread,
}
#: Plugins whose arguments are only checked.
CHECKS: Mapping[str, Callable[[Reader], None]] = {
    "VolumeBinding": check_volume_binding,
    "DefaultPreemption": check_preemption,
    "DynamicResources": check_dynamic_resources,
}


def _weights(reader: Reader, most: int, message: str) -> Iterator[tuple[str, int]]:
    for item in reader.children("resources"):
        name = item.text("name")
        yield name, item.integer("weight", 1, 1, most, message.format(name=name))
        item.done()


def _shape(reader: Reader) -> tuple[tuple[int, int], ...]:
    points: list[tuple[int, int]] = []
    for item in reader.children("shape"):
        utilization = item.integer("utilization", 0, 0, 100)
        if points and utilization <= points[-1][0]:
            item.fail("utilization", f"Invalid value: {utilization}: values must be sorted in increasing order")
        points.append((utilization, item.integer("score", 0, 0, _SHAPE_SCALE) * _SHAPE_SCALE))
        item.done()
    if not points:
        reader.fail("shape", "Required value: at least one point must be specified")
    return tuple(points)


def _constraint(item: Reader) -> Constraint:
    key = item.text("topologyKey")
    for problem in names.qualified_name(key):
        item.fail("topologyKey", f'Invalid value: "{key}": {problem}')
    if item.get("labelSelector") is not None:
        item.fail("labelSelector", "Forbidden: constraint must not define a selector, as they deduced for each pod")
    item.strings("matchLabelKeys")  # would change the selector, which every pod brings its own of
    made = Constraint(
        topology_key=key,
        max_skew=item.integer("maxSkew", 0, 1, message="not in valid range (0, inf)"),
        min_domains=item.integer("minDomains", 1, 1),
        selector=None,
        honor_affinity=item.one_of("nodeAffinityPolicy", _POLICIES, "Honor") == "Honor",
        honor_taints=item.one_of("nodeTaintsPolicy", _POLICIES, "Ignore") == "Honor",
        hard=item.one_of("whenUnsatisfiable", _ACTIONS, None) == "DoNotSchedule",
    )
    item.done()
    return made
