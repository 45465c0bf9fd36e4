"""Profiles whose scores behave in every way: rising, falling, both, and not at all as nodes fill up; and one that adds
affinity to that of every pod.
"""

from rules.scheduling import DEFAULT
from rules.scheduling.plugins.image_locality import ImageLocality
from rules.scheduling.plugins.node_affinity import NodeAffinity
from rules.scheduling.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from rules.scheduling.plugins.node_resources_fit import (
    MOST_ALLOCATED,
    REQUESTED_TO_CAPACITY_RATIO,
    NodeResourcesFit,
    Strategy,
)
from rules.scheduling.profile import make_profile
from state.objects import NodeAffinity as AddedAffinity
from state.objects import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PreferredSchedulingTerm

EVEN = (("cpu", 1), ("memory", 1))
#: Full nodes first up to half, then empty ones: scores go up and down again.
HUMP = Strategy(REQUESTED_TO_CAPACITY_RATIO, (("cpu", 2), ("memory", 1)), ((0, 0), (50, 100), (100, 10)))

SSD = NodeSelectorTerm(match_expressions=(NodeSelectorRequirement(key="disk", operator="In", values=("ssd",)),))
NEW = NodeSelectorTerm(match_expressions=(NodeSelectorRequirement(key="gen", operator="Gt", values=("5",)),))
ADDED = AddedAffinity(
    required_during_scheduling_ignored_during_execution=NodeSelector(node_selector_terms=(SSD,)),
    preferred_during_scheduling_ignored_during_execution=(PreferredSchedulingTerm(weight=7, preference=NEW),),
)
PROFILES = {
    "default": DEFAULT,
    "most-allocated": make_profile(
        [(NodeResourcesFit(Strategy(MOST_ALLOCATED, EVEN)), 1), (NodeResourcesBalancedAllocation(), 1)]
    ),
    "hump": make_profile([(NodeResourcesFit(HUMP), 2), (ImageLocality(), 1)]),
    "many-resources": make_profile(
        [(NodeResourcesFit(), 1), (NodeResourcesBalancedAllocation(("cpu", "memory", "nvidia.com/gpu")), 3)]
    ),
    "added-affinity": make_profile([(NodeAffinity(ADDED), 2), (NodeResourcesFit(), 1)]),
    "nothing-full": make_profile([(ImageLocality(), 1)]),
}
