"""The default plugins in running order, with the weights of their scores. Adding one is a module and a line here."""

from __future__ import annotations

from typing import NamedTuple

from rules.scheduling.framework import Plugin
from rules.scheduling.plugins.image_locality import ImageLocality
from rules.scheduling.plugins.inter_pod_affinity import InterPodAffinity
from rules.scheduling.plugins.node_affinity import NodeAffinity
from rules.scheduling.plugins.node_name import NodeName
from rules.scheduling.plugins.node_ports import NodePorts
from rules.scheduling.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from rules.scheduling.plugins.node_resources_fit import NodeResourcesFit
from rules.scheduling.plugins.node_unschedulable import NodeUnschedulable
from rules.scheduling.plugins.node_volume_limits import NodeVolumeLimits
from rules.scheduling.plugins.pod_topology_spread import PodTopologySpread
from rules.scheduling.plugins.taint_toleration import TaintToleration
from rules.scheduling.plugins.volume_binding import VolumeBinding
from rules.scheduling.plugins.volume_restrictions import VolumeRestrictions
from rules.scheduling.plugins.volume_zone import VolumeZone


class Listed(NamedTuple):
    """A plugin of the default profile; ``weight`` is 0 for one that doesn't score."""

    make: type[Plugin]
    weight: int = 0


#: In the order of PreFilter and Filter. PrioritySort and SchedulingGates come before, DefaultPreemption after.
DEFAULT_PLUGINS = (
    Listed(NodeUnschedulable),
    Listed(NodeName),
    Listed(TaintToleration, 3),
    Listed(NodeAffinity, 2),
    Listed(NodePorts),
    Listed(NodeResourcesFit, 1),
    Listed(VolumeRestrictions),
    Listed(NodeVolumeLimits),
    Listed(VolumeBinding),
    Listed(VolumeZone),
    Listed(PodTopologySpread, 2),
    Listed(InterPodAffinity, 2),
    Listed(NodeResourcesBalancedAllocation, 1),
    Listed(ImageLocality, 1),
)
