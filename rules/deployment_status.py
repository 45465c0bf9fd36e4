"""What a Deployment reports: its counts and conditions, as kube-controller-manager's deployment controller does."""

from __future__ import annotations

from rules.revisions import REVISION, revision
from rules.rollouts import Rollout, available, max_unavailable, total, wanted
from state.objects import Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet, replace
from state.times import SECOND, format_time, parse_time

AVAILABLE = "Available"
PROGRESSING = "Progressing"
REPLICA_FAILURE = "ReplicaFailure"
NEW_SET = "NewReplicaSetCreated"
FOUND_SET = "FoundNewReplicaSet"
COMPLETE = "NewReplicaSetAvailable"
UPDATED = "ReplicaSetUpdated"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"
#: A progress deadline of this many seconds is none.
_NO_DEADLINE = 2**31 - 1


def condition_of(status: DeploymentStatus, name: str) -> DeploymentCondition | None:
    """The condition of that type, or None."""
    return next((c for c in status.conditions if c.type == name), None)


def condition(name: str, value: str, reason: str, message: str) -> DeploymentCondition:
    """A condition that has no times yet."""
    return DeploymentCondition(type=name, status=value, reason=reason, message=message)


def with_condition(status: DeploymentStatus, new: DeploymentCondition, now: int) -> DeploymentStatus:
    """The status with a condition set, at its end; unchanged if its value and reason are that already."""
    current = condition_of(status, new.type)
    if current is not None and (current.status, current.reason) == (new.status, new.reason):
        return status
    return _appended(status, new, now)


def _appended(status: DeploymentStatus, new: DeploymentCondition, now: int) -> DeploymentStatus:
    current = condition_of(status, new.type)
    at = format_time(now)
    since = current.last_transition_time if current is not None and current.status == new.status else at
    timed = replace(new, last_update_time=at, last_transition_time=since)
    return replace(status, conditions=(*_without(status, new.type), timed))


def _without(status: DeploymentStatus, name: str) -> tuple[DeploymentCondition, ...]:
    return tuple(c for c in status.conditions if c.type != name)


def has_deadline(deployment: Deployment) -> bool:
    """Whether the rollout has to make progress within some time."""
    return deployment.spec.progress_deadline_seconds not in (None, _NO_DEADLINE)


def counted(rollout: Rollout, now: int) -> DeploymentStatus:
    """The status with fresh counts and the Available condition."""
    deployment, sets, new = rollout.deployment, rollout.sets, rollout.new
    ready = available(sets)
    status = replace(
        deployment.status,
        observed_generation=deployment.metadata.generation,
        replicas=sum(rs.status.replicas for rs in sets) or None,
        updated_replicas=(0 if new is None else new.status.replicas) or None,
        ready_replicas=sum(rs.status.ready_replicas or 0 for rs in sets) or None,
        available_replicas=ready or None,
        unavailable_replicas=max(0, total(sets) - ready) or None,
        terminating_replicas=_terminating(sets),
    )
    if ready >= rollout.want - max_unavailable(deployment):
        message = "Deployment has minimum availability."
        return with_condition(status, condition(AVAILABLE, "True", "MinimumReplicasAvailable", message), now)
    message = "Deployment does not have minimum availability."
    return with_condition(status, condition(AVAILABLE, "False", "MinimumReplicasUnavailable", message), now)


def _terminating(sets: tuple[ReplicaSet, ...]) -> int | None:
    """The pods that are ending; None as long as a ReplicaSet doesn't say."""
    counts = [rs.status.terminating_replicas for rs in sets]
    known = [number for number in counts if number is not None]
    return sum(known) if len(known) == len(counts) else None


def progressed(rollout: Rollout, now: int) -> DeploymentStatus:
    """The status with fresh counts and conditions, while a rollout may be going on."""
    deployment = rollout.deployment
    status = counted(rollout, now)
    if not has_deadline(deployment):
        status = replace(status, conditions=_without(status, PROGRESSING))
    else:
        status = _progressing(rollout, status, now)
    return _failures(rollout, status, now)


def _progressing(rollout: Rollout, status: DeploymentStatus, now: int) -> DeploymentStatus:
    deployment = rollout.deployment
    current = condition_of(deployment.status, PROGRESSING)
    settled = status.replicas == status.updated_replicas and current is not None and current.reason == COMPLETE
    if settled:
        return status
    name = deployment.metadata.name if rollout.new is None else rollout.new.metadata.name
    subject = f'{"Deployment" if rollout.new is None else "ReplicaSet"} "{name}"'
    if is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        return with_condition(status, condition(PROGRESSING, "True", COMPLETE, message), now)
    if _made_progress(deployment.status, status):
        # the time of the update counts, so it is set even if the reason stays
        return _appended(status, condition(PROGRESSING, "True", UPDATED, f"{subject} is progressing."), now)
    if _is_late(deployment, status, now):
        message = f"{subject} has timed out progressing."
        return with_condition(status, condition(PROGRESSING, "False", TIMED_OUT, message), now)
    return status


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Whether all wanted pods are of the new template and available, and no others are left."""
    want = wanted(deployment)
    return (
        (status.updated_replicas or 0) == want
        and (status.replicas or 0) == want
        and (status.available_replicas or 0) == want
        and (status.observed_generation or 0) >= (deployment.metadata.generation or 0)
    )


def _made_progress(old: DeploymentStatus, new: DeploymentStatus) -> bool:
    """Whether there are more new pods, fewer old ones, or more that are ready or available."""

    def counts(status: DeploymentStatus) -> tuple[int, int, int, int]:
        updated = status.updated_replicas or 0
        return (
            updated,
            updated - (status.replicas or 0),
            status.ready_replicas or 0,
            status.available_replicas or 0,
        )

    return any(after > before for before, after in zip(counts(old), counts(new), strict=True))


def deadline_at(deployment: Deployment, status: DeploymentStatus) -> int | None:
    """When the rollout counts as stuck (µs); None if it is over, is stuck already, or has no deadline."""
    current = condition_of(status, PROGRESSING)
    if current is None or not has_deadline(deployment) or current.reason in (COMPLETE, TIMED_OUT):
        return None
    if not current.last_update_time:
        return None
    return parse_time(current.last_update_time) + (deployment.spec.progress_deadline_seconds or 0) * SECOND


def _is_late(deployment: Deployment, status: DeploymentStatus, now: int) -> bool:
    current = condition_of(status, PROGRESSING)
    if current is not None and current.reason == TIMED_OUT:
        return True
    at = deadline_at(deployment, status)
    return at is not None and at <= now


def _failures(rollout: Rollout, status: DeploymentStatus, now: int) -> DeploymentStatus:
    """The failures of the new ReplicaSet, else of any other, as the Deployment's."""
    newest_first = sorted(rollout.sets, key=lambda rs: (rs is not rollout.new, -revision(rs)))
    for rs in newest_first:
        for c in rs.status.conditions:
            if c.type == REPLICA_FAILURE:
                failure = condition(REPLICA_FAILURE, c.status, c.reason or "", c.message or "")
                return with_condition(status, failure, now)
    return replace(status, conditions=_without(status, REPLICA_FAILURE))


def with_pause(rollout: Rollout, now: int) -> Deployment:
    """The Deployment saying whether its rollout is paused, or was resumed; unchanged if it says so already."""
    deployment, current = rollout.deployment, condition_of(rollout.deployment.status, PROGRESSING)
    if not has_deadline(deployment) or (current is not None and current.reason == TIMED_OUT):
        return deployment
    paused, said = bool(deployment.spec.paused), current is not None and current.reason == PAUSED
    if paused == said:
        return deployment
    reason, verb = (PAUSED, "paused") if paused else (RESUMED, "resumed")
    news = condition(PROGRESSING, "Unknown", reason, f"Deployment is {verb}")
    return replace(deployment, status=with_condition(deployment.status, news, now))


def with_revision(deployment: Deployment, rs: ReplicaSet) -> Deployment:
    """The Deployment with the revision of its new ReplicaSet; the same object if it has it already."""
    text = rs.metadata.annotations.get(REVISION, "")
    if deployment.metadata.annotations.get(REVISION, "") == text:
        return deployment
    annotations = {**deployment.metadata.annotations, REVISION: text}
    return replace(deployment, metadata=replace(deployment.metadata, annotations=annotations))


def with_news(deployment: Deployment, reason: str, message: str, now: int) -> Deployment:
    """The Deployment with news of its ReplicaSet as the state of its progress, if that has a deadline."""
    if not has_deadline(deployment):
        return deployment
    status = with_condition(deployment.status, condition(PROGRESSING, "True", reason, message), now)
    return deployment if status is deployment.status else replace(deployment, status=status)


def with_found_set(rollout: Rollout, now: int) -> Deployment:
    """The Deployment with the revision of its new ReplicaSet, and news of it if nothing is said about progress yet."""
    new = rollout.new
    if new is None:
        return rollout.deployment
    deployment = with_revision(rollout.deployment, new)
    if condition_of(deployment.status, PROGRESSING) is not None:
        return deployment
    return with_news(deployment, FOUND_SET, f'Found new replica set "{new.metadata.name}"', now)


def with_fresh_status(rollout: Rollout, now: int) -> Deployment:
    """The Deployment with the status to report."""
    status = progressed(rollout, now) if rollout.rolling_out else counted(rollout, now)
    return replace(rollout.deployment, status=status)
