"""Which fields a write changes: what of a new object, or of a changed one, its writer comes to own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from reconciler.apiserver import wire
from reconciler.apiserver.apply_fields import Fields, difference
from reconciler.apiserver.apply_shapes import Shape
from reconciler.apiserver.apply_walk import Difference, compare
from reconciler.apiserver.messages import Field, fields_of, messages, name_of_message
from reconciler.apiserver.resources import Resource
from state.kept import Remembered
from state.objects import AnyObject, Object, ObjectMeta, Pod, PodSpec, replace

Json = dict[str, Any]
#: What nobody owns: it identifies the object, or the server sets it.
NOT_OWNED: Fields = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {
        ".": {},
        "f:clusterName": {},
        "f:creationTimestamp": {},
        "f:generation": {},
        "f:managedFields": {},
        "f:name": {},
        "f:namespace": {},
        "f:resourceVersion": {},
        "f:selfLink": {},
        "f:uid": {},
    },
}
#: New pods that are alike in all that matters here, by that, with their change. The spec counts by its identity, and is
#: kept, so that no other can have it.
_new_pods = Remembered[tuple[object, ...], tuple[PodSpec, Difference]]()
_NO_METADATA = ObjectMeta()
_ZEROS = {"string": "", "int": 0, "int64": 0, "bool": False}
#: What Go writes of an empty object, where no message says it.
_BLANKS: Mapping[tuple[str, str], Json] = {
    ("apiextensions.k8s.io", "CustomResourceDefinition"): {
        "spec": {"group": "", "names": {"plural": "", "kind": ""}, "scope": "", "versions": None},
        "status": {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": None},
    },
    ("apiregistration.k8s.io", "APIService"): {"spec": {"groupPriorityMinimum": 0, "versionPriority": 0}, "status": {}},
}


def change_of(  # noqa: PLR0917 - what a change consists of
    resource: Resource, shape: Shape, live: AnyObject | None, new: AnyObject, subresource: str, asked: AnyObject
) -> Difference:
    """What a writer changes, of that which can be owned and is written at that path; ``asked`` is the new object
    without what the server has added.
    """
    if live is not None or not isinstance(new, Pod):
        return _change(resource, shape, live, asked, subresource)
    meta = new.metadata
    names = (tuple(meta.labels), tuple(meta.annotations), meta.owner_references, meta.finalizers)
    key = (id(new.spec), bool(meta.generate_name), *names)
    known = _new_pods.get(key)
    if known is None:
        known = (new.spec, _change(resource, shape, live, asked, subresource))
        _new_pods[key] = known
    return known[1]


def _change(resource: Resource, shape: Shape, live: AnyObject | None, new: AnyObject, subresource: str) -> Difference:
    if isinstance(new, Object):
        found = _typed(resource, shape, live, new, subresource)
    else:
        found = compare(blank(resource) if live is None else wire.document(live), wire.document(new), shape)

    return Difference(
        owned_part(resource, found.changed, subresource), owned_part(resource, found.removed, subresource)
    )


def owned_part(resource: Resource, fields: Fields, subresource: str) -> Fields:
    """What of some fields can be owned, and is written at a path."""
    owned = difference(fields, NOT_OWNED).items()
    return {step: child for step, child in owned if _is_within(resource, step.removeprefix("f:"), subresource)}


def _typed(resource: Resource, shape: Shape, live: AnyObject | None, new: Object, subresource: str) -> Difference:
    """The difference, without looking at parts that are alike, or aren't written at that path."""
    old = type(new)() if live is None else live
    before, after = (replace(each.metadata, managed_fields=()) for each in (old, new))
    if before == after:
        before = after = _NO_METADATA
    left_out = {
        name: empty
        for name, empty in _parts(type(new)).items()
        if not _is_within(resource, name, subresource) or getattr(old, name) == getattr(new, name)
    }
    old, new = replace(old, metadata=before, **left_out), replace(new, metadata=after, **left_out)
    return compare(wire.document(old), wire.document(new), shape)


def blank(resource: Resource) -> Json:
    """What an object is compared with when it is made: the zero value of its type."""
    if resource.type is not None:
        return _blank_of(resource.type)
    empty = _BLANKS.get((resource.group, resource.kind), {})
    if not empty and not resource.is_custom:
        message = name_of_message(resource.api_version, resource.kind)
        empty = _blank_message(message) if message in messages() else {}
    return {**empty, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}


@cache
def _blank_message(message: str) -> Json:
    """What Go writes of an empty message."""
    return {name: _blank_field(field) for name, field in fields_of(message).items() if field.is_always}


def _blank_field(field: Field) -> Any:
    if field.container:
        return None
    return _blank_message(field.type) if field.type in messages() else _ZEROS.get(field.type)


@cache
def _blank_of(kind: type[Any]) -> Json:
    return wire.document(kind())


@cache
def _parts(kind: type[Object]) -> Mapping[str, Any]:
    """What an object has beside its metadata, empty."""
    empty = kind()
    return {name: getattr(empty, name) for name in kind.__struct_fields__ if name != "metadata"}


def _is_within(resource: Resource, field: str, subresource: str) -> bool:
    """Whether a part of an object is written at a path."""
    if "status" not in resource.subresources or subresource not in ("", "status"):
        return True
    if field == "metadata":
        return not (resource.is_custom and subresource)
    return (field == "status") == (subresource == "status")
