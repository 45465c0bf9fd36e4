"""What is true of a claim, as flat facts for the rules of ``rules.claims``."""

from __future__ import annotations

from collections.abc import Sequence

from rules.binding import bound, is_for, mismatch, requested, size_of
from state.objects import PersistentVolume, PersistentVolumeClaim

#: Tells a provisioner outside that the claim is its business; the second name is the one before Kubernetes 1.23.
PROVISIONER = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
#: Whom a volume is for: nobody in particular, this claim, another.
NOBODY, THIS, OTHER = "nobody", "this", "other"
#: As many pods are named at most: a fact is short.
_MOST_PODS = 3


def named_facts(claim: PersistentVolumeClaim, volume: PersistentVolume | None) -> dict[str, str | bool]:
    """About a claim that asks for one volume by name."""
    if volume is None:
        return {"fits": False, "holder": ""}
    if volume.spec.claim_ref is not None:
        ours = is_for(volume, claim)
        return {"fits": ours, "holder": THIS if ours else OTHER}
    why = mismatch(volume, claim)
    return {"fits": not why, "holder": NOBODY, "mismatch": why}


def bound_facts(claim: PersistentVolumeClaim, volume: PersistentVolume | None, now: int) -> dict[str, str | bool]:
    """About a claim whose binding was completed once."""
    if not claim.spec.volume_name:
        loss = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
        return {"loss": loss, "holder": ""}
    if volume is None:
        return {"loss": "Bound claim has lost its PersistentVolume. Data on the volume is lost!", "holder": ""}
    ref = volume.spec.claim_ref
    if ref is not None and ref.uid != claim.metadata.uid:
        loss = "Two claims are bound to the same volume, this one is bound incorrectly"
        return {"loss": loss, "holder": OTHER}
    capacity = claim.status.capacity.get("storage", 0)
    settled = bound(claim, volume, now) == (claim, volume)
    return {
        "loss": "",
        "holder": NOBODY if ref is None else THIS,
        "settled": settled,
        "capacity": str(capacity),
        "grows": settled and size_of(requested(claim)) > size_of(capacity),
    }


def consumer(pods: Sequence[str]) -> str:
    """What a claim that waits for a pod waits for, in the binder's words."""
    if not pods:
        return "waiting for first consumer to be created before binding"
    return f"waiting for pod{'s' if len(pods) > 1 else ''} {','.join(pods[:_MOST_PODS])} to be scheduled"


def asks(claim: PersistentVolumeClaim, provisioner: str) -> bool:
    """Whether the claim tells this provisioner already that it is wanted."""
    annotations = claim.metadata.annotations
    return all(annotations.get(name) == provisioner for name in PROVISIONER)
