"""Why a pod is where it is, or nowhere: every node's verdict, what it lacks, and what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.scheduling.decision import Diagnosis, Fact, NodeVerdict
from rules.scheduling.framework import Cycle, Outcome, totals
from rules.scheduling.lacking import lacking
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.pods import pod_key
from rules.scheduling.remedies import smallest_change
from rules.scheduling.status import Refusal
from state.objects import Pod, replace

if TYPE_CHECKING:
    from rules.scheduling.scheduler import Scheduler


def diagnose(scheduler: Scheduler, pod: Pod) -> Diagnosis:
    """Asks every plugin about every node for a pod, as if it weren't placed yet. Changes nothing that lasts."""
    cluster = scheduler.cluster
    key = pod_key(pod)
    lifted = cluster.lift(key) if key in cluster.pods else None
    current = pod.spec.node_name or (None if lifted is None else lifted[1].name)
    try:
        entry = cluster.entry(replace(pod, spec=replace(pod.spec, node_name=None)))
        outcome = scheduler.framework.run_filters(cluster, entry)
        verdicts, best = _verdicts(scheduler, outcome)
        if outcome.fitting:
            return Diagnosis(key, None, verdicts, best, current)
        preemption = scheduler.preemption(outcome)
        return Diagnosis(
            key,
            outcome.pre_filter,
            verdicts,
            current=current,
            fit_error=scheduler.fit_error(outcome, preemption),
            change=smallest_change(verdicts),
            preemption=preemption,
        )
    finally:
        if lifted is not None:
            cluster.put_back(*lifted)


def _verdicts(scheduler: Scheduler, outcome: Outcome) -> tuple[tuple[NodeVerdict, ...], tuple[str, ...]]:
    cycle, fitting = outcome.cycle, outcome.fitting
    verdicts = [
        NodeVerdict(name, refusal, _objections(cycle, scheduler.cluster.nodes[name], refusal))
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


def _objections(cycle: Cycle, node: NodeInfo, refusal: Refusal) -> dict[str, tuple[Fact, ...]]:
    """Every plugin that says no to the node, the one that is reported first."""
    refusing = (found.plugin for plugin in cycle.filters if (found := plugin.filter(cycle, node)) is not None)
    return {plugin: lacking(cycle, node, plugin) for plugin in dict.fromkeys((refusal.plugin, *refusing))}
