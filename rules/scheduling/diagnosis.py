"""Why a pod is where it is, or nowhere: every node's verdict, what it lacks, and what would help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rules.scheduling.decision import Diagnosis, NodeVerdict
from rules.scheduling.framework import Outcome, totals
from rules.scheduling.lacking import lacking
from rules.scheduling.pods import pod_key
from rules.scheduling.wording import amount_text
from state.objects import Pod, replace

if TYPE_CHECKING:
    from rules.scheduling.scheduler import Scheduler


def diagnose(scheduler: Scheduler, pod: Pod) -> Diagnosis:
    """Asks every plugin about every node for a pod, as if it weren't placed yet. Changes nothing that lasts."""
    cluster = scheduler.cluster
    key = pod_key(pod)
    lifted = cluster.lift(key) if key in cluster.pods else None
    try:
        entry = cluster.entry(replace(pod, spec=replace(pod.spec, node_name=None)))
        outcome = scheduler.framework.run_filters(cluster, entry)
        verdicts, best = _verdicts(scheduler, outcome)
        current = None if lifted is None else lifted[1].name
        if outcome.fitting:
            return Diagnosis(key, None, verdicts, best, current)
        preemption = scheduler.preemption(outcome)
        return Diagnosis(
            key,
            outcome.pre_filter,
            verdicts,
            current=current,
            fit_error=scheduler.fit_error(outcome, preemption),
            change=_smallest_change(verdicts),
            nominated_node=preemption.node or None,
            victims=tuple(victim.key for victim in preemption.victims),
        )
    finally:
        if lifted is not None:
            cluster.put_back(*lifted)


def _verdicts(scheduler: Scheduler, outcome: Outcome) -> tuple[tuple[NodeVerdict, ...], tuple[str, ...]]:
    cycle, fitting = outcome.cycle, outcome.fitting
    verdicts = [
        NodeVerdict(name, refusal, lacking(cycle, scheduler.cluster.nodes[name], refusal))
        for name, refusal in outcome.refusals.items()
    ]
    best: tuple[str, ...] = ()
    if fitting:
        scores = scheduler.framework.run_scores(cycle, fitting)
        sums = totals(fitting, scores)
        best = tuple(node.name for node, total in zip(fitting, sums, strict=True) if total == max(sums))
        for index, (node, total) in enumerate(zip(fitting, sums, strict=True)):
            mine = {plugin: column[index] for plugin, column in sorted(scores.items())}
            verdicts.append(NodeVerdict(node.name, None, scores=mine, total=total))
    verdicts.sort(key=lambda verdict: verdict.node)
    return tuple(verdicts), best


def _smallest_change(verdicts: Sequence[NodeVerdict]) -> str | None:
    """The node that lacks the least, relative to its size, where resources are all that is lacking."""
    best: tuple[float, str, str] | None = None
    for verdict in verdicts:
        if verdict.refusal is None or verdict.refusal.plugin != "NodeResourcesFit" or not verdict.lacking:
            continue
        shares = [int(fact["short"]) / max(int(fact["capacity"]), 1) for fact in verdict.lacking]
        needs = " and ".join(amount_text(str(f["resource"]), int(f["short"])) for f in verdict.lacking)
        candidate = (max(shares), verdict.node, needs)
        if best is None or candidate < best:
            best = candidate
    return None if best is None else f"it would fit on {best[1]} with {best[2]} more"
