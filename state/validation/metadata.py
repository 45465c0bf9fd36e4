"""Validation of what every object has: its name, labels, annotations, owners and finalizers."""

from __future__ import annotations

from collections.abc import Mapping

from state import names
from state.objects import ObjectMeta, OwnerReference
from state.validation import _checks as checks
from state.validation._checks import Rule
from state.validation._report import Report

ANNOTATIONS_LIMIT = 256 * 1024
#: A generated name is what is given, cut to fit, and this many characters.
_SUFFIX = "-" + "x" * 5
_KUBERNETES_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
_IMMUTABLE = ("name", "namespace", "uid", "creation_timestamp", "deletion_timestamp", "deletion_grace_period_seconds")
_JSON_NAMES = dict(zip(ObjectMeta.__struct_fields__, ObjectMeta.__struct_encode_fields__, strict=True))


def object_meta(found: Report, meta: ObjectMeta, rule: Rule = names.dns1123_subdomain, *, namespaced: bool) -> None:
    """The metadata of a typed object. A namespace may be missing: the caller knows which one is meant."""
    custom_meta(found, meta, rule, namespaced=namespaced)
    for index, name in enumerate(meta.finalizers):
        kubernetes_finalizer(found, f"metadata.finalizers[{index}]", name)
    found.of_metadata = len(found.problems)


def custom_meta(found: Report, meta: ObjectMeta, rule: Rule, *, namespaced: bool = True) -> None:
    """The metadata of any object."""
    if meta.generate_name:
        checks.text(found, "metadata.generateName", meta.generate_name, lambda prefix: rule(_masked(prefix)))
    if meta.name:
        checks.text(found, "metadata.name", meta.name, rule)
    elif not meta.generate_name:
        found.required("metadata.name", "name or generateName is required")
    if meta.namespace and not namespaced:
        found.forbidden("metadata.namespace", "not allowed on this type")
    elif meta.namespace:
        checks.text(found, "metadata.namespace", meta.namespace, names.dns1123_label)
    found.not_negative("metadata.generation", meta.generation)
    checks.labels(found, "metadata.labels", meta.labels)
    annotation_map(found, "metadata.annotations", meta.annotations)
    _owners(found, meta.owner_references)
    _finalizers(found, meta.finalizers)
    found.of_metadata = len(found.problems)


def path_segment(name: str) -> list[str]:
    """A name that can at least stand in a URL; all that is asked of kinds nobody here knows."""
    problems = [f"may not be '{name}'"] if name in {".", ".."} else []
    return problems + [f"may not contain '{mark}'" for mark in "/%" if mark in name]


def annotation_map(found: Report, path: str, given: Mapping[str, str]) -> None:
    """Keys of annotations are well-formed, and all of them together not too long."""
    for key in sorted(given):
        found.each_invalid(path, key, names.qualified_name(key.lower()))
    if sum(len(key.encode()) + len(value.encode()) for key, value in given.items()) > ANNOTATIONS_LIMIT:
        found.too_long(path, ANNOTATIONS_LIMIT)


def template_meta(found: Report, path: str, meta: ObjectMeta) -> None:
    """The metadata of a pod template: only labels and annotations count."""
    checks.labels(found, f"{path}.labels", meta.labels)
    annotation_map(found, f"{path}.annotations", meta.annotations)


def claim_template_meta(found: Report, path: str, meta: ObjectMeta) -> None:
    """The metadata of an ephemeral claim's template: nothing but labels and annotations may be set."""
    annotation_map(found, f"{path}.annotations", meta.annotations)
    checks.labels(found, f"{path}.labels", meta.labels)
    for field, json_name in _JSON_NAMES.items():
        if field not in {"labels", "annotations"} and getattr(meta, field):
            found.forbidden(f"{path}.{json_name}", "cannot be set")


def meta_update(found: Report, new: ObjectMeta, old: ObjectMeta) -> None:
    """What may not change in an object's metadata. What an update leaves out is taken over, and so no change."""
    if old.deletion_timestamp is not None:
        added = sorted(set(new.finalizers) - set(old.finalizers))
        if added:
            listed = ", ".join(f'"{name}"' for name in added)
            found.forbidden(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}",
            )
    if new.generation is not None and new.generation < (old.generation or 0):
        found.invalid("metadata.generation", new.generation, "must not be decremented")
    for field in _IMMUTABLE:
        value = getattr(new, field)
        if value not in (None, ""):
            checks.immutable(found, f"metadata.{_JSON_NAMES[field]}", value, getattr(old, field))


def repeated_by_update(found: Report, new: ObjectMeta) -> None:
    """What the API server checks of a changed object's metadata once more because it is changed."""
    checks.labels(found, "metadata.labels", new.labels)
    annotation_map(found, "metadata.annotations", new.annotations)
    _owners(found, new.owner_references)


def kubernetes_finalizer(found: Report, path: str, name: str) -> None:
    """A finalizer without a domain is one of Kubernetes' own."""
    if "/" not in name and name not in _KUBERNETES_FINALIZERS:
        found.invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")


def _masked(prefix: str) -> str:
    """A prefix as it stands at the head of a name: it may end with a hyphen."""
    return prefix[:-1] + "a" if prefix.endswith("-") and len(prefix) > 1 else prefix


def _owners(found: Report, owners: tuple[OwnerReference, ...]) -> None:
    path, controller = "metadata.ownerReferences", ""
    for owner in owners:
        group, slash, version = owner.api_version.partition("/")
        if not (version if slash else group) or "/" in version:
            found.invalid(f"{path}.apiVersion", owner.api_version, "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not getattr(owner, field):
                found.invalid(f"{path}.{field}", "", "must not be empty")
        if (owner.api_version, owner.kind) == ("v1", "Event"):
            found.invalid(path, _owner_value(owner), "/v1, Kind=Event is disallowed from being an owner")
        if owner.controller:
            this = f"{owner.kind}/{owner.name}"
            if controller:
                message = f'Found "true" in references for {controller} and {this}'
                message = f"Only one reference can have Controller set to true. {message}"
                found.invalid(path, [_owner_value(each) for each in owners], message)
            controller = controller or this


def _owner_value(owner: OwnerReference) -> dict[str, object]:
    """An owner reference as the API server shows it."""
    shown: dict[str, object] = {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
    }
    if owner.controller is not None:
        shown["controller"] = owner.controller
    if owner.block_owner_deletion is not None:
        shown["blockOwnerDeletion"] = owner.block_owner_deletion
    return shown


def _finalizers(found: Report, finalizers: tuple[str, ...]) -> None:
    path = "metadata.finalizers"
    for name in finalizers:
        checks.text(found, path, name, names.qualified_name)
    if {"orphan", "foregroundDeletion"} <= set(finalizers):
        message = "finalizer orphan and foregroundDeletion cannot be both set"
        found.invalid(path, list(finalizers), message)
