"""DefaultPreemption: which less important pods would have to go, and from where, to make room for a pod."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rules.pods import DISRUPTION
from rules.scheduling.cluster import Cluster
from rules.scheduling.framework import Cycle, Framework, Outcome
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.pods import PodEntry, PodKey
from rules.scheduling.status import UNRESOLVABLE, UNSCHEDULABLE, fit_error
from state.objects import PodDisruptionBudget
from state.selectors import from_object

NAME = "DefaultPreemption"
#: Why a pod is evicted for a more important one, as its DisruptionTarget condition says.
PREEMPTED = "PreemptionByScheduler"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
NEVER = "not eligible due to preemptionPolicy=Never."
TERMINATING = "not eligible due to a terminating pod on the nominated node."
#: What DynamicResources, the PostFilter before this one, says of a pod without claims.
_NO_CLAIMS = "no new claims to deallocate"
#: What DynamicResources says when PreFilter ended before it ran.
NOT_FOUND = "not found"
_PREFIX = "preemption: "
#: Added to each victim's priority so that fewer victims are better even among negative ones.
PRIORITY_OFFSET = 2**31


@dataclass(slots=True)
class Candidate:
    """A node on which preemption would work; victims are the most important first."""

    node: str
    victims: list[PodEntry]
    violations: int


@dataclass(slots=True)
class Preemption:
    """What preemption comes to: a node and its victims, or a message why not."""

    node: str = ""
    victims: list[PodEntry] = field(default_factory=list)
    ties: list[str] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    message: str = ""
    #: Whether nodes were looked at: if none will do, the pod is to wait for none any more.
    was_tried: bool = False
    #: Why it doesn't help, with the number of nodes for which that is so; empty if it isn't tried on any.
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def violations(self) -> int:
        """How many PodDisruptionBudgets' pods are evicted though the budgets don't allow it."""
        return next((candidate.violations for candidate in self.candidates if candidate.node == self.node), 0)


def preempt(framework: Framework, outcome: Outcome) -> Preemption:
    """Tries on every node where it could help which pods would have to go; as DefaultPreemption, on all nodes."""
    cycle = outcome.cycle
    if outcome.pre_filter is not None and outcome.pre_filter.code == UNRESOLVABLE:
        return Preemption(message=NOT_FOUND)
    wanted = outcome.refusals.get(cycle.entry.pod.status.nominated_node_name or "")
    ineligible = ineligibility(cycle.cluster, cycle.entry, final=wanted is not None and wanted.code == UNRESOLVABLE)
    if ineligible:
        return Preemption(message=failed(ineligible))
    budgets = budgets_of(cycle.cluster)
    found = Preemption(was_tried=True)
    reasons: dict[str, int] = {}
    for node in cycle.cluster.candidates():
        refusal = outcome.refusals.get(node.name)
        if refusal is None or refusal.code != UNSCHEDULABLE:
            reasons[NOT_HELPFUL] = reasons.get(NOT_HELPFUL, 0) + 1
            continue
        tried = select_victims(framework, cycle, node, budgets)
        if isinstance(tried, Candidate):
            found.candidates.append(tried)
        else:
            for reason in tried:
                reasons[reason] = reasons.get(reason, 0) + 1
    if not found.candidates:
        found.message, found.reasons = failed(fit_error(len(cycle.cluster.names), reasons)), reasons
        return found
    best = pick(found.candidates)
    found.node, found.victims = best[0].node, best[0].victims
    if len(best) > 1:
        found.ties = [candidate.node for candidate in best]
    return found


def select_victims(
    framework: Framework, cycle: Cycle, node: NodeInfo, budgets: Sequence[PodDisruptionBudget]
) -> Candidate | tuple[str, ...]:
    """The fewest pods that must leave a node; or the reasons why even all less important ones don't suffice."""
    mine = cycle.cls.priority
    potential = [entry for entry in node.pods.values() if entry.cls.priority < mine]
    if not potential:
        return (NO_VICTIMS,)
    imagined, emptied = cycle.copy(), node.clone()
    for entry in potential:
        framework.remove_pod(imagined, entry, emptied)
    refusal = framework.check(imagined, emptied)
    if refusal is not None:
        return refusal.reasons
    potential.sort(key=importance)
    violating, harmless = split_by_budget(potential, budgets)
    victims: list[PodEntry] = []
    violations = 0
    for group in (violating, harmless):
        for entry in group:
            framework.add_pod(imagined, entry, emptied)
            if framework.check(imagined, emptied) is not None:
                framework.remove_pod(imagined, entry, emptied)
                victims.append(entry)
                violations += group is violating
    victims.sort(key=importance)
    return Candidate(node.name, victims, violations)


def importance(entry: PodEntry) -> tuple[int, float, PodKey]:
    """Sorts pods, the most important first: by priority, then who runs longest."""
    return (-entry.cls.priority, _start(entry), entry.key)


def split_by_budget(
    entries: Sequence[PodEntry], budgets: Sequence[PodDisruptionBudget]
) -> tuple[list[PodEntry], list[PodEntry]]:
    """Those whose eviction would violate a PodDisruptionBudget, counted in the given order, and the others."""
    allowed = [budget.status.disruptions_allowed for budget in budgets]
    compiled = [from_object(budget.spec.selector) if budget.spec.selector is not None else None for budget in budgets]
    violating: list[PodEntry] = []
    harmless: list[PodEntry] = []
    for entry in entries:
        violated = False
        labels = entry.cls.labels
        for index, budget in enumerate(budgets) if labels else ():
            selector = compiled[index]
            if budget.metadata.namespace != entry.key[0] or selector is None or selector.everything:
                continue
            if not selector.matches(labels) or entry.key[1] in budget.status.disrupted_pods:
                continue
            allowed[index] -= 1
            violated = violated or allowed[index] < 0
        (violating if violated else harmless).append(entry)
    return violating, harmless


def pick(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The best nodes under the five criteria, all of those equally good, by name."""
    best = min(map(_criteria, candidates))
    return [candidate for candidate in candidates if _criteria(candidate) == best]


def budgets_of(cluster: Cluster) -> list[PodDisruptionBudget]:
    """All PodDisruptionBudgets by namespace and name."""
    found = sorted(cluster.view.table("PodDisruptionBudget").items())
    return [budget for _, budget in found if isinstance(budget, PodDisruptionBudget)]


def _criteria(candidate: Candidate) -> tuple[int, int, int, int, float]:
    """Fewest violations, lowest highest priority, lowest sum, fewest victims, latest start of the most important."""
    victims = candidate.victims
    if not victims:
        return (candidate.violations, -PRIORITY_OFFSET, 0, 0, 0.0)
    top = victims[0].cls.priority
    starts = [_start(entry) for entry in victims if entry.cls.priority == top]
    total = sum(entry.cls.priority + PRIORITY_OFFSET for entry in victims)
    return (candidate.violations, top, total, len(victims), -min(starts))


def _start(entry: PodEntry) -> float:
    start = entry.start_time()
    return float("inf") if start is None else float(start)


def ineligibility(cluster: Cluster, entry: PodEntry, *, final: bool) -> str:
    """Why the pod may not preempt; "" if it may. ``final``: the node nominated for it is out of question for good."""
    if not entry.cls.preempts:
        return NEVER
    node = cluster.nodes.get(entry.pod.status.nominated_node_name or "")
    if node is None or final:
        return ""
    for other in node.pods.values():
        if other.cls.priority < entry.cls.priority and _leaves_by_preemption(other):
            return TERMINATING
    return ""


def _leaves_by_preemption(entry: PodEntry) -> bool:
    return entry.terminating and any(
        c.type == DISRUPTION and c.status == "True" and c.reason == PREEMPTED for c in entry.pod.status.conditions
    )


def failed(why: str) -> str:
    """The message of a preemption that failed, with what DynamicResources says before it."""
    return f"{_NO_CLAIMS}, {_PREFIX}{why}"
