"""What the API server itself writes into an object when it is created or changed, whatever was sent: who may write
which part, what is counted, and what a kind completes.

In Kubernetes these are the registries' strategies. Every write goes by them, be it a request to the API, a manifest
that is applied in a plan, or a controller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from rules.pod_strategy import created_pod, reported_status
from rules.service_update import updated_service
from state.defaults import default
from state.objects import (
    KINDS,
    AnyObject,
    CustomObject,
    DaemonSet,
    Deployment,
    EndpointSlice,
    Job,
    LabelSelector,
    Namespace,
    Node,
    ObjectMeta,
    Opaque,
    PersistentVolume,
    Pod,
    PodTemplate,
    StatefulSet,
    kind_key,
    replace,
)
from state.times import format_time

ObjectT = TypeVar("ObjectT", bound=AnyObject)

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
JOB_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
#: The same labels as they were called before; pods carry both.
_OLD_JOB_UID = "controller-uid"
_OLD_JOB_NAME = "job-name"

#: Kinds whose ``metadata.generation`` the API server counts.
COUNTED_KINDS = frozenset(
    {
        "CronJob",
        "CustomResourceDefinition",
        "DaemonSet",
        "Deployment",
        "EndpointSlice",
        "FlowSchema",
        "Ingress",
        "IngressClass",
        "Job",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PodTemplate",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ReplicaSet",
        "ReplicationController",
        "ServiceCIDR",
        "StatefulSet",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)
#: Kinds that are created with the status that was sent.
_REPORTED_AT_CREATION = (Node,)
#: Fields of the spec that admission sets again if an update omits them.
_SET_BY_THE_SERVER: dict[type, tuple[str, ...]] = {Pod: ("preemption_policy", "priority")}
_DEFINITION = "CustomResourceDefinition.apiextensions.k8s.io"
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


class Traits(NamedTuple):
    """What the registry of a kind goes by, beside its type."""

    #: Whether the status is written by itself.
    has_status: bool = False
    #: Whether ``metadata.generation`` is counted.
    is_counted: bool = False
    #: Whether the kind comes from a CustomResourceDefinition.
    is_custom: bool = False


#: Those of a kind that nobody knows anything of: all of it is taken as it comes.
UNKNOWN = Traits()
#: Those of a kind without a type whose objects have a generation.
COUNTED = Traits(is_counted=True)


_TRAITS: dict[type, Traits] = {
    kind.type: Traits(has_status="status" in kind.type.__struct_fields__, is_counted=kind.name in COUNTED_KINDS)
    for kind in KINDS.values()
}


def traits_of(kind: type) -> Traits:
    """The traits of a typed kind. Those of others knows who serves them."""
    return _TRAITS.get(kind, UNKNOWN)


# -- what is created ---------------------------------------------------------------------------------------------------


def prepare_create(traits: Traits, obj: AnyObject, now: int) -> AnyObject:
    """The new object without what only others may set, with the status that it begins with. It isn't defaulted yet."""
    if traits.has_status:
        obj = _without_status(obj)
    prepare = _CREATE.get(type(obj))
    return obj if prepare is None else prepare(obj, now)


def _without_status(obj: AnyObject) -> AnyObject:
    if isinstance(obj, CustomObject):
        body = {name: value for name, value in obj.body.value.items() if name != "status"}
        first = _FIRST_STATUS.get(kind_key(obj))
        if kind_key(obj) == _DEFINITION:
            first = _status_of_definition(body)
        return replace(obj, body=Opaque(body if first is None else {**body, "status": first}))
    if isinstance(obj, _REPORTED_AT_CREATION):
        return obj
    return replace(obj, status=getattr(type(obj)(), "status"))  # noqa: B009 - typed kinds with a status have one


def _status_of_definition(body: Mapping[str, Any]) -> dict[str, Any]:
    versions = (body.get("spec") or {}).get("versions") or ()
    stored = [each["name"] for each in versions if each.get("storage") and each.get("name")]
    return {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored[:1]}


def _create_volume(volume: PersistentVolume, now: int) -> PersistentVolume:
    status = replace(volume.status, phase="Pending", last_phase_transition_time=format_time(now))
    return replace(volume, status=status)


_CREATE: dict[type, Callable[[Any, int], AnyObject]] = {
    PersistentVolume: _create_volume,
}


def on_create(obj: ObjectT) -> ObjectT:
    """The new object, which has its name and uid, as it is stored."""
    prepare = _ON_CREATE.get(type(obj))
    return obj if prepare is None else prepare(obj)


def _create_daemon_set(daemon_set: DaemonSet) -> DaemonSet:
    return _with_template_generation(daemon_set, template_generation(daemon_set) or 1)


def _create_job(job: Job) -> Job:
    """The Job with the labels by which it knows its pods, and the selector for them, unless it is to have its own.

    What it brings along of either stays: if that is something else, it is refused.
    """
    spec, meta = job.spec, job.metadata
    if spec.manual_selector:
        return job
    given = LabelSelector() if spec.selector is None else spec.selector
    names = {JOB_UID: meta.uid, JOB_NAME: meta.name, _OLD_JOB_UID: meta.uid, _OLD_JOB_NAME: meta.name}
    template = spec.template
    labels = {**template.metadata.labels, **names, **template.metadata.labels}
    # in Kubernetes, labels that a Job has from its template are the very same map; a Job without any has them from it
    # whenever it is read
    shared = meta.labels == template.metadata.labels
    return replace(
        job,
        metadata=replace(meta, labels=labels if shared else meta.labels),
        spec=replace(
            spec,
            selector=replace(given, match_labels={JOB_UID: meta.uid, **given.match_labels}),
            template=replace(template, metadata=replace(template.metadata, labels=labels)),
        ),
    )


def _create_stateful_set(sts: StatefulSet) -> StatefulSet:
    """The set without ``maxUnavailable``: the feature MaxUnavailableStatefulSet is off."""
    strategy = sts.spec.update_strategy
    rolling = None if strategy is None else strategy.rolling_update
    if strategy is None or rolling is None or rolling.max_unavailable is None:
        return sts
    strategy = replace(strategy, rolling_update=replace(rolling, max_unavailable=None))
    return replace(sts, spec=replace(sts.spec, update_strategy=strategy))


_ON_CREATE: dict[type, Callable] = {  # type: ignore[type-arg]
    DaemonSet: _create_daemon_set,
    Job: _create_job,
    Pod: created_pod,
    StatefulSet: _create_stateful_set,
}


# -- what is changed ---------------------------------------------------------------------------------------------------


def prepare_update(traits: Traits, new: AnyObject, old: AnyObject) -> AnyObject:
    """The changed object as its registry takes it: status and system fields are the live ones."""
    new = with_system_fields(new, old)
    if traits.has_status:
        new = with_status_of(new, old)
    kept = _SET_BY_THE_SERVER.get(type(new))
    if kept:
        new = _with_kept(new, old, kept)
    if isinstance(new, Namespace) and isinstance(old, Namespace):
        new = replace(new, spec=old.spec)
    new = default(updated_service(new, old))
    return counted(traits, on_update(old, new), old)


def _with_kept(new: Any, old: Any, fields: tuple[str, ...]) -> AnyObject:
    missing = {name: getattr(old.spec, name) for name in fields if getattr(new.spec, name) in (None, "")}
    result: AnyObject = replace(new, spec=replace(new.spec, **missing)) if missing else new
    return result


def counted(traits: Traits, new: ObjectT, old: AnyObject) -> ObjectT:
    """The changed object with the next generation, if what changed counts."""
    generation = old.metadata.generation
    if traits.is_counted and _counts(new, old):
        generation = (generation or 0) + 1
    if new.metadata.generation == generation:
        return new
    return replace(new, metadata=replace(new.metadata, generation=generation))


def _counts(new: AnyObject, old: AnyObject) -> bool:
    if isinstance(new, CustomObject) and isinstance(old, CustomObject):
        return _without(new, "status") != _without(old, "status")
    return is_of_another_generation(old, new)


def _without(obj: CustomObject, field: str) -> dict[str, Any]:
    return {name: value for name, value in obj.body.value.items() if name != field}


def with_status_of(new: AnyObject, old: AnyObject) -> AnyObject:
    """The changed object of a kind that has a status, with the live one."""
    if isinstance(new, CustomObject) and isinstance(old, CustomObject):
        body, status = _without(new, "status"), old.body.value.get("status")
        return replace(new, body=Opaque(body if status is None else {**body, "status": status}))
    return replace(new, status=getattr(old, "status"))  # noqa: B009 - typed kinds with a status have one


def prepare_status(traits: Traits, new: AnyObject, old: AnyObject) -> AnyObject:
    """A changed status: of the rest, only metadata is taken over, and of that not everything."""
    new = with_system_fields(new, old)
    meta = replace(new.metadata, owner_references=old.metadata.owner_references)
    if isinstance(new, Deployment):
        meta = replace(meta, labels=old.metadata.labels)
    new = replace(new, metadata=replace(meta, generation=old.metadata.generation))
    if isinstance(new, CustomObject) and isinstance(old, CustomObject):
        status = new.body.value.get("status")
        body = _without(old, "status")
        if traits.is_custom:
            new = replace(new, metadata=replace(old.metadata, managed_fields=new.metadata.managed_fields))
        return replace(new, body=Opaque(body if status is None else {**body, "status": status}))
    status = getattr(new, "status")  # noqa: B009 - as above
    if isinstance(old, Pod):
        status = reported_status(status, old.status)
    return default(replace(old, metadata=new.metadata, status=status))


def with_system_fields(new: ObjectT, old: AnyObject) -> ObjectT:
    """What an update may leave out, and what it may not set: the live values."""
    given, live = new.metadata, old.metadata
    meta: ObjectMeta = replace(
        given,
        name=given.name or live.name,
        namespace=given.namespace or live.namespace,
        uid=given.uid or live.uid,
        creation_timestamp=live.creation_timestamp,
        deletion_timestamp=given.deletion_timestamp or live.deletion_timestamp,
        deletion_grace_period_seconds=live.deletion_grace_period_seconds
        if given.deletion_grace_period_seconds is None
        else given.deletion_grace_period_seconds,
        generation=live.generation,
        resource_version=live.resource_version,
        self_link=None,
    )
    return replace(new, metadata=meta)


def on_update(old: AnyObject, new: ObjectT) -> ObjectT:
    """The changed object as it is stored."""
    if isinstance(new, DaemonSet) and isinstance(old, DaemonSet):
        generation = template_generation(old) + (old.spec.template != new.spec.template)
        return replace(new, metadata=_with_template_generation(new, generation).metadata)
    return new


def template_generation(daemon_set: DaemonSet) -> int:
    """How often the template was changed, counted from 1; 0 where that isn't known."""
    text = daemon_set.metadata.annotations.get(TEMPLATE_GENERATION, "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def _with_template_generation(daemon_set: DaemonSet, generation: int) -> DaemonSet:
    if not generation or template_generation(daemon_set) == generation:
        return daemon_set
    annotations = {**daemon_set.metadata.annotations, TEMPLATE_GENERATION: str(generation)}
    return replace(daemon_set, metadata=replace(daemon_set.metadata, annotations=annotations))


def is_of_another_generation(old: AnyObject, new: AnyObject) -> bool:
    """Whether a change counts: of the spec, and of a Deployment's annotations, too (which its ReplicaSet copies).

    A PodTemplate has its template instead; an EndpointSlice counts all but its metadata, and of that the labels.
    """
    if isinstance(new, PodTemplate):
        return isinstance(old, PodTemplate) and old.template != new.template
    if isinstance(new, EndpointSlice):
        return old.metadata.labels != new.metadata.labels or replace(new, metadata=old.metadata) != old
    if getattr(old, "spec", None) != getattr(new, "spec", None):
        return True
    return isinstance(new, Deployment) and old.metadata.annotations != new.metadata.annotations
