"""Kinds that own pods, in kubectl's columns."""

from __future__ import annotations

from reconciler.printers.cells import NONE, UNSET, images, labels, selector, since, template_images
from reconciler.printers.columns import Cell, columns
from state.objects import (
    ControllerRevision,
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
)
from state.times import human_duration, parse_time

_IMAGES = "+Containers,+Images"
_IMAGES_AND_SELECTOR = f"{_IMAGES},+Selector"


def _deployment(obj: Deployment, _: int) -> tuple[Cell, ...]:
    return (
        f"{obj.status.ready_replicas or 0}/{obj.spec.replicas or 0}",
        obj.status.updated_replicas or 0,
        obj.status.available_replicas or 0,
        *template_images(obj.spec.template),
        selector(obj.spec.selector),
    )


def _replicas(obj: ReplicaSet | ReplicationController, _: int) -> tuple[Cell, ...]:
    return (
        obj.spec.replicas or 0,
        obj.status.replicas or 0,
        obj.status.ready_replicas or 0,
        *template_images(obj.spec.template),
        selector(obj.spec.selector) if isinstance(obj, ReplicaSet) else labels(obj.spec.selector),
    )


def _stateful_set(obj: StatefulSet, _: int) -> tuple[Cell, ...]:
    return (f"{obj.status.ready_replicas or 0}/{obj.spec.replicas or 0}", *template_images(obj.spec.template))


def _daemon_set(obj: DaemonSet, _: int) -> tuple[Cell, ...]:
    status = obj.status
    return (
        status.desired_number_scheduled or 0,
        status.current_number_scheduled or 0,
        status.number_ready or 0,
        status.updated_number_scheduled or 0,
        status.number_available or 0,
        labels(obj.spec.template.spec.node_selector),
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
    succeeded = job.status.succeeded or 0
    if job.spec.completions is not None:
        return f"{succeeded}/{job.spec.completions}"
    parallelism = job.spec.parallelism or 0
    return f"{succeeded}/1{f' of {parallelism}' if parallelism > 1 else ''}"


def _job_duration(job: Job, now: int) -> str:
    start, end = job.status.start_time, job.status.completion_time
    if start is None:
        return ""
    return human_duration((now if end is None else parse_time(end)) - parse_time(start))


def _job(obj: Job, now: int) -> tuple[Cell, ...]:
    return (
        _job_status(obj),
        _completions(obj),
        _job_duration(obj, now),
        *template_images(obj.spec.template),
        selector(obj.spec.selector),
    )


def _cron_job(obj: CronJob, now: int) -> tuple[Cell, ...]:
    job, last = obj.spec.job_template.spec, obj.status.last_schedule_time
    return (
        obj.spec.schedule,
        obj.spec.time_zone or NONE,
        UNSET if obj.spec.suspend is None else str(obj.spec.suspend),
        len(obj.status.active),
        since(last, now) if last else NONE,
        *images(job.template.spec.containers),
        selector(job.selector),
    )


def _controller_revision(obj: ControllerRevision, _: int) -> tuple[Cell, ...]:
    owner = next((item for item in obj.metadata.owner_references if item.controller), None)
    controller = NONE
    if owner is not None:
        group = owner.api_version.rpartition("/")[0]
        controller = f"{owner.kind}{f'.{group}' if group else ''}".lower() + f"/{owner.name}"
    return (controller, obj.revision)


_REPLICAS = columns(f"Name,Desired:integer,Current:integer,Ready:integer,Age,{_IMAGES_AND_SELECTOR}", _replicas)

PRINTERS = {
    "ControllerRevision": columns("Name,Controller,Revision,Age", _controller_revision),
    "CronJob": columns(
        "Name,Schedule,Timezone,Suspend:boolean,Active:integer,Last Schedule,Age," + _IMAGES_AND_SELECTOR, _cron_job
    ),
    "DaemonSet": columns(
        "Name,Desired:integer,Current:integer,Ready:integer,Up-to-date:integer,Available:integer,Node Selector,Age,"
        + _IMAGES_AND_SELECTOR,
        _daemon_set,
    ),
    "Deployment": columns("Name,Ready,Up-to-date,Available,Age," + _IMAGES_AND_SELECTOR, _deployment),
    "Job": columns("Name,Status,Completions,Duration,Age," + _IMAGES_AND_SELECTOR, _job, coloured="Status"),
    "PodTemplate": columns(
        "Name,Containers,Images,Pod Labels",
        lambda obj, _: (*template_images(obj.template), labels(obj.template.metadata.labels)),
    ),
    "ReplicaSet": _REPLICAS,
    "ReplicationController": _REPLICAS,
    "StatefulSet": columns("Name,Ready,Age," + _IMAGES, _stateful_set),
}
