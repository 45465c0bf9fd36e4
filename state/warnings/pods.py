"""Warnings about pods and the templates of pods (``pkg/api/pod``); where maps have no order, theirs is sorted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from state.errors import quoted
from state.kept import by_identity
from state.objects import Affinity, ContainerPort, Pod, PodSpec, PodTemplateSpec
from state.profiles import (
    APP_ARMOR,
    APP_ARMOR_CONTAINER,
    SECCOMP,
    SECCOMP_CONTAINER,
    SECCOMP_POD,
    AnyContainer,
    app_armor_profile,
    containers_of,
    is_windows,
    part_of,
)
from state.warnings._labels import DEPRECATED, of_expressions
from state.warnings.mounts import of_overlaps
from state.warnings.storage import PLUGINS, of_amounts, of_claim_spec

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'v1.11+; use the "sysctls" field instead',
}
_NO_SELECTOR = "labelSelector: a null labelSelector results in matching no pod"
_BYTES = ("memory", "ephemeral-storage")


def of_pod(obj: Pod) -> Iterator[str]:
    """Of a pod that is created."""
    return _of_spec("", obj.spec, obj.metadata.annotations) if obj.metadata.annotations else iter(_of_bare(obj.spec))


def of_annotated_profiles(obj: Pod) -> tuple[str, ...]:
    """Of a pod that is sent to be created: annotations of AppArmor, which become fields unless the pod has the same."""
    annotations, spec = obj.metadata.annotations, obj.spec
    if not any(key.startswith(APP_ARMOR_CONTAINER) for key in annotations) or is_windows(spec):
        return ()
    own = part_of(spec.security_context, APP_ARMOR)
    keys = (
        APP_ARMOR_CONTAINER + container.name
        for _, container in containers_of("", spec)
        if part_of(container.security_context, APP_ARMOR) is None
    )
    return tuple(
        _instead_of_field("", key)
        for key in keys
        if key in annotations and (own is None or app_armor_profile(annotations[key]) != own)
    )


def of_template(path: str, template: PodTemplateSpec) -> Iterator[str]:
    """Of the template of pods at that path, which ends with a dot."""
    return _of_spec(path, template.spec, template.metadata.annotations)


@by_identity
def _of_bare(spec: PodSpec) -> tuple[str, ...]:
    """Of a pod without annotations."""
    return tuple(_of_spec("", spec, {}))


def _of_spec(path: str, spec: PodSpec, annotations: Mapping[str, str]) -> Iterator[str]:
    own = f"{path}spec"
    yield from _of_placement(own, spec)
    for key, message in _ANNOTATIONS.items():
        if key in annotations:
            yield f"{path}metadata.annotations[{key}]: non-functional in {message}"
    yield from _of_volumes(own, spec)
    yield from of_overlaps(spec.volumes)
    yield from _of_repeated(f"{own}.hostAliases", "ip", [alias.ip for alias in spec.host_aliases])
    secrets = [secret.name or "" for secret in spec.image_pull_secrets]
    yield from _of_repeated(f"{own}.imagePullSecrets", "name", secrets)
    for index, name in enumerate(secrets):
        if not name:
            yield f'{own}.imagePullSecrets[{index}].name: invalid empty name ""'
    yield from of_amounts(f"{own}.overhead", spec.overhead, _BYTES)
    if SECCOMP_POD in annotations and part_of(spec.security_context, SECCOMP) is None:
        yield _without_field(path, SECCOMP_POD)
    containers = list(containers_of(own, spec))
    for where, container in containers:
        key = SECCOMP_CONTAINER + container.name
        if key in annotations and part_of(container.security_context, SECCOMP) is None:
            yield _without_field(path, key)
        key = APP_ARMOR_CONTAINER + container.name
        contexts = (spec.security_context, container.security_context)
        if key in annotations and all(part_of(context, APP_ARMOR) is None for context in contexts):
            yield _instead_of_field(path, key)
        yield from _of_container(where, container)
    yield from _of_ports(containers)
    if (spec.termination_grace_period_seconds or 0) < 0:
        rule = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{own}.terminationGracePeriodSeconds: {rule}"
    if spec.affinity is not None:
        yield from _of_affinity(f"{own}.affinity", spec.affinity)


def _instead_of_field(path: str, key: str) -> str:
    return f'{path}metadata.annotations[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'


def _without_field(path: str, key: str) -> str:
    return f'{path}metadata.annotations[{key}]: non-functional in v1.27+; use the "seccompProfile" field instead'


def _of_placement(path: str, spec: PodSpec) -> Iterator[str]:
    for name in sorted(spec.node_selector.keys() & DEPRECATED.keys()):
        yield f"{path}.nodeSelector[{name}]: {DEPRECATED[name]}"
    nodes = spec.affinity.node_affinity if spec.affinity is not None else None
    if nodes is not None:
        required = nodes.required_during_scheduling_ignored_during_execution
        for index, term in enumerate(required.node_selector_terms if required is not None else ()):
            where = f"{path}.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms[{index}]"
            yield from of_expressions(where, term.match_expressions)
        for index, preferred in enumerate(nodes.preferred_during_scheduling_ignored_during_execution):
            where = f"{path}.affinity.nodeAffinity.{_PREFERRED}[{index}].preference"
            yield from of_expressions(where, preferred.preference.match_expressions)
    for index, constraint in enumerate(spec.topology_spread_constraints):
        where, key = f"{path}.topologySpreadConstraints[{index}]", constraint.topology_key
        if key in DEPRECATED:
            yield f"{where}.topologyKey: {key} is {DEPRECATED[key]}"
        if constraint.label_selector is None:
            yield f"{where}.{_NO_SELECTOR}"


def _of_volumes(path: str, spec: PodSpec) -> Iterator[str]:
    for index, volume in enumerate(spec.volumes):
        where = f"{path}.volumes[{index}]"
        for field, (name, message) in PLUGINS.items():
            if (
                field == "cephfs"
                and volume.ephemeral is not None
                and volume.ephemeral.volume_claim_template is not None
            ):
                claim = volume.ephemeral.volume_claim_template.spec
                yield from of_claim_spec(f"{where}.ephemeral.volumeClaimTemplate.spec", claim)
            if getattr(volume, field) is not None:
                yield f"{where}.{name}: {message}"


def _of_repeated(path: str, field: str, values: list[str]) -> Iterator[str]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield f"{path}[{index}].{field}: duplicate {field} {quoted(value)}"


def _of_container(path: str, container: AnyContainer) -> Iterator[str]:
    if container.resources is not None:
        for name in _BYTES:
            for field, amounts in (("limits", container.resources.limits), ("requests", container.resources.requests)):
                yield from of_amounts(f"{path}.resources.{field}", amounts, (name,))
    seen: set[str] = set()
    for index, variable in enumerate(container.env):
        name, reference, value = variable.name, f"$({variable.name})", variable.value or ""
        extends = variable.value_from is None and value != reference and reference in value
        if name in seen and not extends:
            hidden = f"hides previous definition of {quoted(name)}, which may be dropped when using apply"
            yield f"{path}.env[{index}]: {hidden}"
        seen.add(name)


def _of_ports(containers: list[tuple[str, AnyContainer]]) -> Iterator[str]:
    seen: dict[tuple[int, str | None], list[tuple[str, ContainerPort]]] = {}
    for path, container in containers:
        for index, port in enumerate(container.ports):
            where = f"{path}.ports[{index}]"
            if port.host_ip and not port.host_port:
                yield f"{where}: hostIP set without hostPort: {_shown(port)}"
            others = seen.setdefault((port.container_port, port.protocol), [])
            for other_path, other in others:
                relation = _relation(port, other)
                if relation:
                    yield f"{where}: {relation} port definition with {other_path}"
            others.append((where, port))


def _relation(port: ContainerPort, other: ContainerPort) -> str:
    """How two ports of one number and protocol are in each other's way; "" if they aren't."""
    here, there = port.host_port or 0, other.host_port or 0
    if (port.host_ip or "", here) == (other.host_ip or "", there):
        return "duplicate"
    if not here or not there:
        return "overlapping"
    return "dangerously ambiguous" if here == there and bool(port.host_ip) != bool(other.host_ip) else ""


def _shown(port: ContainerPort) -> str:
    """A port as Go prints it."""
    names = f"Name:{port.name or ''} HostPort:{port.host_port or 0} ContainerPort:{port.container_port}"
    return f"{{{names} Protocol:{port.protocol} HostIP:{port.host_ip}}}"


def _of_affinity(path: str, affinity: Affinity) -> Iterator[str]:
    for name, pods in (("podAffinity", affinity.pod_affinity), ("podAntiAffinity", affinity.pod_anti_affinity)):
        if pods is None:
            continue
        for index, term in enumerate(pods.required_during_scheduling_ignored_during_execution):
            if term.label_selector is None:
                yield f"{path}.{name}.{_REQUIRED}[{index}].{_NO_SELECTOR}"
        for index, weighted in enumerate(pods.preferred_during_scheduling_ignored_during_execution):
            if weighted.pod_affinity_term.label_selector is None:
                yield f"{path}.{name}.{_PREFERRED}[{index}].podAffinityTerm.{_NO_SELECTOR}"
