"""Where a StatefulSet stands and what comes next, as kube-controller-manager's stateful set control.

With pod management OrderedReady at most one thing is done at a time, and the first pod that isn't as it should be stops
all others. With Parallel only updates go one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from rules.history import REVISION_LABEL, is_newest, revisions_of, surplus_revisions, update_revision
from rules.pods import available_at, is_finished, ready_since
from rules.stateful_pods import (
    NAME_LABEL,
    has_volumes,
    is_member,
    leaving_claim,
    missing_claims,
    ordinals,
    parent_and_ordinal,
    pod_name,
    retained,
)
from state.objects import ControllerRevision, Pod, StatefulSet, StatefulSetStatus, replace
from state.snapshot import Key
from state.workspace import Workspace

#: Pods that one look at a set with pod management Parallel creates at most; the rest follows in the next pass.
BURST = 500


class Amends(NamedTuple):
    """What is to be put right about the pod of an ordinal, besides the owners of its claims: claims that it lacks are
    made, and it gets the labels that tell which pod it is.
    """

    ordinal: int
    pod: Pod
    claims: bool = False
    labels: bool = False


@dataclass(slots=True)
class Work:
    """What is to be done now."""

    #: Pods that have finished, to be deleted.
    finished: list[Pod] = field(default_factory=list)
    #: Ordinals without a pod.
    missing: list[int] = field(default_factory=list)
    #: Pods about which something is to be put right.
    amiss: list[Amends] = field(default_factory=list)
    #: Pods with an ordinal that isn't wanted, to be deleted.
    condemned: list[Pod] = field(default_factory=list)
    #: The pod to be replaced by one of the new revision.
    outdated: Pod | None = None
    #: What keeps more from being done: which object, and what has to happen to it.
    blocker: str = ""
    event: str = ""
    #: Whether that is an obstacle for whatever comes after, even where pods don't wait for each other.
    stuck: bool = False


@dataclass(slots=True)
class View:
    """A StatefulSet with its pods and revisions. ``replicas`` are the pods of wanted ordinals, by ordinal;
    ``condemned`` those of others, highest first.
    """

    sts: StatefulSet
    now: int
    pods: list[Pod]
    strays: int
    replicas: dict[int, Pod]
    condemned: list[tuple[int, Pod]]
    revisions: list[ControllerRevision]
    update: ControllerRevision | None
    current: ControllerRevision | None

    @property
    def ordered(self) -> bool:
        """Whether pods come and go one at a time."""
        return self.sts.spec.pod_management_policy != "Parallel"

    @property
    def deleting(self) -> bool:
        """Whether the set is being deleted: its status is still reported, nothing else is done."""
        return self.sts.metadata.deletion_timestamp is not None

    @property
    def update_name(self) -> str:
        """The name of the revision of the template now; "" as long as it isn't the newest one. The revisions of a set
        that is being deleted may go before it: then the name that it had last.
        """
        if self.update is not None and is_newest(self.update, self.revisions):
            return self.update.metadata.name
        return (self.sts.status.update_revision or "") if self.deleting else ""

    @property
    def current_name(self) -> str:
        """The name of the revision from which an update goes on."""
        if self.current is not None:
            return self.current.metadata.name
        return (self.deleting and self.sts.status.current_revision) or self.update_name

    def surplus_revisions(self) -> list[ControllerRevision]:
        """The revisions that go, of those that no pod has."""
        live = {revision_of(pod) for pod in self.pods} | {self.update_name, self.current_name}
        return surplus_revisions(self.revisions, live, self.sts.spec.revision_history_limit)


def look(ws: Workspace, sts: StatefulSet, now: int) -> View:
    """The set as it stands."""
    wanted = ordinals(sts)
    pods, replicas, condemned, strays = [], {}, [], 0
    for pod in ws.owned(sts, Pod):
        parts = parent_and_ordinal(pod.metadata.name)
        if parts is None or not is_member(sts, pod):
            strays += 1
            continue
        pods.append(pod)
        if parts[1] in wanted:
            replicas[parts[1]] = pod
        else:
            condemned.append((parts[1], pod))
    condemned.sort(key=lambda item: -item[0])
    revisions = revisions_of(ws, sts)
    update = update_revision(revisions, sts)
    name = sts.status.current_revision
    current = next((item for item in revisions if item.metadata.name == name), update)
    return View(sts, now, pods, strays, replicas, condemned, revisions, update, current)


def revision_of(pod: Pod) -> str:
    """The name of the revision that a pod is of."""
    return pod.metadata.labels.get(REVISION_LABEL, "")


def _ready_since(pod: Pod) -> str | None:
    return ready_since(pod.status) if pod.status.phase == "Running" else None


def _available_at(view: View, pod: Pod) -> int | None:
    """When the pod becomes or became available (µs); None if that can't be said."""
    since = _ready_since(pod)
    return None if since is None else available_at(since, view.sts.spec.min_ready_seconds or 0)


def _is_available(view: View, pod: Pod) -> bool:
    at = _available_at(view, pod)
    return at is not None and at <= view.now


def next_available(view: View) -> int | None:
    """When the next ready pod becomes available (µs), or None."""
    times = (_available_at(view, pod) for pod in view.pods)
    return min((at for at in times if at is not None and at > view.now), default=None)


def _is_ending(pod: Pod) -> bool:
    return pod.metadata.deletion_timestamp is not None


# -- what comes next ---------------------------------------------------------------------------------------------------


def next_work(ws: Workspace, view: View) -> Work:
    """What is to be done now. Nothing for a set that is being deleted."""
    work = Work()
    if view.deleting:
        return work
    if not _tend_replicas(ws, view, work):
        return work
    work.amiss += [Amends(ordinal, pod) for ordinal, pod in view.condemned if retained(ws, view.sts, pod, ordinal)]
    if not work.amiss and _condemn(view, work):
        _update(view, work)
    return work


def _tend_replicas(ws: Workspace, view: View, work: Work) -> bool:
    """Pods of wanted ordinals; False if what comes after has to wait."""
    for ordinal in ordinals(view.sts):
        pod = view.replicas.get(ordinal)
        settled = False
        if pod is None:
            if _can_make(ws, view, ordinal, work):
                work.missing.append(ordinal)
        elif is_finished(pod):
            if not _is_ending(pod):
                work.finished.append(pod)
            _block(view, work, pod)
        else:
            settled = _is_settled(ws, view, ordinal, pod, work)
        if work.stuck or (view.ordered and not settled) or len(work.missing) >= BURST:
            return False
    return True


def _is_settled(ws: Workspace, view: View, ordinal: int, pod: Pod, work: Work) -> bool:
    """Whether the pod is available, with what is to be put right about it added to the work: in order, it has to be
    available first, but for what a pending pod waits for.
    """
    sts = view.sts
    settled = _is_available(view, pod) and not _is_ending(pod)
    looked_at, pending = settled or not view.ordered, pod.status.phase == "Pending"
    complete = not looked_at or has_volumes(sts, pod, ordinal)
    claims = (pending or not complete) and bool(missing_claims(ws, sts, ordinal))
    labels = looked_at and complete and pod.metadata.labels.get(NAME_LABEL) != pod.metadata.name
    if claims or labels or ((looked_at or pending) and retained(ws, sts, pod, ordinal)):
        work.amiss.append(Amends(ordinal, pod, claims=claims, labels=labels))
    if not looked_at:
        _block(view, work, pod)
    elif not complete:  # the API server lets nobody change a pod's volumes
        work.blocker, work.event, work.stuck = pod.metadata.name, "go: it doesn't have the set's claims", True
    return settled


def _can_make(ws: Workspace, view: View, ordinal: int, work: Work) -> bool:
    """Whether nothing stands in the way of the pod of an ordinal."""
    name = pod_name(view.sts, ordinal)
    if ws.get(Key("Pod", view.sts.metadata.namespace, name)) is not None:
        work.blocker, work.event, work.stuck = name, "go, which is not its own", True
        return False
    claim, work.stuck = leaving_claim(ws, view.sts, ordinal)
    if claim:
        work.blocker, work.event = claim, "go, the claim of a former pod"
    return not claim


def _block(view: View, work: Work, pod: Pod) -> None:
    """Says which pod has to become what."""
    at = _available_at(view, pod)
    work.blocker = pod.metadata.name
    work.event = "end" if _is_ending(pod) else "become available" if at is not None else "become ready"


def _condemn(view: View, work: Work) -> bool:
    """Pods of ordinals that aren't wanted go, highest first; False if updates have to wait."""
    unhealthy = [pod for _, pod in view.condemned if _is_ending(pod) or not _is_available(view, pod)]
    for _, pod in view.condemned:
        if view.ordered and (_is_ending(pod) or (pod in unhealthy and pod is not unhealthy[-1])):
            _block(view, work, pod)
            return False
        if not _is_ending(pod):
            work.condemned.append(pod)
            if view.ordered:
                return False
    return True


def _update(view: View, work: Work) -> None:
    """The pod with the highest ordinal that isn't of the new revision goes, once all above it are available."""
    strategy = view.sts.spec.update_strategy
    if strategy is not None and strategy.type == "OnDelete":
        return
    waited_for: Pod | None = None
    for ordinal in reversed(ordinals(view.sts)[partition(view.sts) :]):
        pod = view.replicas.get(ordinal)
        if pod is None:
            return
        if revision_of(pod) != view.update_name and not _is_ending(pod):
            if waited_for is None:
                work.outdated = pod
            else:
                _block(view, work, waited_for)
            return
        if waited_for is None and (_is_ending(pod) or not _is_available(view, pod)):
            waited_for = pod


def partition(sts: StatefulSet) -> int:
    """How many pods an update leaves as they are."""
    strategy = sts.spec.update_strategy
    rolling = None if strategy is None else strategy.rolling_update
    return (rolling.partition or 0) if rolling is not None else 0


def revision_for(view: View, ordinal: int) -> ControllerRevision | None:
    """The revision of which a new pod of that ordinal is to be."""
    strategy = view.sts.spec.update_strategy
    if strategy is not None and strategy.type == "OnDelete":
        return view.update
    return view.current if ordinal - ordinals(view.sts).start < partition(view.sts) else view.update


# -- status ------------------------------------------------------------------------------------------------------------


def fresh_status(view: View) -> StatefulSetStatus:
    """The status to report. Once all pods are of the new revision, and ready, that is the current one."""
    ready = [pod for pod in view.pods if _ready_since(pod) is not None]
    available = sum(_is_available(view, pod) for pod in ready)
    names = [revision_of(pod) for pod in view.pods if not _is_ending(pod)]
    want = len(ordinals(view.sts))
    updated = names.count(view.update_name)
    current, current_name = names.count(view.current_name), view.current_name
    strategy = view.sts.spec.update_strategy
    rolling = strategy is None or strategy.type != "OnDelete"
    if rolling and updated == len(ready) == len(view.pods) == want:
        current, current_name = updated, view.update_name
    return replace(
        view.sts.status,
        observed_generation=view.sts.metadata.generation,
        replicas=len(view.pods),
        ready_replicas=len(ready) or None,
        available_replicas=available,
        current_replicas=current or None,
        updated_replicas=updated or None,
        current_revision=current_name or None,
        update_revision=view.update_name or None,
        collision_count=view.sts.status.collision_count or 0,
    )
