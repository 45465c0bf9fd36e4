"""Containers of a pod: environment, probes, mounts, and what a kubelet reports of each."""

from __future__ import annotations

from msgspec import field

from state.objects._base import Int32, Int64, IntOrString, Opaque, Quantity, Struct
from state.objects.volumes import ObjectFieldSelector, ResourceFieldSelector


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


class AnyContainer(Struct):
    """What containers of all three kinds have."""

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


class Container(AnyContainer):
    pass


class EphemeralContainer(AnyContainer):
    target_container_name: str | None = None


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
