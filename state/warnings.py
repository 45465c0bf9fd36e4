"""What the API server warns of in an object that it takes all the same."""

from __future__ import annotations

from collections.abc import Iterator

from state import names
from state.errors import quoted
from state.objects import (
    AnyObject,
    Container,
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    Pod,
    PodSpec,
    PodTemplate,
    PodTemplateSpec,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
)
from state.quantity import QuantityError, parse

_NANOS = 10**9
_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
}
_VOLUMES = {
    "photon_persistent_disk": ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    "git_repo": ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    "scale_io": ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    "flocker": ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    "storageos": ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    "quobyte": ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    "glusterfs": ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    "cephfs": ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    "rbd": ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
}
_NAMES_PODS = (CronJob, DaemonSet, Deployment, Job, ReplicaSet, ReplicationController)
_SURPRISING = "which can result in surprising behavior; a DNS label is recommended"


def warnings_of(new: AnyObject, old: AnyObject | None) -> Iterator[str]:
    """The warnings about an object that is created or, if there is an old one, changed; defaults are filled in."""
    if isinstance(new, Pod):
        if old is None:
            yield from _of_name(new, "the Pod's hostname")
        yield from _of_pod("", new.spec)
        return
    if old is None and isinstance(new, _NAMES_PODS):
        yield from _of_name(new, "Pod names and hostnames")
    template = _template(new)
    if template is not None and (old is None or _template(old) != template):
        yield from _of_pod(_TEMPLATE_PATHS.get(type(new), "spec.template."), template.spec)
    limit = new.spec.revision_history_limit if isinstance(new, StatefulSet) else None
    if limit is not None and limit < 0:
        yield (
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
        )


_TEMPLATE_PATHS: dict[type, str] = {CronJob: "spec.jobTemplate.spec.template.", PodTemplate: "template."}


def _template(obj: AnyObject) -> PodTemplateSpec | None:
    if isinstance(obj, PodTemplate):
        return obj.template
    if isinstance(obj, CronJob):
        return obj.spec.job_template.spec.template
    workloads = (DaemonSet, Deployment, Job, ReplicaSet, ReplicationController, StatefulSet)
    return obj.spec.template if isinstance(obj, workloads) else None


def _of_name(obj: AnyObject, use: str) -> Iterator[str]:
    messages = names.dns1123_label(obj.metadata.name)
    if messages:
        yield f"metadata.name: this is used in {use}, {_SURPRISING}: [{' '.join(messages)}]"


def _of_pod(path: str, spec: PodSpec) -> Iterator[str]:
    """Of the specification of pods; ``path`` is what ``spec`` is in, with a dot, or ""."""
    for name in sorted(spec.node_selector.keys() & _LABELS.keys()):
        yield f"{path}spec.nodeSelector[{name}]: {_LABELS[name]}"
    for index, volume in enumerate(spec.volumes):
        for field, (name, message) in _VOLUMES.items():
            if getattr(volume, field) is not None:
                yield f"{path}spec.volumes[{index}].{name}: {message}"
    for index, secret in enumerate(spec.image_pull_secrets):
        if not secret.name:
            yield f'{path}spec.imagePullSecrets[{index}].name: invalid empty name ""'
    for field, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(containers):
            yield from _of_container(f"{path}spec.{field}[{index}]", container)
    if (spec.termination_grace_period_seconds or 0) < 0:
        rule = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{path}spec.terminationGracePeriodSeconds: {rule}"


def _of_container(path: str, container: Container) -> Iterator[str]:
    resources = container.resources
    for field, amounts in () if resources is None else (("limits", resources.limits), ("requests", resources.requests)):
        for name in ("ephemeral-storage", "memory"):
            value = amounts.get(name)
            if value is not None and _is_fractional(str(value)):
                text = quoted(str(value))
                yield f"{path}.resources.{field}[{name}]: fractional byte value {text} is invalid, must be an integer"
    seen: set[str] = set()
    for index, variable in enumerate(container.env):
        if variable.name in seen:
            hidden = f"hides previous definition of {quoted(variable.name)}, which may be dropped when using apply"
            yield f"{path}.env[{index}]: {hidden}"
        seen.add(variable.name)


def _is_fractional(text: str) -> bool:
    try:
        return parse(text).nanos % _NANOS != 0
    except QuantityError:  # refused already
        return False
