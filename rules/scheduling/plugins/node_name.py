"""NodeName: a pod that names its node fits on no other. Pods that do are bound already, so it seldom speaks."""

from __future__ import annotations

from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.status import UNRESOLVABLE, Refusal

REASON = "node(s) didn't match the requested node name"


class NodeName(Plugin):
    """Rejects every node but ``spec.nodeName``."""

    name = "NodeName"

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's NodeName."""
        wanted = cycle.entry.pod.spec.node_name
        return self.refuse(UNRESOLVABLE, REASON) if wanted and wanted != node.name else None
