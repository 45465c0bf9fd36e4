"""Which pods a Job lacks or has too many of, and what a new one looks like."""

from __future__ import annotations

from dataclasses import dataclass, field

from rules.job_backoff import index_may_create_at, may_create_at
from rules.job_indexes import INDEX
from rules.job_view import (
    FAILURES,
    FINALIZER,
    IGNORED_FAILURES,
    View,
    active_indexes,
    counts_as_failure,
    failures_before,
    replaces_failed_only,
    valid_index,
)
from rules.ownership import controller_ref
from rules.pods import pod_from_template
from rules.victims import choose_victims
from state.objects import Container, EnvVar, EnvVarSource, Job, ObjectFieldSelector, Pod, PodTemplateSpec, replace
from state.workspace import Workspace

#: Pods that one look at a Job creates or deletes at most; the rest follows in the next pass.
BURST = 10_000
_INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
#: How long the fixed part of a generated name may be.
_MAX_BASE = 58


@dataclass(slots=True)
class Need:
    """What a Job needs to have as many pods as it should."""

    wanted: int
    surplus: list[Pod] = field(default_factory=list)
    #: How many pods are to be made; for an indexed Job ``indexes`` says which.
    missing: int = 0
    indexes: list[int] = field(default_factory=list)
    #: When pods that are missing may be made (µs); 0: now.
    at: int = 0


def need(view: View) -> Need:
    """Compares the active pods with what the Job wants. More are made only once none is too many."""
    active = len(view.active)
    wanted = _wanted(view)
    found = Need(wanted, surplus=_surplus(view, active - wanted))
    busy = len(view.terminating) if replaces_failed_only(view.job) else 0
    missing = wanted - active - busy
    if found.surplus or missing <= 0:
        return found
    if view.indexed:
        found.indexes = _free_indexes(view, min(missing, BURST))
        missing = len(found.indexes)
    found.missing = missing
    if missing and view.job.spec.backoff_limit_per_index is None:
        at = may_create_at(view)
        found.at = at if at > view.now else 0
    elif missing:
        _delay_indexes(view, found)
    return found


def _wanted(view: View) -> int:
    if view.suspended:
        return 0
    spec = view.job.spec
    parallelism = 1 if spec.parallelism is None else spec.parallelism
    if spec.completions is None:
        return len(view.active) if view.succeeded else parallelism
    return max(0, min(spec.completions - view.succeeded, parallelism))


def _surplus(view: View, count: int) -> list[Pod]:
    """Of an indexed Job first pods without a valid index, and all but one of each."""
    surplus = _useless(view) if view.indexed else []
    count -= len(surplus)
    if count <= 0:
        return surplus
    rest = [pod for pod in view.active if pod not in surplus]
    return surplus + choose_victims(rest, count, [], view.now)


def _useless(view: View) -> list[Pod]:
    """The active pods that serve no index, or one that another serves, too."""
    serving: dict[int | None, list[Pod]] = {}
    for pod in view.active:
        serving.setdefault(valid_index(view.job, pod), []).append(pod)
    useless = serving.pop(None, [])
    for pods in serving.values():
        if len(pods) > 1:
            useless += choose_victims(pods, len(pods) - 1, [], view.now)
    return useless


def _free_indexes(view: View, count: int) -> list[int]:
    pods = [*view.active, *view.terminating] if replaces_failed_only(view.job) else view.active
    taken = view.completed_indexes | view.failed_indexes | active_indexes(pods)
    return taken.first_free(view.job.spec.completions or 0, count)


def _delay_indexes(view: View, found: Need) -> None:
    """Leaves out indexes that wait after a failure; if all do, says how long."""
    times = {index: index_may_create_at(view.held.get(index)) for index in found.indexes}
    due = [index for index in found.indexes if times[index] <= view.now]
    if due:
        found.indexes, found.missing = due, len(due)
    else:
        found.at = min(times.values())


def make_pod(ws: Workspace, job: Job) -> Pod:
    """What all pods of the Job have in common, after the API server's defaults and admission."""
    template = job.spec.template
    if job.spec.completion_mode == "Indexed":
        template = _with_index_variable(template)
    finalizers = template.metadata.finalizers
    if FINALIZER not in finalizers:
        template = replace(template, metadata=replace(template.metadata, finalizers=(*finalizers, FINALIZER)))
    return pod_from_template(ws, template, job, controller_ref(job))


def _with_index_variable(template: PodTemplateSpec) -> PodTemplateSpec:
    source = EnvVarSource(field_ref=ObjectFieldSelector(field_path=f"metadata.labels['{INDEX}']"))
    variable = EnvVar(name=_INDEX_VARIABLE, value_from=source)

    def extended(container: Container) -> Container:
        if any(present.name == _INDEX_VARIABLE for present in container.env):
            return container
        return replace(container, env=(*container.env, variable))

    spec = template.spec
    spec = replace(
        spec,
        containers=tuple(map(extended, spec.containers)),
        init_containers=tuple(map(extended, spec.init_containers)),
    )
    return replace(template, spec=spec)


def with_index(view: View, pod: Pod, index: int) -> Pod:
    """The pod of an index: named and labelled, with the failures of those before it."""
    job = view.job
    annotations = {**pod.metadata.annotations, INDEX: str(index)}
    if job.spec.backoff_limit_per_index is not None:
        annotations |= _failures(job, view.held.get(index))
    suffix = f"-{index}-"
    meta = replace(
        pod.metadata,
        generate_name=job.metadata.name[: _MAX_BASE - len(suffix)] + suffix,
        labels={**pod.metadata.labels, INDEX: str(index)},
        annotations=annotations,
    )
    return replace(pod, metadata=meta, spec=replace(pod.spec, hostname=f"{job.metadata.name}-{index}"))


def _failures(job: Job, former: Pod | None) -> dict[str, str]:
    """The annotations that hand the failures of an index on to its next pod."""
    counted, ignored = 0, 0
    if former is not None:
        counts = counts_as_failure(job, former)
        counted = failures_before(former, FAILURES) + counts
        ignored = failures_before(former, IGNORED_FAILURES) + (not counts)
    return {FAILURES: str(counted), **({IGNORED_FAILURES: str(ignored)} if ignored else {})}
