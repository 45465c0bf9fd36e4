"""Pod (v1): containers, probes, affinity, tolerations, and what a kubelet reports.

Every field of Kubernetes v1.34 is here; a field without a type of its own is carried as ``Opaque``.
The length is that of the API: one struct a type, one line a field.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from state.objects._base import Int32, Int64, IntOrString, Opaque, Quantity, Struct
from state.objects.meta import LabelSelector, LocalObjectReference, NodeSelector, NodeSelectorTerm, Object, ObjectMeta
from state.objects.volumes import ObjectFieldSelector, ResourceFieldSelector, Volume


class PreferredSchedulingTerm(Struct):
    preference: NodeSelectorTerm = NodeSelectorTerm()
    weight: Int32 = field(default_factory=int)


class NodeAffinity(Struct):
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredSchedulingTerm, ...] = ()
    required_during_scheduling_ignored_during_execution: NodeSelector | None = None


class PodAffinityTerm(Struct):
    label_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    topology_key: str = field(default_factory=str)


class WeightedPodAffinityTerm(Struct):
    pod_affinity_term: PodAffinityTerm = PodAffinityTerm()
    weight: Int32 = field(default_factory=int)


class PodAffinity(Struct):
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()
    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()


class PodAntiAffinity(Struct):
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()
    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()


class Affinity(Struct):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAntiAffinity | None = None


class ConfigMapKeySelector(Struct):
    key: str = field(default_factory=str)
    name: str | None = None
    optional: bool | None = None


class FileKeySelector(Struct):
    key: str = field(default_factory=str)
    optional: bool | None = None
    path: str = field(default_factory=str)
    volume_name: str = field(default_factory=str)


class SecretKeySelector(Struct):
    key: str = field(default_factory=str)
    name: str | None = None
    optional: bool | None = None


class EnvVarSource(Struct):
    config_map_key_ref: ConfigMapKeySelector | None = None
    field_ref: ObjectFieldSelector | None = None
    file_key_ref: FileKeySelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    secret_key_ref: SecretKeySelector | None = None


class EnvVar(Struct):
    name: str = field(default_factory=str)
    value: str | None = None
    value_from: EnvVarSource | None = None


class ConfigMapEnvSource(Struct):
    name: str | None = None
    optional: bool | None = None


class SecretEnvSource(Struct):
    name: str | None = None
    optional: bool | None = None


class EnvFromSource(Struct):
    config_map_ref: ConfigMapEnvSource | None = None
    prefix: str | None = None
    secret_ref: SecretEnvSource | None = None


class ExecAction(Struct):
    command: tuple[str, ...] = ()


class HTTPHeader(Struct):
    name: str = field(default_factory=str)
    value: str = field(default_factory=str)


class HTTPGetAction(Struct):
    host: str | None = None
    http_headers: tuple[HTTPHeader, ...] = ()
    path: str | None = None
    port: IntOrString | None = None
    scheme: str | None = None


class SleepAction(Struct):
    seconds: Int64 = field(default_factory=int)


class TCPSocketAction(Struct):
    host: str | None = None
    port: IntOrString | None = None


class LifecycleHandler(Struct):
    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    sleep: SleepAction | None = None
    tcp_socket: TCPSocketAction | None = None


class Lifecycle(Struct):
    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None
    stop_signal: str | None = None


class GRPCAction(Struct):
    port: Int32 = field(default_factory=int)
    service: str | None = None


class Probe(Struct):
    exec: ExecAction | None = None
    failure_threshold: Int32 | None = None
    grpc: GRPCAction | None = None
    http_get: HTTPGetAction | None = None
    initial_delay_seconds: Int32 | None = None
    period_seconds: Int32 | None = None
    success_threshold: Int32 | None = None
    tcp_socket: TCPSocketAction | None = None
    termination_grace_period_seconds: Int64 | None = None
    timeout_seconds: Int32 | None = None


class ContainerPort(Struct):
    container_port: Int32 = field(default_factory=int)
    host_ip: str | None = field(default=None, name="hostIP")
    host_port: Int32 | None = None
    name: str | None = None
    protocol: str | None = None


class ContainerResizePolicy(Struct):
    resource_name: str = field(default_factory=str)
    restart_policy: str = field(default_factory=str)


class ResourceClaim(Struct):
    name: str = field(default_factory=str)
    request: str | None = None


class ResourceRequirements(Struct):
    claims: tuple[ResourceClaim, ...] = ()
    limits: dict[str, Quantity] = {}
    requests: dict[str, Quantity] = {}


class ContainerRestartRuleOnExitCodes(Struct):
    operator: str = field(default_factory=str)
    values: tuple[Int32, ...] = ()


class ContainerRestartRule(Struct):
    action: str = field(default_factory=str)
    exit_codes: ContainerRestartRuleOnExitCodes | None = None


class VolumeDevice(Struct):
    device_path: str = field(default_factory=str)
    name: str = field(default_factory=str)


class VolumeMount(Struct):
    mount_path: str = field(default_factory=str)
    mount_propagation: str | None = None
    name: str = field(default_factory=str)
    read_only: bool | None = None
    recursive_read_only: str | None = None
    sub_path: str | None = None
    sub_path_expr: str | None = None


class Container(Struct):
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    image: str | None = None
    image_pull_policy: str | None = None
    lifecycle: Lifecycle | None = None
    liveness_probe: Probe | None = None
    name: str = field(default_factory=str)
    ports: tuple[ContainerPort, ...] = ()
    readiness_probe: Probe | None = None
    resize_policy: tuple[ContainerResizePolicy, ...] = ()
    resources: ResourceRequirements | None = None
    restart_policy: str | None = None
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()
    security_context: Opaque | None = None
    startup_probe: Probe | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None
    tty: bool | None = None
    volume_devices: tuple[VolumeDevice, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    working_dir: str | None = None


class EphemeralContainer(Struct):
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    image: str | None = None
    image_pull_policy: str | None = None
    lifecycle: Lifecycle | None = None
    liveness_probe: Probe | None = None
    name: str = field(default_factory=str)
    ports: tuple[ContainerPort, ...] = ()
    readiness_probe: Probe | None = None
    resize_policy: tuple[ContainerResizePolicy, ...] = ()
    resources: ResourceRequirements | None = None
    restart_policy: str | None = None
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()
    security_context: Opaque | None = None
    startup_probe: Probe | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    target_container_name: str | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None
    tty: bool | None = None
    volume_devices: tuple[VolumeDevice, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    working_dir: str | None = None


class HostAlias(Struct):
    hostnames: tuple[str, ...] = ()
    ip: str = field(default_factory=str)


class PodReadinessGate(Struct):
    condition_type: str = field(default_factory=str)


class PodResourceClaim(Struct):
    name: str = field(default_factory=str)
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class PodSchedulingGate(Struct):
    name: str = field(default_factory=str)


class Toleration(Struct):
    effect: str | None = None
    key: str | None = None
    operator: str | None = None
    toleration_seconds: Int64 | None = None
    value: str | None = None


class TopologySpreadConstraint(Struct):
    label_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    max_skew: Int32 = field(default_factory=int)
    min_domains: Int32 | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None
    topology_key: str = field(default_factory=str)
    when_unsatisfiable: str = field(default_factory=str)


class PodSpec(Struct):
    active_deadline_seconds: Int64 | None = None
    affinity: Affinity | None = None
    automount_service_account_token: bool | None = None
    containers: tuple[Container, ...] = ()
    dns_config: Opaque | None = None
    dns_policy: str | None = None
    enable_service_links: bool | None = None
    ephemeral_containers: tuple[EphemeralContainer, ...] = ()
    host_aliases: tuple[HostAlias, ...] = ()
    host_ipc: bool | None = field(default=None, name="hostIPC")
    host_network: bool | None = None
    host_pid: bool | None = field(default=None, name="hostPID")
    host_users: bool | None = None
    hostname: str | None = None
    hostname_override: str | None = None
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    init_containers: tuple[Container, ...] = ()
    node_name: str | None = None
    node_selector: dict[str, str] = {}
    os: Opaque | None = None
    overhead: dict[str, Quantity] = {}
    preemption_policy: str | None = None
    priority: Int32 | None = None
    priority_class_name: str | None = None
    readiness_gates: tuple[PodReadinessGate, ...] = ()
    resource_claims: tuple[PodResourceClaim, ...] = ()
    resources: ResourceRequirements | None = None
    restart_policy: str | None = None
    runtime_class_name: str | None = None
    scheduler_name: str | None = None
    scheduling_gates: tuple[PodSchedulingGate, ...] = ()
    security_context: Opaque | None = None
    service_account: str | None = None
    service_account_name: str | None = None
    set_hostname_as_fqdn: bool | None = field(default=None, name="setHostnameAsFQDN")
    share_process_namespace: bool | None = None
    subdomain: str | None = None
    termination_grace_period_seconds: Int64 | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    volumes: tuple[Volume, ...] = ()


class PodCondition(Struct):
    last_probe_time: str | None = None
    last_transition_time: str | None = None
    message: str | None = None
    observed_generation: Int64 | None = None
    reason: str | None = None
    status: str = field(default_factory=str)
    type: str = field(default_factory=str)


class ResourceHealth(Struct):
    health: str | None = None
    resource_id: str = field(default_factory=str, name="resourceID")


class ResourceStatus(Struct):
    name: str = field(default_factory=str)
    resources: tuple[ResourceHealth, ...] = ()


class ContainerStateRunning(Struct):
    started_at: str | None = None


class ContainerStateTerminated(Struct):
    container_id: str | None = field(default=None, name="containerID")
    exit_code: Int32 = field(default_factory=int)
    finished_at: str | None = None
    message: str | None = None
    reason: str | None = None
    signal: Int32 | None = None
    started_at: str | None = None


class ContainerStateWaiting(Struct):
    message: str | None = None
    reason: str | None = None


class ContainerState(Struct):
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None
    waiting: ContainerStateWaiting | None = None


class VolumeMountStatus(Struct):
    mount_path: str = field(default_factory=str)
    name: str = field(default_factory=str)
    read_only: bool | None = None
    recursive_read_only: str | None = None


class ContainerStatus(Struct):
    allocated_resources: dict[str, Quantity] = {}
    allocated_resources_status: tuple[ResourceStatus, ...] = ()
    container_id: str | None = field(default=None, name="containerID")
    image: str = field(default_factory=str)
    image_id: str = field(default_factory=str, name="imageID")
    last_state: ContainerState | None = None
    name: str = field(default_factory=str)
    ready: bool = field(default_factory=bool)
    resources: ResourceRequirements | None = None
    restart_count: Int32 = field(default_factory=int)
    started: bool | None = None
    state: ContainerState | None = None
    stop_signal: str | None = None
    user: Opaque | None = None
    volume_mounts: tuple[VolumeMountStatus, ...] = ()


class HostIP(Struct):
    ip: str = field(default_factory=str)


class PodIP(Struct):
    ip: str = field(default_factory=str)


class PodResourceClaimStatus(Struct):
    name: str = field(default_factory=str)
    resource_claim_name: str | None = None


class PodStatus(Struct):
    conditions: tuple[PodCondition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()
    extended_resource_claim_status: Opaque | None = None
    host_ip: str | None = field(default=None, name="hostIP")
    host_ips: tuple[HostIP, ...] = field(default=(), name="hostIPs")
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    message: str | None = None
    nominated_node_name: str | None = None
    observed_generation: Int64 | None = None
    phase: str | None = None
    pod_ip: str | None = field(default=None, name="podIP")
    pod_ips: tuple[PodIP, ...] = field(default=(), name="podIPs")
    qos_class: str | None = None
    reason: str | None = None
    resize: str | None = None
    resource_claim_statuses: tuple[PodResourceClaimStatus, ...] = ()
    start_time: str | None = None


class Pod(Object):
    api_version: ClassVar[str] = "v1"
    kind: ClassVar[str] = "Pod"

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class PodTemplateSpec(Struct):
    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
