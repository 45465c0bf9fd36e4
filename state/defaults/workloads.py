"""Defaults of the kinds that own pods (v1, apps/v1, batch/v1)."""

from __future__ import annotations

from state.defaults._sharing import each, filled, given
from state.defaults.pods import pod_template
from state.defaults.storage import persistent_volume_claim
from state.objects import (
    CronJob,
    DaemonSet,
    DaemonSetUpdateStrategy,
    Deployment,
    DeploymentStrategy,
    Job,
    PodFailurePolicy,
    PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
    PodTemplate,
    PodTemplateSpec,
    ReplicaSet,
    ReplicationController,
    RollingUpdateDaemonSet,
    RollingUpdateDeployment,
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetUpdateStrategy,
)

_INT32_MAX = 2**31 - 1


def replication_controller(obj: ReplicationController) -> ReplicationController:
    """ReplicationController (v1): labels and selector come from the template."""
    spec = obj.spec
    template = None if spec.template is None else pod_template(spec.template)
    labels = None if template is None else template.metadata.labels
    return filled(
        obj,
        metadata=filled(obj.metadata, labels=_or_labels(obj.metadata.labels, labels)),
        spec=filled(
            spec, replicas=_or(spec.replicas, 1), selector=_or_labels(spec.selector, labels), template=template
        ),
    )


def replica_set(obj: ReplicaSet) -> ReplicaSet:
    """ReplicaSet (apps/v1)."""
    spec = obj.spec
    template = pod_template(PodTemplateSpec() if spec.template is None else spec.template)
    return filled(obj, spec=filled(spec, replicas=_or(spec.replicas, 1), template=template))


def template(obj: PodTemplate) -> PodTemplate:
    """PodTemplate (v1)."""
    return filled(obj, template=pod_template(obj.template))


def deployment(obj: Deployment) -> Deployment:
    """Deployment (apps/v1)."""
    spec = obj.spec
    return filled(
        obj,
        spec=filled(
            spec,
            replicas=_or(spec.replicas, 1),
            strategy=_deployment_strategy(spec.strategy),
            revision_history_limit=_or(spec.revision_history_limit, 10),
            progress_deadline_seconds=_or(spec.progress_deadline_seconds, 600),
            template=pod_template(spec.template),
        ),
    )


_ROLLING_DEPLOYMENT = DeploymentStrategy(
    type="RollingUpdate", rolling_update=RollingUpdateDeployment(max_surge="25%", max_unavailable="25%")
)


def _deployment_strategy(strategy: DeploymentStrategy | None) -> DeploymentStrategy:
    if strategy is None:
        return _ROLLING_DEPLOYMENT
    kind, rolling = strategy.type or "RollingUpdate", strategy.rolling_update
    if kind == "RollingUpdate":
        rolling = RollingUpdateDeployment() if rolling is None else rolling
        rolling = filled(
            rolling,
            max_surge="25%" if rolling.max_surge is None else rolling.max_surge,
            max_unavailable="25%" if rolling.max_unavailable is None else rolling.max_unavailable,
        )
    return filled(strategy, type=kind, rolling_update=rolling)


def stateful_set(obj: StatefulSet) -> StatefulSet:
    """StatefulSet (apps/v1)."""
    spec = obj.spec
    return filled(
        obj,
        spec=filled(
            spec,
            replicas=_or(spec.replicas, 1),
            pod_management_policy=spec.pod_management_policy or "OrderedReady",
            update_strategy=_stateful_set_strategy(spec.update_strategy),
            revision_history_limit=_or(spec.revision_history_limit, 10),
            persistent_volume_claim_retention_policy=_retention(spec.persistent_volume_claim_retention_policy),
            template=pod_template(spec.template),
            volume_claim_templates=each(spec.volume_claim_templates, persistent_volume_claim),
        ),
    )


_ROLLING_STATEFUL_SET = StatefulSetUpdateStrategy(
    type="RollingUpdate", rolling_update=RollingUpdateStatefulSetStrategy(partition=0)
)
_RETAIN = StatefulSetPersistentVolumeClaimRetentionPolicy(when_deleted="Retain", when_scaled="Retain")


def _stateful_set_strategy(strategy: StatefulSetUpdateStrategy | None) -> StatefulSetUpdateStrategy:
    if strategy is None:
        return _ROLLING_STATEFUL_SET
    kind, rolling = strategy.type or "RollingUpdate", strategy.rolling_update
    if not strategy.type and rolling is None:
        return _ROLLING_STATEFUL_SET
    if kind == "RollingUpdate" and rolling is not None:
        rolling = filled(rolling, partition=_or(rolling.partition, 0))
    return filled(strategy, type=kind, rolling_update=rolling)


def _retention(
    policy: StatefulSetPersistentVolumeClaimRetentionPolicy | None,
) -> StatefulSetPersistentVolumeClaimRetentionPolicy:
    if policy is None:
        return _RETAIN
    return filled(policy, when_deleted=policy.when_deleted or "Retain", when_scaled=policy.when_scaled or "Retain")


def daemon_set(obj: DaemonSet) -> DaemonSet:
    """DaemonSet (apps/v1)."""
    spec = obj.spec
    return filled(
        obj,
        spec=filled(
            spec,
            update_strategy=_daemon_set_strategy(spec.update_strategy),
            revision_history_limit=_or(spec.revision_history_limit, 10),
            template=pod_template(spec.template),
        ),
    )


_ROLLING_DAEMON_SET = DaemonSetUpdateStrategy(
    type="RollingUpdate", rolling_update=RollingUpdateDaemonSet(max_surge=0, max_unavailable=1)
)


def _daemon_set_strategy(strategy: DaemonSetUpdateStrategy | None) -> DaemonSetUpdateStrategy:
    if strategy is None:
        return _ROLLING_DAEMON_SET
    kind, rolling = strategy.type or "RollingUpdate", strategy.rolling_update
    if kind == "RollingUpdate":
        rolling = RollingUpdateDaemonSet() if rolling is None else rolling
        rolling = filled(
            rolling,
            max_surge=0 if rolling.max_surge is None else rolling.max_surge,
            max_unavailable=1 if rolling.max_unavailable is None else rolling.max_unavailable,
        )
    return filled(strategy, type=kind, rolling_update=rolling)


def job(obj: Job) -> Job:
    """Job (batch/v1): labels come from the template; one completion unless a parallelism is given."""
    spec = obj.spec
    completions = 1 if spec.completions is None and spec.parallelism is None else spec.completions
    backoff_limit = 6 if spec.backoff_limit_per_index is None else _INT32_MAX
    replacement = "TerminatingOrFailed" if spec.pod_failure_policy is None else "Failed"
    return filled(
        obj,
        metadata=filled(obj.metadata, labels=_or_labels(obj.metadata.labels, spec.template.metadata.labels)),
        spec=filled(
            spec,
            completions=completions,
            parallelism=_or(spec.parallelism, 1),
            backoff_limit=_or(spec.backoff_limit, backoff_limit),
            completion_mode=given(spec.completion_mode, "NonIndexed"),
            suspend=bool(spec.suspend),
            manual_selector=bool(spec.manual_selector),
            pod_replacement_policy=spec.pod_replacement_policy or replacement,
            pod_failure_policy=_failure_policy(spec.pod_failure_policy),
            template=pod_template(spec.template),
        ),
    )


def cron_job(obj: CronJob) -> CronJob:
    """CronJob (batch/v1): of its job template, only the pod template is defaulted before a Job is made of it."""
    spec = obj.spec
    job_spec = spec.job_template.spec
    job_spec = filled(
        job_spec,
        template=pod_template(job_spec.template),
        pod_failure_policy=_failure_policy(job_spec.pod_failure_policy),
    )
    return filled(
        obj,
        spec=filled(
            spec,
            concurrency_policy=spec.concurrency_policy or "Allow",
            suspend=bool(spec.suspend),
            successful_jobs_history_limit=_or(spec.successful_jobs_history_limit, 3),
            failed_jobs_history_limit=_or(spec.failed_jobs_history_limit, 1),
            job_template=filled(spec.job_template, spec=job_spec),
        ),
    )


def _failure_policy(policy: PodFailurePolicy | None) -> PodFailurePolicy | None:
    return None if policy is None else filled(policy, rules=each(policy.rules, _failure_rule))


def _failure_rule(rule: PodFailurePolicyRule) -> PodFailurePolicyRule:
    return filled(rule, on_pod_conditions=each(rule.on_pod_conditions, _failure_condition))


def _failure_condition(pattern: PodFailurePolicyOnPodConditionsPattern) -> PodFailurePolicyOnPodConditionsPattern:
    return filled(pattern, status=pattern.status or "True")


def _or(number: int | None, otherwise: int) -> int:
    return otherwise if number is None else number


def _or_labels(labels: dict[str, str], otherwise: dict[str, str] | None) -> dict[str, str]:
    return otherwise if otherwise and not labels else labels
