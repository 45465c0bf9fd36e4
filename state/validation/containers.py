"""Validation of the containers of a pod: the regular ones, those that initialise, and those for debugging."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from state import names
from state.objects import Container, ContainerPort, ContainerResizePolicy, EphemeralContainer, PodSpec, Volume
from state.validation import _checks as checks
from state.validation import probes
from state.validation._report import Report
from state.validation.env import env, env_from
from state.validation.mounts import volume_devices, volume_mounts
from state.validation.resources import requirements
from state.validation.security import container_security_context, is_privileged

AnyContainer = Container | EphemeralContainer

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_RESIZED = ("cpu", "memory")
_RESIZE_POLICIES = ("NotRequired", "RestartContainer")
RESTART_POLICIES = ("Always", "OnFailure", "Never")
_RESTART_ACTIONS = ("Restart", "RestartAllContainers")
_MOST_RESTART_RULES, _MOST_EXIT_CODES = 20, 255
PADDED_IMAGE = "must not have leading or trailing whitespace"
#: Fields that a pod's fundamental containers have, and a debugging one may not.
_NOT_EPHEMERAL = {
    "ports": "ports",
    "resources": "resources",
    "liveness_probe": "livenessProbe",
    "readiness_probe": "readinessProbe",
    "startup_probe": "startupProbe",
    "lifecycle": "lifecycle",
    "resize_policy": "resizePolicy",
    "restart_policy": "restartPolicy",
    "restart_policy_rules": "restartPolicyRules",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container's fields refer to in its pod."""

    spec: PodSpec
    volumes: Mapping[str, Volume]
    in_pod: bool

    @property
    def claims(self) -> set[str]:
        """The names of the pod's resource claims."""
        return {claim.name for claim in self.spec.resource_claims if claim.name}

    @property
    def host_users(self) -> bool:
        """Whether the pod's users are the node's."""
        return self.spec.host_users is not False


def containers(found: Report, path: str, around: Surroundings) -> None:
    """The regular containers of a pod."""
    given = around.spec.containers
    if not given:
        found.required(path)
        return
    seen: set[str] = set()
    for index, container in enumerate(given):
        own_path = f"{path}[{index}]"
        _common(found, own_path, container, around)
        if container.name in seen:
            found.duplicate(f"{own_path}.name", container.name)
        seen.add(container.name)
        _running(found, own_path, container, around)
        _restarts(found, own_path, container)
    _host_ports(found, [(f"{path}[{index}]", container) for index, container in enumerate(given)])


def init_containers(found: Report, path: str, around: Surroundings) -> None:
    """The containers that run before the regular ones, or beside them if they always restart (sidecars)."""
    seen = {container.name for container in around.spec.containers}
    for index, container in enumerate(around.spec.init_containers):
        own_path = f"{path}[{index}]"
        _common(found, own_path, container, around)
        _restarts(found, own_path, container)
        if container.name in seen:
            found.duplicate(f"{own_path}.name", container.name)
        elif container.name:
            seen.add(container.name)
        _host_ports(found, [(own_path, container)])
        if container.restart_policy == "Always":
            _running(found, own_path, container, around)
            continue
        for field in ("lifecycle", "liveness_probe", "readiness_probe", "startup_probe"):
            if getattr(container, field) is not None:
                message = "may not be set for init containers without restartPolicy=Always"
                found.forbidden(f"{own_path}.{_NOT_EPHEMERAL[field]}", message)


def ephemeral_containers(found: Report, path: str, around: Surroundings) -> None:
    """The containers that were added to a running pod for debugging."""
    spec = around.spec
    others = {container.name for container in (*spec.containers, *spec.init_containers)}
    seen = set(others)
    for index, container in enumerate(spec.ephemeral_containers):
        own_path = f"{path}[{index}]"
        _common(found, own_path, container, around)
        if container.name in seen:
            found.duplicate(f"{own_path}.name", container.name)
        seen.add(container.name)
        target = container.target_container_name
        if target and target not in others:
            found.not_found(f"{own_path}.targetContainerName", target)
        for field, json_name in _NOT_EPHEMERAL.items():
            value = getattr(container, field)
            if value and not (field == "resources" and not (value.limits or value.requests or value.claims)):
                found.forbidden(f"{own_path}.{json_name}", "cannot be set for an Ephemeral Container")
        for number, mount in enumerate(container.volume_mounts):
            for json_name, sub_path in (("subPath", mount.sub_path), ("subPathExpr", mount.sub_path_expr)):
                if sub_path:
                    mount_path = f"{own_path}.volumeMounts[{number}].{json_name}"
                    found.forbidden(mount_path, "cannot be set for an Ephemeral Container")


def _common(found: Report, path: str, container: AnyContainer, around: Surroundings) -> None:
    """What holds for containers of every sort."""
    checks.named(found, f"{path}.name", container.name, names.dns1123_label)
    image = container.image or ""
    if not image:
        found.required(f"{path}.image")
    found.one_of(f"{path}.terminationMessagePolicy", container.termination_message_policy, _MESSAGE_POLICIES)
    _ports(found, f"{path}.ports", container.ports)
    env(found, f"{path}.env", container.env)
    env_from(found, f"{path}.envFrom", container.env_from)
    mounts, devices = container.volume_mounts, container.volume_devices
    privileged = is_privileged(container)
    mounts_path = f"{path}.volumeMounts"
    volume_mounts(found, mounts_path, mounts, around.volumes, devices=devices, privileged=privileged)
    volume_devices(found, f"{path}.volumeDevices", devices, around.volumes, mounts)
    found.one_of(f"{path}.imagePullPolicy", container.image_pull_policy, _PULL_POLICIES)
    if container.resources is not None:
        requirements(found, f"{path}.resources", container.resources, around.claims)
    _resize_policy(found, f"{path}.resizePolicy", container.resize_policy, around.spec.restart_policy)
    context_path = f"{path}.securityContext"
    container_security_context(found, context_path, container.security_context, host_users=around.host_users)
    if around.in_pod and image != image.strip():
        found.invalid(f"{path}.image", image, PADDED_IMAGE)


def _running(found: Report, path: str, container: Container, around: Surroundings) -> None:
    """What only containers have that keep running."""
    if container.lifecycle is not None:
        grace_seconds = around.spec.termination_grace_period_seconds
        probes.lifecycle(found, f"{path}.lifecycle", container.lifecycle, grace_seconds)
    probes.liveness_or_startup(found, f"{path}.livenessProbe", container.liveness_probe)
    probes.readiness(found, f"{path}.readinessProbe", container.readiness_probe)
    probes.liveness_or_startup(found, f"{path}.startupProbe", container.startup_probe)


def _restarts(found: Report, path: str, container: Container) -> None:
    """When a container is started again, if it says so itself, and by which codes of its exit."""
    policy, rules = container.restart_policy, container.restart_policy_rules
    if policy is None and rules:
        found.required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used")
    elif policy is not None and policy not in RESTART_POLICIES:
        found.unsupported(f"{path}.restartPolicy", policy, RESTART_POLICIES)
    if len(rules) > _MOST_RESTART_RULES:
        found.too_many(f"{path}.restartPolicyRules", len(rules), _MOST_RESTART_RULES)
    for index, rule in enumerate(rules):
        own_path = f"{path}.restartPolicyRules[{index}]"
        if rule.action not in _RESTART_ACTIONS:
            found.unsupported(f"{own_path}.action", rule.action, _RESTART_ACTIONS)
        codes = rule.exit_codes
        if codes is None:
            found.required(f"{own_path}.exitCodes", "must be specified")
            continue
        if codes.operator not in {"In", "NotIn"}:
            found.unsupported(f"{own_path}.exitCodes.operator", codes.operator, ("In", "NotIn"))
        if len(codes.values) > _MOST_EXIT_CODES:
            found.too_many(f"{own_path}.exitCodes.values", len(codes.values), _MOST_EXIT_CODES)


def _ports(found: Report, path: str, ports: tuple[ContainerPort, ...]) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        own_path = f"{path}[{index}]"
        if port.name:
            messages = names.port_name(port.name)
            found.each_invalid(f"{own_path}.name", port.name, messages)
            if not messages and port.name in seen:
                found.duplicate(f"{own_path}.name", port.name)
            seen.add(port.name)
        if not port.container_port:
            found.required(f"{own_path}.containerPort")
        else:
            checks.port(found, f"{own_path}.containerPort", port.container_port)
        if port.host_port:
            checks.port(found, f"{own_path}.hostPort", port.host_port)
        found.one_of(f"{own_path}.protocol", port.protocol, checks.PROTOCOLS)


def _host_ports(found: Report, containers: Iterable[tuple[str, Container]]) -> None:
    """No two ports of containers that run together take the same port of the node."""
    seen: set[str] = set()
    for path, container in containers:
        for index, port in enumerate(container.ports):
            if port.host_port:
                taken = f"{port.protocol}/{port.host_ip or ''}/{port.host_port}"
                if taken in seen:
                    found.duplicate(f"{path}.ports[{index}].hostPort", taken)
                seen.add(taken)


def _resize_policy(
    found: Report, path: str, policies: tuple[ContainerResizePolicy, ...], restart_policy: str | None
) -> None:
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        if policy.resource_name in seen:
            found.duplicate(f"{path}[{index}]", policy.resource_name)
        seen.add(policy.resource_name)
        found.one_of(path, policy.resource_name, _RESIZED)
        found.one_of(path, policy.restart_policy, _RESIZE_POLICIES)
        if restart_policy == "Never" and policy.restart_policy != "NotRequired":
            message = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            found.invalid(path, policy.restart_policy, message)
