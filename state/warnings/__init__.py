"""What the API server warns of in an object that it takes all the same, as kube-apiserver 1.36 does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from state import names
from state.objects import (
    AnyObject,
    CronJob,
    CSIStorageCapacity,
    DaemonSet,
    Deployment,
    Endpoints,
    EndpointSlice,
    Job,
    JobSpec,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodTemplate,
    PodTemplateSpec,
    ReplicaSet,
    ReplicationController,
    Secret,
    Service,
    ServiceAccount,
    StatefulSet,
    StorageClass,
)
from state.warnings import network, secrets, storage
from state.warnings.pods import of_pod, of_template

_SURPRISING = "which can result in surprising behavior; a DNS label is recommended"
_MANY_COMPLETIONS, _MANY_PARALLEL = 100_000, 10_000
_UNTRACKED = (
    "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes "
    "might not be able to track completedIndexes when a big number of indexes fail"
)
_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"
_Template = tuple[str, PodTemplateSpec]


def warnings_of(new: AnyObject, old: AnyObject | None) -> Iterator[str]:
    """The warnings about an object that is created or, if there is an old one, changed; defaults are filled in."""
    if old is None and isinstance(new, Pod):
        yield from _of_name(new, "the Pod's hostname")
        yield from of_pod(new)
    elif isinstance(new, tuple(_TEMPLATES)):
        if old is None and not isinstance(new, (PodTemplate, StatefulSet)):
            yield from _of_name(new, "Pod names and hostnames")
        yield from _of_workload(new, old)
    elif (check := _OTHERS.get(type(new))) is not None:
        yield from check(new)
    elif isinstance(new, ServiceAccount):
        before = {} if old is None else old.metadata.annotations
        if _MOUNTABLE in new.metadata.annotations.keys() - before.keys():
            advice = "prefer separate namespaces to isolate access to mounted secrets"
            yield f"metadata.annotations[{_MOUNTABLE}]: deprecated in v1.32+; {advice}"


#: Kinds whose objects are looked at in the same way whenever they are written.
_OTHERS: dict[type, Callable[[Any], Iterator[str]]] = {
    CSIStorageCapacity: storage.of_capacity,
    Endpoints: network.of_endpoints,
    EndpointSlice: network.of_endpoint_slice,
    Node: network.of_node,
    PersistentVolume: storage.of_volume,
    PersistentVolumeClaim: storage.of_claim,
    Secret: secrets.of_secret,
    Service: network.of_service,
    StorageClass: storage.of_class,
}
#: By kind: where the template of its pods is, and the template.
_TEMPLATES: dict[type, Callable[[Any], _Template]] = {
    kind: lambda obj: ("spec.template.", obj.spec.template)
    for kind in (DaemonSet, Deployment, Job, ReplicaSet, ReplicationController, StatefulSet)
}
_TEMPLATES[CronJob] = lambda obj: ("spec.jobTemplate.spec.template.", obj.spec.job_template.spec.template)
_TEMPLATES[PodTemplate] = lambda obj: ("template.", obj.template)


def _of_name(obj: AnyObject, use: str) -> Iterator[str]:
    messages = names.dns1123_label(obj.metadata.name)
    if messages:
        yield f"metadata.name: this is used in {use}, {_SURPRISING}: [{' '.join(messages)}]"


def _of_workload(new: AnyObject, old: AnyObject | None) -> Iterator[str]:
    """Of its template, if anything but labels and status changes."""
    if old is None or new.metadata.generation != old.metadata.generation:
        if isinstance(new, Job):
            yield from _of_job("spec", new.spec)
        elif isinstance(new, CronJob):
            yield from _of_job("spec.jobTemplate.spec", new.spec.job_template.spec)
        yield from of_template(*_TEMPLATES[type(new)](new))
    if not isinstance(new, StatefulSet):
        return
    limit = new.spec.revision_history_limit
    if limit is not None and limit < 0:
        advice = "a negative value retains all historical revisions; a value >= 0 is recommended"
        yield f"spec.revisionHistoryLimit: {advice}"
    for index, claim in enumerate(new.spec.volume_claim_templates):
        yield from storage.of_claim_spec(f"spec.volumeClaimTemplates[{index}].Spec", claim.spec)


def _of_job(path: str, spec: JobSpec) -> Iterator[str]:
    many = (spec.completions or 0) > _MANY_COMPLETIONS and (spec.parallelism or 0) > _MANY_PARALLEL
    if spec.completion_mode == "Indexed" and many:
        yield f"{path}: {_UNTRACKED}"
