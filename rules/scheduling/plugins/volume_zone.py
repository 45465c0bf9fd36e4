"""VolumeZone: a volume labelled with zones is used only from nodes in them."""

from __future__ import annotations

from collections.abc import Iterator

from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.status import SKIP, UNRESOLVABLE, PreFilterResult, Refusal
from rules.scheduling.volumes import WAIT_FOR_FIRST_CONSUMER, claim_class, not_found
from state.objects import PersistentVolume, PersistentVolumeClaim, StorageClass

REASON = "node(s) had no available volume zone"
#: Topology labels and what they are called since they left beta.
LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region": "topology.kubernetes.io/region",
}
_SEPARATOR = "__"

#: A label of the pod's volumes and the values that it allows.
_Topology = tuple[str, frozenset[str]]


class VolumeZone(Plugin):
    """Rejects nodes in another zone or region than a bound volume's labels say."""

    name = "VolumeZone"

    def pre_filter(self, cycle: Cycle) -> PreFilterResult:
        """Collects the labels of the volumes; claims that never get one reject the pod."""
        topologies: list[_Topology] = []
        for volume in cycle.cls.volumes:
            if volume.persistent_volume_claim is None:
                continue
            problem = self._add(cycle, volume.persistent_volume_claim.claim_name, topologies)
            if problem is not None:
                return self.refuse(UNRESOLVABLE, problem)
        if not topologies:
            return SKIP
        cycle.state[self.name] = tuple(topologies)
        return None

    def _add(self, cycle: Cycle, name: str, topologies: list[_Topology]) -> str | None:
        cluster = cycle.cluster
        claim = cluster.find(PersistentVolumeClaim, name, cycle.entry.key[0])
        if claim is None:
            return not_found(name)
        if not claim.spec.volume_name:
            class_name = claim_class(claim)
            if not class_name:
                return "PersistentVolumeClaim had no pv name and storageClass name"
            storage_class = cluster.find(StorageClass, class_name)
            if storage_class is None:
                return f'storageclass.storage.k8s.io "{class_name}" not found'
            if storage_class.volume_binding_mode is None:
                return f'VolumeBindingMode not set for StorageClass "{class_name}"'
            if storage_class.volume_binding_mode == WAIT_FOR_FIRST_CONSUMER:
                return None
            return "PersistentVolume had no name"
        volume = cluster.find(PersistentVolume, claim.spec.volume_name)
        if volume is None:
            return f'persistentvolume "{claim.spec.volume_name}" not found'
        labels = volume.metadata.labels
        for key in LABELS:
            if key in labels:
                zones = frozenset(zone.strip() for zone in labels[key].split(_SEPARATOR))
                if "" not in zones:
                    topologies.append((key, zones))
        return None

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's VolumeZone."""
        return self.refuse(UNRESOLVABLE, REASON) if next(missed(cycle, node), None) is not None else None


def missed(cycle: Cycle, node: NodeInfo) -> Iterator[_Topology]:
    """After PreFilter: the labels of the pod's volumes that a node isn't among; one without any is in every zone."""
    topologies: tuple[_Topology, ...] = cycle.state[VolumeZone.name]
    if any(key in node.labels for key in LABELS):
        for key, zones in topologies:
            if node.labels.get(key, node.labels.get(LABELS[key])) not in zones:
                yield key, zones
