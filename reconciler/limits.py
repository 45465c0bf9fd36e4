"""What is too much for one plan. Kubernetes would try for ever; a plan has to end."""

from __future__ import annotations

from state.errors import Problem
from state.objects import AnyObject, Deployment, Job, ReplicaSet, ReplicationController, StatefulSet

#: Pods that one workload may ask for. Kubernetes is made for 150,000 in a whole cluster.
MAX_PODS_OF_ONE = 200_000


def too_much(obj: AnyObject) -> tuple[Problem, ...]:
    """The problems of an object that asks for more pods than a plan can hold."""
    asked: dict[str, int | None] = {}
    if isinstance(obj, Deployment | ReplicaSet | ReplicationController | StatefulSet):
        asked = {"spec.replicas": obj.spec.replicas}
    elif isinstance(obj, Job):
        asked = {"spec.parallelism": obj.spec.parallelism, "spec.completions": obj.spec.completions}
    message = f"must be at most {MAX_PODS_OF_ONE}: a plan holds no more pods of one workload"
    return tuple(
        Problem(path, message, "Invalid", count)
        for path, count in asked.items()
        if count is not None and count > MAX_PODS_OF_ONE
    )
