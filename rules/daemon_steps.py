"""Where a DaemonSet stands and what comes next, node by node, as kube-controller-manager's daemon controller."""

from __future__ import annotations

from dataclasses import dataclass, field

from rules.daemon_pods import GENERATION_LABEL, suitability, target_node
from rules.history import REVISION_LABEL, is_newest, revisions_of, surplus_revisions, twins, update_revision
from rules.ownership import selects
from rules.pods import available_at, ready_since
from rules.strategies import template_generation
from state.int_or_percent import scaled
from state.objects import ControllerRevision, DaemonSet, DaemonSetStatus, Node, Pod, replace
from state.times import SECOND, parse_time
from state.workspace import Workspace


@dataclass(slots=True)
class Work:
    """What is to be done now: pods by the names of their nodes, and pods to be deleted."""

    create: list[str] = field(default_factory=list)
    excess: list[Pod] = field(default_factory=list)
    finished: list[Pod] = field(default_factory=list)
    #: Rolling update: pods of the former template that go, and nodes that get a pod of the new one beside it.
    outdated: list[Pod] = field(default_factory=list)
    surge: list[str] = field(default_factory=list)
    #: How many nodes have a pod of the new template beside an old one, and wait for it.
    surging: int = 0
    #: When a pod that has finished may be made anew, or a ready one becomes available (µs); None if there is none.
    wake_at: int | None = None

    def wake(self, at: int) -> None:
        """Has the set looked at again at that time, or at an earlier one already asked for."""
        self.wake_at = at if self.wake_at is None else min(at, self.wake_at)

    def surge_step(self, name: str, old: list[Pod], new: list[Pod], *, runs: bool, available: bool) -> None:
        """What becomes of a node where pods may surge, but for one whose only pod is old and available."""
        if len(old) > 1 or len(new) > 1:
            self.surging += 1
        elif old and not new and runs:
            self.surge.append(name)
        elif old and (available or not new):
            self.outdated.append(old[0])
        elif old:
            self.surging += 1


@dataclass(slots=True)
class View:
    """A DaemonSet with its pods by node, oldest first, and what each node is to it."""

    ds: DaemonSet
    now: int
    #: Of all nodes: whether a pod is to run there, and whether one that does may go on.
    nodes: dict[str, tuple[bool, bool]]
    pods: dict[str, list[Pod]]
    #: Pods that are pinned to a node that isn't there, and on none.
    lost: list[Pod]
    strays: int
    revisions: list[ControllerRevision]
    update: ControllerRevision | None
    #: The label values by which pods of the template now are known; "" as long as there is none.
    hash: str
    generation: str

    @property
    def recorded(self) -> bool:
        """Whether the newest revision, and no other, is of the template now."""
        return is_newest(self.update, self.revisions) and not twins(self.revisions, self.update)

    @property
    def wanted(self) -> int:
        """On how many nodes a pod is to run."""
        return sum(runs for runs, _ in self.nodes.values())

    def surplus_revisions(self) -> list[ControllerRevision]:
        """The revisions that go, of those that no pod has."""
        used = {pod.metadata.labels.get(REVISION_LABEL) for pods in self.pods.values() for pod in pods}
        live = {item.metadata.name for item in self.revisions if item.metadata.labels.get(REVISION_LABEL) in used}
        if self.update is not None:
            live.add(self.update.metadata.name)
        counted = len(self.revisions) - 1
        return surplus_revisions(self.revisions, live, self.ds.spec.revision_history_limit, counted)

    def is_updated(self, pod: Pod) -> bool:
        """Whether the pod is of the template now."""
        labels = pod.metadata.labels
        if self.generation and labels.get(GENERATION_LABEL) == self.generation:
            return True
        return labels.get(REVISION_LABEL, "") == self.hash

    def available_at(self, pod: Pod) -> int | None:
        """When the pod becomes or became available (µs); None if that can't be said."""
        since = ready_since(pod.status)
        return None if since is None else available_at(since, self.ds.spec.min_ready_seconds or 0)

    def is_available(self, pod: Pod) -> bool:
        """Whether the pod has been ready for long enough."""
        at = self.available_at(pod)
        return at is not None and at <= self.now


def look(ws: Workspace, ds: DaemonSet, now: int) -> View:
    """The set as it stands."""
    suits, is_member = suitability(ds), selects(ds)
    nodes = {node.metadata.name: suits(node) for node in ws.objects(Node)}
    pods: dict[str, list[Pod]] = {}
    lost, strays = [], 0
    for pod in ws.owned(ds, Pod):
        if not is_member(pod.metadata.labels):
            strays += 1
        elif not (_is_ending(pod) and pod.status.phase in ("Succeeded", "Failed")):
            name = target_node(pod)
            if name in nodes:
                pods.setdefault(name, []).append(pod)
            elif name and not pod.spec.node_name and not _is_ending(pod):
                lost.append(pod)
    for on_node in pods.values():
        on_node.sort(key=_seniority)
    revisions = revisions_of(ws, ds)
    update = update_revision(revisions, ds)
    label = "" if update is None else update.metadata.labels.get(REVISION_LABEL, "")
    generation = str(template_generation(ds) or "")
    return View(ds, now, nodes, pods, lost, strays, revisions, update, hash=label, generation=generation)


def _seniority(pod: Pod) -> tuple[bool, str, str]:
    """Pods on a node come before those that are only to go there, then the oldest."""
    return (not pod.spec.node_name, pod.metadata.creation_timestamp or "", pod.metadata.name)


def _is_ending(pod: Pod) -> bool:
    return pod.metadata.deletion_timestamp is not None


# -- what comes next ---------------------------------------------------------------------------------------------------


def next_work(view: View) -> Work:
    """What is to be done now: first each node gets its one pod, then updates go on."""
    work = Work()
    surges = limits(view)[0] > 0
    for name, (runs, may_go_on) in view.nodes.items():
        pods = view.pods.get(name, [])
        if runs and not pods:
            work.create.append(name)
        elif may_go_on:
            running = _tend(view, pods, work)
            if runs and surges and not running:
                work.create.append(name)
        else:
            work.excess += [pod for pod in pods if not _is_ending(pod)]
        for pod in pods:
            at = view.available_at(pod)
            if at is not None and at > view.now:
                work.wake(at)
    work.excess += view.lost
    strategy = view.ds.spec.update_strategy
    if (strategy is None or strategy.type != "OnDelete") and not (work.create or work.excess or work.finished):
        _roll(view, work)
    return work


def _tend(view: View, pods: list[Pod], work: Work) -> int:
    """A node's pods: what has finished goes, and what is one too many. Returns how many run, or will."""
    running = []
    for pod in pods:
        if _is_ending(pod):
            continue
        if pod.status.phase in ("Succeeded", "Failed"):
            again = _again_at(pod)
            if again <= view.now:
                work.finished.append(pod)
            else:
                work.wake(again)
        else:
            running.append(pod)
    if len(running) > 1:
        work.excess += _excess(view, running) if limits(view)[0] else running[1:]
    return len(running)


def _again_at(pod: Pod) -> int:
    """When a pod that has finished may be made anew (µs): none is made twice within a second."""
    created = pod.metadata.creation_timestamp
    return parse_time(created) + SECOND if created else 0


def _excess(view: View, running: list[Pod]) -> list[Pod]:
    """Where pods may surge, one old pod may stay beside a new one until that is available."""
    new = [pod for pod in running if pod.metadata.labels.get(REVISION_LABEL) == view.hash]
    old = [pod for pod in running if pod.metadata.labels.get(REVISION_LABEL) != view.hash]
    excess = [*new[1:], *old[1:]]
    if new and old and (ready_since(old[0].status) is None or view.is_available(new[0])):
        excess.append(old[0])
    return excess


def limits(view: View) -> tuple[int, int]:
    """``maxSurge`` and ``maxUnavailable`` in pods, both rounded up; at least one of them is more than 0."""
    strategy = view.ds.spec.update_strategy
    rolling = None if strategy is None else strategy.rolling_update
    if rolling is None:
        return 0, 1
    surge = scaled(rolling.max_surge or 0, view.wanted, round_up=True)
    unavailable = scaled(1 if rolling.max_unavailable is None else rolling.max_unavailable, view.wanted, round_up=True)
    return surge, unavailable or (0 if surge else 1)


def _roll(view: View, work: Work) -> None:
    """One step of a rolling update."""
    surge, unavailable = limits(view)
    #: Nodes whose old pod is available: it is only replaced as far as the limits allow.
    candidates: list[tuple[str, Pod]] = []
    #: Such pods where none would be made any more: they go when enough others are available.
    misplaced: list[Pod] = []
    available = 0
    for name, (runs, _) in view.nodes.items():
        pods = [pod for pod in view.pods.get(name, ()) if not _is_ending(pod)]
        new = [pod for pod in pods if view.is_updated(pod)]
        old = [pod for pod in pods if not view.is_updated(pod)]
        first = old or new
        serves = len(old) <= 1 and len(new) <= 1 and bool(first) and view.is_available(first[0])
        available += serves
        if serves and not new:
            if surge and not runs:
                misplaced.append(old[0])
            else:
                candidates.append((name, old[0]))
        elif surge:
            work.surge_step(name, old, new, runs=runs, available=bool(new) and view.is_available(new[0]))
        else:
            if len(old) == 1 and not new:
                work.outdated.append(old[0])
            unavailable -= (runs or name in view.pods) and not (serves and not old)
    if surge:
        work.surge += [name for name, _ in candidates[: max(0, surge - work.surging)]]
        work.outdated += misplaced[: max(0, available - view.wanted)]
    else:
        work.outdated += [pod for _, pod in candidates[: max(0, unavailable)]]


# -- status ------------------------------------------------------------------------------------------------------------


def fresh_status(view: View, *, tolerant: bool = False) -> DaemonSetStatus:
    """The status to report. ``tolerant`` counts a pod that may go on as wanted where none would be made any more."""
    desired = current = misplaced = ready = available = updated = 0
    for name, (runs, may_go_on) in view.nodes.items():
        pods = view.pods.get(name)
        if not (runs or (tolerant and may_go_on and pods)):
            misplaced += bool(pods)
            continue
        desired += 1
        if pods:
            current += 1
            ready += ready_since(pods[0].status) is not None
            available += view.is_available(pods[0])
            updated += view.is_updated(pods[0])
    return replace(
        view.ds.status,
        observed_generation=view.ds.metadata.generation,
        desired_number_scheduled=desired,
        current_number_scheduled=current,
        number_misscheduled=misplaced,
        number_ready=ready,
        number_available=available or None,
        number_unavailable=(desired - available) or None,
        updated_number_scheduled=updated or None,
    )


def is_reported(view: View, fresh: DaemonSetStatus) -> bool:
    """Whether the status needn't be replaced by a fresh one.

    A taint that only keeps new pods away doesn't make Kubernetes count again: a status that still has the pods on such
    nodes as wanted stays until something else changes it.
    """
    status = view.ds.status
    return status == fresh or status == fresh_status(view, tolerant=True)
