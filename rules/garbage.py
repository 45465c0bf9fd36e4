"""Garbage collection, as kube-controller-manager's: what is owned goes when its last owner goes.

An owner is found by kind, namespace and name, and must have the uid of the reference. One of a kind of which nothing is
known here can't be said to be absent, nor one in a namespace of an object that is in none: what it owns stays, with a
note.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from rules.actions import Fact
from rules.concern import ANY, Concern, Touched
from rules.context import Context
from rules.deletion import FOREGROUND, ORPHAN
from rules.engine import Rule, m
from state.objects import KINDS, AnyObject, CustomObject, OwnerReference, replace
from state.snapshot import Change, Key
from state.workspace import Workspace

_CRD = "CustomResourceDefinition.apiextensions.k8s.io"


def remove_finalizer(ctx: Context, obj: AnyObject, finalizer: str) -> None:
    """Takes a finalizer away; an object being deleted that loses its last one is gone."""
    left = tuple(name for name in obj.metadata.finalizers if name != finalizer)
    ctx.update(replace(obj, metadata=replace(obj.metadata, finalizers=left)))


# -- owners ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Owners:
    """An object's owner references by what became of the owner."""

    solid: list[OwnerReference] = field(default_factory=list)
    absent: list[OwnerReference] = field(default_factory=list)
    #: Owners deleted in the foreground, which wait for their dependents.
    waiting: list[OwnerReference] = field(default_factory=list)
    #: Owners that can't be looked up: nothing is known of their kind, or they are in a namespace and the object isn't.
    unknown: list[OwnerReference] = field(default_factory=list)


def owners_of(ws: Workspace, obj: AnyObject) -> Owners:
    """Looks all owners of an object up."""
    owners = Owners()
    for ref in obj.metadata.owner_references:
        owner = _find(ws, obj, ref)
        if owner is not None:
            (owners.waiting if is_deleting(owner, FOREGROUND) else owners.solid).append(ref)
        elif _is_knowable(ws, obj, ref):
            owners.absent.append(ref)
        else:
            owners.unknown.append(ref)
    return owners


def _find(ws: Workspace, obj: AnyObject, ref: OwnerReference) -> AnyObject | None:
    """The owner that a reference means, in the object's namespace or of no namespace."""
    kind = _kind_key(ref)
    typed = KINDS.get(kind)
    namespace = obj.metadata.namespace if typed is None or typed.namespaced else ""
    owner = ws.get(Key(kind, namespace, ref.name))
    if owner is None and typed is None:
        owner = ws.get(Key(kind, "", ref.name))
    return owner if owner is not None and owner.metadata.uid == ref.uid else None


def _is_knowable(ws: Workspace, obj: AnyObject, ref: OwnerReference) -> bool:
    """Whether an owner like that would be found if it existed: the kind is built in, or defined or used here, and is
    of no namespace if the object isn't in one.
    """
    kind = _kind_key(ref)
    if kind in KINDS:
        return bool(obj.metadata.namespace) or not KINDS[kind].namespaced
    scopes = {not namespace for namespace, _ in ws.table(kind)}
    for crd in ws.table(_CRD).values():
        spec = crd.body.value.get("spec", {}) if isinstance(crd, CustomObject) else {}
        if kind == f"{spec.get('names', {}).get('kind')}.{spec.get('group')}":
            scopes.add(spec.get("scope") == "Cluster")
    return True in scopes if not obj.metadata.namespace else bool(scopes)


def _has_lost_owner(ws: Workspace, obj: AnyObject) -> bool:
    """Whether any owner isn't there for the object any more."""
    for ref in obj.metadata.owner_references:
        owner = _find(ws, obj, ref)
        if owner is None or is_deleting(owner, FOREGROUND):
            return True
    return False


def _kind_key(ref: OwnerReference) -> str:
    """The table that an owner is in: its kind, with the group if it isn't a typed one."""
    group = ref.api_version.rpartition("/")[0]
    kind = KINDS.get(ref.kind)
    return ref.kind if kind is not None and kind.group == group else f"{ref.kind}.{group}"


def is_deleting(obj: AnyObject, finalizer: str) -> bool:
    """Whether the object is being deleted and held by that finalizer."""
    return obj.metadata.deletion_timestamp is not None and finalizer in obj.metadata.finalizers


def dependents_of(ws: Workspace, owner: AnyObject, *, blocking: bool = False) -> list[AnyObject]:
    """The objects that name this one as an owner (``blocking``: with blockOwnerDeletion only), sorted by key."""
    uid = owner.metadata.uid
    found = (ws.get(key) for key in ws.indexes.owned_by(uid))
    return [
        obj
        for obj in found
        if obj is not None
        and any(ref.uid == uid and (ref.block_owner_deletion or not blocking) for ref in obj.metadata.owner_references)
    ]


# -- consequents -------------------------------------------------------------------------------------------------------


def _orphan_dependents(ctx: Context, key: Key, _: Fact) -> None:
    owner = ctx.ws.get(key)
    assert owner is not None
    for dependent in dependents_of(ctx.ws, owner):
        _drop_references(ctx, dependent, {owner.metadata.uid})
    remove_finalizer(ctx, owner, ORPHAN)


def _finish_foreground(ctx: Context, key: Key, _: Fact) -> None:
    owner = ctx.ws.get(key)
    if owner is not None and not dependents_of(ctx.ws, owner, blocking=True):
        remove_finalizer(ctx, owner, FOREGROUND)


def _note(ctx: Context, _key: Key, _fact: Fact) -> None:
    ctx.note()


def _drop_absent(ctx: Context, key: Key, _: Fact) -> None:
    obj = ctx.ws.get(key)
    if obj is not None:
        owners = owners_of(ctx.ws, obj)
        _drop_references(ctx, obj, {ref.uid for ref in (*owners.absent, *owners.waiting)})


def _drop_references(ctx: Context, obj: AnyObject, uids: set[str]) -> None:
    kept = tuple(ref for ref in obj.metadata.owner_references if ref.uid not in uids)
    ctx.update(replace(obj, metadata=replace(obj.metadata, owner_references=kept)))


def _collect(ctx: Context, key: Key, _: Fact) -> None:
    """Deletes a dependent; one that has dependents itself goes as its owner goes. Where one of these waits, too, all
    would wait for each other: then the dependent blocks its owners no more.
    """
    obj = ctx.ws.get(key)
    if obj is None or obj.metadata.deletion_timestamp is not None:
        return
    owners = owners_of(ctx.ws, obj)
    if owners.solid or owners.unknown:
        return
    dependents = dependents_of(ctx.ws, obj) if owners.waiting else []
    if any(is_deleting(dependent, FOREGROUND) for dependent in dependents):
        refs = tuple(replace(ref, block_owner_deletion=False) for ref in obj.metadata.owner_references)
        obj = ctx.update(replace(obj, metadata=replace(obj.metadata, owner_references=refs)))
    ctx.delete(obj, policy="Foreground" if dependents else "Background")


_STAYS = m.deleting == False  # noqa: E712 - an expression of durable.lang

RULES = (
    Rule(
        "garbage-orphan-dependents",
        m.orphaning == True,  # noqa: E712
        _orphan_dependents,
        "{object} was deleted with policy Orphan: what it owned stays",
    ),
    Rule(
        "garbage-finish-foreground",
        (m.foreground == True) & (m.blocking == 0),  # noqa: E712
        _finish_foreground,
        "{object} was deleted in the foreground and nothing that blocks it is left",
    ),
    Rule(
        "garbage-wait-foreground",
        (m.foreground == True) & (m.blocking > 0),  # noqa: E712
        _note,
        "{object} is being deleted and waits for {blocking} dependents to go",
    ),
    Rule(
        "garbage-drop-references",
        _STAYS & (m.gone > 0) & (m.solid > 0) & (m.unknown == 0),
        _drop_absent,
        "{object} keeps an owner, but its owner {owner} is gone",
    ),
    Rule(
        "garbage-collect",
        _STAYS & (m.gone > 0) & (m.solid == 0) & (m.unknown == 0),
        _collect,
        "{object} goes with its owner: {owner} is gone or being deleted",
    ),
    Rule(
        "garbage-unknown-owner",
        _STAYS & (m.unknown > 0) & (m.solid == 0),
        _note,
        "{object} is kept: nothing can be known here about its owner {stranger}",
    ),
)


# -- concern -----------------------------------------------------------------------------------------------------------


def _touched(ws: Workspace, change: Change) -> Iterable[Key]:
    """Objects about which there is something to decide: cheap, since each created pod comes by here."""
    key, old, new = change
    if old is None or new is None:
        yield from _appeared_or_gone(ws, key, old or new)
    if new is None:
        return
    if _ending(old) != _ending(new):
        yield key
        yield from ws.indexes.owned_by(new.metadata.uid)
    if old is not None:
        if old.metadata.owner_references is new.metadata.owner_references:
            return
        yield from _owner_keys(old)
    if _has_lost_owner(ws, new):
        yield key
        yield from _owner_keys(new)


def _ending(obj: AnyObject | None) -> tuple[str | None, tuple[str, ...]]:
    """How far an object's deletion has come, as far as others are concerned."""
    return (None, ()) if obj is None else (obj.metadata.deletion_timestamp, obj.metadata.finalizers)


def _appeared_or_gone(ws: Workspace, key: Key, obj: AnyObject | None) -> Iterable[Key]:
    """Those that an object concerns by being there or not: its dependents, and owners that wait for it."""
    assert obj is not None
    uid = obj.metadata.uid
    if ws.indexes.has_dependents(uid):
        yield from ws.indexes.owned_by(uid)
    if ws.get(key) is None:
        yield from _owner_keys(obj)
    elif key.kind not in KINDS and (key.kind == _CRD or len(ws.table(key.kind)) == 1):
        # with the first of its kind, owners of the kind can be said to be absent
        for kind in ws.kinds:
            for ns_name, other in ws.table(kind).items():
                if any(_kind_key(ref) not in KINDS for ref in other.metadata.owner_references):
                    yield Key(kind, *ns_name)


def _owner_keys(obj: AnyObject) -> Iterable[Key]:
    """Where the object's owners would be."""
    for ref in obj.metadata.owner_references:
        kind = _kind_key(ref)
        typed = KINDS.get(kind)
        if typed is None or typed.namespaced:
            yield Key(kind, obj.metadata.namespace, ref.name)
        if typed is None or not typed.namespaced:
            yield Key(kind, "", ref.name)


class Garbage(Concern):
    """Deletes what has lost its owners, and sees foreground and orphaning deletions through."""

    name: ClassVar[str] = "garbage"
    subjects: ClassVar[Sequence[str]] = (ANY,)
    rules: ClassVar[Sequence[Rule]] = RULES
    watches: ClassVar[Mapping[str, Touched]] = {ANY: _touched}
    sees_bindings: ClassVar[bool] = False

    def due_at_start(self, ws: Workspace) -> Iterable[Key]:
        """Objects of all kinds, typed or not, about which there is something to decide."""
        for kind in ws.kinds:
            for ns_name, obj in ws.table(kind).items():
                key = Key(kind, *ns_name)
                if _fact(ws, key, obj) is not None:
                    yield key

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """What became of the object's owners, and what its own deletion waits for."""
        obj = ws.get(key)
        return None if obj is None else _fact(ws, key, obj)


def _fact(ws: Workspace, key: Key, obj: AnyObject) -> Fact | None:
    meta = obj.metadata
    deleting = meta.deletion_timestamp is not None
    orphaning, foreground = is_deleting(obj, ORPHAN), is_deleting(obj, FOREGROUND)
    if not (orphaning or foreground or _has_lost_owner(ws, obj)):
        return None
    owners = owners_of(ws, obj)
    gone = [*owners.absent, *owners.waiting]
    return {
        "object": str(key),
        "deleting": deleting,
        "orphaning": orphaning,
        "foreground": foreground,
        "blocking": len(dependents_of(ws, obj, blocking=True)) if foreground else 0,
        "solid": len(owners.solid),
        "gone": len(gone),
        "unknown": len(owners.unknown),
        "owner": _described(gone),
        "stranger": _described(owners.unknown),
    }


def _described(refs: Sequence[OwnerReference]) -> str:
    """The first of some owners in words; "" if there is none."""
    return f"{refs[0].kind.lower()} {refs[0].name}" if refs else ""
