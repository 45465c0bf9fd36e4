"""How many more copies of a pod fit, and what runs out first: what cluster-capacity answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rules.scheduling.cluster import View
from rules.scheduling.overlay import Overlay
from rules.scheduling.profile import DEFAULT, Profile
from rules.scheduling.scheduler import Scheduler
from state.objects import Pod, replace

#: Where to stop counting by default: more copies than any cluster of ours has room for.
MOST_COPIES = 1_000_000


@dataclass(frozen=True, slots=True)
class Capacity:
    """The answer. ``by_node`` has only nodes that take copies; ``limits`` says for each node what stops the next.

    ``reason`` is kube-scheduler's text about the first copy that doesn't fit; "" if ``total`` is only where we stopped.
    """

    total: int
    by_node: Mapping[str, int]
    limits: Mapping[str, tuple[str, ...]]
    reason: str


def capacity(view: View, pod: Pod, *, most: int = MOST_COPIES, profile: Profile = DEFAULT) -> Capacity:
    """Places copies of a pod, one after the other as the scheduler would, until one doesn't fit."""
    scheduler = Scheduler(Overlay(view), profile)
    spec = replace(pod.spec, node_name=None, scheduling_gates=(), preemption_policy="Never")
    template = replace(pod, spec=spec, status=replace(pod.status, phase="Pending", nominated_node_name=None))
    by_node: dict[str, int] = {}
    total = 0
    while total < most:
        name = f"{pod.metadata.name or pod.metadata.generate_name or 'pod'}-copy-{total}"
        copy = replace(template, metadata=replace(pod.metadata, name=name, uid=name, deletion_timestamp=None))
        [decision] = scheduler.schedule([copy], now=0)
        if decision.node is None:
            outcome = scheduler.framework.run_filters(scheduler.cluster, scheduler.cluster.entry(copy))
            limits = {node: refusal.reasons for node, refusal in sorted(outcome.refusals.items())}
            return Capacity(total, dict(sorted(by_node.items())), limits, decision.fit_error or "")
        by_node[decision.node] = by_node.get(decision.node, 0) + 1
        total += 1
    return Capacity(total, dict(sorted(by_node.items())), {}, "")
