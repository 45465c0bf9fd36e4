"""Statuses of workloads: counts that don't fit together are refused in the API server's words."""

import pytest

from state.objects import (
    DaemonSet,
    DaemonSetStatus,
    Deployment,
    DeploymentStatus,
    Pod,
    ReplicaSet,
    ReplicaSetStatus,
    StatefulSet,
    StatefulSetStatus,
)
from state.validation.statuses import status_problems

ABOVE = "cannot be greater than status.replicas"


@pytest.mark.parametrize(
    ("obj", "problems"),
    [
        (ReplicaSet(status=ReplicaSetStatus(replicas=2, ready_replicas=2, available_replicas=1)), []),
        (
            ReplicaSet(status=ReplicaSetStatus(replicas=1, ready_replicas=2, available_replicas=3)),
            [
                f"status.readyReplicas: Invalid value: 2: {ABOVE}",
                f"status.availableReplicas: Invalid value: 3: {ABOVE}",
                "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
            ],
        ),
        (
            StatefulSet(status=StatefulSetStatus(replicas=1, available_replicas=1)),
            ["status.availableReplicas: Invalid value: 1: cannot be greater than status.readyReplicas"],
        ),
        (
            DaemonSet(status=DaemonSetStatus(number_ready=-1)),
            ["status.numberReady: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (Pod(), []),
    ],
)
def test_counts_fit_together(obj, problems):
    """None is negative, and none above what it is a part of."""
    assert [str(each) for each in status_problems(obj, obj)] == problems


def test_a_count_of_collisions_does_not_shrink():
    """But it may begin."""
    with_one = Deployment(status=DeploymentStatus(collision_count=1))
    assert not status_problems(with_one, Deployment())
    (problem,) = status_problems(Deployment(), with_one)
    assert str(problem) == "status.collisionCount: Invalid value: 0: cannot be decremented"
