"""ReplicaSet and ReplicationController: keep N pods, as kube-controller-manager's replicaset controller does.

A replica is a pod of this controller that matches its selector, hasn't finished and isn't being deleted. Pods without a
controller are adopted when they match; pods that stop matching are released. Which pod goes first when there are too
many is ``rules.victims``; what is reported is ``status``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rules.actions import Fact
from rules.admission import ForbiddenError
from rules.concern import Concern, Touched, itself, note, wait
from rules.context import Context
from rules.engine import Rule, m
from rules.events import FAILED_CREATE
from rules.ownership import Claiming, controller_ref, selects, touches
from rules.pods import available_at, is_active, pod_from_template, ready_since
from rules.victims import choose_victims
from state.objects import (
    Pod,
    ReplicaSet,
    ReplicaSetCondition,
    ReplicaSetStatus,
    ReplicationController,
    ReplicationControllerCondition,
    ReplicationControllerStatus,
    replace,
)
from state.snapshot import Key
from state.times import format_time
from state.workspace import Workspace, controller_uid

#: Pods that one look at a controller creates or deletes at most; the rest follows in the next pass. (Kubernetes takes
#: 500, to spare its API server.)
BURST = 10_000
KINDS = ("ReplicaSet", "ReplicationController")
_FAILURE = "ReplicaFailure"

Replicator = ReplicaSet | ReplicationController
Status = ReplicaSetStatus | ReplicationControllerStatus
Condition = ReplicaSetCondition | ReplicationControllerCondition

PODS: Claiming[Replicator, Pod] = Claiming(Pod, counts=is_active)


@dataclass(slots=True)
class Tally:
    """The pods of a controller, counted."""

    replicas: int = 0
    fully_labeled: int = 0
    ready: int = 0
    available: int = 0
    terminating: int = 0
    #: Own pods that don't match the selector any more.
    strays: int = 0
    #: When the next ready pod becomes available (µs), or None.
    next_available: int | None = None


def find(ws: Workspace, key: Key) -> Replicator | None:
    """The ReplicaSet or ReplicationController of that key."""
    obj = ws.get(key)
    return obj if isinstance(obj, ReplicaSet | ReplicationController) else None


def wanted(owner: Replicator) -> int:
    """``spec.replicas``, with its default."""
    return 1 if owner.spec.replicas is None else owner.spec.replicas


def makes_its_own(owner: Replicator) -> bool:
    """Whether pods of the controller's template match its selector; if not, it would make pods without end."""
    template = owner.spec.template
    return selects(owner)({} if template is None else template.metadata.labels)


def count(owner: Replicator, pods: Sequence[Pod], now: int) -> Tally:
    """Counts the pods that the controller owns, at the time ``now``.

    Pods of one template have the same labels, and fresh ones share their status: what was found out for one holds for
    the next.
    """
    tally = Tally()
    matches = selects(owner)
    template_labels = {} if owner.spec.template is None else owner.spec.template.metadata.labels
    min_ready = owner.spec.min_ready_seconds or 0
    labels, matching, full = None, False, False
    status, since = None, None
    for pod in pods:
        meta = pod.metadata
        if meta.labels is not labels and meta.labels != labels:
            labels = meta.labels
            matching = matches(labels)
            full = template_labels.items() <= labels.items()
        if pod.status.phase in ("Succeeded", "Failed"):
            continue
        if meta.deletion_timestamp is not None:
            tally.terminating += matching
        elif not matching:
            tally.strays += 1
        else:
            tally.replicas += 1
            tally.fully_labeled += full
            if pod.status is not status:
                status = pod.status
                since = ready_since(status)
            if since is not None:
                tally.ready += 1
                at = available_at(since, min_ready)
                if at is not None and at <= now:
                    tally.available += 1
                elif at is not None and (tally.next_available is None or at < tally.next_available):
                    tally.next_available = at
    return tally


def status(owner: Replicator, tally: Tally) -> Status:
    """The status to report of a controller that could make all pods that it wants."""
    counts = {
        "replicas": tally.replicas,
        "fully_labeled_replicas": tally.fully_labeled or None,
        "ready_replicas": tally.ready or None,
        "available_replicas": tally.available or None,
        "observed_generation": owner.metadata.generation,
        "conditions": tuple(c for c in owner.status.conditions if c.type != _FAILURE),
    }
    if isinstance(owner, ReplicaSet):
        counts["terminating_replicas"] = tally.terminating
    return replace(owner.status, **counts)


def replicas_of(ws: Workspace, owner: Replicator) -> list[Pod]:
    """The pods that count as the controller's replicas, sorted by name."""
    matches = selects(owner)
    return [pod for pod in ws.owned(owner, Pod) if is_active(pod) and matches(pod.metadata.labels)]


def _related(ws: Workspace, owner: Replicator) -> list[Pod]:
    """The active pods of all ReplicaSets under the same controller (a Deployment): its nodes are to be left evenly."""
    uid = controller_uid(owner)
    if uid is None or not isinstance(owner, ReplicaSet):
        return []
    siblings = [key for key in ws.indexes.owned_by(uid, "ReplicaSet") if key.namespace == owner.metadata.namespace]
    found = (find(ws, key) for key in siblings)
    return [pod for sibling in found if sibling is not None for pod in ws.owned(sibling, Pod) if is_active(pod)]


# -- consequents -------------------------------------------------------------------------------------------------------


def _scale_up(ctx: Context, key: Key, _: Fact) -> None:
    owner = find(ctx.ws, key)
    assert owner is not None
    missing = wanted(owner) - len(replicas_of(ctx.ws, owner))
    pod = pod_from_template(ctx.ws, owner.spec.template, owner, controller_ref(owner))
    for _number in range(min(missing, BURST)):
        ctx.create(pod)


def _scale_down(ctx: Context, key: Key, _: Fact) -> None:
    owner = find(ctx.ws, key)
    assert owner is not None
    pods = replicas_of(ctx.ws, owner)
    surplus = min(len(pods) - wanted(owner), BURST)
    for pod in choose_victims(pods, surplus, _related(ctx.ws, owner), ctx.now):
        ctx.delete(pod)


def _report(ctx: Context, key: Key, _: Fact) -> None:
    owner = find(ctx.ws, key)
    assert owner is not None
    tally = count(owner, ctx.ws.owned(owner, Pod), ctx.now)
    ctx.update_status(replace(owner, status=status(owner, tally)))


_CLAIMED = (m.adoptable == 0) & (m.strays == 0)
_ALIVE = m.deleting == False  # noqa: E712 - an expression of durable.lang

RULES = (
    *PODS.rules("replication", _ALIVE, "pods"),
    Rule(
        name="replication-scale-up",
        when=_ALIVE & _CLAIMED & (m.missing > 0),
        then=_scale_up,
        why="{kind} {name} has {have} of {want} replicas",
    ),
    Rule(
        name="replication-mismatch",
        when=_CLAIMED & (m.unmakable > 0),
        then=note,
        why="{kind} {name} lacks {unmakable} of {want} pods: its selector doesn't match its template's labels",
    ),
    Rule(
        name="replication-scale-down",
        when=_ALIVE & _CLAIMED & (m.surplus > 0),
        then=_scale_down,
        why="{kind} {name} has {have} replicas and wants {want}",
    ),
    Rule(
        name="replication-status",
        when=_CLAIMED & (m.missing == 0) & (m.surplus == 0) & (m.unreported == True),  # noqa: E712
        then=_report,
        why="{kind} {name} has {have} replicas, {ready} ready and {available} available",
    ),
    Rule(
        name="replication-wait",
        when=_CLAIMED & (m.missing == 0) & (m.surplus == 0) & (m.unmakable == 0) & (m.unavailable > 0),
        then=wait,
        why="{kind} {name} waits for {unavailable} of its {want} pods to become available",
    ),
)


# -- concern -----------------------------------------------------------------------------------------------------------


class Replication(Concern):
    """Keeps the pods of ReplicaSets and ReplicationControllers."""

    name: ClassVar[str] = "replication"
    subjects: ClassVar[Sequence[str]] = KINDS
    rules: ClassVar[Sequence[Rule]] = RULES
    watches: ClassVar[Mapping[str, Touched]] = {
        "Pod": touches(*KINDS),
        "ReplicaSet": itself,
        "ReplicationController": itself,
    }
    sees_bindings: ClassVar[bool] = False

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """How many pods there are, how many there should be, and what is to be claimed or reported."""
        owner = find(ws, key)
        if owner is None:
            return None
        tally = count(owner, ws.owned(owner, Pod), now)
        want, have = wanted(owner), tally.replicas
        deleting = owner.metadata.deletion_timestamp is not None
        missing = 0 if deleting else max(0, want - have)
        makes = missing == 0 or makes_its_own(owner)
        return {
            "kind": owner.kind,
            "name": owner.metadata.name,
            "namespace": owner.metadata.namespace,
            "want": want,
            "have": have,
            "missing": missing if makes else 0,
            "unmakable": 0 if makes else missing,
            "surplus": 0 if deleting else max(0, have - want),
            "ready": tally.ready,
            "available": tally.available,
            "unavailable": have - tally.available,
            "adoptable": len(PODS.adoptable(ws, owner)),
            "strays": 0 if deleting else tally.strays,
            "deleting": deleting,
            "unreported": status(owner, tally) != owner.status,
            "wake_at": tally.next_available,
        }

    def refused(self, ctx: Context, key: Key, refusal: ForbiddenError) -> None:
        """Reports what there is, and the first failure to make more."""
        owner = find(ctx.ws, key)
        assert owner is not None
        tally = count(owner, ctx.ws.owned(owner, Pod), ctx.now)
        if tally.next_available is not None:
            ctx.wake(tally.next_available)
        counted = status(owner, tally)
        if not refusal.quietly:
            failures = [c for c in owner.status.conditions if c.type == _FAILURE] or [_failure(owner, refusal, ctx.now)]
            counted = replace(counted, conditions=(*counted.conditions, *failures))
        ctx.update_status(replace(owner, status=counted))


def _failure(owner: Replicator, refusal: ForbiddenError, now: int) -> Condition:
    kind = ReplicaSetCondition if isinstance(owner, ReplicaSet) else ReplicationControllerCondition
    return kind(
        type=_FAILURE,
        status="True",
        reason=FAILED_CREATE,
        message=str(refusal),
        last_transition_time=format_time(now),
    )
