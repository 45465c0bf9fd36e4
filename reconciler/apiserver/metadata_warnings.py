"""What is not quite right with an object's metadata: it is taken, put right where it can be, and warned of."""

from __future__ import annotations

from state.names import qualified_name
from state.objects import AnyObject, OwnerReference, replace

_STANDARD_FINALIZERS = frozenset({"foregroundDeletion", "kubernetes", "orphan"})
_REPEATED = (
    ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may "
    "reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {uids}"
)


def with_owners_once(obj: AnyObject, *, is_patched: bool = False) -> tuple[AnyObject, tuple[str, ...]]:
    """The object with each owner once, and the warning if one was there twice."""
    owners = obj.metadata.owner_references
    if len(owners) < 2:
        return obj, ()
    kept: list[OwnerReference] = []
    repeated = []
    for owner in owners:
        if owner in kept:
            repeated.append(owner.uid)
        else:
            kept.append(owner)
    if not repeated:
        return obj, ()
    when = " after mutating admission happens" if is_patched else ""
    warning = _REPEATED.format(when=when, uids=", ".join(repeated))
    return replace(obj, metadata=replace(obj.metadata, owner_references=tuple(kept))), (warning,)


def finalizer_warnings(new: AnyObject, old: AnyObject | None) -> tuple[str, ...]:
    """What is said of a custom resource's new finalizers, which may be called anything."""
    before = () if old is None else old.metadata.finalizers
    told: list[str] = []
    for name in sorted(set(new.metadata.finalizers) - set(before)):
        faults = qualified_name(name)
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            path = " including a path (/)" if "." in name else ""
            why = "to avoid accidental conflicts with other finalizer writers"
            faults.append(f"prefer a domain-qualified finalizer name{path} {why}")
        told += (f'metadata.finalizers: "{name}": {fault}' for fault in faults)
    return tuple(told)
