"""Whether everything that is desired runs: what ``kubectl rollout status`` and ``kubectl wait`` look at."""

from __future__ import annotations

from state.objects import (
    AnyObject,
    DaemonSet,
    Deployment,
    Job,
    Pod,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
)
from state.snapshot import Key, Snapshot
from state.workspace import controller_uid

_KINDS = ("DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "ReplicationController", "StatefulSet")


def unready(snapshot: Snapshot) -> list[Key]:
    """The workloads and pods that nothing else manages and that aren't as they should be yet, sorted."""
    objects = (obj for kind in _KINDS for obj in snapshot.objects(kind))
    return [Key.of(obj) for obj in objects if controller_uid(obj) is None and not is_ready(obj)]


def is_ready(obj: AnyObject) -> bool:
    """Whether a workload runs completely and in its newest form; True for what doesn't run."""
    if isinstance(obj, Pod):
        return _is_true(obj, "Ready") or obj.status.phase == "Succeeded"
    if isinstance(obj, Job):
        return _is_true(obj, "Complete")
    if isinstance(obj, DaemonSet):
        status = obj.status
        wanted = status.desired_number_scheduled
        counts = [status.number_available, status.updated_number_scheduled]
    elif isinstance(obj, Deployment | StatefulSet):
        wanted = _replicas(obj.spec.replicas)
        counts = [obj.status.replicas, obj.status.available_replicas, obj.status.updated_replicas]
    elif isinstance(obj, ReplicaSet | ReplicationController):
        wanted = _replicas(obj.spec.replicas)
        counts = [obj.status.replicas, obj.status.available_replicas]
    else:
        return True
    is_observed = (obj.status.observed_generation or 0) >= (obj.metadata.generation or 0)
    return is_observed and all((count or 0) == wanted for count in counts)


def _replicas(given: int | None) -> int:
    return 1 if given is None else given


def _is_true(obj: Pod | Job, condition: str) -> bool:
    return any(found.type == condition and found.status == "True" for found in obj.status.conditions)
