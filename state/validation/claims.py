"""Validation of PersistentVolumeClaims, also as templates in pods and StatefulSets."""

from __future__ import annotations

from state import names
from state.objects import (
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    TypedLocalObjectReference,
    TypedObjectReference,
    replace,
)
from state.quantity import QuantityError, canonical, compare
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.differences import difference
from state.validation.metadata import object_meta

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
_IMMUTABLE = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def persistent_volume_claim(found: Report, obj: PersistentVolumeClaim) -> None:
    """PersistentVolumeClaim (v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    claim_spec(found, "spec", obj.spec)
    for field, amounts in (("capacity", obj.status.capacity), ("allocatedResources", obj.status.allocated_resources)):
        for name, value in sorted(amounts.items()):
            amount = checks.quantity(found, f"status.{field}[{name}]", value)
            if amount is not None and amount.value() < 0:
                found.invalid(f"status.{field}[{name}]", amount.value(), "must be a valid resource quantity")


def claim_spec(found: Report, path: str, spec: PersistentVolumeClaimSpec) -> None:
    """What a claim asks for."""
    if not spec.access_modes:
        found.required(f"{path}.accessModes", "at least 1 access mode is required")
    checks.label_selector(found, f"{path}.selector", spec.selector)
    access_modes(found, f"{path}.accessModes", spec.access_modes)
    _request(found, path, spec)
    if spec.storage_class_name:
        checks.text(found, f"{path}.storageClassName", spec.storage_class_name, names.dns1123_subdomain)
    if spec.volume_mode is not None and spec.volume_mode not in VOLUME_MODES:
        found.unsupported(f"{path}.volumeMode", spec.volume_mode, VOLUME_MODES)
    _data_sources(found, path, spec)
    if spec.volume_attributes_class_name:
        name = spec.volume_attributes_class_name
        checks.text(found, f"{path}.volumeAttributesClassName", name, names.dns1123_subdomain)


def access_modes(found: Report, path: str, modes: tuple[str, ...]) -> None:
    """Access modes exist, and one that excludes all other pods stands alone."""
    for mode in modes:
        if mode not in ACCESS_MODES:
            found.unsupported(path, mode, ACCESS_MODES)
    known = {mode for mode in modes if mode in ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        found.forbidden(path, "may not use ReadWriteOncePod with other access modes")


def _request(found: Report, path: str, spec: PersistentVolumeClaimSpec) -> None:
    requests = spec.resources.requests if spec.resources is not None else {}
    if "storage" not in requests:
        found.required(f"{path}.resources[storage]")
        return
    amount = checks.quantity(found, f"{path}.resources[storage]", requests["storage"])
    if amount is not None and amount.nanos <= 0:
        found.invalid(f"{path}.resources[storage]", canonical(requests["storage"]), checks.NOT_POSITIVE)


def _data_sources(found: Report, path: str, spec: PersistentVolumeClaimSpec) -> None:
    source, reference = spec.data_source, spec.data_source_ref
    if source is not None:
        _data_source(found, f"{path}.dataSource", source)
    if reference is not None:
        _data_source(found, f"{path}.dataSourceRef", reference)
        if reference.namespace:
            checks.text(found, f"{path}.dataSourceRef.namespace", reference.namespace, names.dns1123_label)
    if source is None or reference is None:
        return
    if reference.namespace:
        message = "may not be specified when dataSourceRef.namespace is specified"
        found.invalid(path, f"{path}.dataSource", message)
    elif (source.api_group, source.kind, source.name) != (reference.api_group, reference.kind, reference.name):
        found.invalid(path, f"{path}.dataSource", "must match dataSourceRef")


def _data_source(found: Report, path: str, source: TypedLocalObjectReference | TypedObjectReference) -> None:
    if not source.name:
        found.required(f"{path}.name")
    if not source.kind:
        found.required(f"{path}.kind")
    if source.api_group:
        checks.text(found, f"{path}.apiGroup", source.api_group, names.dns1123_subdomain)
    elif source.kind != "PersistentVolumeClaim":
        message = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        found.invalid(path, source.kind, message)


def persistent_volume_claim_update(found: Report, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
    """A claim keeps what it asked for; a bound one may ask for more space or other attributes."""
    bound = new.status.phase == "Bound" or (new.status.phase is None and old.status.phase == "Bound")
    spec, before = new.spec, old.spec
    if not before.volume_name:
        before = replace(before, volume_name=spec.volume_name)
    _class_annotation_update(found, new, old)
    annotated = old.metadata.annotations.get(_CLASS_ANNOTATION, spec.storage_class_name)
    if before.storage_class_name is None and annotated == spec.storage_class_name:
        spec = replace(spec, storage_class_name=None)
    if bound:
        spec = replace(spec, volume_attributes_class_name=before.volume_attributes_class_name)
        if spec.resources is not None and spec.resources.requests:
            requests = {**spec.resources.requests, "storage": _size(before)}
            spec = replace(spec, resources=replace(spec.resources, requests=requests))
    if spec != before:
        found.forbidden("spec", f"{_IMMUTABLE}\n{difference('PersistentVolumeClaimSpec', before, spec)}")
    _size_update(found, new, old)
    checks.immutable(found, "volumeMode", new.spec.volume_mode, old.spec.volume_mode)
    attributes, previous = new.spec.volume_attributes_class_name, old.spec.volume_attributes_class_name
    if attributes != previous and not attributes and old.status.current_volume_attributes_class_name is not None:
        change = "nil" if attributes is None else "empty string"
        why = "is forbidden when status.currentVolumeAttributesClassName is not nil"
        found.forbidden("spec.volumeAttributesClassName", f"update to {change} {why}")


def _class_annotation_update(found: Report, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
    """The annotation stays, but where the field takes its place."""
    now, was = (each.metadata.annotations.get(_CLASS_ANNOTATION) for each in (new, old))
    name = new.spec.storage_class_name
    if was is not None and old.spec.storage_class_name is None and name == was and now in (None, was):
        return
    if (now or "") != (was or ""):
        found.invalid(f"metadata.annotations.{_CLASS_ANNOTATION}", now or "", checks.IMMUTABLE)


def _size_update(found: Report, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
    """A request that was too much may be taken back, down to what there is already."""
    size, before = _size(new.spec), _size(old.spec)
    try:
        if compare(size, before) < 0 and compare(size, old.status.capacity.get("storage", 0)) <= 0:
            found.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    except QuantityError:
        return  # the check of the object itself says so


def _size(spec: PersistentVolumeClaimSpec) -> str | int | float:
    return spec.resources.requests.get("storage", 0) if spec.resources is not None else 0
