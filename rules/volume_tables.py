"""Tables over volumes, claims and pods, moved forward change by change, for the questions of the volume concerns."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator
from typing import TypeVar

from rules.binding import (
    capacity_of,
    is_for,
    offers_modes,
    requested,
    same_attributes,
    same_mode,
    size_of,
)
from rules.scheduling.volumes import BIND_COMPLETED, claim_class, volume_class
from state import selectors
from state.objects import AnyObject, PersistentVolume, PersistentVolumeClaim, Pod
from state.snapshot import Change, Key, NsName
from state.workspace import Workspace

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V", bound=Hashable)
#: There are four access modes.
_MOST_MODES = 4


class ClaimReferences:
    """Which volumes point at a claim."""

    def __init__(self, ws: Workspace) -> None:
        self._volumes: dict[NsName, dict[str, None]] = {}
        for ns_name, volume in ws.table("PersistentVolume").items():
            self.advance(Change(Key("PersistentVolume", *ns_name), None, volume))

    def advance(self, change: Change) -> None:
        """Takes note of a changed volume."""
        before, after = claim_of(change.old), claim_of(change.new)
        if before != after:
            _drop(self._volumes, before, change.key.name)
            _add(self._volumes, after, change.key.name)

    def volumes(self, claim: NsName) -> list[str]:
        """The names of the volumes whose claimRef names the claim."""
        return sorted(self._volumes.get(claim, ()))


class FreeVolumes:
    """The volumes that any claim may have, by class; found by number of access modes, size and name, as the binder's
    index is searched: fewest modes first, then the smallest.
    """

    def __init__(self, ws: Workspace) -> None:
        self._by_class: dict[str, list[tuple[int, int, str]]] = {}
        for ns_name, volume in ws.table("PersistentVolume").items():
            self.advance(Change(Key("PersistentVolume", *ns_name), None, volume))

    def advance(self, change: Change) -> None:
        """Takes note of a changed volume."""
        before, after = self._entry(change.old), self._entry(change.new)
        if before == after:
            return
        if before is not None:
            bucket = self._by_class[before[0]]
            del bucket[bisect_left(bucket, before[1])]
            if not bucket:
                del self._by_class[before[0]]
        if after is not None:
            insort(self._by_class.setdefault(after[0], []), after[1])

    @staticmethod
    def _entry(obj: AnyObject | None) -> tuple[str, tuple[int, int, str]] | None:
        if not isinstance(obj, PersistentVolume) or not is_free(obj):
            return None
        return volume_class(obj), (len(set(obj.spec.access_modes)), capacity_of(obj), obj.metadata.name)

    def best(self, ws: Workspace, claim: PersistentVolumeClaim, modes: int) -> PersistentVolume | None:
        """The smallest volume with that many access modes that suits the claim."""
        bucket = self._by_class.get(claim_class(claim), [])
        start = bisect_left(bucket, (modes, size_of(requested(claim)), ""))
        for index in range(start, len(bucket)):
            if bucket[index][0] != modes:
                break
            volume = ws.find(PersistentVolume, "", bucket[index][2])
            assert volume is not None
            if _suits(volume, claim):
                return volume
        return None


def is_free(volume: PersistentVolume) -> bool:
    """Whether the volume is for any claim to have."""
    return (
        volume.spec.claim_ref is None
        and volume.status.phase == "Available"
        and volume.metadata.deletion_timestamp is None
    )


def _suits(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Class and size aside."""
    wanted = claim.spec.selector
    return (
        offers_modes(volume, claim)
        and same_mode(volume, claim)
        and same_attributes(volume, claim)
        and (wanted is None or selectors.matches(wanted, volume.metadata.labels))
    )


def best_match(
    ws: Workspace, claim: PersistentVolumeClaim, references: ClaimReferences, free: FreeVolumes, *, delayed: bool
) -> PersistentVolume | None:
    """The volume that an unbound claim gets: one made for it, else the smallest free one of those with the fewest
    access modes, unless the scheduler is to choose (``delayed``).
    """
    meta = claim.metadata
    made = []
    for name in references.volumes((meta.namespace, meta.name)):
        volume = ws.find(PersistentVolume, "", name)
        if volume is not None and _is_ready_for(volume, claim):
            made.append(volume)
    for modes in range(_MOST_MODES + 1):
        for volume in made:
            if len(set(volume.spec.access_modes)) == modes:
                return volume
        if not delayed and modes >= len(set(claim.spec.access_modes)):
            found = free.best(ws, claim, modes)
            if found is not None:
                return found
    return None


def _is_ready_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether a claim may have the volume that points at it; class and selector don't matter then."""
    return (
        is_for(volume, claim)
        and volume.metadata.deletion_timestamp is None
        and capacity_of(volume) >= size_of(requested(claim))
        and offers_modes(volume, claim)
        and same_mode(volume, claim)
        and same_attributes(volume, claim)
    )


class ClaimUsers:
    """Which pods use a claim."""

    def __init__(self, ws: Workspace) -> None:
        self._pods: dict[NsName, dict[str, None]] = {}
        for ns_name, pod in ws.table("Pod").items():
            self.advance(Change(Key("Pod", *ns_name), None, pod))

    def advance(self, change: Change) -> tuple[NsName, ...]:
        """Takes note of a changed pod; returns the claims whose use may have changed with it."""
        _, old, new = change
        if isinstance(old, Pod) and isinstance(new, Pod):
            if not old.spec.volumes and not new.spec.volumes:  # each pod that is placed comes by here
                return ()
            if old.spec is new.spec:
                return () if old.status.phase == new.status.phase else _claims_of(new)
        before, after = _claims_of(old), _claims_of(new)
        if before != after:
            for claim in before:
                _drop(self._pods, claim, change.key.name)
            for claim in after:
                _add(self._pods, claim, change.key.name)
        return tuple(dict.fromkeys((*before, *after)))

    def pods(self, ws: Workspace, claim: NsName) -> list[Pod]:
        """The pods with a volume from that claim, sorted by name."""
        found = (ws.find(Pod, claim[0], name) for name in sorted(self._pods.get(claim, ())))
        return [pod for pod in found if pod is not None]


def _claims_of(obj: AnyObject | None) -> tuple[NsName, ...]:
    """The claims that a pod's volumes name; that of an ephemeral volume is made of the pod's name and its own."""
    if not isinstance(obj, Pod) or not obj.spec.volumes:
        return ()
    return tuple(dict.fromkeys(_claims(obj)))


def _claims(pod: Pod) -> Iterator[NsName]:
    meta = pod.metadata
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            yield meta.namespace, volume.persistent_volume_claim.claim_name
        elif volume.ephemeral is not None:
            yield meta.namespace, f"{meta.name}-{volume.name}"


def claim_of(obj: AnyObject | None) -> NsName | None:
    """The claim that a volume points at, or None."""
    ref = obj.spec.claim_ref if isinstance(obj, PersistentVolume) else None
    return None if ref is None else (ref.namespace or "", ref.name or "")


def waiting_in(obj: object) -> str | None:
    """The class in which a claim waits for any volume; None if it doesn't."""
    if not isinstance(obj, PersistentVolumeClaim) or obj.spec.volume_name:
        return None
    return None if BIND_COMPLETED in obj.metadata.annotations else claim_class(obj)


def named_by(obj: object) -> str | None:
    """The volume that a claim names, or None."""
    return obj.spec.volume_name or None if isinstance(obj, PersistentVolumeClaim) else None


def _add(table: dict[_K, dict[_V, None]], key: _K | None, item: _V) -> None:
    if key is not None:
        table.setdefault(key, {})[item] = None


def _drop(table: dict[_K, dict[_V, None]], key: _K | None, item: _V) -> None:
    """Removes an item from a bucket, and the bucket with its last item."""
    if key is not None:
        bucket = table[key]
        del bucket[item]
        if not bucket:
            del table[key]
