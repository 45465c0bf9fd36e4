"""The pod that one more replica of something would be: what to ask about before scaling it."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.api import Reconciler
from state.errors import StateError
from state.objects import AnyObject, CronJob, DaemonSet, ObjectMeta, Pod, PodTemplateSpec, StatefulSet, replace
from state.snapshot import Key, Snapshot
from state.workspace import controller_uid


def copy_of(target: Key, snapshot: Snapshot) -> Pod:
    """A pod like those that the target makes, or like the target if it is one itself.

    It is the newest pod that a workload has, or, if it has none, one of its template; always that of a DaemonSet, whose
    pods are bound to their nodes. A pod of a StatefulSet comes without the claims that would be made for it.

    Raises:
        StateError: there is no such object, or it makes no pods.
    """
    obj = snapshot.get(target)
    if obj is None:
        raise StateError(f"there is no {target}")
    if isinstance(obj, Pod):
        return obj
    template = _template(obj)
    if template is None:
        raise StateError(f"{target} is no pod, and nothing that makes pods")
    found = [] if isinstance(obj, DaemonSet) else _pods_of(obj, snapshot)
    if found:
        newest = max(found, key=lambda pod: (pod.metadata.creation_timestamp or "", pod.metadata.name))
        return _without_claims(newest, obj) if isinstance(obj, StatefulSet) else newest
    meta = template.metadata
    made = ObjectMeta(namespace=target.namespace, name=target.name, labels=meta.labels, annotations=meta.annotations)
    return admitted_pod(Pod(metadata=made, spec=template.spec), snapshot)


def admitted_pod(pod: Pod, snapshot: Snapshot) -> Pod:
    """A pod's manifest as it would be stored, with defaults and what admission adds.

    Raises:
        InvalidObject: it isn't valid; every problem.
    """
    meta = ObjectMeta(
        name=pod.metadata.name or "pod",
        namespace=pod.metadata.namespace,
        labels=pod.metadata.labels,
        annotations=pod.metadata.annotations,
    )
    others = Snapshot.of(obj for kind in snapshot.kinds if kind != Pod.kind for obj in snapshot.objects(kind))
    loop = Reconciler(observed=others, concerns=())
    loop.apply(Pod(metadata=meta, spec=pod.spec))
    (stored,) = loop.ws.objects(Pod)
    return stored


def _without_claims(pod: Pod, owner: StatefulSet) -> Pod:
    made = {claim.metadata.name for claim in owner.spec.volume_claim_templates}
    volumes = tuple(volume for volume in pod.spec.volumes if volume.name not in made)
    return replace(pod, spec=replace(pod.spec, volumes=volumes))


def _template(obj: AnyObject) -> PodTemplateSpec | None:
    spec = getattr(obj, "spec", None)
    if isinstance(obj, CronJob):
        spec = obj.spec.job_template.spec
    template = getattr(spec, "template", None)
    return template if isinstance(template, PodTemplateSpec) else None


def _pods_of(owner: AnyObject, snapshot: Snapshot) -> list[Pod]:
    """The pods that an object controls, directly or through others."""
    found: list[Pod] = []
    owners = {owner.metadata.uid}
    for kinds in (("ReplicaSet", "Job"), ("Pod",)):
        controlled = [obj for obj in _all(kinds, snapshot) if controller_uid(obj) in owners]
        owners.update(obj.metadata.uid for obj in controlled)
        found += [obj for obj in controlled if isinstance(obj, Pod)]
    return found


def _all(kinds: Iterable[str], snapshot: Snapshot) -> Iterable[AnyObject]:
    return (obj for kind in kinds for obj in snapshot.objects(kind))
