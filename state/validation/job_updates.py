"""What an update may change of a Job."""

from __future__ import annotations

from state.objects import Affinity, Container, Job, PodTemplateSpec, ResourceRequirements, replace
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.jobs import GENERATED_LABELS


def job_update(found: Report, new: Job, old: Job) -> None:
    """A Job keeps what its pods are and how they count. While it is suspended and has none, where they may run and what
    they ask for can change (MutableSchedulingDirectivesForSuspendedJobs, MutablePodResourcesForSuspendedJobs).
    """
    spec, before = new.spec, old.spec
    if spec.completions != before.completions:
        if spec.completion_mode != "Indexed":
            found.invalid("spec.completions", spec.completions, checks.IMMUTABLE)
        elif spec.completions is not None and spec.completions != spec.parallelism:
            found.invalid("spec.completions", spec.completions, "can only be modified in tandem with spec.parallelism")
    if spec.selector is not None and spec.selector != before.selector:
        found.invalid("spec.selector", checks.selector_value(spec.selector), checks.IMMUTABLE)
    template = before.template
    generated = {key: value for key, value in template.metadata.labels.items() if key in GENERATED_LABELS}
    labels = {**generated, **spec.template.metadata.labels}
    spec = replace(spec, template=replace(spec.template, metadata=replace(spec.template.metadata, labels=labels)))
    if before.suspend and not old.status.active and (old.status.start_time is None or _is_suspended(old)):
        template = _with_resources(_with_directives(template, spec.template), spec.template)
    checks.immutable(found, "spec.template", spec.template, template, "PodTemplateSpec")
    checks.immutable(found, "spec.completionMode", spec.completion_mode, before.completion_mode)
    failure, previous = spec.pod_failure_policy, before.pod_failure_policy
    checks.immutable(found, "spec.podFailurePolicy", failure, previous, "PodFailurePolicy")
    checks.immutable(found, "spec.backoffLimitPerIndex", spec.backoff_limit_per_index, before.backoff_limit_per_index)
    checks.immutable(found, "spec.managedBy", spec.managed_by, before.managed_by)
    checks.immutable(found, "spec.successPolicy", spec.success_policy, before.success_policy, "SuccessPolicy")


def _is_suspended(job: Job) -> bool:
    return any(each.type == "Suspended" and each.status == "True" for each in job.status.conditions)


def _with_resources(template: PodTemplateSpec, other: PodTemplateSpec) -> PodTemplateSpec:
    """A template with what another says of its containers' requests and limits."""

    def asking(containers: tuple[Container, ...], others: tuple[Container, ...]) -> tuple[Container, ...]:
        if len(containers) != len(others):
            return containers
        return tuple(map(_asking, containers, others))

    spec, wanted = template.spec, other.spec
    return replace(
        template,
        spec=replace(
            spec,
            containers=asking(spec.containers, wanted.containers),
            init_containers=asking(spec.init_containers, wanted.init_containers),
        ),
    )


def _asking(container: Container, other: Container) -> Container:
    old, new = (each.resources or ResourceRequirements() for each in (container, other))
    resources: ResourceRequirements | None = replace(old, requests=new.requests, limits=new.limits)
    if other.resources is None and resources == ResourceRequirements():
        resources = None
    result: Container = replace(container, resources=resources)
    return result


def _with_directives(template: PodTemplateSpec, other: PodTemplateSpec) -> PodTemplateSpec:
    """A template with what another says of where its pods may run."""
    old, new = template.spec.affinity or Affinity(), other.spec.affinity or Affinity()
    affinity: Affinity | None = replace(old, node_affinity=new.node_affinity)
    if other.spec.affinity is None and affinity == Affinity():
        affinity = None
    return replace(
        template,
        metadata=replace(template.metadata, labels=other.metadata.labels, annotations=other.metadata.annotations),
        spec=replace(
            template.spec,
            affinity=affinity,
            node_selector=other.spec.node_selector,
            tolerations=other.spec.tolerations,
            scheduling_gates=other.spec.scheduling_gates,
        ),
    )
