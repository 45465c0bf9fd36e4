"""What the API server fills in before it validates and stores an object (Kubernetes v1.34).

These are the defaults that depend on nothing but the object itself: those of the versioned API, the spellings that
it keeps in two fields at once, and canonical quantities. What depends on the cluster or on the moment isn't here:
addresses and ports that are allocated, what admission plug-ins add, what a creation sets anew (uid, generation, the
selector of a Job).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from state.defaults import cluster, pods, services, storage, workloads
from state.objects import (
    AnyObject,
    CronJob,
    CSIDriver,
    CSIStorageCapacity,
    DaemonSet,
    Deployment,
    Endpoints,
    EndpointSlice,
    Job,
    LimitRange,
    Namespace,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodTemplate,
    PriorityClass,
    ReplicaSet,
    ReplicationController,
    ResourceQuota,
    Secret,
    Service,
    StatefulSet,
    StorageClass,
    VolumeAttachment,
)

__all__ = ["default"]

Obj = TypeVar("Obj", bound=AnyObject)

#: One function per kind; a kind that isn't here has no defaults.
_DEFAULTS: dict[type, Callable[[Any], Any]] = {
    CronJob: workloads.cron_job,
    CSIDriver: storage.csi_driver,
    CSIStorageCapacity: storage.csi_storage_capacity,
    DaemonSet: workloads.daemon_set,
    Deployment: workloads.deployment,
    Endpoints: services.endpoints,
    EndpointSlice: services.endpoint_slice,
    Job: workloads.job,
    LimitRange: cluster.limit_range,
    Namespace: cluster.namespace,
    Node: cluster.node,
    PersistentVolume: storage.persistent_volume,
    PersistentVolumeClaim: storage.persistent_volume_claim,
    Pod: pods.pod,
    PodTemplate: workloads.template,
    PriorityClass: cluster.priority_class,
    ReplicaSet: workloads.replica_set,
    ReplicationController: workloads.replication_controller,
    ResourceQuota: cluster.resource_quota,
    Secret: cluster.secret,
    Service: services.service,
    StatefulSet: workloads.stateful_set,
    StorageClass: storage.storage_class,
    VolumeAttachment: storage.volume_attachment,
}


def default(obj: Obj) -> Obj:
    """``obj`` with every default filled in; the very same object if it has them all.

    Never fails: a value that cannot be read (a quantity, say) is left for validation to report.
    """
    fill = _DEFAULTS.get(type(obj))
    result: Obj = obj if fill is None else fill(obj)
    return result
