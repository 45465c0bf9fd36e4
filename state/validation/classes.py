"""Validation of storage.k8s.io/v1: classes of storage, and what drivers say about themselves and their nodes."""

from __future__ import annotations

from collections.abc import Mapping

from state import names
from state.objects import (
    CSIDriver,
    CSINode,
    CSINodeDriver,
    CSIStorageCapacity,
    StorageClass,
    TokenRequest,
    TopologySelectorTerm,
    VolumeAttachment,
    VolumeError,
    replace,
)
from state.quantity import canonical
from state.validation import _checks as checks
from state.validation import sources
from state.validation._report import Report
from state.validation.metadata import object_meta
from state.validation.storage import volume_spec

_BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
_RECLAIM_POLICIES = ("Delete", "Retain")
_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLE_MODES = ("Persistent", "Ephemeral")
_MAX_PARAMETERS = 512
_MAX_SIZE = 256 * 1024
_MAX_MESSAGE = 1024
_MAX_NODE_ID = 256
_INT32_MAX = 2**31 - 1


def storage_class(found: Report, obj: StorageClass) -> None:
    """StorageClass (storage.k8s.io/v1)."""
    object_meta(found, obj.metadata, namespaced=False)
    if not obj.provisioner:
        found.required("provisioner")
    else:
        provisioner = obj.provisioner.lower()
        checks.text(found, "provisioner", provisioner, names.qualified_name)
    parameters(found, "parameters", obj.parameters)
    if obj.reclaim_policy and obj.reclaim_policy not in _RECLAIM_POLICIES:
        found.unsupported("reclaimPolicy", obj.reclaim_policy, _RECLAIM_POLICIES)
    if obj.volume_binding_mode not in _BINDING_MODES:
        found.unsupported("volumeBindingMode", obj.volume_binding_mode, _BINDING_MODES)
    # the API server begins with as many empty terms as there are, so that an empty one repeats all of them
    terms: list[dict[str, frozenset[str]]] = [{} for _ in obj.allowed_topologies]
    for index, term in enumerate(obj.allowed_topologies):
        raw = _topology_term(found, f"allowedTopologies[{index}].matchLabelExpressions", term)
        for _ in range(terms.count(raw)):
            found.duplicate(f"allowedTopologies[{index}].matchLabelExpressions", "")
        terms.append(raw)


def parameters(found: Report, path: str, given: Mapping[str, str], *, needed: bool = False) -> None:
    """What a class tells its driver."""
    if len(given) > _MAX_PARAMETERS:
        found.too_long(path, _MAX_PARAMETERS)
        return
    if "" in given:
        found.invalid(path, "", "field can not be empty.")
    _size(found, path, given)
    if needed and not given:
        found.required(path, "must contain at least one key/value pair")


def _topology_term(found: Report, path: str, term: TopologySelectorTerm) -> dict[str, frozenset[str]]:
    seen: dict[str, frozenset[str]] = {}
    for index, requirement in enumerate(term.match_label_expressions):
        own_path, values = f"{path}[{index}]", requirement.values
        if not values:
            found.required(f"{own_path}.values")
        for number, value in enumerate(values):
            if value in values[:number]:
                found.duplicate(f"{own_path}.values[{number}]", value)
        checks.text(found, f"{own_path}.key", requirement.key, names.qualified_name)
        if requirement.key in seen:
            found.duplicate(f"{own_path}.key", requirement.key)
        seen[requirement.key] = frozenset(values)
    return seen


def _size(found: Report, path: str, given: Mapping[str, str]) -> None:
    if sum(len(key.encode()) + len(value.encode()) for key, value in given.items()) > _MAX_SIZE:
        found.too_long(path, _MAX_SIZE)


def storage_class_update(found: Report, new: StorageClass, old: StorageClass) -> None:
    """A class keeps how it makes volumes."""
    for name in ("parameters", "provisioner", "reclaim_policy"):
        if getattr(new, name) != getattr(old, name):
            json_name = "reclaimPolicy" if name == "reclaim_policy" else name
            found.forbidden(json_name, f"updates to {json_name} are forbidden.")
    checks.immutable(found, "volumeBindingMode", new.volume_binding_mode, old.volume_binding_mode)


def csi_node(found: Report, obj: CSINode) -> None:
    """CSINode (storage.k8s.io/v1)."""
    object_meta(found, obj.metadata, namespaced=False)
    seen: set[str] = set()
    for index, driver in enumerate(obj.spec.drivers):
        path = f"spec.drivers[{index}]"
        _node_driver(found, path, driver)
        if driver.name in seen:
            found.duplicate(f"{path}.name", driver.name)
        seen.add(driver.name)


def _node_driver(found: Report, path: str, driver: CSINodeDriver) -> None:
    sources.csi_driver_name(found, f"{path}.name", driver.name)
    if not driver.node_id:
        found.required(f"{path}.nodeID")
    if len(driver.node_id) > _MAX_NODE_ID:
        found.invalid(f"{path}.nodeID", driver.node_id, f"must be {_MAX_NODE_ID} characters or less")
    if driver.allocatable is not None:
        found.not_negative(f"{path}.allocatable.count", driver.allocatable.count)
    for index, key in enumerate(driver.topology_keys):
        if not key:
            found.required(path)
        if key in driver.topology_keys[:index]:
            found.duplicate(path, key)
        checks.text(found, path, key, names.qualified_name)


def csi_node_update(found: Report, new: CSINode, old: CSINode) -> None:
    """A driver on a node keeps everything but how many volumes it takes."""
    before = [replace(driver, allocatable=None) for driver in old.spec.drivers]
    names_before = {driver.name for driver in before}
    for driver in new.spec.drivers:
        kept = replace(driver, allocatable=None)
        if kept.name in names_before and kept not in before:
            found.invalid("CSINodeDriver", kept, checks.IMMUTABLE)


def csi_driver(found: Report, obj: CSIDriver) -> None:
    """CSIDriver (storage.k8s.io/v1)."""
    object_meta(found, obj.metadata, namespaced=False)
    spec = obj.spec
    if spec.fs_group_policy is not None and spec.fs_group_policy not in _GROUP_POLICIES:
        found.unsupported("spec.fsGroupPolicy", spec.fs_group_policy, _GROUP_POLICIES)
    audiences: set[str] = set()
    for index, request in enumerate(spec.token_requests):
        _token_request(found, f"spec.tokenRequests[{index}]", request, audiences)
    for mode in spec.volume_lifecycle_modes:
        if mode not in _LIFECYCLE_MODES:
            found.unsupported("spec.volumeLifecycleModes", mode, _LIFECYCLE_MODES)
    period = spec.node_allocatable_update_period_seconds
    if period is not None and period < 10:
        path = "spec.nodeAllocatableUpdatePeriodSeconds"
        found.invalid(path, period, "must be greater than or equal to 10 seconds")


def _token_request(found: Report, path: str, request: TokenRequest, audiences: set[str]) -> None:
    if request.audience in audiences:
        found.duplicate(f"{path}.audience", request.audience)
        return
    audiences.add(request.audience)
    seconds = request.expiration_seconds
    if seconds is not None and seconds < 600:
        message = "may not specify a duration less than 10 minutes"
        found.invalid(f"{path}.expirationSeconds", seconds, message)
    if seconds is not None and seconds > 2**32:
        message = "may not specify a duration larger than 2^32 seconds"
        found.invalid(f"{path}.expirationSeconds", seconds, message)


def csi_driver_update(found: Report, new: CSIDriver, old: CSIDriver) -> None:
    """A driver keeps whether it attaches and how long its volumes live."""
    checks.immutable(found, "spec.attachedRequired", new.spec.attach_required, old.spec.attach_required)
    modes = new.spec.volume_lifecycle_modes
    if modes != old.spec.volume_lifecycle_modes:
        found.invalid("spec.volumeLifecycleModes", list(modes), checks.IMMUTABLE)


def csi_storage_capacity(found: Report, obj: CSIStorageCapacity) -> None:
    """CSIStorageCapacity (storage.k8s.io/v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    checks.label_selector(found, "nodeTopology", obj.node_topology)
    checks.text(found, "storageClassName", obj.storage_class_name, names.dns1123_subdomain)
    for name, value in (("capacity", obj.capacity), ("maximumVolumeSize", obj.maximum_volume_size)):
        amount = checks.quantity(found, name, value) if value is not None else None
        if amount is not None and value is not None and amount.nanos < 0:
            found.invalid(name, canonical(value), "must be greater than or equal to 0")


def csi_storage_capacity_update(found: Report, new: CSIStorageCapacity, old: CSIStorageCapacity) -> None:
    """A capacity keeps what it is the capacity of."""
    if new.node_topology != old.node_topology:
        value = None if new.node_topology is None else checks.selector_value(new.node_topology)
        found.invalid("nodeTopology", value, checks.IMMUTABLE)
    checks.immutable(found, "storageClassName", new.storage_class_name, old.storage_class_name)


def volume_attachment(found: Report, obj: VolumeAttachment) -> None:
    """VolumeAttachment (storage.k8s.io/v1)."""
    object_meta(found, obj.metadata, namespaced=False)
    spec, path = obj.spec, "spec.source"
    sources.csi_driver_name(found, "spec.attacher", spec.attacher)
    name, inline = spec.source.persistent_volume_name, spec.source.inline_volume_spec
    if name is None and inline is None:
        found.required(path, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    elif name is not None and inline is not None:
        found.forbidden(path, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    elif name == "":
        found.required(f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName")
    elif name is not None:
        checks.text(found, f"{path}.persistentVolumeName", name, names.dns1123_subdomain)
    elif inline is not None:
        volume_spec(found, f"{path}.inlineVolumeSpec", inline, inline=True)
    checks.text(found, "spec.nodeName", spec.node_name, names.dns1123_subdomain)
    _size(found, "status.attachmentMetadata", obj.status.attachment_metadata)
    _volume_error(found, "status.attachError", obj.status.attach_error)
    _volume_error(found, "status.detachError", obj.status.detach_error)


def _volume_error(found: Report, path: str, error: VolumeError | None) -> None:
    if error is None:
        return
    if len((error.message or "").encode()) > _MAX_MESSAGE:
        found.too_long(f"{path}.message", _MAX_MESSAGE)
    if error.error_code is not None and error.error_code < 0:
        found.invalid(f"{path}.errorCode", error.error_code, names.range_message(0, _INT32_MAX))


def volume_attachment_update(found: Report, new: VolumeAttachment, old: VolumeAttachment) -> None:
    """An attachment keeps what is attached where."""
    checks.immutable(found, "spec", new.spec, old.spec, "VolumeAttachmentSpec")
