"""The history of a Deployment: which ReplicaSet has which template and revision, as kubectl reads it."""

from __future__ import annotations

from collections.abc import Iterable

from rules.ownership import controller_ref
from rules.template_hash import template_hash
from state.objects import (
    Deployment,
    LabelSelector,
    ObjectMeta,
    PodTemplateSpec,
    ReplicaSet,
    ReplicaSetSpec,
    replace,
)

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
#: Asks for an earlier revision by its number; 0 is the latest but one.
ROLLBACK_TO = "deprecated.deployment.rollback.to"
#: Annotations of a Deployment that its ReplicaSets don't take over.
_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        ROLLBACK_TO,
        REVISION,
        HISTORY,
        DESIRED,
        MAX,
    }
)
#: How long the list of former revisions may get, in characters.
_MAX_HISTORY = 2000


def _number(annotations: dict[str, str], name: str) -> int | None:
    """An annotation's number; None where it is absent or no number."""
    text = annotations.get(name, "")
    return int(text) if text.isascii() and text.removeprefix("-").isdecimal() else None


def revision(rs: ReplicaSet) -> int:
    """The ReplicaSet's revision; 0 without one."""
    return _number(rs.metadata.annotations, REVISION) or 0


def rollback_to(deployment: Deployment) -> int | None:
    """The revision to which the Deployment is to be rolled back, or None."""
    return _number(deployment.metadata.annotations, ROLLBACK_TO)


def desired_annotation(rs: ReplicaSet) -> int | None:
    """How many pods the Deployment wanted when it last scaled this ReplicaSet."""
    return _number(rs.metadata.annotations, DESIRED)


def max_annotation(rs: ReplicaSet) -> int | None:
    """How many pods the Deployment allowed when it last scaled this ReplicaSet."""
    return _number(rs.metadata.annotations, MAX)


def without_hash(template: PodTemplateSpec) -> PodTemplateSpec:
    """The template without the label that tells it apart."""
    labels = template.metadata.labels
    if HASH_LABEL not in labels:
        return template
    kept = {name: value for name, value in labels.items() if name != HASH_LABEL}
    return replace(template, metadata=replace(template.metadata, labels=kept))


def same_template(one: PodTemplateSpec | None, other: PodTemplateSpec) -> bool:
    """Whether two templates make the same pods; the hash label doesn't count."""
    return one is not None and one.spec == other.spec and without_hash(one) == without_hash(other)


def next_revision(old: Iterable[ReplicaSet]) -> int:
    """The revision of the new ReplicaSet: one more than any old one has."""
    return max(map(revision, old), default=0) + 1


def annotated(rs: ReplicaSet, deployment: Deployment, number: int) -> ReplicaSet:
    """The new ReplicaSet with the Deployment's annotations and at least revision ``number``; a former one is kept in
    the history. The same object if nothing changes, or if its revision is no number.
    """
    annotations = {**rs.metadata.annotations, **_copied(deployment)}
    before = annotations.get(REVISION)
    known = _number(annotations, REVISION)
    if before and known is None:
        return rs
    if known is None or known < number:
        annotations[REVISION] = str(number)
        if before:
            annotations[HISTORY] = _history(annotations.get(HISTORY, ""), before)
    if annotations == rs.metadata.annotations:
        return rs
    return replace(rs, metadata=replace(rs.metadata, annotations=annotations))


def _copied(deployment: Deployment) -> dict[str, str]:
    return {name: text for name, text in deployment.metadata.annotations.items() if name not in _NOT_COPIED}


def _history(history: str, before: str) -> str:
    """The list of former revisions with one more; the oldest are dropped where it gets too long."""
    revisions = [*(history.split(",") if history else ()), before]
    while len(revisions) > 1 and len(",".join(revisions)) > _MAX_HISTORY:
        del revisions[0]
    return ",".join(revisions)


def resized(rs: ReplicaSet, replicas: int, want: int, limit: int) -> ReplicaSet:
    """The ReplicaSet with another size, and with what the Deployment wants and allows now."""
    annotations = {**rs.metadata.annotations, DESIRED: str(want), MAX: str(limit)}
    return replace(rs, metadata=replace(rs.metadata, annotations=annotations), spec=replace(rs.spec, replicas=replicas))


def replicaset_for(deployment: Deployment, number: int) -> ReplicaSet:
    """The ReplicaSet of the Deployment's template, with revision ``number``, before it is given a size."""
    spec = deployment.spec
    name = template_hash(spec.template, deployment.status.collision_count)
    labels = {**spec.template.metadata.labels, HASH_LABEL: name}
    rs = ReplicaSet(
        metadata=ObjectMeta(
            name=f"{deployment.metadata.name}-{name}",
            namespace=deployment.metadata.namespace,
            labels=labels,
            owner_references=(controller_ref(deployment),),
        ),
        spec=ReplicaSetSpec(
            replicas=0,
            min_ready_seconds=spec.min_ready_seconds,
            selector=LabelSelector(
                match_labels={**spec.selector.match_labels, HASH_LABEL: name},
                match_expressions=spec.selector.match_expressions,
            ),
            template=replace(spec.template, metadata=replace(spec.template.metadata, labels=labels)),
        ),
    )
    return annotated(rs, deployment, number)


def rolled_back(deployment: Deployment, rs: ReplicaSet) -> Deployment:
    """The Deployment with the template and annotations of one of its earlier ReplicaSets."""
    assert rs.spec.template is not None
    own = {name: text for name, text in deployment.metadata.annotations.items() if name in _NOT_COPIED}
    theirs = {name: text for name, text in rs.metadata.annotations.items() if name not in _NOT_COPIED}
    return replace(
        deployment,
        metadata=replace(deployment.metadata, annotations=own | theirs),
        spec=replace(deployment.spec, template=without_hash(rs.spec.template)),
    )
