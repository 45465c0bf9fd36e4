"""Profiles whose scores behave in every way: rising, falling, both, and not at all as nodes fill up."""

from rules.scheduling import DEFAULT
from rules.scheduling.plugins.image_locality import ImageLocality
from rules.scheduling.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from rules.scheduling.plugins.node_resources_fit import (
    MOST_ALLOCATED,
    REQUESTED_TO_CAPACITY_RATIO,
    NodeResourcesFit,
    Strategy,
)
from rules.scheduling.profile import make_profile

EVEN = (("cpu", 1), ("memory", 1))
#: Full nodes first up to half, then empty ones: scores go up and down again.
HUMP = Strategy(REQUESTED_TO_CAPACITY_RATIO, (("cpu", 2), ("memory", 1)), ((0, 0), (50, 100), (100, 10)))
PROFILES = {
    "default": DEFAULT,
    "most-allocated": make_profile(
        [(NodeResourcesFit(Strategy(MOST_ALLOCATED, EVEN)), 1), (NodeResourcesBalancedAllocation(), 1)]
    ),
    "hump": make_profile([(NodeResourcesFit(HUMP), 2), (ImageLocality(), 1)]),
    "many-resources": make_profile(
        [(NodeResourcesFit(), 1), (NodeResourcesBalancedAllocation(("cpu", "memory", "nvidia.com/gpu")), 3)]
    ),
    "nothing-full": make_profile([(ImageLocality(), 1)]),
}
