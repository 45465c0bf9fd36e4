"""The registry of kinds: what is typed, what it is called in URLs and on the command line."""

from __future__ import annotations

from typing import NamedTuple

from state.objects.core import (
    ConfigMap,
    Endpoints,
    EndpointSlice,
    Event,
    Lease,
    LimitRange,
    Namespace,
    Node,
    PodDisruptionBudget,
    PriorityClass,
    ResourceQuota,
    Secret,
    Service,
    ServiceAccount,
)
from state.objects.meta import Object
from state.objects.pods import Pod
from state.objects.storage import CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment
from state.objects.volumes import PersistentVolume, PersistentVolumeClaim
from state.objects.workloads import (
    ControllerRevision,
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    PodTemplate,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
)


class Kind(NamedTuple):
    """One served kind."""

    type: type[Object]
    plural: str
    namespaced: bool
    short: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The kind as in a manifest: ``Pod``."""
        return self.type.kind

    @property
    def api_version(self) -> str:
        """The group and version as in a manifest: ``apps/v1``."""
        return self.type.api_version

    @property
    def group(self) -> str:
        """The API group; "" for v1."""
        return self.api_version.rpartition("/")[0]


_NAMESPACED = (
    Kind(ConfigMap, "configmaps", True, ("cm",)),
    Kind(ControllerRevision, "controllerrevisions", True),
    Kind(CronJob, "cronjobs", True, ("cj",)),
    Kind(CSIStorageCapacity, "csistoragecapacities", True),
    Kind(DaemonSet, "daemonsets", True, ("ds",)),
    Kind(Deployment, "deployments", True, ("deploy",)),
    Kind(EndpointSlice, "endpointslices", True),
    Kind(Endpoints, "endpoints", True, ("ep",)),
    Kind(Event, "events", True, ("ev",)),
    Kind(Job, "jobs", True),
    Kind(Lease, "leases", True),
    Kind(LimitRange, "limitranges", True, ("limits",)),
    Kind(PersistentVolumeClaim, "persistentvolumeclaims", True, ("pvc",)),
    Kind(Pod, "pods", True, ("po",)),
    Kind(PodDisruptionBudget, "poddisruptionbudgets", True, ("pdb",)),
    Kind(PodTemplate, "podtemplates", True),
    Kind(ReplicaSet, "replicasets", True, ("rs",)),
    Kind(ReplicationController, "replicationcontrollers", True, ("rc",)),
    Kind(ResourceQuota, "resourcequotas", True, ("quota",)),
    Kind(Secret, "secrets", True),
    Kind(Service, "services", True, ("svc",)),
    Kind(ServiceAccount, "serviceaccounts", True, ("sa",)),
    Kind(StatefulSet, "statefulsets", True, ("sts",)),
)
_CLUSTER = (
    Kind(CSIDriver, "csidrivers", False),
    Kind(CSINode, "csinodes", False),
    Kind(Namespace, "namespaces", False, ("ns",)),
    Kind(Node, "nodes", False, ("no",)),
    Kind(PersistentVolume, "persistentvolumes", False, ("pv",)),
    Kind(PriorityClass, "priorityclasses", False, ("pc",)),
    Kind(StorageClass, "storageclasses", False, ("sc",)),
    Kind(VolumeAttachment, "volumeattachments", False),
)

#: Every typed kind by its name. A kind that isn't here is carried as ``CustomObject``.
KINDS: dict[str, Kind] = {kind.name: kind for kind in (*_NAMESPACED, *_CLUSTER)}

_BY_WORD = {word: kind for kind in KINDS.values() for word in (kind.name.lower(), kind.plural, *kind.short)}


def find_kind(word: str) -> Kind | None:
    """The kind meant by a word of the command line: ``deploy``, ``Deployments``, ``deployment.apps``."""
    name, _, group = word.lower().partition(".")
    kind = _BY_WORD.get(name)
    return kind if kind is not None and group in ("", kind.group) else None
