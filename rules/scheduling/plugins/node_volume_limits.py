"""NodeVolumeLimits: a CSI driver can attach only so many volumes to a node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rules.scheduling.cluster import Cluster
from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.pods import PodEntry
from rules.scheduling.status import SKIP, UNRESOLVABLE, UNSCHEDULABLE, PreFilterResult, Refusal
from rules.scheduling.volumes import (
    claim_class,
    claim_name,
    is_for_pod,
    not_found,
)
from state.objects import (
    CSINode,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeSpec,
    StorageClass,
    Volume,
    VolumeAttachment,
)

REASON = "node(s) exceed max volume count"
_MIGRATED = "storage.alpha.kubernetes.io/migrated-plugins"
#: In-tree plugin -> the CSI driver that serves its volumes where migration is on.
_MIGRATION = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
}

#: Driver and volume handle.
_Attachment = tuple[str, str]


class Excess(NamedTuple):
    """A driver that would have to attach ``more`` volumes to a node beside those ``used``, beyond its limit."""

    driver: str
    more: int
    used: int
    limit: int


class NodeVolumeLimits(Plugin):
    """Rejects nodes that would exceed a driver's limit."""

    name = "NodeVolumeLimits"

    def pre_filter(self, cycle: Cycle) -> PreFilterResult:
        """Skips pods without volumes that could count; finds what is attached to nodes, in use or not."""
        if not any(_may_count(volume) for volume in cycle.cls.volumes):
            return SKIP
        cycle.state[self.name] = _attached(cycle.cluster)
        return None

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's CSILimits: a volume that several pods share counts once."""
        csi_node = cycle.cluster.find(CSINode, node.name)
        wanted: set[_Attachment] = set()
        problem = attachments(cycle.cluster, cycle.entry, csi_node, wanted, is_new=True)
        if problem is not None:
            return self.refuse(UNRESOLVABLE, problem)
        return self.refuse(UNSCHEDULABLE, REASON) if next(_excesses(cycle, node, csi_node, wanted), None) else None


def excesses(cycle: Cycle, node: NodeInfo) -> Iterator[Excess]:
    """After PreFilter: the limits that a pod would exceed on a node, by driver."""
    csi_node = cycle.cluster.find(CSINode, node.name)
    wanted: set[_Attachment] = set()
    attachments(cycle.cluster, cycle.entry, csi_node, wanted, is_new=True)
    return _excesses(cycle, node, csi_node, wanted)


def _excesses(cycle: Cycle, node: NodeInfo, csi_node: CSINode | None, wanted: set[_Attachment]) -> Iterator[Excess]:
    limits = limits_of(csi_node)
    if not wanted or not limits:
        return
    used = set(attached(cycle).get(node.name, ()))
    for entry in node.pods.values():
        if entry.cls.volumes:
            attachments(cycle.cluster, entry, csi_node, used, is_new=False)
    more, taken = (Counter(driver for driver, _ in volumes) for volumes in (wanted - used, used))
    for driver in sorted(more.keys() & limits.keys()):
        if more[driver] + taken[driver] > limits[driver]:
            yield Excess(driver, more[driver], taken[driver], limits[driver])


def attached(cycle: Cycle) -> Mapping[str, Sequence[_Attachment]]:
    """After PreFilter: the CSI volumes that VolumeAttachments name, by node."""
    found: dict[str, list[_Attachment]] = cycle.state[NodeVolumeLimits.name]
    return found


def _attached(cluster: Cluster) -> dict[str, list[_Attachment]]:
    found: dict[str, list[_Attachment]] = {}
    for attachment in cluster.view.table("VolumeAttachment").values():
        assert isinstance(attachment, VolumeAttachment)
        volume = cluster.find(PersistentVolume, attachment.spec.source.persistent_volume_name or "")
        if volume is not None and volume.spec.csi is not None:
            handle = (attachment.spec.attacher, volume.spec.csi.volume_handle)
            found.setdefault(attachment.spec.node_name, []).append(handle)
    return found


def attachments(
    cluster: Cluster, entry: PodEntry, csi_node: CSINode | None, found: set[_Attachment], *, is_new: bool
) -> str | None:
    """Adds the CSI volumes of a pod to ``found``; says what is wrong with a claim if the pod is to be placed."""
    for volume in entry.cls.volumes:
        name = claim_name(entry, volume)
        if name is None:
            attachment = _inline(volume, csi_node)
        else:
            claim = cluster.find(PersistentVolumeClaim, name, entry.key[0])
            if claim is None:
                if is_new:
                    return f"looking up PVC {entry.key[0]}/{name}: {not_found(name)}"
                continue
            if volume.ephemeral is not None and not is_for_pod(entry, claim.metadata):
                if is_new:
                    key = "/".join(entry.key)
                    return f"PVC {entry.key[0]}/{name} was not created for pod {key} (pod is not owner)"
                continue
            attachment = _of_claim(cluster, claim, csi_node)
        if attachment is not None:
            found.add(attachment)
    return None


def _of_claim(cluster: Cluster, claim: PersistentVolumeClaim, csi_node: CSINode | None) -> _Attachment | None:
    """The driver and handle of a claim's volume, or of the one that its class would provision."""
    volume = cluster.find(PersistentVolume, claim.spec.volume_name) if claim.spec.volume_name else None
    if volume is None:
        return _of_class(cluster, claim, csi_node)
    if volume.spec.csi is not None:
        driver, handle = volume.spec.csi.driver, volume.spec.csi.volume_handle
        return (driver, handle) if driver and handle else None
    plugin = _in_tree(volume.spec)
    if plugin is None or not _is_migrated(csi_node, plugin[0]):
        return None
    return (_MIGRATION[plugin[0]], plugin[1])


def _of_class(cluster: Cluster, claim: PersistentVolumeClaim, csi_node: CSINode | None) -> _Attachment | None:
    name = claim_class(claim)
    storage_class = cluster.find(StorageClass, name) if name else None
    if storage_class is None:
        return None
    provisioner = storage_class.provisioner
    if provisioner in _MIGRATION:
        if not _is_migrated(csi_node, provisioner):
            return None
        provisioner = _MIGRATION[provisioner]
    # A handle that no volume has: were the claim bound meanwhile, it would count twice.
    return (provisioner, f"claim {claim.metadata.namespace}/{claim.metadata.name}")


def _inline(volume: Volume, csi_node: CSINode | None) -> _Attachment | None:
    plugin = _in_tree(volume)
    if plugin is None or not _is_migrated(csi_node, plugin[0]):
        return None
    return (_MIGRATION[plugin[0]], plugin[1])


def _in_tree(source: Volume | PersistentVolumeSpec) -> tuple[str, str] | None:
    """The in-tree plugin of a volume, and what names its disk, if CSI can take it over."""
    if source.aws_elastic_block_store is not None:
        return ("kubernetes.io/aws-ebs", source.aws_elastic_block_store.volume_id)
    if source.gce_persistent_disk is not None:
        return ("kubernetes.io/gce-pd", source.gce_persistent_disk.pd_name)
    if source.azure_disk is not None:
        return ("kubernetes.io/azure-disk", source.azure_disk.disk_uri)
    for plugin, opaque in (
        ("kubernetes.io/azure-file", source.azure_file),
        ("kubernetes.io/cinder", source.cinder),
        ("kubernetes.io/portworx-volume", source.portworx_volume),
        ("kubernetes.io/vsphere-volume", source.vsphere_volume),
    ):
        if opaque is not None:
            return (plugin, repr(opaque.value))
    return None


def _is_migrated(csi_node: CSINode | None, plugin: str) -> bool:
    if csi_node is None:
        return False
    return plugin in csi_node.metadata.annotations.get(_MIGRATED, "").split(",")


def limits_of(csi_node: CSINode | None) -> dict[str, int]:
    """How many volumes each driver can attach to the node, where it says so."""
    drivers = csi_node.spec.drivers if csi_node is not None else ()
    return {
        driver.name: driver.allocatable.count
        for driver in drivers
        if driver.allocatable is not None and driver.allocatable.count is not None
    }


def _may_count(volume: Volume) -> bool:
    return volume.persistent_volume_claim is not None or volume.ephemeral is not None or _in_tree(volume) is not None
