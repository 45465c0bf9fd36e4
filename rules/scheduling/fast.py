"""The column path: one ranking of the nodes for each class of identical pods, moved forward as pods are placed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rules.scheduling.cluster import Cluster
from rules.scheduling.columns import TOO_LARGE, NodeColumns, NodeRows
from rules.scheduling.failure import Failure, explain, preempt
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.nominations import Crowded, Nominations
from rules.scheduling.plugins import node_affinity
from rules.scheduling.plugins.node_resources_fit import NodeResourcesFit
from rules.scheduling.pods import PodClass, PodEntry
from rules.scheduling.preemption import Preemption, failed, ineligibility
from rules.scheduling.profile import Profile
from rules.scheduling.ranking import Ranking
from rules.scheduling.recipe import recipe
from rules.scheduling.tallies import Tallies
from rules.scheduling.victims import VictimTable
from state.objects import CSINode, Namespace, ReplicaSet, ReplicationController, Service, StatefulSet

#: Numbers held by rankings and tallies before all are dropped and made anew on demand: about 400 MB.
_MOST_NUMBERS = 50_000_000
_NUMBERS_A_ROW = 3
#: The kinds whose selectors make default spread constraints.
_OWNERS = (ReplicaSet, ReplicationController, StatefulSet)
#: Priorities for which victims and nominations are kept as columns.
_MOST_PRIORITIES = 8


class FastPath:
    """Rankings over a cluster. ``usable`` says whether the column path can decide for a class at all."""

    def __init__(self, cluster: Cluster, profile: Profile) -> None:
        self.cluster = cluster
        self.recipe = recipe(profile)
        self.columns: NodeColumns | None = None
        self._tallies: Tallies | None = None
        self._rankings: dict[int, Ranking] = {}
        self._victims: dict[int, VictimTable] = {}
        self._victims_version = -1
        self._nominations: dict[int, Nominations] = {}
        cluster.listen(self._node_changed, self._pod_moved, self._pod_nominated)

    def usable(self, cls: PodClass) -> bool:
        """Whether rankings can be made: plugins that are known, and amounts that fit into 64 bits."""
        if self.columns is not None and cls.number in self._rankings:
            return True
        if self.recipe.has_others:
            return False
        if any(amount >= TOO_LARGE for amount in cls.requests.values()):
            return False
        return not self._current().overflows

    def ranking(self, cls: PodClass) -> Ranking:
        """The ranking for a class, up to date."""
        columns = self._current()
        if columns.is_log_long:
            self.drop()
            columns = self._current()
        ranking = self._rankings.get(cls.number)
        if ranking is not None:
            ranking.sync()
            return ranking
        tallies = self._current_tallies(columns)
        if len(self._rankings) * columns.size * _NUMBERS_A_ROW + tallies.weight > _MOST_NUMBERS:
            self._rankings.clear()
            tallies = self._tallies = Tallies(self.cluster, columns)
        tallies.meet(cls)
        ranking = self._rankings[cls.number] = Ranking(self.cluster, columns, tallies, self.recipe, cls)
        return ranking

    def failure(self, ranking: Ranking, entry: PodEntry, *, preemption: bool) -> tuple[Failure, Preemption] | None:
        """Why no row fits, and whom to preempt; None for classes that have to be looked at node by node."""
        cls, fit = ranking.cls, self.recipe.filtering(NodeResourcesFit)
        if fit is None or cls.ports or cls.volumes or ranking.relations.rejects:
            return None
        names, wanted = (
            node_affinity.named_nodes(node_affinity.required(cls.spec)),
            entry.pod.status.nominated_node_name,
        )
        if names is not None and (not names or (wanted and wanted not in names)):
            return None
        if self.recipe.own_filters and (preemption or self.cluster.nominated):
            return None
        columns = ranking.columns
        amounts = self._amounts(columns, entry)
        failure = explain(columns, amounts, self.recipe, cls)
        if not preemption:
            return failure, Preemption()
        row = columns.rows.get(wanted or "")
        why = ineligibility(self.cluster, entry, final=row is not None and not failure.helpable[row])
        if why:
            return failure, Preemption(message=failed(why))
        table = self._victim_table(columns, cls.priority)
        return failure, preempt(table, amounts, fit, cls, failure)

    def _amounts(self, columns: NodeColumns, entry: PodEntry) -> NodeRows:
        """The columns as a pod sees them: with the other pods nominated to rows that are as important."""
        columns.refresh()
        return Crowded(self.nominations(entry.cls.priority), entry.key) if self.cluster.nominated else columns

    def nominations(self, priority: int) -> Nominations:
        """The nominated pods that pods of a priority have to count."""
        found = self._nominations.get(priority)
        if found is None:
            if len(self._nominations) >= _MOST_PRIORITIES:
                self._nominations.clear()
            found = self._nominations[priority] = Nominations(self._current(), priority)
        return found

    def _victim_table(self, columns: NodeColumns, priority: int) -> VictimTable:
        if self._victims_version != self.cluster.victims_version:
            self._victims.clear()
            self._victims_version = self.cluster.victims_version
        table = self._victims.get(priority)
        if table is None:
            if len(self._victims) >= _MOST_PRIORITIES:
                self._victims.clear()
            table = self._victims[priority] = VictimTable(columns, priority)
        table.sync()
        return table

    def changed(self, old: object | None, new: object | None) -> None:
        """An object changed: drops the rankings whose default spread constraints or namespaces it concerns."""
        sample = new if new is not None else old
        if isinstance(sample, Namespace) and not _same(old, new, lambda namespace: namespace.metadata.labels):
            self.drop()
        elif isinstance(sample, CSINode) and self.columns is not None:
            self.columns.volume_limits = None
        elif isinstance(sample, Service) and not _same(old, new, lambda service: service.spec.selector):
            self._drop_rankings(lambda cls: cls.namespace == sample.metadata.namespace)
        elif isinstance(sample, _OWNERS) and not _same(old, new, lambda owner: owner.spec.selector):
            meta = sample.metadata
            self._drop_rankings(
                lambda cls: cls.owner is not None and cls.owner.name == meta.name and cls.namespace == meta.namespace
            )

    def _drop_rankings(self, concerned: Callable[[PodClass], bool]) -> None:
        for number in [number for number, ranking in self._rankings.items() if concerned(ranking.cls)]:
            del self._rankings[number]

    def drop(self) -> None:
        """Forgets everything derived; it is made anew on demand."""
        self.columns = None
        self._tallies = None
        self._rankings.clear()
        self._victims.clear()
        self._nominations.clear()

    def _current(self) -> NodeColumns:
        if self.columns is None:
            self.columns = NodeColumns(self.cluster)
        return self.columns

    def _current_tallies(self, columns: NodeColumns) -> Tallies:
        if self._tallies is None:
            self._tallies = Tallies(self.cluster, columns)
        return self._tallies

    def _node_changed(self, _: NodeInfo) -> None:
        self.drop()

    def _pod_moved(self, entry: PodEntry, info: NodeInfo, change: int) -> None:
        if self.columns is None:
            return
        row = self.columns.rows.get(info.name)
        if row is None:
            return
        self.columns.touched(row)
        if self._tallies is not None:
            self._tallies.moved(entry.cls, row, change, terminating=entry.terminating)

    def _pod_nominated(self, entry: PodEntry, node: str, change: int) -> None:
        for nominations in self._nominations.values():
            nominations.moved(entry, node, change)


def _same(old: object | None, new: object | None, part: Callable[[Any], object]) -> bool:
    """Whether an object was there before and after, with the same part."""
    return old is not None and new is not None and part(old) == part(new)
