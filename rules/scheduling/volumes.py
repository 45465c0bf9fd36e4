"""What the volume plugins share: a pod's claims, their classes, and which volumes they may have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rules.scheduling.cluster import Cluster
from rules.scheduling.pods import PodEntry
from state.objects import (
    ObjectMeta,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
    Volume,
)

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
#: On a volume: its claim was not chosen by its maker.
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
#: On a claim: the node that was chosen for the first pod of a WaitForFirstConsumer claim.
SELECTED_NODE = "volume.kubernetes.io/selected-node"
WAIT_FOR_FIRST_CONSUMER = "WaitForFirstConsumer"
#: Volumes of a StorageClass with this provisioner are made by hand.
NO_PROVISIONER = "kubernetes.io/no-provisioner"
READ_WRITE_ONCE_POD = "ReadWriteOncePod"
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


class ClaimUse(NamedTuple):
    """A claim that a pod's volume names; ``claim`` is None if it doesn't exist."""

    name: str
    claim: PersistentVolumeClaim | None
    ephemeral: bool


def claim_name(entry: PodEntry, volume: Volume) -> str | None:
    """The name of the claim behind a volume; that of an ephemeral volume is made of the pod's and its own."""
    if volume.persistent_volume_claim is not None:
        return volume.persistent_volume_claim.claim_name
    return f"{entry.key[1]}-{volume.name}" if volume.ephemeral is not None else None


def claim_uses(cluster: Cluster, entry: PodEntry) -> Iterator[ClaimUse]:
    """The claims of a pod's volumes, in their order."""
    for volume in entry.cls.volumes:
        name = claim_name(entry, volume)
        if name is not None:
            yield ClaimUse(name, cluster.find(PersistentVolumeClaim, name, entry.key[0]), volume.ephemeral is not None)


def claim_class(claim: PersistentVolumeClaim) -> str:
    """The claim's storage class: the old annotation, else the field; "" for none."""
    return claim.metadata.annotations.get(_CLASS_ANNOTATION, claim.spec.storage_class_name or "")


def volume_class(volume: PersistentVolume) -> str:
    """The volume's storage class: the old annotation, else the field; "" for none."""
    return volume.metadata.annotations.get(_CLASS_ANNOTATION, volume.spec.storage_class_name or "")


def is_bound(claim: PersistentVolumeClaim) -> bool:
    """Whether the claim has its volume for good."""
    return bool(claim.spec.volume_name) and BIND_COMPLETED in claim.metadata.annotations


def waits_for_consumer(cluster: Cluster, claim: PersistentVolumeClaim) -> bool:
    """Whether the claim's class leaves binding to the scheduler."""
    name = claim_class(claim)
    found = cluster.find(StorageClass, name) if name else None
    return found is not None and found.volume_binding_mode == WAIT_FOR_FIRST_CONSUMER


def is_for_pod(entry: PodEntry, meta: ObjectMeta) -> bool:
    """Whether a claim was made for the pod's ephemeral volume."""
    pod = entry.pod.metadata
    return meta.namespace == pod.namespace and any(
        owner.controller and owner.uid == pod.uid for owner in meta.owner_references
    )


def not_found(name: str) -> str:
    """What is said of a claim that doesn't exist."""
    return f'persistentvolumeclaim "{name}" not found'
