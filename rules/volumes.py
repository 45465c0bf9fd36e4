"""PersistentVolumes: their phases, and what becomes of one whose claim is gone; the volume half of the binder.

Binding itself is done with the claim (``rules.claims``). Data is deleted or scrubbed by a provisioner, outside: here a
released volume stays ``Released`` until it has done so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.binding import PROVISIONED_BY, SOURCE, unbound, with_phase
from rules.concern import Touched, note
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern, clipped
from rules.volume_tables import ClaimReferences
from state.objects import PersistentVolume, PersistentVolumeClaim
from state.snapshot import Change, Key
from state.workspace import Workspace

_NO_RECYCLER = "No recycler plugin found for the volume!"
_NO_DELETER = 'error getting deleter volume plugin for volume "{}": no {}volume plugin matched'
#: The only directories of a host that are deleted with their volume.
_DELETABLE_PATH = re.compile("/tmp/.")  # noqa: S108 - a path of somebody's node, as Kubernetes has it
_KEPT_PATH = "host_path deleter only supports /tmp/.+ but received provided {}"
#: What claimRef says when it names a claim that is there: is the claim bound, and where?
_UNBOUND, _HERE, _ELSEWHERE = "unbound", "here", "elsewhere"

_RELEASED = (m.released == True) & (m.phase == "Released")  # noqa: E712 - durable-rules' own expressions


class VolumePhases(MethodConcern):
    """Keeps the phases of PersistentVolumes, and undoes bindings that came to nothing."""

    name: ClassVar[str] = "volumes"
    subjects: ClassVar[Sequence[str]] = ("PersistentVolume",)

    _references: ClaimReferences

    def attach(self, ws: Workspace) -> None:
        """Builds the table of claims that volumes point at."""
        self._references = ClaimReferences(ws)

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """A volume when it changes, or when the claim that it points at does."""
        return {"PersistentVolume": self._volume_touched, "PersistentVolumeClaim": self._claim_touched}

    def _volume_touched(self, _: Workspace, change: Change) -> Iterable[Key]:
        self._references.advance(change)
        return () if change.new is None else (change.key,)

    def _claim_touched(self, _: Workspace, change: Change) -> Iterable[Key]:
        return [Key("PersistentVolume", "", name) for name in self._references.volumes(change.key.ns_name)]

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """In which phase the volume is, whom it is for, and what that claim says."""
        volume = ws.find(PersistentVolume, key.namespace, key.name)
        if volume is None:
            return None
        spec, annotations = volume.spec, volume.metadata.annotations
        ref = spec.claim_ref
        pinned = ref is not None and bool(ref.uid)
        claim = None
        if ref is not None and pinned:
            claim = ws.find(PersistentVolumeClaim, ref.namespace or "", ref.name or "")
            if claim is not None and claim.metadata.uid != ref.uid:
                claim = None
        where = "" if claim is None else _where(claim, key.name)
        policy = spec.persistent_volume_reclaim_policy or "Retain"
        surplus = where == _ELSEWHERE and PROVISIONED_BY in annotations and policy == "Delete"
        return {
            "name": key.name,
            "phase": volume.status.phase or "",
            "claim": "" if ref is None else f"{ref.namespace}/{ref.name}",
            "pinned": pinned,
            "where": where,
            "released": (pinned and claim is None) or surplus,
            "surplus": surplus,
            "policy": policy,
            "deletable": PROVISIONED_BY in annotations or spec.csi is not None,
            "disposable": spec.host_path is not None and _DELETABLE_PATH.search(spec.host_path.path) is not None,
            "recyclable": spec.nfs is not None or spec.host_path is not None,
            "provisioner": annotations.get(PROVISIONED_BY) or (spec.csi.driver if spec.csi is not None else "somebody"),
            "message": clipped(volume.status.message or ""),
        }

    # -- consequents -------------------------------------------------------------------------------------------------

    def _available(self, ctx: Context, key: Key, _: Fact) -> None:
        ctx.update_status(with_phase(ctx.ws.must(PersistentVolume, key), "Available", ctx.now))

    def _bound(self, ctx: Context, key: Key, _: Fact) -> None:
        ctx.update_status(with_phase(ctx.ws.must(PersistentVolume, key), "Bound", ctx.now))

    def _release(self, ctx: Context, key: Key, _: Fact) -> None:
        ctx.update_status(with_phase(ctx.ws.must(PersistentVolume, key), "Released", ctx.now))

    def _unbind(self, ctx: Context, key: Key, _: Fact) -> None:
        ctx.update(unbound(ctx.ws.must(PersistentVolume, key), ctx.now))

    def _fail_delete(self, ctx: Context, key: Key, _: Fact) -> None:
        spec = ctx.ws.must(PersistentVolume, key).spec
        if spec.host_path is not None:
            message = _KEPT_PATH.format(spec.host_path.path)
        else:  # there is a plug-in for NFS that can't delete; for what else isn't a provisioner's there is none
            message = _NO_DELETER.format(key.name, "" if spec.nfs is None else "deletable ")
        _fail(ctx, key, "VolumeFailedDelete", message)

    def _delete(self, ctx: Context, key: Key, _: Fact) -> None:
        ctx.delete(ctx.ws.must(PersistentVolume, key))

    def _fail_recycle(self, ctx: Context, key: Key, _: Fact) -> None:
        _fail(ctx, key, "VolumeFailedRecycle", _NO_RECYCLER)

    rules: ClassVar[Sequence[Rule]] = (
        Rule(
            name="volume-available",
            when=(m.pinned == False) & (m.phase != "Available"),  # noqa: E712
            then=_available,
            why="{name} is bound to no claim",
        ),
        Rule(
            name="volume-bound",
            when=(m.where == _HERE) & (m.phase != "Bound"),
            then=_bound,
            why="{name} and claim {claim} are bound to each other",
        ),
        Rule(
            name="volume-unbind",
            when=(m.where == _ELSEWHERE) & (m.surplus == False),  # noqa: E712
            then=_unbind,
            why="{name} was kept for claim {claim}, which is bound to another volume",
        ),
        Rule(
            name="volume-release",
            when=(m.released == True) & (m.phase != "Released") & (m.phase != "Failed"),  # noqa: E712
            then=_release,
            why="claim {claim}, to which {name} was bound, does not need it any more; reclaim policy {policy}",
        ),
        Rule(
            name="volume-dispose",
            when=_RELEASED & (m.policy == "Delete") & (m.deletable == False) & (m.disposable == True),  # noqa: E712
            then=_delete,
            why="claim {claim} is gone, and {name} with it: it is a temporary directory of a host",
        ),
        Rule(
            name="volume-no-deleter",
            when=_RELEASED & (m.policy == "Delete") & (m.deletable == False) & (m.disposable == False),  # noqa: E712
            then=_fail_delete,
            why="{name} is to be deleted, but it was made by hand: nothing knows how to delete its data",
        ),
        Rule(
            name="volume-no-recycler",
            when=_RELEASED & (m.policy == "Recycle") & (m.recyclable == False),  # noqa: E712
            then=_fail_recycle,
            why="{name} is to be recycled, but nothing knows how to scrub it",
        ),
        Rule(
            name="volume-delete",
            when=_RELEASED & (m.policy == "Delete") & (m.deletable == True),  # noqa: E712
            then=note,
            why="{name} waits for {provisioner} to delete it with its data",
        ),
        Rule(
            name="volume-recycle",
            when=_RELEASED & (m.policy == "Recycle") & (m.recyclable == True),  # noqa: E712
            then=note,
            why="{name} waits for {provisioner} to scrub it",
        ),
        Rule(
            name="volume-retain",
            when=_RELEASED & (m.policy == "Retain"),
            then=note,
            why="{name} keeps the data of claim {claim}, which is gone, until somebody decides (policy Retain)",
        ),
        Rule(
            name="volume-failed",
            when=(m.released == True) & (m.phase == "Failed"),  # noqa: E712
            then=note,
            why="{name} could not be reclaimed: {message}",
        ),
        Rule(
            name="volume-kept",
            when=m.where == _UNBOUND,
            then=note,
            why="{name} is kept for claim {claim}, which is not bound to it yet",
        ),
    )


def _where(claim: PersistentVolumeClaim, volume: str) -> str:
    """Where a claim is bound, seen from one volume."""
    name = claim.spec.volume_name
    if not name:
        return _UNBOUND
    return _HERE if name == volume else _ELSEWHERE


def _fail(ctx: Context, key: Key, reason: str, message: str) -> None:
    ctx.update_status(with_phase(ctx.ws.must(PersistentVolume, key), "Failed", ctx.now, message))
    ctx.event(key, reason, message, warning=True, source=SOURCE)
