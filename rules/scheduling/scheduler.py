"""The scheduler: places pending pods one after the other, each before the next, and follows the cluster's changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from rules.scheduling import runs, volume_rows
from rules.scheduling.cluster import Cluster, View
from rules.scheduling.decision import (
    GATED,
    NO_CHOICES,
    SCHEDULED,
    SKIPPED,
    UNSCHEDULABLE,
    Decision,
    Diagnosis,
    VolumeChoices,
)
from rules.scheduling.diagnosis import diagnose
from rules.scheduling.fast import FastPath
from rules.scheduling.framework import Cycle, Framework, Outcome, totals
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.plugins.priority_sort import queue_key
from rules.scheduling.plugins.scheduling_gates import gate
from rules.scheduling.plugins.volume_binding import VolumeBinding
from rules.scheduling.pods import PodEntry, PodKey
from rules.scheduling.preemption import Preemption, preempt
from rules.scheduling.profile import DEFAULT, Profile
from rules.scheduling.ranking import Pick, Ranking
from rules.scheduling.recipe import VOLUME_PLUGINS
from rules.scheduling.status import fit_error, pre_filter_error
from state.collector import paused_collector
from state.objects import Pod

NO_NODES = "no nodes available to schedule pods"
#: Fewer identical pods in a row are placed one by one: that costs less then.
_FEW = 32


class Scheduler:
    """kube-scheduler's decisions over a view of the cluster.

    Tell it every change of the view with ``changed``; a binding of a pod that ``schedule`` placed is recognised.
    """

    def __init__(
        self,
        view: View,
        profile: Profile = DEFAULT,
        others: Sequence[Profile] = (),
        *,
        cluster: Cluster | None = None,
    ) -> None:
        """Builds its tables from the view.

        Args:
            view: where the objects are.
            profile: the plugins.
            others: profiles for pods that ask for other scheduler names.
            cluster: the tables of another scheduler over the same view, to share.
        """
        self.cluster = Cluster(view) if cluster is None else cluster
        self.others = {other.name: Scheduler(view, other, cluster=self.cluster) for other in others}
        self.profile = profile
        self.framework = profile.framework()
        self.fast = FastPath(self.cluster, profile)
        volume_plugins = [plugin for plugin in profile.filters if isinstance(plugin, VOLUME_PLUGINS)]
        self._volume_checks = Framework(volume_plugins, ())
        #: Decisions about pods that fit nowhere, by class; good for one version of the cluster.
        self._failures: dict[int, Decision] = {}
        self._failures_version = -1
        self._binder = next((plugin for plugin in profile.filters if isinstance(plugin, VolumeBinding)), None)

    def changed(self, old: object | None, new: object | None) -> None:
        """An object was created (old is None), changed, or removed (new is None)."""
        self.cluster.changed(old, new)
        for scheduler in (self, *self.others.values()):
            scheduler.fast.changed(old, new)

    @paused_collector()
    def schedule(self, pods: Sequence[Pod], *, now: int) -> list[Decision]:
        """Decides about pending pods in queue order; placed ones are assumed on their nodes from then on.

        ``now`` is in microseconds since the epoch; placed pods count as started then. A pod for which preemption makes
        room counts as nominated to that node for the pods after it, until it changes.
        """
        decisions: list[Decision] = []
        lost: set[PodKey] = set()
        for _, alike in groupby(self.queue(pods), key=_class_number):
            run = list(alike)
            for entry in run if lost else ():
                if entry.key in lost:
                    entry.lose_nomination()
            placed = self.place_run(run, now)
            decisions += placed
            for entry in run[len(placed) :]:
                decision = self.decide(entry, now)
                if decision.nominated_node is not None:
                    decision.unnominated = self.cluster.renominate(entry, decision.nominated_node)
                    lost.update(decision.unnominated)
                decisions.append(decision)
        return decisions

    def place_run(self, run: Sequence[PodEntry], now: int) -> list[Decision]:
        """Decides about the first pods of a run of one class, as far as many can be placed at once; perhaps none."""
        cls = run[0].cls
        other = self.others.get(cls.spec.scheduler_name or "")
        if other is not None:
            return other.place_run(run, now)
        decisions: list[Decision] = []
        if len(run) < _FEW or gate(cls) is not None or not (self._is_plain(run) and self.fast.usable(cls)):
            return decisions
        while len(run) - len(decisions) >= _FEW:
            ranking = self.fast.ranking(cls)
            if not ranking.stacks:
                break
            found = runs.place_run(ranking, len(run) - len(decisions))
            if not found.rows:
                break
            decisions += self._take(run[len(decisions) :], ranking, found, now)
        return decisions

    def _is_plain(self, run: Sequence[PodEntry]) -> bool:
        """Whether nothing is special about any pod of a run, nor about the cluster: no volumes, no nominations."""
        if run[0].cls.volumes or self.cluster.nominated or len({entry.key for entry in run}) < len(run):
            return False
        assumed = self.cluster.assumed
        return not any(
            entry.terminating or entry.pod.status.nominated_node_name or entry.key in assumed for entry in run
        )

    def _take(self, entries: Sequence[PodEntry], ranking: Ranking, found: runs.Run, now: int) -> list[Decision]:
        """Assumes pods on the nodes that were found for them."""
        infos = ranking.columns.infos
        names = [infos[row].name for row in found.rows]
        by_node: dict[str, list[PodEntry]] = {}
        decisions = []
        for entry, name, total, feasible in zip(entries, names, found.totals, found.feasible, strict=False):
            by_node.setdefault(name, []).append(entry)
            decisions.append(self._placed(entry, name, total, feasible))
        for name, alike in by_node.items():
            self.cluster.assume(alike, name, now)
        return decisions

    def diagnose(self, pod: Pod) -> Diagnosis:
        """Why a pod is where it is, or nowhere: every plugin about every node, as things stand."""
        return diagnose(self.others.get(pod.spec.scheduler_name or "", self), pod)

    def queue(self, pods: Sequence[Pod]) -> list[PodEntry]:
        """The order in which pods are tried: priority, age, then as given."""
        if self.cluster.drop_unused_classes():
            for scheduler in (self, *self.others.values()):
                scheduler.fast.drop()
                scheduler._failures.clear()  # noqa: SLF001 - one of our own kind
        return sorted((self.cluster.entry(pod) for pod in pods), key=queue_key)

    def decide(self, entry: PodEntry, now: int) -> Decision:
        """Tries one pod and, if a node fits, assumes it there."""
        other = self.others.get(entry.pod.spec.scheduler_name or "")
        if other is not None:
            return other.decide(entry, now)
        if entry.key in self.cluster.assumed:  # placed before, never bound: tried anew
            self.cluster.forget(entry.key)
        early = self.not_tried(entry)
        if early is not None:
            return early
        return self._decide_fast(entry, now) if self.fast.usable(entry.cls) else self.decide_plainly(entry, now)

    def decide_plainly(self, entry: PodEntry, now: int) -> Decision:
        """``decide`` for a pod that may be tried, node by node: the reference for the column path."""
        outcome = self.framework.run_filters(self.cluster, entry)
        if not outcome.fitting:
            return self.failed(outcome)
        scores = self.framework.run_scores(outcome.cycle, outcome.fitting)
        sums = totals(outcome.fitting, scores)
        top = max(sums)
        return self.place(outcome.cycle, outcome.fitting[sums.index(top)], top, len(sums), now)

    def _decide_fast(self, entry: PodEntry, now: int) -> Decision:
        """``decide`` by the ranking of the pod's class."""
        ranking = self.fast.ranking(entry.cls)
        cycle = Cycle(self.cluster, entry)
        wanted = entry.pod.status.nominated_node_name
        if not (self.cluster.nominated or entry.cls.volumes or wanted):
            pick = ranking.pick()
        else:
            outcome = Outcome(cycle)
            self._volume_checks.start(outcome)
            if outcome.pre_filter is not None:
                return self._failed(entry)
            kept = ranking.exclude(self._refused_rows(ranking, cycle))
            pick = self._nominated(ranking, cycle, wanted) if wanted else None
            pick = pick or ranking.pick()
            ranking.restore(kept)
        if pick is None:
            return self._failed(entry)
        return self.place(cycle, ranking.columns.infos[pick.row], pick.total, pick.feasible, now)

    def _refused_rows(self, ranking: Ranking, cycle: Cycle) -> list[int]:
        """Rows of the ranking that don't fit after all: because of volumes, or of pods nominated to them."""
        fits = ranking.feasible()
        infos = ranking.columns.infos
        refused = volume_rows.refused(ranking.columns, cycle, fits) if cycle.filters else []
        rivals: list[int] = []
        if self.cluster.nominated:
            rivals = np.flatnonzero(fits & (self.fast.nominations(cycle.cls.priority).pods > 0)).tolist()
        if rivals:
            outcome = Outcome(Cycle(self.cluster, cycle.entry))
            self.framework.start(outcome)
            refused += [r for r in rivals if self.framework.check(outcome.cycle, infos[r]) is not None]
        return sorted(set(refused))

    def _nominated(self, ranking: Ranking, cycle: Cycle, name: str) -> Pick | None:
        """The node that an earlier preemption made room on, if the pod fits there: scores don't matter then."""
        row = ranking.columns.rows.get(name)
        if row is None or not ranking.feasible()[row]:
            return None
        node = ranking.columns.infos[row]
        scores = self.framework.run_scores(Cycle(self.cluster, cycle.entry), [node])
        return Pick(row, totals([node], scores)[0], 1)

    def _failed(self, entry: PodEntry) -> Decision:
        """The decision about a pod that no ranking has a node for; identical pods share it while nothing changes."""
        if entry.cls.volumes or self.cluster.nominated:
            return self._failed_by_columns(entry) or self.failed(self.framework.run_filters(self.cluster, entry))
        if self._failures_version != self.cluster.version:
            self._failures.clear()
            self._failures_version = self.cluster.version
        known = self._failures.get(entry.cls.number)
        if known is None:
            known = self._failed_by_columns(entry) or self.failed(self.framework.run_filters(self.cluster, entry))
            self._failures[entry.cls.number] = known
        return replace(known, pod=entry.key)

    def _failed_by_columns(self, entry: PodEntry) -> Decision | None:
        if not self.cluster.names:
            return None
        found = self.fast.failure(self.fast.ranking(entry.cls), entry, preemption=self.profile.preemption)
        if found is None:
            return None
        failure, preemption = found
        text = fit_error(len(self.cluster.names), failure.reasons)
        return self._unschedulable(entry, preemption, f"{text} {preemption.message}".strip())

    def not_tried(self, entry: PodEntry) -> Decision | None:
        """The decision about a pod that isn't tried: being deleted, or gated."""
        if entry.terminating:
            return Decision(entry.key, SKIPPED)
        refusal = gate(entry.cls)
        if refusal is not None:
            return Decision(entry.key, GATED, fit_error=refusal.reasons[0])
        return None

    def place(self, cycle: Cycle, node: NodeInfo, total: int, feasible: int, now: int) -> Decision:
        """Assumes the pod on a node."""
        entry = cycle.entry
        binder = self._binder if entry.cls.volumes else None
        choices = NO_CHOICES if binder is None else binder.reserve(cycle, node)
        self.cluster.assume((entry,), node.name, now)
        return self._placed(entry, node.name, total, feasible, choices)

    def _placed(
        self, entry: PodEntry, node: str, total: int, feasible: int, choices: VolumeChoices = NO_CHOICES
    ) -> Decision:
        facts: dict[str, int | str] = {
            "feasible_nodes": feasible,
            "evaluated_nodes": len(self.cluster.names),
            "score": total,
            "node": node,
            "provisions": len(choices.provision),
        }
        return Decision(entry.key, SCHEDULED, node=node, facts=facts, volume_choices=choices)

    def failed(self, outcome: Outcome) -> Decision:
        """The decision about a pod that fits nowhere: why, and whether preemption would help."""
        preemption = self.preemption(outcome)
        return self._unschedulable(outcome.cycle.entry, preemption, self.fit_error(outcome, preemption))

    def _unschedulable(self, entry: PodEntry, preemption: Preemption, text: str) -> Decision:
        return Decision(
            entry.key,
            UNSCHEDULABLE,
            fit_error=text,
            facts={"feasible_nodes": 0, "evaluated_nodes": len(self.cluster.names)},
            nominated_node=preemption.node if preemption.was_tried else None,
            victims=tuple(victim.key for victim in preemption.victims),
        )

    def preemption(self, outcome: Outcome) -> Preemption:
        """What preemption would do for the pod; without nodes there is none to wait for any more."""
        if not self.cluster.names:
            return Preemption(was_tried=True)
        if not self.profile.preemption:
            return Preemption()
        return preempt(self.framework, outcome)

    def fit_error(self, outcome: Outcome, preemption: Preemption) -> str:
        """The exact message of the PodScheduled condition."""
        total = len(self.cluster.names)
        if total == 0:
            return NO_NODES
        if outcome.pre_filter is not None:
            text = pre_filter_error(total, outcome.pre_filter)
        else:
            reasons: dict[str, int] = {}
            for refusal in outcome.refusals.values():
                for reason in refusal.reasons:
                    reasons[reason] = reasons.get(reason, 0) + 1
            text = fit_error(total, reasons)
        return f"{text} {preemption.message}" if preemption.message else text


def _class_number(entry: PodEntry) -> int:
    return entry.cls.number
