"""Defaults of pods and pod templates.

A pod gets more than a template does (requests from limits, host ports), since the API server leaves a template
as its author wrote it wherever the pod that it makes is defaulted later anyway.
"""

from __future__ import annotations

from typing import TypeVar

from state.defaults._sharing import Memo, each, filled
from state.defaults.images import pull_policy
from state.defaults.pod_resources import pod_level_resources
from state.defaults.resources import resource_list, with_missing
from state.defaults.volumes import field_selector, resource_selector, volume
from state.objects import (
    Container,
    ContainerPort,
    EnvVar,
    EnvVarSource,
    EphemeralContainer,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Opaque,
    Pod,
    PodIP,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    Probe,
    ResourceRequirements,
)

AnyContainer = TypeVar("AnyContainer", Container, EphemeralContainer)

_NO_SECURITY_CONTEXT = Opaque({})
_NO_RESOURCES = ResourceRequirements()


def pod(obj: Pod) -> Pod:
    """Pod (v1)."""
    return filled(obj, spec=_pod_spec(obj.spec), status=_pod_status(obj.status))


def pod_template(template: PodTemplateSpec) -> PodTemplateSpec:
    """The template of a workload."""
    return filled(template, spec=_template_spec(template.spec))


def _spec(spec: PodSpec) -> PodSpec:
    """What pods and templates have in common."""
    account = spec.service_account_name or spec.service_account
    return filled(
        spec,
        dns_policy=spec.dns_policy or "ClusterFirst",
        restart_policy=spec.restart_policy or "Always",
        security_context=_NO_SECURITY_CONTEXT if spec.security_context is None else spec.security_context,
        termination_grace_period_seconds=(
            30 if spec.termination_grace_period_seconds is None else spec.termination_grace_period_seconds
        ),
        scheduler_name=spec.scheduler_name or "default-scheduler",
        service_account_name=account,
        service_account=spec.service_account if spec.service_account == account else account,
        containers=each(spec.containers, _container),
        init_containers=each(spec.init_containers, _container),
        ephemeral_containers=each(spec.ephemeral_containers, _container),
        volumes=each(spec.volumes, volume),
        overhead=resource_list(spec.overhead),
        resources=None if spec.resources is None else _requirements(spec.resources),
    )


def _of_pod(spec: PodSpec) -> PodSpec:
    containers = each(spec.containers, _with_requests)
    init_containers = each(spec.init_containers, _with_requests)
    if spec.host_network:
        containers = each(containers, _with_host_ports)
        init_containers = each(init_containers, _with_host_ports)
    spec = filled(
        spec,
        containers=containers,
        init_containers=init_containers,
        enable_service_links=True if spec.enable_service_links is None else spec.enable_service_links,
    )
    return _spec(spec if spec.resources is None else filled(spec, resources=pod_level_resources(spec)))


_template_spec = Memo(_spec)
_pod_spec = Memo(_of_pod)


def _pod_status(status: PodStatus) -> PodStatus:
    """The first of several addresses is given twice, for readers who know only one."""
    if status.pod_ip and not status.pod_ips:
        return filled(status, pod_ips=(PodIP(ip=status.pod_ip),))
    if status.pod_ips and not status.pod_ip:
        return filled(status, pod_ip=status.pod_ips[0].ip)
    return status


def _with_requests(container: Container) -> Container:
    """Of what is limited but not requested, as much is requested as the limit allows."""
    resources = container.resources
    if resources is None or not resources.limits:
        return container
    requests = with_missing(resources.requests, resources.limits)
    return filled(container, resources=filled(resources, requests=requests))


def _with_host_ports(container: Container) -> Container:
    return filled(container, ports=each(container.ports, _with_host_port))


def _with_host_port(port: ContainerPort) -> ContainerPort:
    return port if port.host_port else filled(port, host_port=port.container_port)


def _container(container: AnyContainer) -> AnyContainer:
    resources = container.resources
    return filled(
        container,
        image_pull_policy=container.image_pull_policy or pull_policy(container.image),
        termination_message_path=container.termination_message_path or "/dev/termination-log",
        termination_message_policy=container.termination_message_policy or "File",
        resources=_NO_RESOURCES if resources is None else _requirements(resources),
        ports=each(container.ports, _port),
        env=each(container.env, _env),
        liveness_probe=None if container.liveness_probe is None else _probe(container.liveness_probe),
        readiness_probe=None if container.readiness_probe is None else _probe(container.readiness_probe),
        startup_probe=None if container.startup_probe is None else _probe(container.startup_probe),
        lifecycle=None if container.lifecycle is None else _lifecycle(container.lifecycle),
    )


def _requirements(resources: ResourceRequirements) -> ResourceRequirements:
    return filled(resources, limits=resource_list(resources.limits), requests=resource_list(resources.requests))


def _port(port: ContainerPort) -> ContainerPort:
    return port if port.protocol else filled(port, protocol="TCP")


def _env(variable: EnvVar) -> EnvVar:
    source = variable.value_from
    return variable if source is None else filled(variable, value_from=_env_source(source))


def _env_source(source: EnvVarSource) -> EnvVarSource:
    field_ref, resource_ref, file_ref = source.field_ref, source.resource_field_ref, source.file_key_ref
    return filled(
        source,
        field_ref=None if field_ref is None else field_selector(field_ref),
        resource_field_ref=None if resource_ref is None else resource_selector(resource_ref),
        file_key_ref=None if file_ref is None else filled(file_ref, optional=bool(file_ref.optional)),
    )


def _probe(probe: Probe) -> Probe:
    grpc = probe.grpc
    return filled(
        probe,
        timeout_seconds=probe.timeout_seconds or 1,
        period_seconds=probe.period_seconds or 10,
        success_threshold=probe.success_threshold or 1,
        failure_threshold=probe.failure_threshold or 3,
        http_get=None if probe.http_get is None else _http_get(probe.http_get),
        grpc=None if grpc is None else filled(grpc, service="" if grpc.service is None else grpc.service),
    )


def _lifecycle(lifecycle: Lifecycle) -> Lifecycle:
    return filled(lifecycle, post_start=_hook(lifecycle.post_start), pre_stop=_hook(lifecycle.pre_stop))


def _hook(hook: LifecycleHandler | None) -> LifecycleHandler | None:
    return hook if hook is None or hook.http_get is None else filled(hook, http_get=_http_get(hook.http_get))


def _http_get(action: HTTPGetAction) -> HTTPGetAction:
    return filled(action, path=action.path or "/", scheme=action.scheme or "HTTP")
