"""What makes a StatefulSet's pod the one that it is: its name and ordinal, its labels, and the claims that it keeps."""

from __future__ import annotations

from collections.abc import Iterator

from rules.ownership import controller_ref, has_its_labels
from rules.pods import pod_from_template
from state.objects import (
    ObjectMeta,
    OwnerReference,
    PersistentVolumeClaim,
    PersistentVolumeClaimVolumeSource,
    Pod,
    PodTemplateSpec,
    StatefulSet,
    Volume,
    replace,
)
from state.snapshot import Key
from state.workspace import Workspace

NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"


def parent_and_ordinal(name: str) -> tuple[str, int] | None:
    """The StatefulSet's name and the ordinal in a pod's name; None for a name of another form."""
    parent, dash, ordinal = name.rpartition("-")
    return (parent, int(ordinal)) if dash and ordinal.isascii() and ordinal.isdecimal() else None


def ordinals(sts: StatefulSet) -> range:
    """The ordinals that the set is to have."""
    start = (sts.spec.ordinals.start or 0) if sts.spec.ordinals is not None else 0
    return range(start, start + (1 if sts.spec.replicas is None else sts.spec.replicas))


def pod_name(sts: StatefulSet, ordinal: int) -> str:
    """The name of the pod of that ordinal."""
    return f"{sts.metadata.name}-{ordinal}"


def is_member(sts: StatefulSet, pod: Pod) -> bool:
    """Whether the pod has the set's labels and a name of its form."""
    parts = parent_and_ordinal(pod.metadata.name)
    return parts is not None and parts[0] == sts.metadata.name and has_its_labels(sts, pod)


def identity_labels(sts: StatefulSet, ordinal: int) -> dict[str, str]:
    """The labels that tell the pod of an ordinal."""
    return {NAME_LABEL: pod_name(sts, ordinal), INDEX_LABEL: str(ordinal)}


def has_volumes(sts: StatefulSet, pod: Pod, ordinal: int) -> bool:
    """Whether the pod has the claims of its ordinal as volumes; one that was taken over may not."""
    if not sts.spec.volume_claim_templates:
        return True
    named = {volume.name: volume.persistent_volume_claim for volume in pod.spec.volumes}
    found = ((named.get(template.metadata.name), key.name) for template, key in claims(sts, ordinal))
    return all(source is not None and source.claim_name == name for source, name in found)


def make_pod(ws: Workspace, sts: StatefulSet, template: PodTemplateSpec, revision: str, ordinal: int) -> Pod:
    """What the pods of one revision have in common, after the API server's defaults and admission; ``ordinal`` is that
    of the first.
    """
    pod = pod_from_template(ws, template, sts, controller_ref(sts), pod_name(sts, ordinal))
    labels = {**pod.metadata.labels, "controller-revision-hash": revision}
    return replace(pod, metadata=replace(pod.metadata, labels=labels))


def with_identity(pod: Pod, sts: StatefulSet, ordinal: int) -> Pod:
    """The pod of an ordinal: named, labelled, with a host name and its claims as volumes."""
    name = pod_name(sts, ordinal)
    labels = {**pod.metadata.labels, **identity_labels(sts, ordinal)}
    spec = replace(
        pod.spec,
        hostname=name,
        subdomain=sts.spec.service_name or None,
        volumes=_volumes(pod.spec.volumes, sts, ordinal),
    )
    return replace(pod, metadata=replace(pod.metadata, name=name, labels=labels), spec=spec)


def _volumes(present: tuple[Volume, ...], sts: StatefulSet, ordinal: int) -> tuple[Volume, ...]:
    """The claims as volumes, in place of template volumes of the same names, before the others."""
    own = tuple(
        Volume(
            name=template.metadata.name,
            persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=key.name),
        )
        for template, key in claims(sts, ordinal)
    )
    names = {volume.name for volume in own}
    return (*own, *(volume for volume in present if volume.name not in names)) if own else present


# -- claims ------------------------------------------------------------------------------------------------------------


def claims(sts: StatefulSet, ordinal: int) -> Iterator[tuple[PersistentVolumeClaim, Key]]:
    """Each claim template with the key of the claim that the pod of an ordinal has of it."""
    for template in sts.spec.volume_claim_templates:
        name = f"{template.metadata.name}-{pod_name(sts, ordinal)}"
        yield template, Key(PersistentVolumeClaim.kind, sts.metadata.namespace, name)


def make_claim(sts: StatefulSet, template: PersistentVolumeClaim, key: Key) -> PersistentVolumeClaim:
    """The claim to create, before the API server's defaults and admission: the template's, with the set's labels."""
    labels = {**template.metadata.labels, **sts.spec.selector.match_labels}
    meta = replace(template.metadata, name=key.name, namespace=key.namespace, labels=labels)
    return replace(template, metadata=meta)


def missing_claims(ws: Workspace, sts: StatefulSet, ordinal: int) -> list[tuple[PersistentVolumeClaim, Key]]:
    """The claims that the pod of an ordinal lacks."""
    return [(template, key) for template, key in claims(sts, ordinal) if ws.get(key) is None]


def leaving_claim(ws: Workspace, sts: StatefulSet, ordinal: int) -> tuple[str, bool]:
    """A claim that keeps the pod of an ordinal from being made again, and whether it is going already; else it goes
    with the pod before. "" if there is none.
    """
    policy = sts.spec.persistent_volume_claim_retention_policy
    goes_with_pod = policy is not None and policy.when_scaled == "Delete"
    for _, key in claims(sts, ordinal):
        claim = ws.find(PersistentVolumeClaim, key.namespace, key.name)
        if claim is None:
            continue
        if goes_with_pod and _is_stale(claim, Pod(metadata=ObjectMeta(name=pod_name(sts, ordinal)))):
            return key.name, False
        if claim.metadata.deletion_timestamp is not None:
            return key.name, True
    return "", False


def retained(ws: Workspace, sts: StatefulSet, pod: Pod, ordinal: int) -> list[PersistentVolumeClaim]:
    """The pod's claims, changed to have the owners that ``persistentVolumeClaimRetentionPolicy`` asks for; only those
    that don't have them yet.

    A claim goes with the set (``whenDeleted``), or with the pod once that is scaled away (``whenScaled``). One that
    something else controls goes with neither; one of a former set or pod of the name is left alone.
    """
    policy = sts.spec.persistent_volume_claim_retention_policy
    with_set = policy is not None and policy.when_deleted == "Delete"
    with_pod = policy is not None and policy.when_scaled == "Delete" and ordinal not in ordinals(sts)
    owner = pod if with_pod else sts if with_set else None
    changed = []
    for _, key in claims(sts, ordinal):
        claim = ws.find(PersistentVolumeClaim, key.namespace, key.name)
        present = () if claim is None else claim.metadata.owner_references
        if claim is None or not (present or owner) or _is_stale(claim, sts) or _is_stale(claim, pod):
            continue
        references = _references(claim, sts, pod, owner)
        if references != present:
            changed.append(replace(claim, metadata=replace(claim.metadata, owner_references=references)))
    return changed


def _is_stale(claim: PersistentVolumeClaim, owner: StatefulSet | Pod) -> bool:
    """Whether the claim names an owner like this one that was another."""
    identity = (owner.api_version, owner.kind, owner.metadata.name)
    uids = (ref.uid for ref in claim.metadata.owner_references if (ref.api_version, ref.kind, ref.name) == identity)
    return next(uids, owner.metadata.uid) != owner.metadata.uid


def _references(
    claim: PersistentVolumeClaim, sts: StatefulSet, pod: Pod, owner: StatefulSet | Pod | None
) -> tuple[OwnerReference, ...]:
    present = claim.metadata.owner_references
    own = [ref for ref in present if ref.uid in (sts.metadata.uid, pod.metadata.uid)]
    others = tuple(ref for ref in present if ref not in own)
    wanted = () if owner is None or any(ref.controller for ref in others) else (controller_ref(owner),)
    same = [ref.uid for ref in own if ref.controller] == [ref.uid for ref in wanted] and len(own) == len(wanted)
    return present if same else (*others, *wanted)
