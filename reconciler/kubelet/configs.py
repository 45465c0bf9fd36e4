"""From a pod's spec to what a runtime driver is told: sandbox and container configs, as kuberuntime makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.drivers.runtime.base import ContainerConfig, Mount, PodSandboxConfig, Resources
from rules.kubelet.environment import ConfigError, expand
from state import quantity
from state.objects import Container, Pod

#: Labels and annotations that the kubelet puts on what it creates.
POD_NAME, POD_NAMESPACE, POD_UID = "io.kubernetes.pod.name", "io.kubernetes.pod.namespace", "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
GRACE = "io.kubernetes.pod.terminationGracePeriod"
_TERMINATION_LOG = "/dev/termination-log"


def sandbox_config(pod: Pod, attempt: int, ip: str, log_root: str) -> PodSandboxConfig:
    """The sandbox of a pod."""
    meta, spec = pod.metadata, pod.spec
    grace = spec.termination_grace_period_seconds
    return PodSandboxConfig(
        uid=meta.uid,
        namespace=meta.namespace,
        name=meta.name,
        attempt=attempt,
        hostname=spec.hostname_override or spec.hostname or meta.name,
        ip=ip,
        log_directory=f"{log_root}/{meta.namespace}_{meta.name}_{meta.uid}" if log_root else "",
        labels={**meta.labels, **_identity(pod)},
        annotations={**meta.annotations, **({} if grace is None else {GRACE: str(grace)})},
    )


def _identity(pod: Pod) -> dict[str, str]:
    meta = pod.metadata
    return {POD_NAME: meta.name, POD_NAMESPACE: meta.namespace, POD_UID: meta.uid}


def container_config(
    pod: Pod,
    container: Container,
    attempt: int,
    *,
    env: Mapping[str, str],
    volumes: Mapping[str, str],
    path_in: Callable[[str, str], str],
) -> ContainerConfig:
    """A container. ``volumes`` are the host paths of the pod's volumes, ``path_in`` gives a path within one (subPath).

    Raises:
        ConfigError: a mount names no volume, or a subPath can't be had.
    """
    lifecycle = container.lifecycle
    return ContainerConfig(
        name=container.name,
        image=container.image or "",
        attempt=attempt,
        command=tuple(expand(word, env) for word in container.command),
        args=tuple(expand(word, env) for word in container.args),
        working_dir=container.working_dir or "",
        env=env,
        mounts=_mounts(container, env, volumes, path_in),
        labels={**_identity(pod), CONTAINER_NAME: container.name},
        log_path=f"{container.name}/{attempt}.log",
        stdin=bool(container.stdin),
        tty=bool(container.tty),
        stop_signal=(lifecycle.stop_signal if lifecycle is not None else None) or "SIGTERM",
        limits=_limits(container),
        termination_message_path=container.termination_message_path or _TERMINATION_LOG,
    )


def _mounts(
    container: Container, env: Mapping[str, str], volumes: Mapping[str, str], path_in: Callable[[str, str], str]
) -> tuple[Mount, ...]:
    if container.volume_devices:
        raise ConfigError(f"container {container.name} wants raw block devices, which are not supported here")
    mounts = []
    for mount in container.volume_mounts:
        if mount.name not in volumes:
            raise ConfigError(f'mount cannot be satisfied for container "{container.name}": no volume "{mount.name}"')
        path = volumes[mount.name]
        sub_path = mount.sub_path or expand(mount.sub_path_expr or "", env)
        if sub_path:
            try:
                path = path_in(path, sub_path)
            except OSError as error:
                raise ConfigError(
                    f'failed to prepare subPath for volumeMount "{mount.name}" of container "{container.name}": {error}'
                ) from error
        mounts.append(Mount(path, mount.mount_path, bool(mount.read_only)))
    return tuple(mounts)


def _limits(container: Container) -> Resources:
    limits = container.resources.limits if container.resources is not None else {}
    return Resources(
        cpu_milli=quantity.milli(limits["cpu"]) if "cpu" in limits else 0,
        memory_bytes=quantity.value(limits["memory"]) if "memory" in limits else 0,
    )
