"""A Job's pods as the Job counts them. A pod is counted once: that it is shows in its having lost the finalizer, and in
its uid not being among the ``uncountedTerminatedPods`` of the status.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rules.job_indexes import NO_INDEXES, Indexes, index_of, number
from rules.job_policies import FAIL_INDEX, matched_rule
from rules.pods import is_active, is_finished
from state import selectors
from state.objects import Job, Pod, PodStatus, UncountedTerminatedPods, replace
from state.times import SECOND, parse_time
from state.workspace import Workspace

#: Keeps a pod until its Job has counted it.
FINALIZER = "batch.kubernetes.io/job-tracking"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
#: The conditions that say how the Job is going to end.
FAILURE_TARGET, SUCCESS_CRITERIA_MET = "FailureTarget", "SuccessCriteriaMet"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"


@dataclass(slots=True)
class View:
    """A Job with its pods. ``succeeded`` and ``failed`` include those that its status doesn't count yet."""

    job: Job
    now: int
    pods: list[Pod]
    strays: int = 0
    active: list[Pod] = field(default_factory=list)
    #: Pods that are ending.
    terminating: list[Pod] = field(default_factory=list)
    #: Finished pods that aren't counted yet.
    uncounted: list[Pod] = field(default_factory=list)
    succeeded: int = 0
    failed: int = 0
    completed_indexes: Indexes = NO_INDEXES
    failed_indexes: Indexes = NO_INDEXES
    #: Per index without a pod the one that failed last: it stays until its count was handed on to another.
    held: dict[int, Pod] = field(default_factory=dict)

    @property
    def completions(self) -> int | None:
        """How many pods have to succeed; None: one is enough, and no more are made then."""
        return self.job.spec.completions

    @property
    def indexed(self) -> bool:
        """Whether each completion has an index of its own."""
        return is_indexed(self.job)

    @property
    def suspended(self) -> bool:
        """Whether no pods are to run for now."""
        return bool(self.job.spec.suspend)


def is_indexed(job: Job) -> bool:
    """Whether each completion has an index of its own."""
    return job.spec.completion_mode == "Indexed"


def is_tracked(pod: Pod) -> bool:
    """Whether the pod waits for being counted."""
    return FINALIZER in pod.metadata.finalizers


def replaces_failed_only(job: Job) -> bool:
    """Whether a pod that is being deleted counts as running until it has ended (``podReplacementPolicy``)."""
    return job.spec.pod_replacement_policy == "Failed"


def is_failed(job: Job, pod: Pod) -> bool:
    """Whether the pod counts as failed: it is, or it is being deleted and isn't waited for."""
    if pod.status.phase == "Failed":
        return True
    ending = pod.metadata.deletion_timestamp is not None
    return ending and pod.status.phase != "Succeeded" and not replaces_failed_only(job)


def counts_as_failure(job: Job, pod: Pod) -> bool:
    """Whether a failed pod is a failure of the Job: the failure policy may ignore it, an index may be out of range."""
    rule = matched_rule(job.spec.pod_failure_policy, pod)
    return (rule is None or rule.action != "Ignore") and (not is_indexed(job) or valid_index(job, pod) is not None)


def valid_index(job: Job, pod: Pod) -> int | None:
    """The pod's index if the Job has such a one."""
    index = index_of(pod)
    return index if index is not None and index < (job.spec.completions or 0) else None


def matches(job: Job, pod: Pod) -> bool:
    """Whether the Job's selector matches the pod. An empty one matches nothing here: else it would take every pod."""
    selector = job.spec.selector
    return (
        selector is not None
        and bool(selector.match_labels or selector.match_expressions)
        and selectors.matches(selector, pod.metadata.labels)
    )


def look(ws: Workspace, job: Job, now: int) -> View:
    """The Job as it stands."""
    owned = ws.owned(job, Pod)
    pods = [pod for pod in owned if matches(job, pod)]
    job = _with_released(job, owned)
    view = View(job, now, pods, strays=len(owned) - len(pods))
    view.succeeded, view.failed = job.status.succeeded or 0, job.status.failed or 0
    for pod in pods:
        if is_active(pod):
            view.active.append(pod)
            continue
        if not is_finished(pod):
            view.terminating.append(pod)
        if is_tracked(pod) and (is_finished(pod) or is_failed(job, pod)):
            view.uncounted.append(pod)
    for pod in view.uncounted:
        view.succeeded += pod.status.phase == "Succeeded"
        view.failed += is_failed(job, pod) and counts_as_failure(job, pod)
    if is_indexed(job):
        _look_at_indexes(view)
    return view


def _with_released(job: Job, pods: Iterable[Pod]) -> Job:
    """The Job with those counted that were let go after its status had named them, and before it counted them."""
    named = job.status.uncounted_terminated_pods
    if named is None or not (named.failed or named.succeeded):
        return job
    kept = {pod.metadata.uid for pod in pods if is_tracked(pod)}
    failed, succeeded = (sum(uid not in kept for uid in uids) for uids in (named.failed, named.succeeded))
    counts = {
        "failed": ((job.status.failed or 0) + failed) or None,
        "succeeded": ((job.status.succeeded or 0) + succeeded) or None,
    }
    return replace(job, status=replace(job.status, uncounted_terminated_pods=UncountedTerminatedPods(), **counts))


def _look_at_indexes(view: View) -> None:
    job, completions = view.job, view.job.spec.completions or 0
    done = (valid_index(job, pod) for pod in view.uncounted if pod.status.phase == "Succeeded")
    view.completed_indexes = Indexes.parse(job.status.completed_indexes, completions)
    view.completed_indexes |= Indexes.of(index for index in done if index is not None)
    view.succeeded = len(view.completed_indexes)
    limit = job.spec.backoff_limit_per_index
    if limit is None:
        return
    failures = [(index, pod) for pod in view.uncounted if (index := valid_index(job, pod)) is not None]
    failures = [(index, pod) for index, pod in failures if is_failed(job, pod)]
    view.failed_indexes = Indexes.parse(job.status.failed_indexes, completions)
    if any(condition.type in (FAILURE_TARGET, SUCCESS_CRITERIA_MET) for condition in job.status.conditions):
        return  # pods that it stops itself don't fail their indexes
    view.failed_indexes |= Indexes.of(index for index, pod in failures if _fails_index(job, pod, limit))
    busy = view.completed_indexes | view.failed_indexes | active_indexes(view.active)
    for index, pod in failures:
        former = view.held.get(index)
        if index not in busy and (former is None or _is_later(pod, former)):
            view.held[index] = pod


def _fails_index(job: Job, pod: Pod, limit: int) -> bool:
    rule = matched_rule(job.spec.pod_failure_policy, pod)
    if rule is not None and rule.action == FAIL_INDEX:
        return True
    return counts_as_failure(job, pod) and failures_before(pod, FAILURES) >= limit


def failures_before(pod: Pod, annotation: str) -> int:
    """How many pods of its index had failed (or failed and been ignored) before this one was made."""
    return number(pod.metadata.annotations.get(annotation, "")) or 0


def all_failures_before(pod: Pod) -> int:
    """How many pods of its index had failed before this one was made, ignored or not."""
    return failures_before(pod, FAILURES) + failures_before(pod, IGNORED_FAILURES)


def _is_later(pod: Pod, other: Pod) -> bool:
    return all_failures_before(pod) >= all_failures_before(other) and finished_at(pod) >= finished_at(other)


def active_indexes(pods: Iterable[Pod]) -> Indexes:
    """The indexes of some pods."""
    return Indexes.of(index for pod in pods if (index := index_of(pod)) is not None)


def finished_at(pod: Pod) -> int:
    """When the pod ended, µs: by its containers, else by its Ready condition, else by its deletion."""
    for text in (_last_end(pod.status), _unready_since(pod.status)):
        if text:
            return parse_time(text)
    meta = pod.metadata
    if meta.deletion_timestamp is not None:
        return parse_time(meta.deletion_timestamp) - (meta.deletion_grace_period_seconds or 0) * SECOND
    return parse_time(meta.creation_timestamp) if meta.creation_timestamp else 0


def _last_end(status: PodStatus) -> str:
    ends = []
    for container in status.container_statuses:
        terminated = None if container.state is None else container.state.terminated
        if terminated is None or not terminated.finished_at:
            return ""
        ends.append(terminated.finished_at)
    return max(ends, default="")


def _unready_since(status: PodStatus) -> str:
    ready = next((c for c in status.conditions if c.type == "Ready"), None)
    return (ready.last_transition_time or "") if ready is not None and ready.status == "False" else ""
