"""What the registry of a kind does to an object before it is stored: who may write which part, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reconciler.apiserver.resources import Resource
from rules.context import COUNTED_KINDS, is_of_another_generation
from rules.service_update import updated_service
from rules.strategies import on_update
from state.defaults import default
from state.objects import (
    AnyObject,
    CustomObject,
    Deployment,
    Job,
    Namespace,
    NamespaceSpec,
    NamespaceStatus,
    Node,
    ObjectMeta,
    Opaque,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PriorityClass,
    kind_key,
    replace,
)
from state.qos import qos_class
from state.times import format_time

ObjectT = TypeVar("ObjectT", bound=AnyObject)

#: Untyped built-in kinds whose generation is counted.
_COUNTED_UNTYPED = frozenset(
    {
        "CustomResourceDefinition",
        "FlowSchema",
        "Ingress",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "NetworkPolicy",
        "PriorityLevelConfiguration",
        "ServiceCIDR",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)
#: Kinds that are created with the status that was sent.
_REPORTED_AT_CREATION = (Node,)
#: Fields of the spec that the server sets and that never change again: an update may omit them.
_SET_BY_THE_SERVER: dict[type, tuple[str, ...]] = {
    Job: ("selector",),
    PersistentVolumeClaim: ("data_source", "data_source_ref", "storage_class_name", "volume_name"),
    Pod: ("node_name", "preemption_policy", "priority", "service_account", "service_account_name"),
}
#: The status that untyped kinds begin with; others begin without one.
_FIRST_STATUS: dict[str, dict[str, Any]] = {
    "APIService.apiregistration.k8s.io": {},
    "CertificateSigningRequest.certificates.k8s.io": {},
    "FlowSchema.flowcontrol.apiserver.k8s.io": {},
    "HorizontalPodAutoscaler.autoscaling": {"currentMetrics": None, "desiredReplicas": 0},
    "Ingress.networking.k8s.io": {"loadBalancer": {}},
    "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io": {},
    "ServiceCIDR.networking.k8s.io": {},
    "ValidatingAdmissionPolicy.admissionregistration.k8s.io": {},
}
_MANAGED_NAMESPACE = "kubernetes.io/metadata.name"


def has_status(resource: Resource) -> bool:
    """Whether the status is written by itself."""
    return "status" in resource.subresources


def is_counted(resource: Resource) -> bool:
    """Whether ``metadata.generation`` is counted."""
    if resource.type is not None:
        return resource.kind in COUNTED_KINDS
    return resource.is_custom or resource.kind in _COUNTED_UNTYPED


def prepare_create(resource: Resource, obj: AnyObject, now: int) -> AnyObject:
    """The new object without what only others may set, with the status that it begins with. It isn't defaulted yet."""
    if has_status(resource):
        obj = _without_status(obj)
    prepare = _CREATE.get(type(obj))
    return obj if prepare is None else prepare(obj, now)


def _without_status(obj: AnyObject) -> AnyObject:
    if isinstance(obj, CustomObject):
        body = {name: value for name, value in obj.body.value.items() if name != "status"}
        first = _FIRST_STATUS.get(kind_key(obj))
        return replace(obj, body=Opaque(body if first is None else {**body, "status": first}))
    if isinstance(obj, _REPORTED_AT_CREATION):
        return obj
    return replace(obj, status=getattr(type(obj)(), "status"))  # noqa: B009 - typed kinds with a status have one


def _create_namespace(namespace: Namespace, _: int) -> Namespace:
    meta = namespace.metadata
    finalizers = namespace.spec.finalizers
    if "kubernetes" not in finalizers:
        finalizers = (*finalizers, "kubernetes")
    return replace(
        namespace,
        metadata=replace(meta, labels={**meta.labels, _MANAGED_NAMESPACE: meta.name}) if meta.name else meta,
        spec=NamespaceSpec(finalizers=finalizers),
        status=NamespaceStatus(phase="Active"),
    )


def _create_pod(pod: Pod, _: int) -> Pod:
    return replace(pod, status=replace(pod.status, phase="Pending", qos_class=qos_class(pod.spec)))


def _create_volume(volume: PersistentVolume, now: int) -> PersistentVolume:
    status = replace(volume.status, phase="Pending", last_phase_transition_time=format_time(now))
    return replace(volume, status=status)


_CREATE: dict[type, Callable[[Any, int], AnyObject]] = {
    Namespace: _create_namespace,
    PersistentVolume: _create_volume,
    Pod: _create_pod,
}


def prepare_update(resource: Resource, new: AnyObject, old: AnyObject) -> AnyObject:
    """The changed object as its registry takes it: status and system fields are the live ones."""
    new = with_system_fields(new, old)
    if has_status(resource):
        new = _with_status_of(new, old)
    kept = _SET_BY_THE_SERVER.get(type(new))
    if kept:
        new = _with_kept(new, old, kept)
    if isinstance(new, Namespace) and isinstance(old, Namespace):
        labels = {**new.metadata.labels, _MANAGED_NAMESPACE: old.metadata.name}
        new = replace(new, metadata=replace(new.metadata, labels=labels), spec=old.spec)
    new = default(updated_service(new, old))
    return counted(resource, on_update(old, new), old)


def _with_kept(new: Any, old: Any, fields: tuple[str, ...]) -> AnyObject:
    missing = {name: getattr(old.spec, name) for name in fields if getattr(new.spec, name) in (None, "")}
    result: AnyObject = replace(new, spec=replace(new.spec, **missing)) if missing else new
    return result


def counted(resource: Resource, new: AnyObject, old: AnyObject) -> AnyObject:
    """The changed object with the next generation, if what changed counts."""
    generation = old.metadata.generation
    if is_counted(resource) and _counts(new, old):
        generation = (generation or 0) + 1
    if new.metadata.generation == generation:
        return new
    return replace(new, metadata=replace(new.metadata, generation=generation))


def _counts(new: AnyObject, old: AnyObject) -> bool:
    if isinstance(new, CustomObject) and isinstance(old, CustomObject):
        return _without(new, "status") != _without(old, "status")
    if isinstance(new, PriorityClass):  # which has no spec
        return replace(new, metadata=old.metadata) != old
    return is_of_another_generation(old, new)


def _without(obj: CustomObject, field: str) -> dict[str, Any]:
    return {name: value for name, value in obj.body.value.items() if name != field}


def _with_status_of(new: AnyObject, old: AnyObject) -> AnyObject:
    if isinstance(new, CustomObject) and isinstance(old, CustomObject):
        body, status = _without(new, "status"), old.body.value.get("status")
        return replace(new, body=Opaque(body if status is None else {**body, "status": status}))
    return replace(new, status=getattr(old, "status"))  # noqa: B009 - typed kinds with a status have one


def prepare_status(resource: Resource, new: AnyObject, old: AnyObject) -> AnyObject:
    """A changed status: of the rest, only metadata is taken over, and of that not everything."""
    new = with_system_fields(new, old)
    meta = replace(new.metadata, owner_references=old.metadata.owner_references)
    if isinstance(new, Deployment):
        meta = replace(meta, labels=old.metadata.labels)
    new = replace(new, metadata=replace(meta, generation=old.metadata.generation))
    if isinstance(new, CustomObject) and isinstance(old, CustomObject):
        status = new.body.value.get("status")
        body = _without(old, "status")
        if resource.is_custom:
            new = replace(new, metadata=old.metadata)
        return replace(new, body=Opaque(body if status is None else {**body, "status": status}))
    return default(replace(old, metadata=new.metadata, status=getattr(new, "status")))  # noqa: B009 - as above


def with_system_fields(new: ObjectT, old: AnyObject) -> ObjectT:
    """What an update may leave out, and what it may not set: the live values."""
    given, live = new.metadata, old.metadata
    meta: ObjectMeta = replace(
        given,
        name=given.name or live.name,
        namespace=given.namespace or live.namespace,
        uid=given.uid or live.uid,
        creation_timestamp=given.creation_timestamp or live.creation_timestamp,
        deletion_timestamp=given.deletion_timestamp or live.deletion_timestamp,
        deletion_grace_period_seconds=live.deletion_grace_period_seconds
        if given.deletion_grace_period_seconds is None
        else given.deletion_grace_period_seconds,
        generation=live.generation,
        resource_version=live.resource_version,
        self_link=None,
    )
    return replace(new, metadata=meta)
