"""Pods that can't be replaced stay away from spot nodes, and everybody prefers the nodes that stay."""

import numpy as np

from rules.scheduling import ColumnPlugin


class SpotLast(ColumnPlugin):
    name = "SpotLast"
    reason = "node(s) may be taken away any time"

    def fits(self, pod, nodes):
        return self.stays(nodes) | (pod.owner is not None)

    def rank(self, pod, nodes):
        return 100 * self.stays(nodes)

    def stays(self, nodes):
        return np.array([value != "spot" for value in nodes.label_values("capacity")], dtype=bool)
