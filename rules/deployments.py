"""Deployment: roll a template out over ReplicaSets, as kube-controller-manager's deployment controller does.

How many pods each ReplicaSet gets is ``rules.rollouts``, what is reported ``rules.deployment_status``, the history
``rules.revisions``. Here is what is done, and in which order: one step of a rollout for each look at a Deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.admission import ForbiddenError
from rules.concern import Concern, Touched, itself, note, wait
from rules.context import Context
from rules.deployment_status import (
    NEW_SET,
    PROGRESSING,
    condition,
    deadline_at,
    has_deadline,
    is_complete,
    with_condition,
    with_found_set,
    with_fresh_status,
    with_news,
    with_pause,
    with_revision,
)
from rules.engine import Rule, m
from rules.events import FAILED_SET, failed_set
from rules.ownership import Claiming, controllers, has_its_labels
from rules.refusals import Backoff
from rules.revisions import next_revision, replicaset_for, resized, rollback_to
from rules.rollbacks import SOURCE, is_asked_for, roll_back
from rules.rollouts import (
    Rollout,
    Steps,
    active,
    expendable,
    look,
    new_size,
    old_pods,
    old_steps,
    refreshed,
    scaled_sizes,
    size,
)
from state.objects import Deployment, LabelSelector, ReplicaSet, replace
from state.snapshot import Change, Key
from state.workspace import Workspace, controller_uid

SETS: Claiming[Deployment, ReplicaSet] = Claiming(ReplicaSet)


def find(ws: Workspace, key: Key) -> Rollout:
    """The rollout of the Deployment of that key as it stands now."""
    deployment = ws.find(Deployment, key.namespace, key.name)
    assert deployment is not None
    return look(ws, deployment)


# -- consequents -------------------------------------------------------------------------------------------------------


def _refuse(ctx: Context, key: Key, _: Fact) -> None:
    ctx.note()
    deployment = ctx.ws.find(Deployment, key.namespace, key.name)
    assert deployment is not None
    generation = deployment.metadata.generation
    if deployment.status.observed_generation != generation:
        message = "This deployment is selecting all pods. A non-empty selector is required."
        ctx.event(key, "SelectingAll", message, warning=True, source=SOURCE)
        ctx.update_status(replace(deployment, status=replace(deployment.status, observed_generation=generation)))


def _resizing(steps: Callable[[Rollout], Steps]) -> Callable[[Context, Key, Fact], None]:
    """A consequent that takes the steps which follow from where the rollout stands."""

    def consequent(ctx: Context, key: Key, _: Fact) -> None:
        rollout = find(ctx.ws, key)
        sets = {rs.metadata.name: rs for rs in rollout.sets}
        for name, replicas in steps(rollout):
            ctx.update(resized(sets[name], replicas, rollout.want, rollout.limit))

    return consequent


def _reporting(news: Callable[[Rollout, int], Deployment]) -> Callable[[Context, Key, Fact], None]:
    """A consequent that stores the status of the Deployment with its news."""

    def consequent(ctx: Context, key: Key, _: Fact) -> None:
        ctx.update_status(news(find(ctx.ws, key), ctx.now))

    return consequent


def _annotate(ctx: Context, key: Key, _: Fact) -> None:
    rs = refreshed(find(ctx.ws, key))
    if rs is not None:
        ctx.update(rs)


def _create_set(ctx: Context, key: Key, _: Fact) -> None:
    rollout = find(ctx.ws, key)
    deployment = rollout.deployment
    rs = replicaset_for(deployment, next_revision(rollout.old))
    if ctx.ws.get(Key.of(rs)) is not None:
        # a foreign ReplicaSet has the name: the next count gives another hash
        count = (deployment.status.collision_count or 0) + 1
        ctx.update_status(replace(deployment, status=replace(deployment.status, collision_count=count)))
        return
    ctx.create(resized(rs, new_size(rollout), rollout.want, rollout.limit))
    message = f'Created new replica set "{rs.metadata.name}"'
    ctx.update_status(with_news(with_revision(deployment, rs), NEW_SET, message, ctx.now))


def _roll_back(ctx: Context, key: Key, _: Fact) -> None:
    roll_back(ctx, find(ctx.ws, key))


def _forget(ctx: Context, key: Key, _: Fact) -> None:
    for rs in expendable(find(ctx.ws, key)):
        ctx.delete(rs)


# Expressions of durable.lang; hence the comparisons with True and False.
_OURS = (m.selects_all == False) & (m.adoptable == 0) & (m.strays == 0)  # noqa: E712
_ALIVE = _OURS & (m.deleting == False)  # noqa: E712
_ROLLING_OUT = _OURS & (m.rolling_out == True)  # noqa: E712
#: Recreate: the old pods are gone. RollingUpdate doesn't wait for that; its facts say 0.
_CLEARED = (m.old_active == 0) & (m.old_pods == 0)

RULES = (
    Rule(
        name="deployment-selects-all",
        when=m.selects_all == True,  # noqa: E712
        then=_refuse,
        why="{name} selects all pods; a non-empty selector is required",
    ),
    *SETS.rules("deployment", m.selects_all == False, "ReplicaSets"),  # noqa: E712
    Rule(
        name="deployment-pause",
        when=_ALIVE & (m.pause_unsaid == True),  # noqa: E712
        then=_reporting(with_pause),
        why="{name} was paused or resumed",
    ),
    Rule(
        name="deployment-annotate",
        when=_ALIVE & (m.set_outdated == True),  # noqa: E712
        then=_annotate,
        why="{name} has annotations or a revision that its ReplicaSet {replicaset} has not",
    ),
    Rule(
        name="deployment-revision",
        when=_ALIVE & (m.set_outdated == False) & (m.unnumbered == True),  # noqa: E712
        then=_reporting(with_found_set),
        why="{name} is at the revision of its ReplicaSet {replicaset}",
    ),
    Rule(
        name="deployment-rollback",
        when=_ALIVE & (m.rolls_back == True),  # noqa: E712
        then=_roll_back,
        why="{name} is to be rolled back to an earlier revision",
    ),
    Rule(
        name="deployment-scale",
        when=_ALIVE & (m.rolling_out == False) & (m.missized > 0),  # noqa: E712
        then=_resizing(scaled_sizes),
        why="{name} wants {want} pods: {missized} ReplicaSets get their share",
    ),
    Rule(
        name="deployment-stop-old",
        when=_ROLLING_OUT & (m.old_active > 0),
        then=_resizing(lambda rollout: [(rs.metadata.name, 0) for rs in active(rollout.old)]),
        why="{name} recreates its pods: {old_active} old ReplicaSets stop theirs first",
    ),
    Rule(
        name="deployment-create-replicaset",
        when=_ROLLING_OUT & (m.creating == True),  # noqa: E712
        then=_create_set,
        why="{name} has no ReplicaSet of its present template",
    ),
    Rule(
        name="deployment-scale-new",
        when=_ROLLING_OUT & _CLEARED & (m.has_set == True) & (m.new_change != 0),  # noqa: E712
        then=_resizing(lambda rollout: [(rollout.sets[-1].metadata.name, new_size(rollout))]),
        why="{name} wants {want} pods of {replicaset}, which is to have {new_size} by now",
    ),
    Rule(
        name="deployment-shrink-old",
        when=_ROLLING_OUT & (m.has_set == True) & (m.new_change == 0) & (m.old_surplus > 0),  # noqa: E712
        then=_resizing(old_steps),
        why="{name} can do without {old_surplus} of its old pods",
    ),
    Rule(
        name="deployment-history",
        when=_ALIVE & (m.expendable > 0),
        then=_forget,
        why="{name} has {expendable} ReplicaSets more than its history may hold",
    ),
    Rule(
        name="deployment-status",
        when=_OURS & (m.unreported == True) & (m.creating == False) & (m.rolls_back == False),  # noqa: E712
        then=_reporting(with_fresh_status),
        why="{name} has {available} of {want} pods available",
    ),
    Rule(
        name="deployment-paused",
        when=_ALIVE & (m.paused == True),  # noqa: E712
        then=note,
        why="{name} is paused: nothing is rolled out",
    ),
    Rule(
        name="deployment-wait",
        when=_ROLLING_OUT & _CLEARED & (m.waiting > 0),
        then=wait,
        why="{name} waits for {waiting} of {want} new pods to become available, {old_left} old ones are left",
    ),
    Rule(
        name="deployment-wait-old",
        when=_ROLLING_OUT & (m.old_active == 0) & (m.old_pods > 0),
        then=wait,
        why="{name} waits for {old_pods} old pods to end before it makes new ones",
    ),
    Rule(
        name="deployment-mismatch",
        when=_ROLLING_OUT & (m.makes_its_own == False),  # noqa: E712
        then=note,
        why="{name} can roll nothing out: its selector doesn't match its template's labels",
    ),
)


# -- concern -----------------------------------------------------------------------------------------------------------


def _set_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    """The ReplicaSet's Deployments, before and now; for one without a controller all that could adopt it."""
    keys = controllers(change, Deployment.kind)
    new = change.new
    if new is not None and controller_uid(new) is None:
        for (namespace, name), obj in ws.table(Deployment.kind).items():
            if namespace == new.metadata.namespace and isinstance(obj, Deployment) and has_its_labels(obj, new):
                keys.append(Key(Deployment.kind, namespace, name))
    return keys


def _differs(value: object, other: object) -> bool:
    return value is not other and value != other


class Deployments(Concern):
    """Rolls the templates of Deployments out."""

    name: ClassVar[str] = "deployments"
    subjects: ClassVar[Sequence[str]] = (Deployment.kind,)
    rules: ClassVar[Sequence[Rule]] = RULES
    watches: ClassVar[Mapping[str, Touched]] = {"Deployment": itself, "ReplicaSet": _set_touched}
    backoff: ClassVar[Backoff] = Backoff(most=15)

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Where the rollout stands, and what is to be done next."""
        deployment = ws.find(Deployment, key.namespace, key.name)
        if deployment is None:
            return None
        rollout = look(ws, deployment)
        rolling_out = rollout.rolling_out
        makes_its_own = rollout.new is not None or has_its_labels(deployment, deployment.spec.template)
        pods = old_pods(ws, rollout) if rolling_out and rollout.recreate else 0
        cleared = not rollout.recreate or not (active(rollout.old) or pods)
        creating = rolling_out and cleared and rollout.new is None and makes_its_own
        rolls_back = is_asked_for(deployment) and not creating
        return {
            "name": key.name,
            "namespace": key.namespace,
            "makes_its_own": makes_its_own,
            # until its new ReplicaSet is there, which may be refused, it reports nothing else
            "creating": creating,
            "rolls_back": rolls_back,
            "selects_all": deployment.spec.selector == LabelSelector(),
            "deleting": deployment.metadata.deletion_timestamp is not None,
            "paused": bool(deployment.spec.paused),
            "adoptable": len(SETS.adoptable(ws, deployment)),
            "strays": len(SETS.strays(ws, deployment)),
            "pause_unsaid": _differs(with_pause(rollout, now), deployment),
            "set_outdated": _differs(refreshed(rollout), rollout.new),
            "unnumbered": _differs(with_found_set(rollout, now), deployment),
            "unreported": _differs(with_fresh_status(rollout, now), deployment),
            "old_pods": pods,
            **_sizes(rollout, rolling_out=rolling_out and not rolls_back, scales=not rolls_back),
            "wake_at": None if creating else deadline_at(deployment, deployment.status),
        }

    def refused(self, ctx: Context, key: Key, refusal: ForbiddenError) -> None:
        """Says that there is no progress."""
        rollout = find(ctx.ws, key)
        if has_deadline(rollout.deployment):
            failure = condition(PROGRESSING, "False", FAILED_SET, failed_set(refusal))
            status = with_condition(rollout.deployment.status, failure, ctx.now)
            ctx.update_status(replace(rollout.deployment, status=status))


def _sizes(rollout: Rollout, *, rolling_out: bool, scales: bool) -> dict[str, int | str | bool]:
    """The numbers of a rollout: what is, and what is to change."""
    deployment, new = rollout.deployment, rollout.new
    target = new_size(rollout) if rolling_out else size(new)
    cleans = rolling_out and is_complete(deployment, deployment.status)
    shrinking = dict(old_steps(rollout)) if rolling_out and not rollout.recreate else {}
    recreating = rolling_out and rollout.recreate
    missized = 0
    if scales and not rolling_out:
        sizes = dict(scaled_sizes(rollout))
        missized = sum(
            1
            for rs in rollout.sets
            if rs.metadata.name in sizes and resized(rs, sizes[rs.metadata.name], rollout.want, rollout.limit) != rs
        )
    return {
        "want": rollout.want,
        "available": sum(rs.status.available_replicas or 0 for rs in rollout.sets),
        "rolling_out": rolling_out,
        "has_set": new is not None,
        "replicaset": "" if new is None else new.metadata.name,
        "missized": missized,
        "new_size": target,
        "new_change": target - size(new),
        "old_active": len(active(rollout.old)) if recreating else 0,
        "old_surplus": sum(size(rs) - shrinking.get(rs.metadata.name, size(rs)) for rs in rollout.old),
        "old_left": sum(map(size, rollout.old)),
        "expendable": len(expendable(rollout)) if cleans or _rests(deployment) else 0,
        "waiting": max(0, rollout.want - (0 if new is None else new.status.available_replicas or 0)),
    }


def _rests(deployment: Deployment) -> bool:
    """Whether the Deployment is paused, with no rollback to come."""
    return bool(deployment.spec.paused) and rollback_to(deployment) is None
