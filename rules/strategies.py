"""What the API server itself writes into an object of some kinds when it is created or changed, whatever was sent.

In Kubernetes these are the registries' strategies: the labels by which a Job knows its pods, the generation of a
DaemonSet's template, fields whose feature is off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from state.objects import AnyObject, DaemonSet, Job, LabelSelector, StatefulSet, replace

ObjectT = TypeVar("ObjectT", bound=AnyObject)

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
JOB_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
#: The same labels as they were called before; pods carry both.
_OLD_JOB_UID = "controller-uid"
_OLD_JOB_NAME = "job-name"


def on_create(obj: ObjectT) -> ObjectT:
    """The new object, which has its name and uid, as it is stored."""
    prepare = _ON_CREATE.get(type(obj))
    return obj if prepare is None else prepare(obj)


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


def _create_daemon_set(daemon_set: DaemonSet) -> DaemonSet:
    return _with_template_generation(daemon_set, 1)


def _create_job(job: Job) -> Job:
    """The Job with the labels by which it knows its pods, and the selector for them, unless it brings its own."""
    spec, meta = job.spec, job.metadata
    if spec.manual_selector or (spec.selector is not None and spec.selector != LabelSelector()):
        return job
    names = {JOB_UID: meta.uid, JOB_NAME: meta.name, _OLD_JOB_UID: meta.uid, _OLD_JOB_NAME: meta.name}
    template = spec.template
    labels = {**template.metadata.labels, **names}
    # in Kubernetes, labels that a Job has from its template are the very same map; a Job without any has them from it
    # whenever it is read
    shared = meta.labels == template.metadata.labels
    return replace(
        job,
        metadata=replace(meta, labels=labels if shared else meta.labels),
        spec=replace(
            spec,
            selector=LabelSelector(match_labels={JOB_UID: meta.uid}),
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
    StatefulSet: _create_stateful_set,
}
