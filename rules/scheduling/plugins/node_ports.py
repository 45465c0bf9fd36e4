"""NodePorts: a host port can be taken once per node, protocol and address."""

from __future__ import annotations

from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.status import SKIP, UNSCHEDULABLE, PreFilterResult, Refusal

REASON = "node(s) didn't have free ports for the requested pod ports"


class NodePorts(Plugin):
    """Rejects nodes where a host port of the pod is taken."""

    name = "NodePorts"

    def pre_filter(self, cycle: Cycle) -> PreFilterResult:
        """Skips pods without host ports."""
        return None if cycle.cls.ports else SKIP

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's NodePorts."""
        if node.ports and any(next(node.takers(port), None) is not None for port in cycle.cls.ports):
            return self.refuse(UNSCHEDULABLE, REASON)
        return None
