"""Whether a Job has failed or succeeded, and what it reports: as kube-controller-manager's job controller."""

from __future__ import annotations

from typing import NamedTuple

from rules.job_policies import failure_message, success_rule
from rules.job_view import FAILURE_TARGET, SUCCESS_CRITERIA_MET, View, counts_as_failure, is_failed, is_tracked
from rules.pods import is_ready
from state.objects import Job, JobCondition, JobStatus, Pod, UncountedTerminatedPods, replace
from state.times import SECOND, format_time, parse_time

FAILED, COMPLETE = "Failed", "Complete"
_SUSPENDED = "Suspended"
_FINAL = {FAILURE_TARGET: FAILED, SUCCESS_CRITERIA_MET: COMPLETE}
_OVER_LIMIT = (FAILURE_TARGET, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
_TOO_LATE = (FAILURE_TARGET, "DeadlineExceeded", "Job was active longer than specified deadline")
_TOO_MANY_INDEXES = (
    FAILURE_TARGET,
    "MaxFailedIndexesExceeded",
    "Job has exceeded the specified maximal number of failed indexes",
)
_INDEXES_FAILED = (FAILURE_TARGET, "FailedIndexes", "Job has failed indexes")
_REACHED = (SUCCESS_CRITERIA_MET, "CompletionsReached", "Reached expected number of succeeded pods")


class Verdict(NamedTuple):
    """How the Job ends: the condition that comes first, and why."""

    type: str
    reason: str
    message: str

    @property
    def failed(self) -> bool:
        """Whether it ends in failure."""
        return self.type == FAILURE_TARGET


def finish(job: Job) -> JobCondition | None:
    """The condition that says that the Job has ended, or None."""
    return next((c for c in job.status.conditions if c.type in (FAILED, COMPLETE) and c.status == "True"), None)


def verdict(view: View) -> Verdict | None:
    """How the Job ends; None as long as it goes on."""
    for name in (SUCCESS_CRITERIA_MET, FAILURE_TARGET):
        for condition in view.job.status.conditions:
            if condition.type == name and condition.status == "True":
                return Verdict(name, condition.reason or "", condition.message or "")
    return _failure(view) or _success(view)


def _failure(view: View) -> Verdict | None:
    spec = view.job.spec
    for pod in view.pods if spec.pod_failure_policy is not None else ():
        message = failure_message(view.job, pod) if is_failed(view.job, pod) else None
        if message is not None:
            return Verdict(FAILURE_TARGET, "PodFailurePolicy", message)
    if spec.backoff_limit is not None and (view.failed > spec.backoff_limit or _restarted_too_often(view)):
        return Verdict(*_OVER_LIMIT)
    at = deadline_at(view.job)
    if at is not None and at <= view.now:
        return Verdict(*_TOO_LATE)
    failed = len(view.failed_indexes)
    if spec.max_failed_indexes is not None and failed > spec.max_failed_indexes:
        return Verdict(*_TOO_MANY_INDEXES)
    if failed and failed + len(view.completed_indexes) >= (spec.completions or 0):
        return Verdict(*_INDEXES_FAILED)
    return None


def _success(view: View) -> Verdict | None:
    rule = success_rule(view.job, view.completed_indexes)
    if rule is not None:
        return Verdict(SUCCESS_CRITERIA_MET, "SuccessPolicy", f"Matched rules at index {rule}")
    enough = view.succeeded >= view.completions if view.completions is not None else view.succeeded > 0
    return Verdict(*_REACHED) if enough and not view.active else None


def _restarted_too_often(view: View) -> bool:
    """Whether the containers of pods that restart in place have failed as often as the Job may."""
    limit = view.job.spec.backoff_limit or 0
    if view.job.spec.template.spec.restart_policy != "OnFailure":
        return False
    restarts = sum(
        status.restart_count
        for pod in view.pods
        if pod.status.phase in ("Running", "Pending")
        for status in (*pod.status.init_container_statuses, *pod.status.container_statuses)
    )
    return restarts >= limit if limit else restarts > 0


def deadline_at(job: Job) -> int | None:
    """When the Job has been active for too long (µs); None without a deadline, and before it has begun."""
    seconds = job.spec.active_deadline_seconds
    if seconds is None or job.status.start_time is None or job.spec.suspend:
        return None
    return parse_time(job.status.start_time) + seconds * SECOND


def expires_at(job: Job) -> int | None:
    """When a finished Job is to be deleted (µs), or None."""
    condition, ttl = finish(job), job.spec.ttl_seconds_after_finished
    if condition is None or ttl is None or not condition.last_transition_time:
        return None
    return parse_time(condition.last_transition_time) + ttl * SECOND


# -- counting ----------------------------------------------------------------------------------------------------------


def countable(view: View, end: Verdict | None) -> list[Pod]:
    """The pods that are to be counted now, and let go."""
    if view.job.metadata.deletion_timestamp is not None or (end is not None and not view.active):
        return [pod for pod in view.pods if is_tracked(pod)]
    held = {pod.metadata.name for pod in view.held.values()}
    return [pod for pod in view.uncounted if pod.metadata.name not in held]


def fresh_status(view: View, end: Verdict | None, *, backing_off: bool) -> JobStatus:
    """The status to report once the countable pods are counted."""
    job, now = view.job, view.now
    pods = countable(view, end)
    failed = [pod for pod in pods if _adds_failure(job, pod, end)]
    started = view.suspended or job.status.start_time is not None
    status = replace(
        job.status,
        start_time=job.status.start_time if started else format_time(now),
        active=None if backing_off else len(view.active) or None,
        ready=sum(map(is_ready, view.active)),
        terminating=len(view.terminating),
        failed=((job.status.failed or 0) + len(failed)) or None,
        uncounted_terminated_pods=UncountedTerminatedPods(),
    )
    if view.indexed:
        status = replace(
            status,
            succeeded=len(view.completed_indexes) or None,
            completed_indexes=str(view.completed_indexes) or None,
            failed_indexes=None if job.spec.backoff_limit_per_index is None else str(view.failed_indexes),
        )
    else:
        new = sum(pod.status.phase == "Succeeded" for pod in pods)
        status = replace(status, succeeded=((status.succeeded or 0) + new) or None)
    return _with_conditions(view, status, end, now)


def ending_status(view: View, end: Verdict) -> JobStatus:
    """What is reported before the active pods are stopped: which indexes have failed by then, the others don't."""
    status = _with_condition(view.job.status, _target(end), view.now)
    per_index = view.job.spec.backoff_limit_per_index is not None
    return replace(status, failed_indexes=str(view.failed_indexes)) if per_index else status


def noted_status(view: View, end: Verdict | None, status: JobStatus) -> JobStatus:
    """What is reported before the countable pods are let go: which they are, should it end there."""
    before, pods = view.job.status, countable(view, end)
    failed = tuple(pod.metadata.uid for pod in pods if _adds_failure(view.job, pod, end))
    succeeded = tuple(pod.metadata.uid for pod in pods if pod.status.phase == "Succeeded" and not view.indexed)
    return replace(
        status,
        failed=before.failed,
        succeeded=status.succeeded if view.indexed else before.succeeded,
        conditions=before.conditions,
        completion_time=before.completion_time,
        uncounted_terminated_pods=UncountedTerminatedPods(failed=failed, succeeded=succeeded),
    )


def _adds_failure(job: Job, pod: Pod, end: Verdict | None) -> bool:
    """Whether counting the pod adds to the failures: once the Job has failed, every pod that hasn't succeeded does."""
    if pod.status.phase == "Succeeded" or not counts_as_failure(job, pod):
        return False
    if end is None:
        return is_failed(job, pod)
    return end.failed or pod.status.phase == "Failed"


def _with_conditions(view: View, status: JobStatus, end: Verdict | None, now: int) -> JobStatus:
    if end is None:
        return _suspended_or_not(view, status, now)
    status = _with_condition(status, _target(end), now)
    if view.active or view.terminating:
        return status
    final = JobCondition(type=_FINAL[end.type], reason=end.reason, message=end.message)
    status = _with_condition(status, final, now)
    return status if end.failed else replace(status, completion_time=format_time(now))


def _target(end: Verdict) -> JobCondition:
    return JobCondition(type=end.type, reason=end.reason, message=end.message)


def _suspended_or_not(view: View, status: JobStatus, now: int) -> JobStatus:
    """A suspended Job has no start; one that is resumed begins anew."""
    if view.job.metadata.deletion_timestamp is not None:
        return status
    if view.suspended:
        suspended = JobCondition(type=_SUSPENDED, reason="JobSuspended", message="Job suspended")
        return replace(_with_condition(status, suspended, now), start_time=None)
    if any(c.type == _SUSPENDED for c in status.conditions):
        resumed = JobCondition(type=_SUSPENDED, status="False", reason="JobResumed", message="Job resumed")
        return _with_condition(status, resumed, now)
    return status


def _with_condition(status: JobStatus, new: JobCondition, now: int) -> JobStatus:
    """The status with a condition set, to true unless it says otherwise; unchanged if it is so already."""
    at = format_time(now)
    new = replace(new, status=new.status or "True", last_probe_time=at, last_transition_time=at)
    for number, present in enumerate(status.conditions):
        if present.type == new.type:
            if (present.status, present.reason, present.message) == (new.status, new.reason, new.message):
                return status
            return replace(status, conditions=(*status.conditions[:number], new, *status.conditions[number + 1 :]))
    return replace(status, conditions=(*status.conditions, new))
