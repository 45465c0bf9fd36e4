"""Kinds that own pods, in kubectl's columns."""

from __future__ import annotations

from reconciler.printers.cells import NONE, boolean, count, images, labels, selector, since, template_images
from reconciler.printers.columns import columns
from state.objects import (
    ControllerRevision,
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    PodTemplate,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
)
from state.times import human_duration, parse_time

_IMAGES = "CONTAINERS,IMAGES"
_IMAGES_AND_SELECTOR = f"{_IMAGES},SELECTOR"


def _deployment(obj: Deployment, now: int) -> tuple[str, ...]:
    return (
        obj.metadata.name,
        f"{count(obj.status.ready_replicas)}/{count(obj.spec.replicas)}",
        count(obj.status.updated_replicas),
        count(obj.status.available_replicas),
        since(obj.metadata.creation_timestamp, now),
        *template_images(obj.spec.template),
        selector(obj.spec.selector),
    )


def _replicas(obj: ReplicaSet | ReplicationController, now: int) -> tuple[str, ...]:
    return (
        obj.metadata.name,
        count(obj.spec.replicas),
        count(obj.status.replicas),
        count(obj.status.ready_replicas),
        since(obj.metadata.creation_timestamp, now),
        *template_images(obj.spec.template),
        selector(obj.spec.selector) if isinstance(obj, ReplicaSet) else labels(obj.spec.selector),
    )


def _stateful_set(obj: StatefulSet, now: int) -> tuple[str, ...]:
    return (
        obj.metadata.name,
        f"{count(obj.status.ready_replicas)}/{count(obj.spec.replicas)}",
        since(obj.metadata.creation_timestamp, now),
        *template_images(obj.spec.template),
    )


def _daemon_set(obj: DaemonSet, now: int) -> tuple[str, ...]:
    status = obj.status
    return (
        obj.metadata.name,
        count(status.desired_number_scheduled),
        count(status.current_number_scheduled),
        count(status.number_ready),
        count(status.updated_number_scheduled),
        count(status.number_available),
        labels(obj.spec.template.spec.node_selector),
        since(obj.metadata.creation_timestamp, now),
        *template_images(obj.spec.template),
        selector(obj.spec.selector),
    )


def _job_status(job: Job) -> str:
    true = {condition.type for condition in job.status.conditions if condition.status == "True"}
    for word in ("Complete", "Failed"):
        if word in true:
            return word
    if job.metadata.deletion_timestamp:
        return "Terminating"
    return next((word for word in ("Suspended", "FailureTarget") if word in true), "Running")


def _completions(job: Job) -> str:
    if job.spec.completions is not None:
        return f"{count(job.status.succeeded)}/{job.spec.completions}"
    parallelism = job.spec.parallelism or 0
    return f"{count(job.status.succeeded)}/1{f' of {parallelism}' if parallelism > 1 else ''}"


def _job_duration(job: Job, now: int) -> str:
    start, end = job.status.start_time, job.status.completion_time
    if start is None:
        return ""
    return human_duration((now if end is None else parse_time(end)) - parse_time(start))


def _job(obj: Job, now: int) -> tuple[str, ...]:
    return (
        obj.metadata.name,
        _job_status(obj),
        _completions(obj),
        _job_duration(obj, now),
        since(obj.metadata.creation_timestamp, now),
        *template_images(obj.spec.template),
        selector(obj.spec.selector),
    )


def _cron_job(obj: CronJob, now: int) -> tuple[str, ...]:
    job, last = obj.spec.job_template.spec, obj.status.last_schedule_time
    return (
        obj.metadata.name,
        obj.spec.schedule,
        obj.spec.time_zone or NONE,
        boolean(obj.spec.suspend, "<unset>"),
        str(len(obj.status.active)),
        since(last, now) if last else NONE,
        since(obj.metadata.creation_timestamp, now),
        *images(job.template.spec.containers),
        selector(job.selector),
    )


def _controller_revision(obj: ControllerRevision, now: int) -> tuple[str, ...]:
    owner = next((item for item in obj.metadata.owner_references if item.controller), None)
    controller = NONE
    if owner is not None:
        group = owner.api_version.rpartition("/")[0]
        controller = f"{owner.kind.lower()}{f'.{group}' if group else ''}/{owner.name}"
    return (obj.metadata.name, controller, str(obj.revision), since(obj.metadata.creation_timestamp, now))


def _pod_template(obj: PodTemplate, now: int) -> tuple[str, ...]:  # noqa: ARG001 - it shows no age
    return (obj.metadata.name, *template_images(obj.template), labels(obj.template.metadata.labels))


PRINTERS = {
    "ControllerRevision": columns("NAME,CONTROLLER,REVISION,AGE", _controller_revision),
    "CronJob": columns("NAME,SCHEDULE,TIMEZONE,SUSPEND,ACTIVE,LAST SCHEDULE,AGE", _cron_job, wide=_IMAGES_AND_SELECTOR),
    "DaemonSet": columns(
        "NAME,DESIRED,CURRENT,READY,UP-TO-DATE,AVAILABLE,NODE SELECTOR,AGE", _daemon_set, wide=_IMAGES_AND_SELECTOR
    ),
    "Deployment": columns("NAME,READY,UP-TO-DATE,AVAILABLE,AGE", _deployment, wide=_IMAGES_AND_SELECTOR),
    "Job": columns("NAME,STATUS,COMPLETIONS,DURATION,AGE", _job, wide=_IMAGES_AND_SELECTOR, coloured="STATUS"),
    "PodTemplate": columns("NAME,CONTAINERS,IMAGES,POD LABELS", _pod_template),
    "ReplicaSet": columns("NAME,DESIRED,CURRENT,READY,AGE", _replicas, wide=_IMAGES_AND_SELECTOR),
    "ReplicationController": columns("NAME,DESIRED,CURRENT,READY,AGE", _replicas, wide=_IMAGES_AND_SELECTOR),
    "StatefulSet": columns("NAME,READY,AGE", _stateful_set, wide=_IMAGES),
}
