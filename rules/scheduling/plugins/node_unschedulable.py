"""NodeUnschedulable: no pods on a cordoned node, unless they tolerate the taint that cordoning means."""

from __future__ import annotations

from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.plugins.taint_toleration import tolerates
from rules.scheduling.pods import PodClass
from rules.scheduling.status import UNRESOLVABLE, Refusal
from state.objects import Taint

REASON = "node(s) were unschedulable"
_TAINT = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


def tolerates_cordon(cls: PodClass) -> bool:
    """Whether a pod goes to cordoned nodes."""
    return tolerates(cls.spec.tolerations, _TAINT)


class NodeUnschedulable(Plugin):
    """Rejects nodes with ``spec.unschedulable``."""

    name = "NodeUnschedulable"

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's NodeUnschedulable."""
        assert node.node is not None
        if not node.node.spec.unschedulable or tolerates_cordon(cycle.cls):
            return None
        return self.refuse(UNRESOLVABLE, REASON)
