"""ImageLocality: better where the pod's images are already, big and widespread ones above all."""

from __future__ import annotations

from collections.abc import Sequence

from rules.scheduling.cluster import Cluster
from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.status import MAX_SCORE

_MEBIBYTE = 1024 * 1024
_LEAST = 23 * _MEBIBYTE
_MOST_PER_CONTAINER = 1000 * _MEBIBYTE


def image_sizes(cluster: Cluster) -> tuple[dict[str, int], dict[str, list[str]]]:
    """For each image name its size (of the first node by name that has it) and the nodes that have it."""
    sizes: dict[str, int] = {}
    holders: dict[str, list[str]] = {}
    for info in cluster.candidates():
        assert info.node is not None
        for image in info.node.status.images:
            for name in dict.fromkeys(image.names):
                sizes.setdefault(name, image.size_bytes or 0)
                holders.setdefault(name, []).append(info.name)
    return sizes, holders


def share(size: int, holders: int, total: int) -> int:
    """An image's size scaled by the share of nodes that have it, so that one node doesn't attract everything."""
    return int(float(size) * (float(holders) / float(total)))


def priority(size: int, containers: int) -> int:
    """0..100 between 23 MiB and 1000 MiB a container."""
    most = _MOST_PER_CONTAINER * containers
    bounded = max(_LEAST, min(size, most))
    return MAX_SCORE * (bounded - _LEAST) // (most - _LEAST)


class ImageLocality(Plugin):
    """Scores by the images present."""

    name = "ImageLocality"
    scores = True

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> bool:
        """Weighs the pod's images."""
        sizes, holders = image_sizes(cycle.cluster)
        total = len(cycle.cluster.names)
        weights = {
            image: (share(sizes[image], len(holders[image]), total), frozenset(holders[image]))
            for image in set(cycle.cls.images)
            if image in sizes
        }
        cycle.state[self.name] = weights
        return True

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        """As kube-scheduler's ImageLocality."""
        weights = cycle.state[self.name]
        size = sum(weights[i][0] for i in cycle.cls.images if i in weights and node.name in weights[i][1])
        return priority(size, len(cycle.cls.images)) if cycle.cls.images else 0
