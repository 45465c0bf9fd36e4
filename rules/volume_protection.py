"""Volumes and claims in use are not removed: finalizers, as the admission plug-in StorageObjectInUseProtection and the
two protection controllers set and take them away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.admission import PROTECTION
from rules.concern import Concern, Touched, itself, note
from rules.context import Context
from rules.engine import Rule, m
from rules.garbage import remove_finalizer
from rules.volume_tables import ClaimUsers
from state.objects import PersistentVolume, PersistentVolumeClaim, replace
from state.snapshot import Change, Key
from state.workspace import Workspace


def _protect(ctx: Context, key: Key, _: Fact) -> None:
    obj = ctx.ws.get(key)
    assert obj is not None
    finalizers = (*obj.metadata.finalizers, PROTECTION[key.kind])
    ctx.update(replace(obj, metadata=replace(obj.metadata, finalizers=finalizers)))


def _let_go(ctx: Context, key: Key, _: Fact) -> None:
    obj = ctx.ws.get(key)
    if obj is not None:
        remove_finalizer(ctx, obj, PROTECTION[key.kind])


def _rules(kind: str, use: str) -> tuple[Rule, ...]:
    """The table is the same for both kinds; ``use`` says what keeps an object."""
    return (
        Rule(
            name=f"{kind}-protect",
            when=(m.deleting == False) & (m.protected == False),  # noqa: E712 - durable-rules' own expressions
            then=_protect,
            why="{name} is not to be removed while it is in use",
        ),
        Rule(
            name=f"{kind}-let-go",
            when=(m.deleting == True) & (m.protected == True) & (m.user == ""),  # noqa: E712
            then=_let_go,
            why="{name} was deleted and is not in use any more",
        ),
        Rule(
            name=f"{kind}-in-use",
            when=(m.deleting == True) & (m.protected == True) & (m.user != ""),  # noqa: E712
            then=note,
            why=f"{{name}} was deleted, but stays as long as {use}",
        ),
    )


class ClaimProtection(Concern):
    """A claim stays until no pod on a node has it as a volume, a finished one included."""

    name: ClassVar[str] = "claim-protection"
    subjects: ClassVar[Sequence[str]] = ("PersistentVolumeClaim",)
    rules: ClassVar[Sequence[Rule]] = _rules("claim", "pod {user} uses it")

    _users: ClaimUsers

    def attach(self, ws: Workspace) -> None:
        """Builds the table of pods that use claims."""
        self._users = ClaimUsers(ws)

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """A claim when it changes or a pod that uses it does."""
        return {"PersistentVolumeClaim": itself, "Pod": self._pod_touched}

    def _pod_touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        claims = ws.table("PersistentVolumeClaim")
        for claim in self._users.advance(change):
            if claim in claims and claims[claim].metadata.deletion_timestamp is not None:
                yield Key("PersistentVolumeClaim", *claim)

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Whether the claim is being deleted, protected, and by whom it is used; None if there is nothing to decide."""
        claim = ws.find(PersistentVolumeClaim, key.namespace, key.name)
        if claim is None:
            return None
        deleting = claim.metadata.deletion_timestamp is not None
        users = (pod.metadata.name for pod in self._users.pods(ws, key.ns_name) if pod.spec.node_name)
        return {
            "name": key.name,
            "namespace": key.namespace,
            "deleting": deleting,
            "protected": PROTECTION[key.kind] in claim.metadata.finalizers,
            "user": next(users, "") if deleting else "",
        }


class VolumeProtection(Concern):
    """A volume stays until it is not bound any more."""

    name: ClassVar[str] = "volume-protection"
    subjects: ClassVar[Sequence[str]] = ("PersistentVolume",)
    rules: ClassVar[Sequence[Rule]] = _rules("volume", "claim {user} is bound to it")
    watches: ClassVar[Mapping[str, Touched]] = {"PersistentVolume": itself}

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Whether the volume is being deleted, protected, and bound."""
        volume = ws.find(PersistentVolume, key.namespace, key.name)
        if volume is None:
            return None
        ref = volume.spec.claim_ref
        bound = volume.status.phase == "Bound"
        return {
            "name": key.name,
            "deleting": volume.metadata.deletion_timestamp is not None,
            "protected": PROTECTION[key.kind] in volume.metadata.finalizers,
            "user": f"{ref.namespace}/{ref.name}" if bound and ref is not None else "",
        }
