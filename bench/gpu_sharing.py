"""A plugin of one's own: pods that take a share of one GPU, or several whole ones.

Shares of different GPUs don't add up, so a node's free total says too little: the plugin follows each GPU. A share goes
to the fullest GPU that still fits it; the best node is the one that is left with the least.
"""

from __future__ import annotations

import numpy as np

from rules.scheduling import ColumnPlugin

WHOLE = 1_000
#: A pod's wish, in thousandths of a GPU, and how many GPUs; read from its extended resources.
SHARE, COUNT = "example.com/gpu-milli", "example.com/gpu-count"
GPUS = "example.com/gpus"
_MOST_GPUS = 8


class GpuSharing(ColumnPlugin):
    """Filters and scores by the free share of each GPU."""

    name = "GpuSharing"
    reason = "node(s) had no GPU with enough free share"

    def __init__(self) -> None:
        self._free: dict[str, tuple[int, list[int]]] = {}

    def fits(self, pod, nodes):
        """Whether the shares fit into the GPUs one by one."""
        return self._left(pod, nodes) >= 0

    def rank(self, pod, nodes):
        """The less is left free, the better; nodes with GPUs are the last resort of pods without."""
        left = np.maximum(self._left(pod, nodes), 0)
        return 100 - 100 * left // (WHOLE * _MOST_GPUS)

    def _left(self, pod, nodes):
        """Free thousandths of each node after the pod, -1 where it doesn't fit."""
        share, count = pod.requests.get(SHARE, 0), pod.requests.get(COUNT, 0)
        free = np.full((nodes.size, _MOST_GPUS), -1, dtype=np.int64)
        for row, info in enumerate(nodes.infos):
            shares = self._shares(info)
            free[row, : len(shares)] = shares
        total = np.maximum(free, 0).sum(axis=1)
        if not count:
            return total
        enough = (free >= share // count).sum(axis=1) >= count
        return np.where(enough, total - share, -1)

    def _shares(self, info):
        """What is free of each GPU of a node; pods were added in this order, and only ever added."""
        seen, free = self._free.get(info.name, (0, None))
        if free is None or seen > len(info.pods):
            seen, free = 0, [WHOLE] * info.allocatable.get(GPUS, 0)
        if seen < len(info.pods):
            for entry in list(info.pods.values())[seen:]:
                take(free, entry.cls.requests.get(SHARE, 0), entry.cls.requests.get(COUNT, 0))
            self._free[info.name] = (len(info.pods), free)
        return free


def take(free, share, count):
    """Takes shares from the fullest GPUs that fit them."""
    for _ in range(count):
        fitting = [(left, number) for number, left in enumerate(free) if left >= share // count]
        if fitting:
            free[min(fitting)[1]] -= share // count
