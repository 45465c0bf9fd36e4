"""The taints that node lifecycle and taint eviction handle: which there are, and how a node gets others."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from state.objects import Node, Taint, replace
from state.times import format_time

NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"
_PREFIX = "node.kubernetes.io/"
NOT_READY, UNREACHABLE = _PREFIX + "not-ready", _PREFIX + "unreachable"
UNSCHEDULABLE = _PREFIX + "unschedulable"
OUT_OF_SERVICE = _PREFIX + "out-of-service"
#: By condition and its status the taint that goes with it.
OF_CONDITIONS = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): _PREFIX + "memory-pressure",
    ("DiskPressure", "True"): _PREFIX + "disk-pressure",
    ("NetworkUnavailable", "True"): _PREFIX + "network-unavailable",
    ("PIDPressure", "True"): _PREFIX + "pid-pressure",
}


def of_effect(node: Node, effect: str) -> tuple[Taint, ...]:
    """The node's taints with that effect."""
    taints = node.spec.taints
    return tuple([taint for taint in taints if taint.effect == effect]) if taints else ()


def retainted(node: Node, effect: str, *, add: Iterable[str] = (), drop: Collection[str] = (), now: int) -> Node:
    """The node with taints of one effect added, as of now, and others gone, as kube-controller-manager swaps them."""
    kept = tuple(taint for taint in node.spec.taints if taint.effect != effect or taint.key not in drop)
    added = tuple(Taint(key=key, effect=effect, time_added=format_time(now)) for key in add)
    return replace(node, spec=replace(node.spec, taints=(*kept, *added)))
