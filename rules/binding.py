"""When a PersistentVolume suits a claim, and what binding and unbinding do to the two; as the volume binder has it.

Both point at each other: ``spec.claimRef`` of the volume (with the claim's uid once it is certain) and
``spec.volumeName`` of the claim. Annotations tell who wrote them: one that a user made is never undone.
"""

from __future__ import annotations

from rules.scheduling.volumes import BIND_COMPLETED, BOUND_BY_CONTROLLER, claim_class, volume_class
from state.objects import ObjectReference, PersistentVolume, PersistentVolumeClaim, Quantity, replace
from state.quantity import parse
from state.times import format_time

STORAGE = "storage"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SOURCE = "persistentvolume-controller"


def requested(claim: PersistentVolumeClaim) -> Quantity:
    """The size that a claim asks for, as written."""
    resources = claim.spec.resources
    return 0 if resources is None else resources.requests.get(STORAGE, 0)


def size_of(quantity: Quantity) -> int:
    """A size in billionths of a byte: exact, for comparing."""
    return parse(quantity).nanos


def capacity_of(volume: PersistentVolume) -> int:
    """The size of a volume, as ``size_of`` has it."""
    return size_of(volume.spec.capacity.get(STORAGE, 0))


def is_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether the volume points at the claim: by name, and by uid if it has one."""
    ref, meta = volume.spec.claim_ref, claim.metadata
    return (
        ref is not None
        and ref.name == meta.name
        and ref.namespace == meta.namespace
        and (not ref.uid or ref.uid == meta.uid)
    )


def same_mode(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether both are file systems, or both block devices."""
    return (claim.spec.volume_mode or "Filesystem") == (volume.spec.volume_mode or "Filesystem")


def same_attributes(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether both name the same VolumeAttributesClass, or none."""
    return (claim.spec.volume_attributes_class_name or "") == (volume.spec.volume_attributes_class_name or "")


def offers_modes(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether the volume has all access modes that the claim asks for."""
    return set(claim.spec.access_modes) <= set(volume.spec.access_modes)


def mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim) -> str:
    """Why a claim can't have the volume that it asks for by name, in the binder's words; "" if it can."""
    if volume.metadata.deletion_timestamp is not None:
        return f'the volume is marked for deletion "{volume.metadata.name}"'
    if capacity_of(volume) < size_of(requested(claim)):
        return "requested PV is too small"
    if volume_class(volume) != claim_class(claim):
        return "storageClassName does not match"
    if not same_attributes(volume, claim):
        return "volumeAttributesClassName does not match"
    if not same_mode(volume, claim):
        return "incompatible volumeMode"
    if not offers_modes(volume, claim):
        return "incompatible accessMode"
    return ""


def bound(
    claim: PersistentVolumeClaim, volume: PersistentVolume, now: int
) -> tuple[PersistentVolumeClaim, PersistentVolume]:
    """Claim and volume as they are when bound to each other; equal to what was given if they are already."""
    assert volume.spec.claim_ref is None or is_for(volume, claim), "the volume is another claim's"
    return _claim_on(claim, volume), _volume_for(volume, claim, now)


def _volume_for(volume: PersistentVolume, claim: PersistentVolumeClaim, now: int) -> PersistentVolume:
    meta, ref = volume.metadata, volume.spec.claim_ref
    if ref is None:
        meta = replace(meta, annotations={**meta.annotations, BOUND_BY_CONTROLLER: "yes"})
    if ref is None or ref.uid != claim.metadata.uid:
        ref = ObjectReference(
            api_version=claim.api_version,
            kind=claim.kind,
            namespace=claim.metadata.namespace,
            name=claim.metadata.name,
            uid=claim.metadata.uid,
        )
    pinned: PersistentVolume = replace(volume, metadata=meta, spec=replace(volume.spec, claim_ref=ref))
    return with_phase(pinned, "Bound", now)


def _claim_on(claim: PersistentVolumeClaim, volume: PersistentVolume) -> PersistentVolumeClaim:
    name = volume.metadata.name
    annotations = dict(claim.metadata.annotations)
    if claim.spec.volume_name != name:
        annotations.setdefault(BOUND_BY_CONTROLLER, "yes")
    annotations.setdefault(BIND_COMPLETED, "yes")
    status = replace(
        claim.status,
        phase="Bound",
        access_modes=volume.spec.access_modes,
        # what a bound claim has grows when its volume was made larger, which others report
        capacity=claim.status.capacity if claim.status.phase == "Bound" else volume.spec.capacity,
        current_volume_attributes_class_name=volume.spec.volume_attributes_class_name,
    )
    pointing: PersistentVolumeClaim = replace(
        claim,
        metadata=replace(claim.metadata, annotations=annotations),
        spec=replace(claim.spec, volume_name=name),
        status=status,
    )
    return pointing


def without_volume(claim: PersistentVolumeClaim, phase: str) -> PersistentVolumeClaim:
    """The claim as it reports that it has no volume, or has lost it."""
    status = replace(claim.status, phase=phase, access_modes=(), capacity={})
    result: PersistentVolumeClaim = replace(claim, status=status)
    return result


def unbound(volume: PersistentVolume, now: int) -> PersistentVolume:
    """The volume after its claim was bound elsewhere: free again, or still kept for the claim if a user said so."""
    meta, ref = volume.metadata, volume.spec.claim_ref
    assert ref is not None
    kept: ObjectReference | None = None
    if BOUND_BY_CONTROLLER in meta.annotations:
        annotations = {name: text for name, text in meta.annotations.items() if name != BOUND_BY_CONTROLLER}
        meta = replace(meta, annotations=annotations)
    else:
        kept = replace(ref, uid=None)
    freed: PersistentVolume = replace(volume, metadata=meta, spec=replace(volume.spec, claim_ref=kept))
    return with_phase(freed, "Available", now)


def with_phase(volume: PersistentVolume, phase: str, now: int, message: str | None = None) -> PersistentVolume:
    """The volume in a phase, since ``now`` (µs) if it wasn't in it before."""
    status = volume.status
    if status.phase == phase:
        return volume
    since = format_time(now)
    changed = replace(status, phase=phase, message=message, reason=None, last_phase_transition_time=since)
    result: PersistentVolume = replace(volume, status=changed)
    return result
