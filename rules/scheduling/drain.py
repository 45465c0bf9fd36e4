"""Where the pods of a node would go if it were drained, and which could not leave."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from rules.scheduling.budgets import covers, reported_budgets
from rules.scheduling.cluster import Cluster, View
from rules.scheduling.overlay import Overlay
from rules.scheduling.pods import FINISHED, PodEntry, PodKey, scheduler_of
from rules.scheduling.preemption import split_by_budget
from rules.scheduling.profile import DEFAULT, Profile
from rules.scheduling.scheduler import Scheduler
from state.errors import StateError
from state.objects import Node, Pod, PodDisruptionBudget, controller_of, replace

_MIRROR = "kubernetes.io/config.mirror"

#: What becomes of a pod.
MOVES = "moves"
HOMELESS = "fits nowhere"
PROTECTED = "protected by a PodDisruptionBudget"
UNMANAGED = "has no controller, would be gone"
STAYS = "stays: belongs to the node"
FOREIGN = "leaves; another scheduler decides where to"


@dataclass(frozen=True, slots=True)
class Move:
    """One pod of the node: what becomes of it, where it goes, and why not if it doesn't."""

    pod: PodKey
    what: str
    to: str | None = None
    reason: str = ""


class UnknownNode(StateError):  # noqa: N818 - it reads as what it says
    """There is no such node."""


def drain(view: View, node: str, *, profiles: Sequence[Profile] = (DEFAULT,)) -> list[Move]:
    """Cordons the node and moves its pods one after the other, the most important first, budgets respected.

    A PodDisruptionBudget without a status counts as if the disruption controller had just looked at it. Returns what
    becomes of each pod, sorted by namespace and name.

    Raises:
        UnknownNode: there is none of that name.
    """
    found = view.table("Node").get(("", node))
    if not isinstance(found, Node):
        raise UnknownNode(f'node "{node}" not found')
    overlay = Overlay(view)
    overlay.put(replace(found, spec=replace(found.spec, unschedulable=True)))
    before = Cluster(view)
    info = before.nodes.get(node)
    entries = sorted(info.pods.values(), key=lambda e: (-e.cls.priority, e.key)) if info is not None else []
    leaving = [entry for entry in entries if not _stays(entry.pod)]
    budgets = reported_budgets(before)
    protected, free = split_by_budget(leaving, budgets)
    moves = [Move(entry.key, STAYS) for entry in entries if _stays(entry.pod)]
    moves += [Move(entry.key, PROTECTED, reason=_protection(entry, budgets)) for entry in protected]
    for entry in free:
        overlay.drop(entry.pod)
    alone = [dataclasses.replace(profile, preemption=False) for profile in profiles]
    scheduler = Scheduler(overlay, alone[0], alone[1:])
    moves += [_move(scheduler, entry) for entry in free]
    return sorted(moves, key=lambda move: move.pod)


def _protection(entry: PodEntry, budgets: Sequence[PodDisruptionBudget]) -> str:
    """How many more disruptions the budgets of a pod allow, before the node is drained."""
    return ", ".join(
        f"{budget.metadata.name} allows {budget.status.disruptions_allowed} of its {budget.status.expected_pods} to go"
        for budget in budgets
        if covers(budget, entry.pod)
    )


def _move(scheduler: Scheduler, entry: PodEntry) -> Move:
    pod = entry.pod
    if controller_of(pod) is None:
        return Move(entry.key, UNMANAGED)
    if scheduler_of(pod) not in (scheduler.profile.name, *scheduler.others):
        return Move(entry.key, FOREIGN, reason=f"it asks for {scheduler_of(pod)}")
    status = replace(pod.status, phase="Pending", nominated_node_name=None, start_time=None)
    spec = replace(pod.spec, node_name=None)
    meta = replace(pod.metadata, deletion_timestamp=None)
    [decision] = scheduler.schedule([replace(pod, metadata=meta, spec=spec, status=status)], now=0)
    if decision.node is None:
        return Move(entry.key, HOMELESS, reason=decision.fit_error or "")
    return Move(entry.key, MOVES, to=decision.node)


def _stays(pod: Pod) -> bool:
    """Whether draining leaves a pod alone: those of DaemonSets, of the node itself, and finished ones."""
    owner = controller_of(pod)
    if owner is not None and owner.kind in ("DaemonSet", "Node"):
        return True
    return _MIRROR in pod.metadata.annotations or pod.status.phase in FINISHED
