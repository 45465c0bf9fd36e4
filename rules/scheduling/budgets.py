"""PodDisruptionBudgets of which no controller has reported the status yet: what it would say."""

from __future__ import annotations

from collections.abc import Sequence

from rules.scheduling.cluster import Cluster
from rules.scheduling.pods import FINISHED
from rules.scheduling.preemption import budgets_of
from state.int_or_percent import scaled
from state.objects import Pod, PodDisruptionBudget, PodDisruptionBudgetStatus, replace
from state.selectors import from_object

_UNKNOWN = PodDisruptionBudgetStatus()


def reported_budgets(cluster: Cluster) -> list[PodDisruptionBudget]:
    """All PodDisruptionBudgets by namespace and name, each with a status.

    Where there is none it is worked out as the disruption controller does, with all pods on nodes that don't say
    otherwise healthy, and as many pods expected as there are.
    """
    pods = [pod for pod in cluster.view.table("Pod").values() if isinstance(pod, Pod)]
    return [
        replace(budget, status=_status(budget, pods)) if budget.status == _UNKNOWN else budget
        for budget in budgets_of(cluster)
    ]


def covers(budget: PodDisruptionBudget, pod: Pod) -> bool:
    """Whether the budget is about the pod."""
    selector = budget.spec.selector
    if selector is None or budget.metadata.namespace != pod.metadata.namespace:
        return False
    return from_object(selector).matches(pod.metadata.labels)


def _status(budget: PodDisruptionBudget, pods: Sequence[Pod]) -> PodDisruptionBudgetStatus:
    spec = budget.spec
    covered = [pod for pod in pods if covers(budget, pod) and pod.status.phase not in FINISHED]
    healthy, expected = sum(map(_is_healthy, covered)), len(covered)
    if spec.max_unavailable is not None:
        desired = max(0, expected - scaled(spec.max_unavailable, expected, round_up=True))
    elif spec.min_available is not None:
        desired = scaled(spec.min_available, expected, round_up=True)
    else:
        desired = expected
    return PodDisruptionBudgetStatus(
        current_healthy=healthy,
        desired_healthy=desired,
        expected_pods=expected,
        disruptions_allowed=max(0, healthy - desired),
    )


def _is_healthy(pod: Pod) -> bool:
    if not pod.spec.node_name or pod.metadata.deletion_timestamp is not None:
        return False
    return all(condition.status != "False" for condition in pod.status.conditions if condition.type == "Ready")
