"""Whether the API server would take an object, and every reason why not (Kubernetes v1.36).

Messages, paths and their order are the API server's, so that what is refused here is refused there in the same words.
What needs more than the object itself isn't decided here: whether names exist, addresses are free, quotas allow it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from state.defaults import default
from state.errors import Problem
from state.objects import (
    AnyObject,
    ConfigMap,
    ControllerRevision,
    CronJob,
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    CustomObject,
    DaemonSet,
    Deployment,
    Endpoints,
    EndpointSlice,
    Event,
    Job,
    Lease,
    LimitRange,
    Namespace,
    Node,
    Object,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodDisruptionBudget,
    PodTemplate,
    PriorityClass,
    ReplicaSet,
    ReplicationController,
    ResourceQuota,
    Secret,
    Service,
    ServiceAccount,
    StatefulSet,
    StorageClass,
    VolumeAttachment,
)
from state.validation import (
    claims,
    classes,
    cluster,
    configuration,
    endpoints,
    events,
    job_updates,
    jobs,
    limits,
    metadata,
    pod_resizing,
    pod_updates,
    pods,
    services,
    storage,
    workloads,
)
from state.validation._checks import Rule
from state.validation._report import EnoughError, Report

__all__ = ["changes_of", "fields_of", "new_event_problems", "resize_problems", "validate", "validate_update"]

#: One function per kind.
_CHECKS: dict[type, Callable[[Report, Any], None]] = {
    ConfigMap: configuration.config_map,
    ControllerRevision: workloads.controller_revision,
    CronJob: jobs.cron_job,
    CSIDriver: classes.csi_driver,
    CSINode: classes.csi_node,
    CSIStorageCapacity: classes.csi_storage_capacity,
    DaemonSet: workloads.daemon_set,
    Deployment: workloads.deployment,
    Endpoints: endpoints.endpoints,
    EndpointSlice: endpoints.endpoint_slice,
    Event: events.event,
    Job: jobs.job,
    Lease: cluster.lease,
    LimitRange: limits.limit_range,
    Namespace: cluster.namespace,
    Node: cluster.node,
    PersistentVolume: storage.persistent_volume,
    PersistentVolumeClaim: claims.persistent_volume_claim,
    Pod: pods.pod,
    PodDisruptionBudget: cluster.pod_disruption_budget,
    PodTemplate: workloads.template,
    PriorityClass: cluster.priority_class,
    ReplicaSet: workloads.replica_set,
    ReplicationController: workloads.replication_controller,
    ResourceQuota: limits.resource_quota,
    Secret: configuration.secret,
    Service: services.service,
    ServiceAccount: configuration.service_account,
    StatefulSet: workloads.stateful_set,
    StorageClass: classes.storage_class,
    VolumeAttachment: classes.volume_attachment,
}

#: What may not change; a kind that isn't here can change in everything but its name.
_UPDATES: dict[type, Callable[[Report, Any, Any], None]] = {
    ConfigMap: configuration.config_map_update,
    ControllerRevision: workloads.controller_revision_update,
    CSIDriver: classes.csi_driver_update,
    CSINode: classes.csi_node_update,
    CSIStorageCapacity: classes.csi_storage_capacity_update,
    DaemonSet: workloads.selector_update,
    Deployment: workloads.selector_update,
    EndpointSlice: endpoints.endpoint_slice_update,
    Job: job_updates.job_update,
    Node: cluster.node_update,
    PersistentVolume: storage.persistent_volume_update,
    PersistentVolumeClaim: claims.persistent_volume_claim_update,
    Pod: pod_updates.pod_update,
    PriorityClass: cluster.priority_class_update,
    ReplicaSet: workloads.selector_update,
    ResourceQuota: limits.resource_quota_update,
    Secret: configuration.secret_update,
    Service: services.service_update,
    StatefulSet: workloads.stateful_set_update,
    StorageClass: classes.storage_class_update,
    VolumeAttachment: classes.volume_attachment_update,
}


def validate(obj: AnyObject, name_rule: Rule = metadata.path_segment, *, is_new: bool = False) -> tuple[Problem, ...]:
    """The problems of an object, none if the API server would take it: all of them, up to ``MOST_PROBLEMS``.

    Defaults that it lacks are taken as given. Of kinds without a type, only the metadata is looked at, and
    ``name_rule`` says which names they may have. A missing namespace is no problem: it means "default". ``is_new``
    asks for what it may not have when it is created, too.
    """
    found = Report()
    with suppress(EnoughError):
        if isinstance(obj, CustomObject):
            metadata.custom_meta(found, obj.metadata, name_rule)
        else:
            _CHECKS[type(obj)](found, default(obj))
            if is_new and isinstance(obj, Pod):
                pods.new_pod(found, obj)
    return tuple(found.problems)


def fields_of(obj: Object) -> tuple[list[Problem], list[Problem]]:
    """The problems of an object's metadata, and those of all else."""
    found = Report()
    with suppress(EnoughError):
        _CHECKS[type(obj)](found, default(obj))
    return found.problems[: found.of_metadata], found.problems[found.of_metadata :]


def changes_of(new: Object, old: Object) -> list[Problem]:
    """What of an object's fields changes that can't, its metadata apart. Both have their defaults."""
    found = Report()
    check = _UPDATES.get(type(new))
    with suppress(EnoughError):
        if check is not None:
            check(found, new, old)
    return found.problems


def validate_update(new: AnyObject, old: AnyObject) -> tuple[Problem, ...]:
    """What ``new`` changes that cannot be changed once it is stored as in ``old``; none if the update may be made.

    Whether ``new`` is valid in itself is for ``validate`` to say, though of pods some of it is told again. Both are of
    one kind. Single values that an
    update takes over (uid, cluster IP, a pod's priority) and a Job's selector may be missing from ``new``. All else
    counts as it is, so the node of a pod and what admission added to it must be there.

    Raises:
        TypeError: if the objects are of different kinds.
    """
    if type(new) is not type(old) or (new.api_version, new.kind) != (old.api_version, old.kind):
        raise TypeError(f"expected an update of {old.api_version} {old.kind}, found {new.api_version} {new.kind}")
    found = Report()
    check = _UPDATES.get(type(new))
    with suppress(EnoughError):
        metadata.meta_update(found, new.metadata, old.metadata)
        if check is not None:
            check(found, default(new), default(old))
    return tuple(found.problems)


def resize_problems(new: Pod, old: Pod) -> tuple[Problem, ...]:
    """What of a pod's resources may not change as they do; nothing else of it changes."""
    found = Report()
    with suppress(EnoughError):
        pod_resizing.pod_resize(found, new, old)
    return tuple(found.problems)


def new_event_problems(new: Event, old: Event | None = None) -> tuple[Problem, ...]:
    """What of an Event that was sent as events.k8s.io/v1 isn't allowed, or not as a change of the old one.

    That API asks for more than v1, in which Events are stored.
    """
    found = Report()
    with suppress(EnoughError):
        if old is None:
            events.new_event(found, new)
        else:
            events.new_event_update(found, new, old)
    return tuple(found.problems)
