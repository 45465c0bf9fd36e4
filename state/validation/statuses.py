"""What is checked of a status when one is reported: of workloads, that their counts fit together."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

from state.errors import Problem
from state.objects import AnyObject, DaemonSet, Deployment, Pod, ReplicaSet, ReplicationController, StatefulSet
from state.validation._report import EnoughError, Report
from state.validation.pod_statuses import pod_status


class _Counts(NamedTuple):
    """Of one kind: what isn't negative, what isn't above ``replicas``, and how ``readyReplicas`` are called."""

    numbers: tuple[str, ...]
    within_replicas: tuple[str, ...] = ()
    ready: str = "readyReplicas"


_SET = _Counts(
    (
        "replicas",
        "fully_labeled_replicas",
        "ready_replicas",
        "available_replicas",
        "terminating_replicas",
        "observed_generation",
    ),
    ("fully_labeled_replicas", "ready_replicas", "available_replicas"),
)
_KINDS: dict[type, _Counts] = {
    DaemonSet: _Counts(
        (
            "current_number_scheduled",
            "number_misscheduled",
            "desired_number_scheduled",
            "number_ready",
            "observed_generation",
            "updated_number_scheduled",
            "number_available",
            "number_unavailable",
            "collision_count",
        )
    ),
    Deployment: _Counts(
        (
            "observed_generation",
            "replicas",
            "updated_replicas",
            "ready_replicas",
            "available_replicas",
            "unavailable_replicas",
            "terminating_replicas",
            "collision_count",
        ),
        ("updated_replicas", "ready_replicas", "available_replicas"),
    ),
    ReplicaSet: _SET,
    ReplicationController: _SET,
    StatefulSet: _Counts(
        (
            "replicas",
            "ready_replicas",
            "current_replicas",
            "updated_replicas",
            "available_replicas",
            "observed_generation",
            "collision_count",
        ),
        ("ready_replicas", "current_replicas", "updated_replicas", "available_replicas"),
        "status.readyReplicas",
    ),
}


def status_problems(new: AnyObject, old: AnyObject) -> tuple[Problem, ...]:
    """What of a reported status isn't allowed; of other kinds nothing is known."""
    found = Report()
    if isinstance(new, Pod) and isinstance(old, Pod):
        with suppress(EnoughError):
            pod_status(found, new, old)
    counts = _KINDS.get(type(new))
    if counts is None:
        return tuple(found.problems)
    status: Any = getattr(new, "status")  # noqa: B009 - every workload has one
    paths = dict(zip(type(status).__struct_fields__, type(status).__struct_encode_fields__, strict=True))
    values = {name: getattr(status, name) or 0 for name in counts.numbers if name in paths}
    for name, value in values.items():
        found.not_negative(f"status.{paths[name]}", value)
    for name in counts.within_replicas:
        if values[name] > values["replicas"]:
            found.invalid(f"status.{paths[name]}", values[name], "cannot be greater than status.replicas")
    if counts.within_replicas and values["available_replicas"] > values["ready_replicas"]:
        available = values["available_replicas"]
        found.invalid("status.availableReplicas", available, f"cannot be greater than {counts.ready}")
    before: int | None = getattr(getattr(old, "status"), "collision_count", None)  # noqa: B009 - as above
    if before is not None and values["collision_count"] < before:
        found.invalid("status.collisionCount", values["collision_count"], "cannot be decremented")
    return tuple(found.problems)
