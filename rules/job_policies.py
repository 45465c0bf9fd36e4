"""What a Job's policies say about a failed pod and about the indexes that have succeeded."""

from __future__ import annotations

from collections.abc import Iterator

from rules.job_indexes import Indexes
from state.objects import (
    ContainerStatus,
    Job,
    Pod,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
)

FAIL_JOB = "FailJob"
FAIL_INDEX = "FailIndex"


def matched_rule(policy: PodFailurePolicy | None, pod: Pod) -> PodFailurePolicyRule | None:
    """The first rule of a failure policy that is about the pod."""
    for rule in () if policy is None else policy.rules:
        if _offender(rule, pod) is not None:
            return rule
    return None


def failure_message(job: Job, pod: Pod) -> str | None:
    """Why a failed pod fails the whole Job, in Kubernetes' words; None if it doesn't."""
    policy = job.spec.pod_failure_policy
    rule = matched_rule(policy, pod)
    if policy is None or rule is None or rule.action != FAIL_JOB:
        return None
    offender = _offender(rule, pod)
    name, which = f"{pod.metadata.namespace}/{pod.metadata.name}", policy.rules.index(rule)
    if isinstance(offender, ContainerStatus):
        subject = f"Container {offender.name} for pod {name} failed with exit code {_exit_code(offender)}"
    else:
        subject = f"Pod {name} has condition {offender}"
    return f"{subject} matching {rule.action} rule at index {which}"


def _offender(rule: PodFailurePolicyRule, pod: Pod) -> ContainerStatus | str | None:
    """The container, or the condition's type, by which a rule matches."""
    if rule.on_exit_codes is not None:
        statuses = (*pod.status.container_statuses, *pod.status.init_container_statuses)
        return next((s for s in statuses if _has_exit_code(s, rule.on_exit_codes)), None)
    for pattern in rule.on_pod_conditions:
        for condition in pod.status.conditions:
            if condition.type == pattern.type and condition.status == (pattern.status or "True"):
                return condition.type
    return None


def _exit_code(status: ContainerStatus) -> int:
    terminated = None if status.state is None else status.state.terminated
    return 0 if terminated is None else terminated.exit_code


def _has_exit_code(status: ContainerStatus, wanted: PodFailurePolicyOnExitCodesRequirement) -> bool:
    code = _exit_code(status)
    if not code or (wanted.container_name is not None and wanted.container_name != status.name):
        return False
    return (code in wanted.values) == (wanted.operator == "In")


def success_rule(job: Job, completed: Indexes) -> int | None:
    """The number of the first rule of the success policy that the completed indexes meet; None if there is none."""
    return next(_met_rules(job, completed), None) if completed else None


def _met_rules(job: Job, completed: Indexes) -> Iterator[int]:
    policy = job.spec.success_policy
    for number, rule in enumerate(() if policy is None else policy.rules):
        if rule.succeeded_indexes is None:
            met = rule.succeeded_count is not None and len(completed) >= rule.succeeded_count
        else:
            required = Indexes.parse(rule.succeeded_indexes, job.spec.completions or 0)
            least = len(required) if rule.succeeded_count is None else rule.succeeded_count
            met = len(required & completed) >= least
        if met:
            yield number
