"""How many more copies of a pod fit, and what runs out first: what cluster-capacity answers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rules.scheduling.cluster import View
from rules.scheduling.overlay import Overlay
from rules.scheduling.pods import scheduler_of
from rules.scheduling.profile import DEFAULT, Profile
from rules.scheduling.scheduler import Scheduler
from state.errors import StateError
from state.objects import Pod, replace

#: Where to stop counting by default: more copies than any cluster of ours has room for.
MOST_COPIES = 1_000_000


class ForeignPod(StateError):  # noqa: N818 - it reads as what it says
    """The pod is none of the scheduler's."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The answer. ``by_node`` has only nodes that take copies; ``limits`` says for each node what stops the next.

    ``reason`` is kube-scheduler's text about the first copy that doesn't fit; "" if ``total`` is only where we stopped.
    """

    total: int
    by_node: Mapping[str, int]
    limits: Mapping[str, tuple[str, ...]]
    reason: str

    @property
    def first(self) -> dict[str, int]:
        """The reasons that stop the next copy, with on how many nodes each does, most first."""
        counts = Counter(reason for reasons in self.limits.values() for reason in reasons)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def capacity(view: View, pod: Pod, *, most: int = MOST_COPIES, profiles: Sequence[Profile] = (DEFAULT,)) -> Capacity:
    """Places copies of a pod, one after the other as the scheduler would, until one doesn't fit.

    Raises:
        ForeignPod: the pod asks for a scheduler that isn't among the profiles.
    """
    alone = [dataclasses.replace(profile, preemption=False) for profile in profiles]
    root = Scheduler(Overlay(view), alone[0], alone[1:])
    scheduler = {root.profile.name: root, **root.others}.get(scheduler_of(pod))
    if scheduler is None:
        raise ForeignPod(f"the pod asks for the scheduler {scheduler_of(pod)}, which is not among the profiles")
    spec = replace(pod.spec, node_name=None, scheduling_gates=())
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
