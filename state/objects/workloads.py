"""Kinds that own pods: ReplicationController (v1), apps/v1 and batch/v1."""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from state.objects._base import Int32, Int64, IntOrString, Opaque, Struct
from state.objects.meta import NO_SELECTOR, BareCondition, LabelSelector, Object, ObjectMeta, ObjectReference
from state.objects.pods import PodTemplateSpec
from state.objects.volumes import PersistentVolumeClaim


class ReplicationControllerSpec(Struct):
    min_ready_seconds: Int32 | None = None
    replicas: Int32 | None = None
    selector: dict[str, str] = {}
    template: PodTemplateSpec | None = None


class ReplicationControllerCondition(BareCondition):
    pass


class ReplicationControllerStatus(Struct):
    available_replicas: Int32 | None = None
    conditions: tuple[ReplicationControllerCondition, ...] = ()
    fully_labeled_replicas: Int32 | None = None
    observed_generation: Int64 | None = None
    ready_replicas: Int32 | None = None
    replicas: Int32 = field(default_factory=int)


class ReplicationController(Object):
    spec: ReplicationControllerSpec = ReplicationControllerSpec()
    status: ReplicationControllerStatus = ReplicationControllerStatus()


class ReplicaSetSpec(Struct):
    min_ready_seconds: Int32 | None = None
    replicas: Int32 | None = None
    selector: LabelSelector = NO_SELECTOR
    template: PodTemplateSpec | None = None


class ReplicaSetCondition(BareCondition):
    pass


class ReplicaSetStatus(Struct):
    available_replicas: Int32 | None = None
    conditions: tuple[ReplicaSetCondition, ...] = ()
    fully_labeled_replicas: Int32 | None = None
    observed_generation: Int64 | None = None
    ready_replicas: Int32 | None = None
    replicas: Int32 = field(default_factory=int)
    terminating_replicas: Int32 | None = None


class ReplicaSet(Object):
    api_version: ClassVar[str] = "apps/v1"

    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


class RollingUpdateDeployment(Struct):
    max_surge: IntOrString | None = None
    max_unavailable: IntOrString | None = None


class DeploymentStrategy(Struct):
    rolling_update: RollingUpdateDeployment | None = None
    type: str | None = None


class DeploymentSpec(Struct):
    min_ready_seconds: Int32 | None = None
    paused: bool | None = None
    progress_deadline_seconds: Int32 | None = None
    replicas: Int32 | None = None
    revision_history_limit: Int32 | None = None
    selector: LabelSelector = NO_SELECTOR
    strategy: DeploymentStrategy | None = None
    template: PodTemplateSpec = PodTemplateSpec()


class DeploymentCondition(BareCondition):
    last_update_time: str | None = None


class DeploymentStatus(Struct):
    available_replicas: Int32 | None = None
    collision_count: Int32 | None = None
    conditions: tuple[DeploymentCondition, ...] = ()
    observed_generation: Int64 | None = None
    ready_replicas: Int32 | None = None
    replicas: Int32 | None = None
    terminating_replicas: Int32 | None = None
    unavailable_replicas: Int32 | None = None
    updated_replicas: Int32 | None = None


class Deployment(Object):
    api_version: ClassVar[str] = "apps/v1"

    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class StatefulSetOrdinals(Struct):
    start: Int32 | None = None


class StatefulSetPersistentVolumeClaimRetentionPolicy(Struct):
    when_deleted: str | None = None
    when_scaled: str | None = None


class RollingUpdateStatefulSetStrategy(Struct):
    max_unavailable: IntOrString | None = None
    partition: Int32 | None = None


class StatefulSetUpdateStrategy(Struct):
    rolling_update: RollingUpdateStatefulSetStrategy | None = None
    type: str | None = None


class StatefulSetSpec(Struct):
    min_ready_seconds: Int32 | None = None
    ordinals: StatefulSetOrdinals | None = None
    persistent_volume_claim_retention_policy: StatefulSetPersistentVolumeClaimRetentionPolicy | None = None
    pod_management_policy: str | None = None
    replicas: Int32 | None = None
    revision_history_limit: Int32 | None = None
    selector: LabelSelector = NO_SELECTOR
    service_name: str | None = None
    template: PodTemplateSpec = PodTemplateSpec()
    update_strategy: StatefulSetUpdateStrategy | None = None
    volume_claim_templates: tuple[PersistentVolumeClaim, ...] = ()


class StatefulSetCondition(BareCondition):
    pass


class StatefulSetStatus(Struct):
    available_replicas: Int32 | None = None
    collision_count: Int32 | None = None
    conditions: tuple[StatefulSetCondition, ...] = ()
    current_replicas: Int32 | None = None
    current_revision: str | None = None
    observed_generation: Int64 | None = None
    ready_replicas: Int32 | None = None
    replicas: Int32 = field(default_factory=int)
    update_revision: str | None = None
    updated_replicas: Int32 | None = None


class StatefulSet(Object):
    api_version: ClassVar[str] = "apps/v1"

    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()


class RollingUpdateDaemonSet(Struct):
    max_surge: IntOrString | None = None
    max_unavailable: IntOrString | None = None


class DaemonSetUpdateStrategy(Struct):
    rolling_update: RollingUpdateDaemonSet | None = None
    type: str | None = None


class DaemonSetSpec(Struct):
    min_ready_seconds: Int32 | None = None
    revision_history_limit: Int32 | None = None
    selector: LabelSelector = NO_SELECTOR
    template: PodTemplateSpec = PodTemplateSpec()
    update_strategy: DaemonSetUpdateStrategy | None = None


class DaemonSetCondition(BareCondition):
    pass


class DaemonSetStatus(Struct):
    collision_count: Int32 | None = None
    conditions: tuple[DaemonSetCondition, ...] = ()
    current_number_scheduled: Int32 = field(default_factory=int)
    desired_number_scheduled: Int32 = field(default_factory=int)
    number_available: Int32 | None = None
    number_misscheduled: Int32 = field(default_factory=int)
    number_ready: Int32 = field(default_factory=int)
    number_unavailable: Int32 | None = None
    observed_generation: Int64 | None = None
    updated_number_scheduled: Int32 | None = None


class DaemonSet(Object):
    api_version: ClassVar[str] = "apps/v1"

    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()


class ControllerRevision(Object):
    api_version: ClassVar[str] = "apps/v1"

    data: Opaque | None = None
    revision: Int64 = field(default_factory=int)


class PodTemplate(Object):
    template: PodTemplateSpec = PodTemplateSpec()


class PodFailurePolicyOnExitCodesRequirement(Struct):
    container_name: str | None = None
    operator: str = field(default_factory=str)
    values: tuple[Int32, ...] = ()


class PodFailurePolicyOnPodConditionsPattern(Struct):
    status: str = field(default_factory=str)
    type: str = field(default_factory=str)


class PodFailurePolicyRule(Struct):
    action: str = field(default_factory=str)
    on_exit_codes: PodFailurePolicyOnExitCodesRequirement | None = None
    on_pod_conditions: tuple[PodFailurePolicyOnPodConditionsPattern, ...] = ()


class PodFailurePolicy(Struct):
    rules: tuple[PodFailurePolicyRule, ...] = ()


class SuccessPolicyRule(Struct):
    succeeded_count: Int32 | None = None
    succeeded_indexes: str | None = None


class SuccessPolicy(Struct):
    rules: tuple[SuccessPolicyRule, ...] = ()


class JobSpec(Struct):
    active_deadline_seconds: Int64 | None = None
    backoff_limit: Int32 | None = None
    backoff_limit_per_index: Int32 | None = None
    completion_mode: str | None = None
    completions: Int32 | None = None
    managed_by: str | None = None
    manual_selector: bool | None = None
    max_failed_indexes: Int32 | None = None
    parallelism: Int32 | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    pod_replacement_policy: str | None = None
    selector: LabelSelector | None = None
    success_policy: SuccessPolicy | None = None
    suspend: bool | None = None
    template: PodTemplateSpec = PodTemplateSpec()
    ttl_seconds_after_finished: Int32 | None = None


class JobCondition(BareCondition):
    last_probe_time: str | None = None


class UncountedTerminatedPods(Struct):
    failed: tuple[str, ...] = ()
    succeeded: tuple[str, ...] = ()


class JobStatus(Struct):
    active: Int32 | None = None
    completed_indexes: str | None = None
    completion_time: str | None = None
    conditions: tuple[JobCondition, ...] = ()
    failed: Int32 | None = None
    failed_indexes: str | None = None
    ready: Int32 | None = None
    start_time: str | None = None
    succeeded: Int32 | None = None
    terminating: Int32 | None = None
    uncounted_terminated_pods: UncountedTerminatedPods | None = None


class Job(Object):
    api_version: ClassVar[str] = "batch/v1"

    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class JobTemplateSpec(Struct):
    metadata: ObjectMeta = ObjectMeta()
    spec: JobSpec = JobSpec()


class CronJobSpec(Struct):
    concurrency_policy: str | None = None
    failed_jobs_history_limit: Int32 | None = None
    job_template: JobTemplateSpec = JobTemplateSpec()
    schedule: str = field(default_factory=str)
    starting_deadline_seconds: Int64 | None = None
    successful_jobs_history_limit: Int32 | None = None
    suspend: bool | None = None
    time_zone: str | None = None


class CronJobStatus(Struct):
    active: tuple[ObjectReference, ...] = ()
    last_schedule_time: str | None = None
    last_successful_time: str | None = None


class CronJob(Object):
    api_version: ClassVar[str] = "batch/v1"

    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()
