"""Metadata, selectors and references that every kind shares (meta/v1)."""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from state.objects._base import Int64, Opaque, Struct


class OwnerReference(Struct):
    api_version: str = field(default_factory=str)
    block_owner_deletion: bool | None = None
    controller: bool | None = None
    kind: str = field(default_factory=str)
    name: str = field(default_factory=str)
    uid: str = field(default_factory=str)


class ObjectMeta(Struct):
    annotations: dict[str, str] = {}
    creation_timestamp: str | None = None
    deletion_grace_period_seconds: Int64 | None = None
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    generate_name: str | None = None
    generation: Int64 | None = None
    labels: dict[str, str] = {}
    managed_fields: tuple[Opaque, ...] = ()
    name: str = ""
    namespace: str = ""
    owner_references: tuple[OwnerReference, ...] = ()
    resource_version: str | None = None
    self_link: str | None = None
    uid: str = ""


class Object(Struct, forbid_unknown_fields=False):
    """An API object: what has a kind, which is its type's name, and a name, and is stored.

    A manifest of it also has ``apiVersion`` and ``kind``, which are no fields here; so ``state.load``, not the struct,
    finds the top-level fields that don't exist.
    """

    api_version: ClassVar[str] = "v1"
    kind: ClassVar[str]
    metadata: ObjectMeta = ObjectMeta()

    def __init_subclass__(cls) -> None:
        cls.kind = cls.__name__


class NodeSelectorRequirement(Struct):
    key: str = field(default_factory=str)
    operator: str = field(default_factory=str)
    values: tuple[str, ...] = ()


class NodeSelectorTerm(Struct):
    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()


class NodeSelector(Struct):
    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class LabelSelectorRequirement(Struct):
    key: str = field(default_factory=str)
    operator: str = field(default_factory=str)
    values: tuple[str, ...] = ()


class LabelSelector(Struct):
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
    match_labels: dict[str, str] = {}


#: What a required selector is that was not given: equal to an empty one, and told from it by ``is`` alone.
NO_SELECTOR = LabelSelector()


class LocalObjectReference(Struct):
    name: str | None = None


class TypedLocalObjectReference(Struct):
    api_group: str | None = None
    kind: str = field(default_factory=str)
    name: str = field(default_factory=str)


class TypedObjectReference(Struct):
    api_group: str | None = None
    kind: str = field(default_factory=str)
    name: str = field(default_factory=str)
    namespace: str | None = None


class BareCondition(Struct):
    """What the types of condition have in common that are older than ``Condition``, and require less."""

    last_transition_time: str | None = None
    message: str | None = None
    reason: str | None = None
    status: str = field(default_factory=str)
    type: str = field(default_factory=str)


class Condition(Struct):
    last_transition_time: str = field(default_factory=str)
    message: str = field(default_factory=str)
    observed_generation: Int64 | None = None
    reason: str = field(default_factory=str)
    status: str = field(default_factory=str)
    type: str = field(default_factory=str)


class ObjectReference(Struct):
    api_version: str | None = None
    field_path: str | None = None
    kind: str | None = None
    name: str | None = None
    namespace: str | None = None
    resource_version: str | None = None
    uid: str | None = None


class SecretReference(Struct):
    name: str | None = None
    namespace: str | None = None
