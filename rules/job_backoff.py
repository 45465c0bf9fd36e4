"""How long a Job waits before it makes another pod after failures: 10 s, twice as long each time, at most 10 minutes.

Kubernetes remembers failures; here they are read off the pods, so that a loop that begins anew knows them, too. A pod
that was deleted leaves no trace but the count; the time of that is kept where Kubernetes has it as well: with the field
manager that wrote the status.
"""

from __future__ import annotations

from rules.job_view import View, all_failures_before, counts_as_failure, finished_at, is_failed, is_tracked
from state.objects import Job, Opaque, Pod, replace
from state.times import SECOND, format_time, parse_time

_FIRST, _LONGEST = 10 * SECOND, 600 * SECOND
_MANAGER = "kube-controller-manager"


def delay(failures: int) -> int:
    """How long to wait after so many failures in a row, µs."""
    return min(_FIRST << min(failures - 1, 30), _LONGEST) if failures else 0


def may_create_at(view: View) -> int:
    """When the Job may make another pod (µs); 0 if nothing has failed since the last success."""
    succeeded = [finished_at(pod) for pod in view.pods if pod.status.phase == "Succeeded"]
    last_success = max(succeeded, default=-1)
    failed = [pod for pod in view.pods if is_failed(view.job, pod)]
    times = [at for pod in failed if (at := finished_at(pod)) > last_success]
    counted = sum(not is_tracked(pod) and counts_as_failure(view.job, pod) for pod in failed)
    gone = (view.job.status.failed or 0) - counted
    last_gone = _last_deletion(view.job)
    if gone > 0 and last_gone > last_success:
        times += [last_gone] * gone
    return max(times) + delay(len(times)) if times else 0


def index_may_create_at(failed: Pod | None) -> int:
    """When an index may have another pod (µs) after the one that failed last."""
    return 0 if failed is None else finished_at(failed) + delay(all_failures_before(failed) + 1)


def with_deletion(job: Job, now: int) -> Job:
    """The Job with the time at which a pod that was deleted was counted as failed."""
    entry = {
        "manager": _MANAGER,
        "operation": "Update",
        "apiVersion": job.api_version,
        "time": format_time(now),
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:status": {"f:failed": {}}},
        "subresource": "status",
    }
    others = tuple(item for item in job.metadata.managed_fields if not _is_ours(item.value))
    return replace(job, metadata=replace(job.metadata, managed_fields=(*others, Opaque(entry))))


def _is_ours(entry: dict[str, object]) -> bool:
    return entry.get("manager") == _MANAGER and entry.get("subresource") == "status"


def _last_deletion(job: Job) -> int:
    """When a deleted pod was counted last; -1 if that isn't known."""
    for item in job.metadata.managed_fields:
        entry = item.value
        if _is_ours(entry) and "time" in entry:
            return parse_time(entry["time"])
    return -1
