"""Which volume a claim gets on a node: the smallest that fits, one made for it, or a new one. As the volume binder."""

from __future__ import annotations

from dataclasses import dataclass, field

from rules.scheduling.cluster import Cluster
from rules.scheduling.nodes import NodeInfo
from rules.scheduling.pods import PodEntry
from rules.scheduling.terms import Labels
from rules.scheduling.volumes import (
    NO_PROVISIONER,
    SELECTED_NODE,
    claim_class,
    claim_uses,
    is_bound,
    volume_class,
    waits_for_consumer,
)
from state import selectors
from state.objects import (
    CSIDriver,
    CSIStorageCapacity,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
)
from state.quantity import parse, value

_STORAGE = "storage"


@dataclass(slots=True)
class Claims:
    """A pod's claims: bound for good, unbound though their class binds at once, and waiting for a node."""

    bound: list[PersistentVolumeClaim] = field(default_factory=list)
    immediate: list[PersistentVolumeClaim] = field(default_factory=list)
    waiting: list[PersistentVolumeClaim] = field(default_factory=list)
    #: Volumes by class, for the classes of the waiting claims, sorted by name.
    volumes: dict[str, list[PersistentVolume]] = field(default_factory=dict)


@dataclass(slots=True)
class Verdict:
    """What a node means for a pod's claims."""

    reachable: bool = True
    volumes_exist: bool = True
    found: bool = True
    enough_storage: bool = True
    static: list[tuple[PersistentVolumeClaim, PersistentVolume]] = field(default_factory=list)
    provision: list[PersistentVolumeClaim] = field(default_factory=list)


def sort_claims(cluster: Cluster, entry: PodEntry) -> Claims:
    """Sorts a pod's claims; all of them exist."""
    claims = Claims()
    for use in claim_uses(cluster, entry):
        claim = use.claim
        assert claim is not None
        if is_bound(claim):
            claims.bound.append(claim)
        elif not claim.spec.volume_name and waits_for_consumer(cluster, claim):
            claims.waiting.append(claim)
        else:
            claims.immediate.append(claim)
    wanted = {claim_class(claim) for claim in claims.waiting}
    if wanted:
        claims.volumes = {name: [] for name in wanted}
        for _, volume in sorted(cluster.view.table("PersistentVolume").items()):
            assert isinstance(volume, PersistentVolume)
            if volume_class(volume) in wanted:
                claims.volumes[volume_class(volume)].append(volume)
    return claims


def choose(cluster: Cluster, claims: Claims, node: NodeInfo) -> Verdict:
    """Checks the bound claims and looks for volumes for the waiting ones on a node."""
    verdict = Verdict()
    _check_bound(cluster, claims, node, verdict)
    unbound: list[PersistentVolumeClaim] = []
    to_provision: list[PersistentVolumeClaim] = []
    for claim in claims.waiting:
        selected = selected_node(cluster, claim)
        if selected is None:
            unbound.append(claim)
        elif selected != node.name:
            verdict.found = False
            return verdict
        else:
            to_provision.append(claim)
    taken: set[str] = set()
    for claim in sorted(unbound, key=_requested):
        volume = find_match(cluster, claim, claims.volumes[claim_class(claim)], node.labels, taken)
        if volume is None:
            to_provision.append(claim)
        else:
            taken.add(volume.metadata.name)
            verdict.static.append((claim, volume))
    for claim in to_provision:
        if not _can_provision(cluster, claim, node, verdict):
            break
        verdict.provision.append(claim)
    return verdict


def find_match(
    cluster: Cluster, claim: PersistentVolumeClaim, volumes: list[PersistentVolume], labels: Labels, taken: set[str]
) -> PersistentVolume | None:
    """The volume made for the claim, else the smallest one free that fits it and reaches the node; ties by name."""
    best: tuple[int, PersistentVolume] | None = None
    wanted = _requested(claim)
    for volume in volumes:
        if volume.metadata.name in taken or volume.metadata.deletion_timestamp is not None:
            continue
        bound = _is_bound_to(cluster, volume, claim)
        if bound is False:
            continue
        size = parse(volume.spec.capacity.get(_STORAGE, 0)).nanos
        if size < wanted or not _same_kind(claim, volume):
            continue
        reaches = reaches_node(volume, labels)
        if bound:
            return volume if reaches else None
        if volume.status.phase != "Available" or not reaches:
            continue
        if claim.spec.selector is not None and not selectors.matches(claim.spec.selector, volume.metadata.labels):
            continue
        if not set(claim.spec.access_modes) <= set(volume.spec.access_modes):
            continue
        if best is None or size < best[0]:
            best = (size, volume)
    return None if best is None else best[1]


def reaches_node(volume: PersistentVolume, labels: Labels) -> bool:
    """Whether the volume's node affinity allows a node with these labels."""
    affinity = volume.spec.node_affinity
    if affinity is None or affinity.required is None:
        return True
    return selectors.matches_node_selector(affinity.required, labels, "")


def _check_bound(cluster: Cluster, claims: Claims, node: NodeInfo, verdict: Verdict) -> None:
    for claim in claims.bound:
        volume = cluster.find(PersistentVolume, claim.spec.volume_name or "")
        if volume is None:
            verdict.volumes_exist = False
            return
        if not reaches_node(volume, node.labels):
            verdict.reachable = False
            return


def selected_node(cluster: Cluster, claim: PersistentVolumeClaim) -> str | None:
    """The node for which the claim's volume is to be provisioned, if that was decided."""
    key = (claim.metadata.namespace, claim.metadata.name)
    return claim.metadata.annotations.get(SELECTED_NODE) or cluster.assumed_nodes.get(key)


def _is_bound_to(cluster: Cluster, volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool | None:
    """Whether the volume is the claim's (True), another's (False), or nobody's (None)."""
    meta, ref = claim.metadata, volume.spec.claim_ref
    if ref is not None:
        return ref.name == meta.name and ref.namespace == meta.namespace and (not ref.uid or ref.uid == meta.uid)
    assumed = cluster.assumed_volumes.get(volume.metadata.name)
    return None if assumed is None else assumed == (meta.namespace, meta.name)


def _same_kind(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    modes = (claim.spec.volume_mode or "Filesystem") == (volume.spec.volume_mode or "Filesystem")
    attributes = (claim.spec.volume_attributes_class_name or "") == (volume.spec.volume_attributes_class_name or "")
    return modes and attributes and claim_class(claim) == volume_class(volume)


def _requested(claim: PersistentVolumeClaim) -> int:
    resources = claim.spec.resources
    return parse(resources.requests.get(_STORAGE, 0)).nanos if resources is not None else 0


def _can_provision(cluster: Cluster, claim: PersistentVolumeClaim, node: NodeInfo, verdict: Verdict) -> bool:
    storage_class = cluster.find(StorageClass, claim_class(claim))
    if storage_class is None or not _serves(storage_class, node.labels):
        verdict.found = False
    elif not _has_capacity(cluster, storage_class, claim, node):
        verdict.enough_storage = False
    return verdict.found and verdict.enough_storage


def _serves(storage_class: StorageClass, labels: Labels) -> bool:
    """Whether the class provisions volumes at all, and where a node with these labels can reach them."""
    if storage_class.provisioner in ("", NO_PROVISIONER):
        return False
    return not storage_class.allowed_topologies or any(
        all(e.key in labels and labels[e.key] in e.values for e in term.match_label_expressions)
        for term in storage_class.allowed_topologies
    )


def _has_capacity(cluster: Cluster, storage_class: StorageClass, claim: PersistentVolumeClaim, node: NodeInfo) -> bool:
    """Whether some CSIStorageCapacity promises room, if the driver publishes such objects at all."""
    resources = claim.spec.resources
    if resources is None or _STORAGE not in resources.requests:
        return True
    driver = cluster.find(CSIDriver, storage_class.provisioner)
    if driver is None or not driver.spec.storage_capacity:
        return True
    wanted = value(resources.requests[_STORAGE])
    for _, capacity in sorted(cluster.view.table("CSIStorageCapacity").items()):
        assert isinstance(capacity, CSIStorageCapacity)
        if capacity.storage_class_name != storage_class.metadata.name:
            continue
        limit = capacity.maximum_volume_size if capacity.maximum_volume_size is not None else capacity.capacity
        if limit is None or value(limit) < wanted or capacity.node_topology is None:
            continue
        if selectors.matches(capacity.node_topology, node.labels):
            return True
    return False
