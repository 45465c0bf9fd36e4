"""A cluster as plain dicts in, the decision about every pending pod out: the batch operation ``schedule``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rules.scheduling.admission import admitted, check_all
from rules.scheduling.decision import GATED, SCHEDULED, Decision
from rules.scheduling.framework import Outcome, totals
from rules.scheduling.plugins.scheduling_gates import gate
from rules.scheduling.pods import PodEntry, key_text
from rules.scheduling.preemption import Preemption
from rules.scheduling.profile import DEFAULT, Profile
from rules.scheduling.scheduler import Scheduler
from rules.scheduling.status import Refusal
from state.errors import StateError
from state.times import format_time, parse_time

#: When the first pod of a batch starts; each later one a second after.
_START = parse_time("2026-06-01T00:00:00Z")
_SECOND = 1_000_000

Json = dict[str, Any]


def schedule_cluster(
    cluster: Mapping[str, Sequence[Mapping[str, Any]]], detail: str = "full", profiles: Sequence[Profile] = (DEFAULT,)
) -> list[Json]:
    """Decides about every pending pod of a cluster, in queue order, each placed before the next.

    Args:
        cluster: lists of API objects without kind: nodes, pods, namespaces, services, persistentVolumes, ...
        detail: "full" for every node's verdict and scores, "result" for the outcome alone.
        profiles: the plugins by scheduler name; pods for other schedulers are ignored.

    Raises:
        ClusterError: if an object isn't valid; says where.
    """
    view = admitted(cluster)
    try:
        scheduler = Scheduler(view, profiles[0], profiles[1:])
    except StateError:
        check_all(view)
        raise
    queue = scheduler.queue(view.pending(*(profile.name for profile in profiles)))
    answers = []
    for position, entry in enumerate(queue):
        now = _START + position * _SECOND
        if detail == "full":
            mine = scheduler.others.get(entry.pod.spec.scheduler_name or "", scheduler)
            answers.append(_full(mine, entry, now))
        else:
            answers.append(_result(scheduler.decide(entry, now)))
    return answers


def _result(decision: Decision) -> Json:
    answer: Json = {"pod": key_text(decision.pod), "outcome": decision.outcome}
    if decision.node is not None:
        answer["chosen"] = decision.node
    if decision.fit_error is not None and decision.outcome != GATED:
        answer["fitError"] = decision.fit_error
    if decision.nominated_node:
        victims = [key_text(victim) for victim in decision.victims]
        answer["preemption"] = {"nominatedNode": decision.nominated_node, "victims": victims}
    return answer


def _full(scheduler: Scheduler, entry: PodEntry, now: int) -> Json:
    early = scheduler.not_tried(entry)
    if early is not None:
        answer = _result(early)
        refusal = gate(entry.cls)
        if refusal is not None and early.outcome == GATED:
            answer["gate"] = _refusal(refusal)
        return answer
    outcome = scheduler.framework.run_filters(scheduler.cluster, entry)
    answer = {"pod": key_text(entry.key), "outcome": "", "preFilterStatus": None}
    _describe_filters(answer, scheduler, outcome)
    if outcome.fitting:
        _describe_scores(answer, scheduler, outcome, now)
    else:
        preemption = scheduler.preemption(outcome)
        answer["outcome"] = "unschedulable"
        answer["fitError"] = scheduler.fit_error(outcome, preemption)
        if scheduler.cluster.names:
            answer["preemption"] = _preemption(preemption)
    return answer


def _describe_filters(answer: Json, scheduler: Scheduler, outcome: Outcome) -> None:
    if outcome.pre_filter is not None:
        answer["preFilterStatus"] = _refusal(outcome.pre_filter)
        return
    if outcome.names is not None:
        answer["preFilterNodes"] = sorted(outcome.names)
    verdicts: Json = {}
    for name in scheduler.cluster.names:
        refusal = outcome.refusals.get(name)
        verdicts[name] = {"fits": True} if refusal is None else _refusal(refusal)
        if refusal is not None and refusal is outcome.excluded:
            verdicts[name]["byPreFilter"] = True
    answer["filter"] = verdicts


def _describe_scores(answer: Json, scheduler: Scheduler, outcome: Outcome, now: int) -> None:
    nodes = outcome.fitting
    scores = scheduler.framework.run_scores(outcome.cycle, nodes)
    sums = totals(nodes, scores)
    top = max(sums)
    if outcome.by_nomination:
        answer["nominatedNodeUsed"] = True
    answer["scores"] = {
        node.name: {plugin: column[index] for plugin, column in sorted(scores.items())}
        for index, node in enumerate(nodes)
    }
    answer["total"] = {node.name: total for node, total in zip(nodes, sums, strict=True)}
    answer["best"] = [node.name for node, total in zip(nodes, sums, strict=True) if total == top]
    chosen = nodes[sums.index(top)]
    answer["outcome"] = SCHEDULED
    answer["chosen"] = chosen.name
    answer["assumedStartTime"] = format_time(now)
    scheduler.place(outcome.cycle, chosen, top, len(nodes), now)


def _refusal(refusal: Refusal) -> Json:
    reasons = sorted(refusal.reasons)
    return {"fits": False, "plugin": refusal.plugin, "code": refusal.code, "reasons": reasons}


def _preemption(preemption: Preemption) -> Json:
    answer: Json = {
        "nominatedNode": preemption.node,
        "victims": [key_text(victim.key) for victim in preemption.victims],
    }
    if preemption.ties:
        answer["ties"] = preemption.ties
    if preemption.candidates:
        answer["candidates"] = [
            {
                "node": candidate.node,
                "victims": [key_text(victim.key) for victim in candidate.victims],
                "numPDBViolations": candidate.violations,
            }
            for candidate in preemption.candidates
        ]
    if preemption.message:
        answer["message"] = preemption.message
    return answer
