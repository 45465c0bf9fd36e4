"""Warnings about volumes, claims and classes of storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from state.errors import quoted
from state.objects import (
    CSIStorageCapacity,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    Quantity,
    StorageClass,
)
from state.quantity import QuantityError, canonical, parse
from state.warnings._labels import DEPRECATED, of_expressions

_NANOS = 10**9
_CLASS = "volume.beta.kubernetes.io/storage-class"
_BY_ATTRIBUTE = 'deprecated since v1.8; use "storageClassName" attribute instead'
_RECYCLE = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
#: Sources of volumes that are out of date: by field, their name and what became of them.
PLUGINS: Mapping[str, tuple[str, str]] = {
    "photon_persistent_disk": ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    "git_repo": ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    "scale_io": ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    "flocker": ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    "storageos": ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    "quobyte": ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    "glusterfs": ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    "cephfs": ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    "rbd": ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
}
#: Those of them that are told of in a PersistentVolume, in the server's order.
_IN_VOLUMES = ("cephfs", "photon_persistent_disk", "scale_io", "storageos", "glusterfs", "rbd")


def of_amounts(path: str, amounts: Mapping[str, Quantity], names: tuple[str, ...]) -> Iterator[str]:
    """Of amounts of bytes that aren't whole numbers."""
    for name in names:
        value = amounts.get(name)
        if value is not None and _is_fractional(value):
            text = quoted(canonical(value))
            yield f"{path}[{name}]: fractional byte value {text} is invalid, must be an integer"


def _is_fractional(value: Quantity) -> bool:
    try:
        return parse(value).nanos % _NANOS != 0
    except QuantityError:  # refused already
        return False


def of_claim_spec(path: str, spec: PersistentVolumeClaimSpec) -> Iterator[str]:
    """Of what a claim asks for."""
    if spec.resources is not None:
        for field, amounts in (("requests", spec.resources.requests), ("limits", spec.resources.limits)):
            yield from of_amounts(f"{path}.resources.{field}", amounts, ("storage",))


def of_claim(obj: PersistentVolumeClaim) -> Iterator[str]:
    """PersistentVolumeClaim."""
    yield from _of_class_annotation(obj.metadata.annotations)
    yield from of_claim_spec("spec", obj.spec)


def _of_class_annotation(annotations: Mapping[str, str]) -> Iterator[str]:
    if _CLASS in annotations:
        yield f"metadata.annotations[{_CLASS}]: {_BY_ATTRIBUTE}"


def of_volume(obj: PersistentVolume) -> Iterator[str]:
    """PersistentVolume."""
    yield from _of_class_annotation(obj.metadata.annotations)
    if obj.spec.persistent_volume_reclaim_policy == "Recycle":
        yield f"spec.persistentVolumeReclaimPolicy: {_RECYCLE}"
    required = obj.spec.node_affinity.required if obj.spec.node_affinity is not None else None
    for index, term in enumerate(required.node_selector_terms if required is not None else ()):
        yield from of_expressions(f"spec.nodeAffinity.required.nodeSelectorTerms[{index}]", term.match_expressions)
    for field in _IN_VOLUMES:
        if getattr(obj.spec, field) is not None:
            name, message = PLUGINS[field]
            yield f"spec.{name}: {message}"


def of_class(obj: StorageClass) -> Iterator[str]:
    """StorageClass."""
    for index, topology in enumerate(obj.allowed_topologies):
        for number, expression in enumerate(topology.match_label_expressions):
            if expression.key in DEPRECATED:
                path = f"allowedTopologies[{index}].matchLabelExpressions[{number}].key"
                yield f"{path}: {DEPRECATED[expression.key]}"


def of_capacity(obj: CSIStorageCapacity) -> Iterator[str]:
    """CSIStorageCapacity."""
    if obj.node_topology is not None:
        yield from of_expressions("nodeTopology", obj.node_topology.match_expressions)
        for name in sorted(obj.node_topology.match_labels.keys() & DEPRECATED.keys()):
            yield f"nodeTopology.matchLabels.{name}: {DEPRECATED[name]}"
