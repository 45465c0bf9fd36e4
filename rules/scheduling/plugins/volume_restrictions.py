"""VolumeRestrictions: disks that can be mounted once, and claims that one pod at a time may use."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from rules.scheduling.framework import Cycle, Plugin
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.pods import PodEntry
from rules.scheduling.status import SKIP, UNRESOLVABLE, UNSCHEDULABLE, PreFilterResult, Refusal
from rules.scheduling.volumes import READ_WRITE_ONCE_POD, claim_name, not_found
from state.objects import PersistentVolumeClaim, Volume

REASON_DISK = "node(s) had no available disk"
REASON_ONCE_POD = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
)
_DEFAULT_POOL = "rbd"


@dataclass(slots=True)
class _Once:
    """The pod's claims for one pod alone, and how many pods use them already."""

    claims: frozenset[str]
    users: int

    def copy(self) -> _Once:
        return replace(self)


class VolumeRestrictions(Plugin):
    """Rejects nodes where a pod's disk or claim is in use in a way that excludes the pod."""

    name = "VolumeRestrictions"

    def pre_filter(self, cycle: Cycle) -> PreFilterResult:
        """Finds the ReadWriteOncePod claims; a claim that doesn't exist rejects the pod."""
        entry, cluster = cycle.entry, cycle.cluster
        once: set[str] = set()
        for volume in entry.cls.volumes:
            if volume.persistent_volume_claim is None:
                continue
            name = volume.persistent_volume_claim.claim_name
            claim = cluster.find(PersistentVolumeClaim, name, entry.key[0])
            if claim is None:
                return self.refuse(UNRESOLVABLE, not_found(name))
            if READ_WRITE_ONCE_POD in claim.spec.access_modes:
                once.add(name)
        used = len({name for _, name in claim_users(cycle, once)}) if once else 0
        cycle.state[self.name] = _Once(frozenset(once), used)
        if not used and not any(_is_disk(volume) for volume in entry.cls.volumes):
            return SKIP
        return None

    def move_pod(self, cycle: Cycle, entry: PodEntry, node: NodeInfo, change: int) -> None:
        """As kube-scheduler, which looks at names of claims alone here: in all namespaces, without ephemeral ones."""
        once: _Once = cycle.state[self.name]
        if once.claims:
            claims = (volume.persistent_volume_claim for volume in entry.cls.volumes)
            once.users += change * sum(claim is not None and claim.claim_name in once.claims for claim in claims)

    def filter(self, cycle: Cycle, node: NodeInfo) -> Refusal | None:
        """As kube-scheduler's VolumeRestrictions."""
        if next(disk_users(cycle, node), None) is not None:
            return self.refuse(UNSCHEDULABLE, REASON_DISK)
        return self.refuse(UNSCHEDULABLE, REASON_ONCE_POD) if cycle.state[self.name].users > 0 else None


def disk_users(cycle: Cycle, node: NodeInfo) -> Iterator[tuple[PodEntry, str]]:
    """The pods of a node whose disks a pod wants, and the pod's own volume."""
    for volume in cycle.cls.volumes:
        if _is_disk(volume):
            for entry in node.pods.values():
                if any(_collide(volume, other) for other in entry.cls.volumes):
                    yield entry, volume.name


def claims_for_one_pod(cycle: Cycle) -> Collection[str]:
    """After PreFilter: the pod's claims that one pod at a time may use."""
    once: _Once = cycle.state[VolumeRestrictions.name]
    return once.claims


def claim_users(cycle: Cycle, claims: Collection[str]) -> Iterator[tuple[PodEntry, str]]:
    """The pods on nodes that use some of a pod's claims, with the claim."""
    namespace = cycle.entry.key[0]
    for node in cycle.cluster.candidates():
        for other in node.pods.values():
            if other.cls.volumes and other.key[0] == namespace:
                yield from ((other, name) for name in _claims(other) if name in claims)


def _claims(entry: PodEntry) -> list[str]:
    names = [claim_name(entry, volume) for volume in entry.cls.volumes]
    return [name for name in names if name is not None]


def _is_disk(volume: Volume) -> bool:
    disks = (volume.gce_persistent_disk, volume.aws_elastic_block_store, volume.iscsi, volume.rbd)
    return any(disk is not None for disk in disks)


def _collide(wanted: Volume, used: Volume) -> bool:
    """Whether two pods can't mount the two volumes on one node; most kinds may be shared if all only read."""
    if wanted.gce_persistent_disk is not None and used.gce_persistent_disk is not None:
        a, b = wanted.gce_persistent_disk, used.gce_persistent_disk
        return a.pd_name == b.pd_name and not (a.read_only and b.read_only)
    if wanted.aws_elastic_block_store is not None and used.aws_elastic_block_store is not None:
        return wanted.aws_elastic_block_store.volume_id == used.aws_elastic_block_store.volume_id
    if wanted.iscsi is not None and used.iscsi is not None:
        return wanted.iscsi.iqn == used.iscsi.iqn and not (wanted.iscsi.read_only and used.iscsi.read_only)
    if wanted.rbd is not None and used.rbd is not None:
        r, s = wanted.rbd, used.rbd
        same = (r.pool or _DEFAULT_POOL) == (s.pool or _DEFAULT_POOL) and r.image == s.image
        return same and bool(set(r.monitors) & set(s.monitors)) and not (r.read_only and s.read_only)
    return False
