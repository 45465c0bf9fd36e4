"""The plain way through the plugins: one pod, every node, one plugin after the other, as kube-scheduler runs them.

It is the reference that the column path must agree with, and what diagnoses and preemption use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rules.scheduling.cluster import Cluster
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.pods import PodClass, PodEntry
from rules.scheduling.status import MAX_SCORE, UNRESOLVABLE, NodeNames, PreFilterResult, Refusal, Skip


class Cycle:
    """The attempt to place one pod. ``state`` holds what each plugin's PreFilter or PreScore found out.

    State that adding or removing pods changes has a method ``copy``.
    """

    __slots__ = ("cluster", "entry", "filters", "scorers", "state")

    def __init__(self, cluster: Cluster, entry: PodEntry) -> None:
        self.cluster = cluster
        self.entry = entry
        self.state: dict[str, Any] = {}
        #: The plugins whose Filter runs; those that skipped in PreFilter are left out.
        self.filters: list[Plugin] = []
        self.scorers: list[tuple[Plugin, int]] = []

    @property
    def cls(self) -> PodClass:
        """The class of the pod."""
        return self.entry.cls

    def copy(self) -> Cycle:
        """A copy on which pods can be added and removed."""
        twin = Cycle(self.cluster, self.entry)
        twin.state = {name: value.copy() if hasattr(value, "copy") else value for name, value in self.state.items()}
        twin.filters = self.filters
        return twin


class Plugin:
    """One scheduling plugin. A subclass overrides the points that it takes part in."""

    name: ClassVar[str]
    #: Whether the plugin has a Score point.
    scores: ClassVar[bool] = False

    def pre_filter(self, cycle: Cycle) -> PreFilterResult:
        """Looks at the pod once, before any node; may reject it, skip the filter, or narrow the nodes."""

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """None if the node will do."""

    def move_pod(self, cycle: Cycle, entry: PodEntry, node: NodeInfo, change: int) -> None:
        """Updates ``cycle.state`` for a pod imagined on the node (+1: AddPod) or gone from it (-1: RemovePod)."""

    def pre_score(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> bool:
        """Looks at the nodes that fit; False if the plugin has nothing to say about this pod."""
        return True

    def score(self, cycle: Cycle, node: NodeInfo) -> int:
        """The raw score of a node that fits."""
        return 0

    def normalize(self, cycle: Cycle, nodes: Sequence[NodeInfo], scores: list[int]) -> list[int]:
        """Raw scores to 0..100."""
        return scores

    def refuse(self, code: str, *reasons: str) -> Refusal:
        """A refusal by this plugin."""
        return Refusal(self.name, code, reasons)


def scaled_to_max(scores: Sequence[int], *, reverse: bool = False) -> list[int]:
    """Scales so that the largest becomes 100, as helper.DefaultNormalizeScore; all zeros stay (or, reversed, win)."""
    top = max(scores, default=0)
    if top == 0:
        return [MAX_SCORE] * len(scores) if reverse else list(scores)
    scaled = [MAX_SCORE * score // top for score in scores]
    return [MAX_SCORE - score for score in scaled] if reverse else scaled


class Outcome:
    """What the filters said about one pod. ``refusals`` has the nodes that were rejected, in the order of names."""

    __slots__ = ("by_nomination", "cycle", "excluded", "fitting", "names", "pre_filter", "refusals")

    def __init__(self, cycle: Cycle) -> None:
        self.cycle = cycle
        self.pre_filter: Refusal | None = None
        #: The node names that PreFilter narrowed the candidates to, if it did.
        self.names: frozenset[str] | None = None
        #: The refusal of the nodes that the narrowing left out.
        self.excluded: Refusal | None = None
        self.refusals: dict[str, Refusal] = {}
        self.fitting: list[NodeInfo] = []
        self.by_nomination = False


class Framework:
    """The plugins of a profile in running order."""

    def __init__(self, filters: Sequence[Plugin], scorers: Sequence[tuple[Plugin, int]]) -> None:
        self.filters = filters
        self.scorers = scorers

    def run_filters(self, cluster: Cluster, entry: PodEntry) -> Outcome:
        """PreFilter, then every filter on every node until one rejects it."""
        outcome = Outcome(Cycle(cluster, entry))
        self.start(outcome)
        wanted = entry.pod.status.nominated_node_name
        if outcome.pre_filter is None:
            for node in cluster.candidates():
                # The node that an earlier preemption made room on is asked before PreFilter's choice counts.
                if outcome.names is not None and node.name not in outcome.names and node.name != wanted:
                    assert outcome.excluded is not None
                    outcome.refusals[node.name] = outcome.excluded
                    continue
                refusal = self.check(outcome.cycle, node)
                if refusal is None:
                    outcome.fitting.append(node)
                else:
                    outcome.refusals[node.name] = refusal
            self._prefer_nominated(outcome)
        return outcome

    def start(self, outcome: Outcome) -> None:
        """Runs PreFilter: an unresolvable refusal ends it, another is kept while the rest still runs."""
        cycle = outcome.cycle
        skipped: set[str] = set()
        narrowing: list[str] = []
        for plugin in self.filters:
            result = plugin.pre_filter(cycle)
            if isinstance(result, Refusal):
                outcome.pre_filter = outcome.pre_filter or result
                if result.code == UNRESOLVABLE:
                    outcome.pre_filter = result
                    return
            elif isinstance(result, Skip):
                skipped.add(plugin.name)
            elif isinstance(result, NodeNames):
                narrowing.append(plugin.name)
                outcome.names = result.names if outcome.names is None else outcome.names & result.names
                sentence = f"node(s) didn't satisfy plugin(s) [{' '.join(sorted(narrowing))}]"
                outcome.excluded = Refusal(plugin.name, UNRESOLVABLE, (sentence,))
        cycle.filters = [plugin for plugin in self.filters if plugin.name not in skipped]

    def check(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """The first refusal of a node: with the more important pods nominated to it, then without."""
        nominated = cycle.cluster.nominated.get(node.name) if cycle.cluster.nominated else None
        if nominated:
            rivals = [
                n
                for key, n in sorted(nominated.items())
                if n.cls.priority >= cycle.cls.priority and key != cycle.entry.key
            ]
            if rivals:
                imagined, crowded = cycle.copy(), node.clone()
                for rival in rivals:
                    if rival.key not in crowded.pods:
                        self.add_pod(imagined, rival, crowded)
                refusal = self.filter_one(imagined, crowded)
                if refusal is not None:
                    return refusal
        return self.filter_one(cycle, node)

    def filter_one(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """The first filter's refusal of the node as it is."""
        for plugin in cycle.filters:
            refusal = plugin.filter(cycle, node)
            if refusal is not None:
                return refusal
        return None

    def add_pod(self, cycle: Cycle, added: PodEntry, node: NodeInfo) -> None:
        """Imagines a pod on a (cloned) node."""
        node.add((added,))
        for plugin in cycle.filters:
            plugin.move_pod(cycle, added, node, 1)

    def remove_pod(self, cycle: Cycle, removed: PodEntry, node: NodeInfo) -> None:
        """Imagines a pod gone from a (cloned) node.

        Its host ports count as free even if another pod there has the same, as in kube-scheduler's own imagination.
        """
        node.remove(removed)
        for port in removed.cls.ports:
            node.ports.pop(port, None)
        for plugin in cycle.filters:
            plugin.move_pod(cycle, removed, node, -1)

    def run_scores(self, cycle: Cycle, nodes: Sequence[NodeInfo]) -> dict[str, list[int]]:
        """Plugin -> normalised score times weight, for each of the nodes; plugins that skipped are absent."""
        found: dict[str, list[int]] = {}
        for plugin, weight in self.scorers:
            if plugin.pre_score(cycle, nodes):
                raw = [plugin.score(cycle, node) for node in nodes]
                found[plugin.name] = [score * weight for score in plugin.normalize(cycle, nodes, raw)]
        return found

    def _prefer_nominated(self, outcome: Outcome) -> None:
        """A node that preemption made room on is taken if it fits, whatever the scores."""
        wanted = outcome.cycle.entry.pod.status.nominated_node_name
        if wanted:
            chosen = [node for node in outcome.fitting if node.name == wanted]
            if chosen:
                outcome.by_nomination = True
                outcome.fitting = chosen


def totals(nodes: Sequence[NodeInfo], scores: Mapping[str, Sequence[int]]) -> list[int]:
    """The sum over plugins for each node."""
    return [sum(column[index] for column in scores.values()) for index in range(len(nodes))]
