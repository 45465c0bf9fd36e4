"""The other kinds of v1, and the small groups: discovery, policy, scheduling, coordination."""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from state.objects._base import Int32, Int64, IntOrString, Opaque, Quantity, Struct
from state.objects.meta import (
    BareCondition,
    Condition,
    LabelSelector,
    LocalObjectReference,
    Object,
    ObjectReference,
)


class NamespaceSpec(Struct):
    finalizers: tuple[str, ...] = ()


class NamespaceCondition(BareCondition):
    pass


class NamespaceStatus(Struct):
    conditions: tuple[NamespaceCondition, ...] = ()
    phase: str | None = None


class Namespace(Object):
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()


class Taint(Struct):
    effect: str = field(default_factory=str)
    key: str = field(default_factory=str)
    time_added: str | None = None
    value: str | None = None


class NodeSpec(Struct):
    config_source: Opaque | None = None
    external_id: str | None = field(default=None, name="externalID")
    pod_cidr: str | None = field(default=None, name="podCIDR")
    pod_cidrs: tuple[str, ...] = field(default=(), name="podCIDRs")
    provider_id: str | None = field(default=None, name="providerID")
    taints: tuple[Taint, ...] = ()
    unschedulable: bool | None = None


class NodeAddress(Struct):
    address: str = field(default_factory=str)
    type: str = field(default_factory=str)


class NodeCondition(BareCondition):
    last_heartbeat_time: str | None = None


class ContainerImage(Struct):
    names: tuple[str, ...] = ()
    size_bytes: Int64 | None = None


class AttachedVolume(Struct):
    device_path: str = field(default_factory=str)
    name: str = field(default_factory=str)


class NodeStatus(Struct):
    addresses: tuple[NodeAddress, ...] = ()
    allocatable: dict[str, Quantity] = {}
    capacity: dict[str, Quantity] = {}
    conditions: tuple[NodeCondition, ...] = ()
    config: Opaque | None = None
    daemon_endpoints: Opaque | None = None
    features: Opaque | None = None
    images: tuple[ContainerImage, ...] = ()
    node_info: Opaque | None = None
    phase: str | None = None
    runtime_handlers: tuple[Opaque, ...] = ()
    volumes_attached: tuple[AttachedVolume, ...] = ()
    volumes_in_use: tuple[str, ...] = ()


class Node(Object):
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class ServicePort(Struct):
    app_protocol: str | None = None
    name: str | None = None
    node_port: Int32 | None = None
    port: Int32 = field(default_factory=int)
    protocol: str | None = None
    target_port: IntOrString | None = None


class ClientIPConfig(Struct):
    timeout_seconds: Int32 | None = None


class SessionAffinityConfig(Struct):
    client_ip: ClientIPConfig | None = field(default=None, name="clientIP")


class ServiceSpec(Struct):
    allocate_load_balancer_node_ports: bool | None = None
    cluster_ip: str | None = field(default=None, name="clusterIP")
    cluster_ips: tuple[str, ...] = field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = field(default=(), name="externalIPs")
    external_name: str | None = None
    external_traffic_policy: str | None = None
    health_check_node_port: Int32 | None = None
    internal_traffic_policy: str | None = None
    ip_families: tuple[str, ...] = ()
    ip_family_policy: str | None = None
    load_balancer_class: str | None = None
    load_balancer_ip: str | None = field(default=None, name="loadBalancerIP")
    load_balancer_source_ranges: tuple[str, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    publish_not_ready_addresses: bool | None = None
    selector: dict[str, str] = {}
    session_affinity: str | None = None
    session_affinity_config: SessionAffinityConfig | None = None
    traffic_distribution: str | None = None
    type: str | None = None


class PortStatus(Struct):
    error: str | None = None
    port: Int32 = field(default_factory=int)
    protocol: str = field(default_factory=str)


class LoadBalancerIngress(Struct):
    hostname: str | None = None
    ip: str | None = None
    ip_mode: str | None = None
    ports: tuple[PortStatus, ...] = ()


class LoadBalancerStatus(Struct):
    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(Struct):
    conditions: tuple[Condition, ...] = ()
    load_balancer: LoadBalancerStatus | None = None


class Service(Object):
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


class EndpointAddress(Struct):
    hostname: str | None = None
    ip: str = field(default_factory=str)
    node_name: str | None = None
    target_ref: ObjectReference | None = None


class EndpointPort(Struct):
    app_protocol: str | None = None
    name: str | None = None
    port: Int32 = field(default_factory=int)
    protocol: str | None = None


class EndpointSubset(Struct):
    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(Object):
    subsets: tuple[EndpointSubset, ...] = ()


class ConfigMap(Object):
    binary_data: dict[str, str] = {}
    data: dict[str, str] = {}
    immutable: bool | None = None


class Secret(Object):
    data: dict[str, str] = {}
    immutable: bool | None = None
    string_data: dict[str, str] = {}
    type: str | None = None


class ServiceAccount(Object):
    automount_service_account_token: bool | None = None
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    secrets: tuple[ObjectReference, ...] = ()


class EventSeries(Struct):
    count: Int32 | None = None
    last_observed_time: str | None = None


class EventSource(Struct):
    component: str | None = None
    host: str | None = None


class Event(Object):
    action: str | None = None
    count: Int32 | None = None
    event_time: str | None = None
    first_timestamp: str | None = None
    involved_object: ObjectReference = ObjectReference()
    last_timestamp: str | None = None
    message: str | None = None
    reason: str | None = None
    related: ObjectReference | None = None
    reporting_component: str | None = None
    reporting_instance: str | None = None
    series: EventSeries | None = None
    source: EventSource | None = None
    type: str | None = None


class LimitRangeItem(Struct):
    default: dict[str, Quantity] = {}
    default_request: dict[str, Quantity] = {}
    max: dict[str, Quantity] = {}
    max_limit_request_ratio: dict[str, Quantity] = {}
    min: dict[str, Quantity] = {}
    type: str = field(default_factory=str)


class LimitRangeSpec(Struct):
    limits: tuple[LimitRangeItem, ...] = ()


class LimitRange(Object):
    spec: LimitRangeSpec = LimitRangeSpec()


class ScopedResourceSelectorRequirement(Struct):
    operator: str = field(default_factory=str)
    scope_name: str = field(default_factory=str)
    values: tuple[str, ...] = ()


class ScopeSelector(Struct):
    match_expressions: tuple[ScopedResourceSelectorRequirement, ...] = ()


class ResourceQuotaSpec(Struct):
    hard: dict[str, Quantity] = {}
    scope_selector: ScopeSelector | None = None
    scopes: tuple[str, ...] = ()


class ResourceQuotaStatus(Struct):
    hard: dict[str, Quantity] = {}
    used: dict[str, Quantity] = {}


class ResourceQuota(Object):
    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()


class EndpointConditions(Struct):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ForNode(Struct):
    name: str = field(default_factory=str)


class ForZone(Struct):
    name: str = field(default_factory=str)


class EndpointHints(Struct):
    for_nodes: tuple[ForNode, ...] = ()
    for_zones: tuple[ForZone, ...] = ()


class Endpoint(Struct):
    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions | None = None
    deprecated_topology: dict[str, str] = {}
    hints: EndpointHints | None = None
    hostname: str | None = None
    node_name: str | None = None
    target_ref: ObjectReference | None = None
    zone: str | None = None


class EndpointSlicePort(Struct):
    app_protocol: str | None = None
    name: str | None = None
    port: Int32 | None = None
    protocol: str | None = None


class EndpointSlice(Object):
    api_version: ClassVar[str] = "discovery.k8s.io/v1"

    address_type: str = field(default_factory=str)
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointSlicePort, ...] = ()


class PodDisruptionBudgetSpec(Struct):
    max_unavailable: IntOrString | None = None
    min_available: IntOrString | None = None
    selector: LabelSelector | None = None
    unhealthy_pod_eviction_policy: str | None = None


class PodDisruptionBudgetStatus(Struct):
    conditions: tuple[Condition, ...] = ()
    current_healthy: Int32 = field(default_factory=int)
    desired_healthy: Int32 = field(default_factory=int)
    disrupted_pods: dict[str, str] = {}
    disruptions_allowed: Int32 = field(default_factory=int)
    expected_pods: Int32 = field(default_factory=int)
    observed_generation: Int64 | None = None


class PodDisruptionBudget(Object):
    api_version: ClassVar[str] = "policy/v1"

    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()


class PriorityClass(Object):
    api_version: ClassVar[str] = "scheduling.k8s.io/v1"

    description: str | None = None
    global_default: bool | None = None
    preemption_policy: str | None = None
    value: Int32 = field(default_factory=int)


class LeaseSpec(Struct):
    acquire_time: str | None = None
    holder_identity: str | None = None
    lease_duration_seconds: Int32 | None = None
    lease_transitions: Int32 | None = None
    preferred_holder: str | None = None
    renew_time: str | None = None
    strategy: str | None = None


class Lease(Object):
    api_version: ClassVar[str] = "coordination.k8s.io/v1"

    spec: LeaseSpec = LeaseSpec()
