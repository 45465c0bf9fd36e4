"""Server-side apply and ``metadata.managedFields``: who owns which field, as kube-apiserver keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from reconciler.apiserver import wire
from reconciler.apiserver.apply_faults import faults
from reconciler.apiserver.apply_fields import (
    Fields,
    Path,
    difference,
    intersection,
    is_well_formed,
    members,
    shown,
    union,
    with_parents,
)
from reconciler.apiserver.apply_last import own_fields, with_annotation
from reconciler.apiserver.apply_shapes import Shape, shape_of, shape_of_built_in, shape_of_custom
from reconciler.apiserver.apply_walk import Difference, compare, fields_of, merge, without
from reconciler.apiserver.field_changes import NOT_OWNED, blank, change_of, owned_part
from reconciler.apiserver.options import WriteOptions
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import ApiError, internal
from state.objects import AnyObject, Opaque, replace
from state.times import format_time

Json = dict[str, Any]
_APPLY, _UPDATE = "Apply", "Update"
#: Who owns what an object had before anybody kept a record.
_BEFORE = "before-first-apply"
#: Older updates are put together once there are more than so many.
_MAX_UPDATES, _ANCIENT = 10, "ancient-changes"
#: Objects that were made at the same time of one template have the same record; so many are kept as they were read.
_REMEMBERED = 512


class Manager(NamedTuple):
    """Whoever owns fields. The same client is another one for each way of writing."""

    name: str
    operation: str
    api_version: str
    subresource: str

    def __str__(self) -> str:
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == _UPDATE else text


class _Entry(NamedTuple):
    """What a manager owns, and since when."""

    fields: Fields
    time: str | None


_Entries = dict[Manager, _Entry]


class ManagedFields:
    """Keeps the record of owners, and applies manifests by it.

    ``schema_of`` gives the OpenAPI schema of a resource that has no type, if it has one.
    """

    def __init__(self, schema_of: Callable[[Resource], Mapping[str, Any] | None] = lambda _: None) -> None:
        self._schema_of = schema_of

    def _shape(self, resource: Resource) -> Shape:
        if isinstance(resource.merged, str):
            return shape_of_built_in(resource.merged)
        return shape_of_custom(self._schema_of(resource)) if resource.merged is None else shape_of(resource.merged)

    def updated(  # noqa: PLR0917 - what a record of a change consists of
        self,
        resource: Resource,
        live: AnyObject | None,
        new: AnyObject,
        manager: str,
        subresource: str,
        now: int,
        asked: AnyObject | None = None,
    ) -> AnyObject:
        """The object about to be stored, with the record that the change leads to. Of a new one its writer owns what
        is in it as it was ``asked`` for: not what admission and allocation have added.

        Nobody keeps one for an object that has none, until something is applied to it.
        """
        entries = _recorded(live, new, subresource)
        if live is not None and not entries:
            return replace(new, metadata=replace(new.metadata, managed_fields=()))
        change = change_of(resource, self._shape(resource), live, new, subresource, asked or new)
        writer = Manager(manager, _UPDATE, resource.api_version, subresource)
        entries = _without_changed(entries, change)
        if change.changed:
            had = entries.get(writer, _Entry({}, None)).fields
            entries[writer] = _Entry(union(had, change.changed), format_time(now))
        return replace(new, metadata=replace(new.metadata, managed_fields=tuple(map(Opaque, _written(entries)))))

    def applied(  # noqa: PLR0917 - what an applied manifest is about
        self,
        resource: Resource,
        live: AnyObject | None,
        manifest: Mapping[str, Any],
        options: WriteOptions,
        subresource: str,
        now: int,
    ) -> Json:
        """The live object with a manifest applied. What isn't written at that path isn't owned either.

        Raises:
            ApiError: fields belong to others, or aren't in the schema.
        """
        shape = self._shape(resource)
        _check(resource, manifest, shape)
        document: Json = {} if live is None else wire.document(live)
        (document.get("metadata") or {}).pop("managedFields", None)
        entries = {} if live is None else _read(live) or self._first(resource, document, shape, now)
        applier = Manager(options.manager, _APPLY, resource.api_version, subresource)
        last = entries.get(applier, _Entry({}, None))
        kept = fields_of(manifest, shape)
        wanted = owned_part(resource, kept, subresource)
        others = {manager: entry for manager, entry in entries.items() if manager != applier}
        kept = union(kept, *(entry.fields for entry in others.values()))
        gone = difference(with_parents(last.fields), with_parents(kept))
        result: Json = without(merge(document, dict(manifest), shape), gone, shape)
        found = compare(document, result, shape)
        change = Difference(*(owned_part(resource, fields, subresource) for fields in found))
        if live is not None and not options.force:
            _check_conflicts(others, change, own_fields(document, options.manager, shape))
        time = last.time if result == document else format_time(now)
        entries = _without_changed(others, change)
        if wanted:
            entries[applier] = _Entry(wanted, time)
        result["metadata"] = {**(result.get("metadata") or {}), "managedFields": _written(entries)}
        return with_annotation(result, manifest, options.manager)

    def _first(self, resource: Resource, document: Json, shape: Shape, now: int) -> _Entries:
        """The record of an object that has none."""
        everything = difference(compare(blank(resource), document, shape).changed, NOT_OWNED)
        return {Manager(_BEFORE, _UPDATE, resource.api_version, ""): _Entry(everything, format_time(now))}


def _check(resource: Resource, manifest: Mapping[str, Any], shape: Shape) -> None:
    found = list(faults(dict(manifest), shape))
    if not found:
        return
    meta = manifest.get("metadata") or {}
    group, _, version = resource.api_version.rpartition("/")
    what = f"({meta.get('namespace') or ''}/{meta.get('name') or ''}; {group}/{version}, Kind={resource.kind})"
    told = found[0] if len(found) == 1 else "\n  ".join(["errors:", *found])
    raise internal(f"failed to create typed patch object {what}: {told}")


def _check_conflicts(others: _Entries, change: Difference, own: Fields) -> None:
    conflicts: list[tuple[Manager, Path]] = []
    for manager in sorted(others):
        shared = difference(intersection(others[manager].fields, change.changed), own)
        conflicts += ((manager, path) for path in members(shared))
    if not conflicts:
        return
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": shown(path)}
        for manager, path in conflicts
    ]
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        told = f"Apply failed with 1 conflict: conflict with {manager}: {shown(path)}"
    else:
        lines = []
        for manager in dict.fromkeys(manager for manager, _ in conflicts):
            lines.append(f"conflicts with {manager}:")
            lines += (f"- {shown(path)}" for owner, path in conflicts if owner == manager)
        told = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
    raise ApiError(409, "Conflict", told, {"causes": causes})


def _without_changed(entries: _Entries, change: Difference) -> _Entries:
    """The record after others changed or removed what it holds."""
    touched = union(change.changed, change.removed)
    result = {}
    for manager, entry in entries.items():
        left = difference(entry.fields, touched)
        if left:
            result[manager] = entry._replace(fields=left)
    return result


def _recorded(live: AnyObject | None, new: AnyObject, subresource: str) -> _Entries:
    """The record that a write begins with: its own if it brings one that makes sense; one empty entry means none."""
    if not subresource:
        if [each.value for each in new.metadata.managed_fields] == [{}]:
            return {}
        brought = _read(new)
        if brought is not None:
            return brought
    return {} if live is None else _read(live) or {}


def _read(obj: AnyObject) -> _Entries | None:
    """The record that an object carries; None if it has none, or one that makes no sense."""
    entries: _Entries = {}
    for opaque in obj.metadata.managed_fields:
        found = _read_entry(opaque)
        if found is None:
            return None
        entries[found[0]] = found[1]
    return entries or None


@lru_cache(_REMEMBERED)
def _read_entry(opaque: Opaque) -> tuple[Manager, _Entry] | None:
    value = opaque.value
    if not isinstance(value, dict) or not is_well_formed(value.get("fieldsV1")):
        return None
    names = [value.get(name) or "" for name in ("manager", "operation", "apiVersion", "subresource")]
    time = value.get("time")
    if not all(isinstance(name, str) for name in names) or not isinstance(time, str | None):
        return None
    return (Manager(*names), _Entry(value["fieldsV1"], time)) if names[1] in (_APPLY, _UPDATE) else None


def _written(entries: _Entries) -> list[Json]:
    """The record as it is stored: applied fields first, then by time."""
    order = sorted(entries, key=lambda each: (each.operation, entries[each].time or "", each))
    updates = [manager for manager in order if manager.operation == _UPDATE]
    if len(updates) > _MAX_UPDATES:
        old = updates[: len(updates) - _MAX_UPDATES + 1]
        fields: Fields = {}
        for manager in old:
            fields = union(fields, entries[manager].fields)
        ancient = Manager(_ANCIENT, _UPDATE, old[-1].api_version, "")
        kept = {manager: entry for manager, entry in entries.items() if manager not in old}
        return _written({**kept, ancient: _Entry(fields, entries[old[-1]].time)})
    return [_shown(manager, entries[manager]) for manager in order]


def _shown(manager: Manager, entry: _Entry) -> Json:
    result: Json = {"manager": manager.name, "operation": manager.operation, "apiVersion": manager.api_version}
    if entry.time is not None:
        result["time"] = entry.time
    result |= {"fieldsType": "FieldsV1", "fieldsV1": entry.fields}
    if manager.subresource:
        result["subresource"] = manager.subresource
    return result
