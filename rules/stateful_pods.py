"""What makes a StatefulSet's pod the one that it is: its name and ordinal, its labels, and the claims that it keeps."""

from __future__ import annotations

from collections.abc import Iterator

from rules.ownership import controller_of, controller_ref
from rules.pods import pod_from_template
from state import selectors
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
from state.workspace import Workspace, controller_uid

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
    """Whether the pod has the set's labels and a name of its form. An empty selector matches nothing here."""
    parts = parent_and_ordinal(pod.metadata.name)
    selector = sts.spec.selector
    return (
        parts is not None
        and parts[0] == sts.metadata.name
        and bool(selector.match_labels or selector.match_expressions)
        and selectors.matches(selector, pod.metadata.labels)
    )


def adoptable(ws: Workspace, sts: StatefulSet) -> list[Pod]:
    """Pods without a controller that could be the set's, unless one of both is being deleted."""
    if sts.metadata.deletion_timestamp is not None:
        return []
    orphans = ws.orphans(sts.metadata.namespace, Pod, sts.spec.selector.match_labels)
    return [pod for pod in orphans if pod.metadata.deletion_timestamp is None and is_member(sts, pod)]


def identity_labels(sts: StatefulSet, ordinal: int) -> dict[str, str]:
    """The labels that tell the pod of an ordinal."""
    return {NAME_LABEL: pod_name(sts, ordinal), INDEX_LABEL: str(ordinal)}


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
            name=claim.metadata.name,
            persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=claim_name(sts, claim, ordinal)),
        )
        for claim in sts.spec.volume_claim_templates
    )
    names = {volume.name for volume in own}
    return (*own, *(volume for volume in present if volume.name not in names)) if own else present


# -- claims ------------------------------------------------------------------------------------------------------------


def claim_name(sts: StatefulSet, template: PersistentVolumeClaim, ordinal: int) -> str:
    """The name of a pod's claim."""
    return f"{template.metadata.name}-{pod_name(sts, ordinal)}"


def claims(sts: StatefulSet, ordinal: int) -> Iterator[tuple[PersistentVolumeClaim, Key]]:
    """Each claim template with the key of the claim that the pod of an ordinal has of it."""
    for template in sts.spec.volume_claim_templates:
        yield template, Key("PersistentVolumeClaim", sts.metadata.namespace, claim_name(sts, template, ordinal))


def make_claim(sts: StatefulSet, template: PersistentVolumeClaim, key: Key) -> PersistentVolumeClaim:
    """The claim to create, before the API server's defaults and admission: the template's, with the set's labels."""
    labels = {**template.metadata.labels, **sts.spec.selector.match_labels}
    meta = ObjectMeta(name=key.name, namespace=key.namespace, labels=labels, annotations=template.metadata.annotations)
    return PersistentVolumeClaim(metadata=meta, spec=template.spec)


def missing_claims(ws: Workspace, sts: StatefulSet, ordinal: int) -> list[tuple[PersistentVolumeClaim, Key]]:
    """The claims that the pod of an ordinal lacks."""
    return [(template, key) for template, key in claims(sts, ordinal) if ws.get(key) is None]


def leaving_claim(ws: Workspace, sts: StatefulSet, ordinal: int) -> str:
    """A claim that keeps the pod of an ordinal from being made again: it is going, or goes with the pod before; "" if
    there is none.
    """
    for _, key in claims(sts, ordinal):
        claim = ws.find(PersistentVolumeClaim, key.namespace, key.name)
        if claim is not None and (
            claim.metadata.deletion_timestamp is not None
            or any(ref.kind == "Pod" and ref.name == pod_name(sts, ordinal) for ref in claim.metadata.owner_references)
        ):
            return key.name
    return ""


def retained(ws: Workspace, sts: StatefulSet, pod: Pod, ordinal: int) -> list[PersistentVolumeClaim]:
    """The pod's claims, changed to have the owners that ``persistentVolumeClaimRetentionPolicy`` asks for; only those
    that don't have them yet.

    A claim goes with the set (``whenDeleted``), or with the pod once that is scaled away (``whenScaled``). One that
    something else controls is left alone.
    """
    policy = sts.spec.persistent_volume_claim_retention_policy
    with_set = policy is not None and policy.when_deleted == "Delete"
    with_pod = policy is not None and policy.when_scaled == "Delete" and ordinal not in ordinals(sts)
    owner = pod if with_pod else sts if with_set else None
    changed = []
    for _, key in claims(sts, ordinal):
        claim = ws.find(PersistentVolumeClaim, key.namespace, key.name)
        if claim is None or controller_uid(claim) not in (None, pod.metadata.uid, sts.metadata.uid):
            continue
        references = _references(claim, sts, pod, None if owner is None else controller_ref(owner))
        if references != claim.metadata.owner_references:
            changed.append(replace(claim, metadata=replace(claim.metadata, owner_references=references)))
    return changed


def _references(
    claim: PersistentVolumeClaim, sts: StatefulSet, pod: Pod, wanted: OwnerReference | None
) -> tuple[OwnerReference, ...]:
    present = controller_of(claim)
    if wanted is not None and present is not None and present.uid == wanted.uid:
        wanted = present
    uids = {sts.metadata.uid, pod.metadata.uid}
    others = tuple(ref for ref in claim.metadata.owner_references if ref.uid not in uids)
    return others if wanted is None else (*others, wanted)
