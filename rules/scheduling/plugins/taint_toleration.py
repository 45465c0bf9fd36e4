"""TaintToleration: no pod on a node with a hard taint that it doesn't tolerate; the fewer soft ones the better."""

from __future__ import annotations

from collections.abc import Sequence

from rules.scheduling.framework import Cycle, Plugin, scaled_to_max
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.status import UNRESOLVABLE, Refusal
from state.objects import Taint, Toleration

_HARD = ("NoSchedule", "NoExecute")
_SOFT = "PreferNoSchedule"


def tolerates(tolerations: Sequence[Toleration], taint: Taint) -> bool:
    """Whether one of the tolerations covers the taint, as ToleratesTaint."""
    return any(_covers(toleration, taint) for toleration in tolerations)


def untolerated(tolerations: Sequence[Toleration], taints: Sequence[Taint]) -> Taint | None:
    """The first hard taint that isn't tolerated."""
    for taint in taints:
        if taint.effect in _HARD and not tolerates(tolerations, taint):
            return taint
    return None


def soft_untolerated(tolerations: Sequence[Toleration], taints: Sequence[Taint]) -> int:
    """How many soft taints aren't tolerated."""
    soft = [t for t in tolerations if not t.effect or t.effect == _SOFT]
    return sum(taint.effect == _SOFT and not tolerates(soft, taint) for taint in taints)


def reason(taint: Taint) -> str:
    """The sentence about a taint that isn't tolerated."""
    return f"node(s) had untolerated taint {{{taint.key}: {taint.value or ''}}}"


class TaintToleration(Plugin):
    """Rejects nodes with an untolerated hard taint; scores by soft ones."""

    name = "TaintToleration"
    scores = True

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's TaintToleration."""
        assert node.node is not None
        taint = untolerated(cycle.cls.spec.tolerations, node.node.spec.taints)
        return None if taint is None else self.refuse(UNRESOLVABLE, reason(taint))

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        """The number of soft taints that aren't tolerated."""
        assert node.node is not None
        return soft_untolerated(cycle.cls.spec.tolerations, node.node.spec.taints)

    def normalize(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]:
        """The fewer the better; none anywhere is 100 everywhere."""
        return scaled_to_max(scores, reverse=True)


def _covers(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return toleration.operator in (None, "", "Equal") and (toleration.value or "") == (taint.value or "")
