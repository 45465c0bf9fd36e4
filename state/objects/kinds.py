"""The registry of kinds: what is typed, what it is called in URLs and on the command line."""

from __future__ import annotations

from typing import NamedTuple

from state.objects import core, pods, storage, volumes, workloads
from state.objects.meta import Object


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
    Kind(core.ConfigMap, "configmaps", True, ("cm",)),
    Kind(workloads.ControllerRevision, "controllerrevisions", True),
    Kind(workloads.CronJob, "cronjobs", True, ("cj",)),
    Kind(storage.CSIStorageCapacity, "csistoragecapacities", True),
    Kind(workloads.DaemonSet, "daemonsets", True, ("ds",)),
    Kind(workloads.Deployment, "deployments", True, ("deploy",)),
    Kind(core.EndpointSlice, "endpointslices", True),
    Kind(core.Endpoints, "endpoints", True, ("ep",)),
    Kind(core.Event, "events", True, ("ev",)),
    Kind(workloads.Job, "jobs", True),
    Kind(core.Lease, "leases", True),
    Kind(core.LimitRange, "limitranges", True, ("limits",)),
    Kind(volumes.PersistentVolumeClaim, "persistentvolumeclaims", True, ("pvc",)),
    Kind(pods.Pod, "pods", True, ("po",)),
    Kind(core.PodDisruptionBudget, "poddisruptionbudgets", True, ("pdb",)),
    Kind(workloads.PodTemplate, "podtemplates", True),
    Kind(workloads.ReplicaSet, "replicasets", True, ("rs",)),
    Kind(workloads.ReplicationController, "replicationcontrollers", True, ("rc",)),
    Kind(core.ResourceQuota, "resourcequotas", True, ("quota",)),
    Kind(core.Secret, "secrets", True),
    Kind(core.Service, "services", True, ("svc",)),
    Kind(core.ServiceAccount, "serviceaccounts", True, ("sa",)),
    Kind(workloads.StatefulSet, "statefulsets", True, ("sts",)),
)
_CLUSTER = (
    Kind(storage.CSIDriver, "csidrivers", False),
    Kind(storage.CSINode, "csinodes", False),
    Kind(core.Namespace, "namespaces", False, ("ns",)),
    Kind(core.Node, "nodes", False, ("no",)),
    Kind(volumes.PersistentVolume, "persistentvolumes", False, ("pv",)),
    Kind(core.PriorityClass, "priorityclasses", False, ("pc",)),
    Kind(storage.StorageClass, "storageclasses", False, ("sc",)),
    Kind(storage.VolumeAttachment, "volumeattachments", False),
)

#: Every typed kind by its name. A kind that isn't here is carried as ``CustomObject``.
KINDS: dict[str, Kind] = {kind.name: kind for kind in (*_NAMESPACED, *_CLUSTER)}

_BY_WORD = {word: kind for kind in KINDS.values() for word in (kind.name.lower(), kind.plural, *kind.short)}


def find_kind(word: str) -> Kind | None:
    """The kind meant by a word of the command line: ``deploy``, ``Deployments``, ``deployment.apps``."""
    name, _, group = word.lower().partition(".")
    kind = _BY_WORD.get(name)
    return kind if kind is not None and group in ("", kind.group) else None
