"""CronJob: make a Job whenever the schedule is due, as kube-controller-manager's cronjob controller does.

Of several due times that were missed only the latest counts. Schedules are read by ``rules.cron``. Time zones are
files, which nothing here may read: ``CronJobs`` is given a function that knows them, else UTC is the only one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import ClassVar

from rules.actions import Fact
from rules.admission import ForbiddenError
from rules.concern import Touched, itself, wait
from rules.context import Context
from rules.cron import Schedule, parse_schedule
from rules.engine import Rule, m
from rules.job_status import COMPLETE, finish
from rules.methods import MethodConcern, clipped
from rules.ownership import controller_ref, controllers
from state.defaults import default
from state.objects import CronJob, CronJobStatus, Job, JobCondition, ObjectMeta, ObjectReference, replace
from state.snapshot import Key
from state.times import SECOND, format_time, parse_time
from state.workspace import Workspace, controller_uid

#: Knows time zones by name; None for one that it doesn't know.
Zones = Callable[[str], tzinfo | None]

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_SOURCE = "cronjob-controller"
_MINUTE = 60 * SECOND
#: Of more missed due times than these an event tells.
_MANY = 100


def utc_only(name: str) -> tzinfo | None:
    """The only zone that needs no file."""
    return UTC if name in ("UTC", "Etc/UTC") else None


@dataclass(slots=True)
class View:
    """A CronJob with its Jobs, and when it is due."""

    cron: CronJob
    now: int
    jobs: list[Job]
    zone: tzinfo | None
    schedule: Schedule | None
    #: The latest due time that no Job was made for (µs), and the next one to come.
    due: int | None = None
    next_due: int | None = None
    too_late: bool = False
    #: Due times up to here (µs) are forgotten.
    begin: int = 0

    @property
    def changes_at(self) -> int | None:
        """When the CronJob is due next, or too late for the time that it is due since (µs); None if never."""
        deadline = self.cron.spec.starting_deadline_seconds
        late = None if self.due is None or deadline is None else self.due + deadline * SECOND
        return min((at for at in (late, self.next_due) if at is not None), default=None)

    @property
    def missed(self) -> int:
        """How many times it was due, as Kubernetes reckons: as though all were as far apart as the first two."""
        first = None if self.schedule is None else self.schedule.after(self.begin)
        second = None if self.schedule is None or first is None else self.schedule.after(first)
        if first is None or second is None or self.now < second:
            return 0
        return (self.now - first) // (second - first) + 1

    @property
    def strangers(self) -> list[Job]:
        """The Jobs that go on and aren't in the status: ``kubectl create job --from`` makes such."""
        uids = {reference.uid for reference in self.cron.status.active}
        return [job for job in self.jobs if job.metadata.uid not in uids and finish(job) is None]

    @property
    def active(self) -> list[Job]:
        """The Jobs of the status that go on."""
        uids = {reference.uid for reference in self.cron.status.active}
        return [job for job in self.jobs if job.metadata.uid in uids and finish(job) is None]


def look(ws: Workspace, cron: CronJob, now: int, zones: Zones) -> View:
    """The CronJob as it stands."""
    zone = UTC if cron.spec.time_zone is None else zones(cron.spec.time_zone)
    schedule = None if zone is None else parse_schedule(cron.spec.schedule, zone)
    view = View(cron, now, ws.owned(cron, Job), zone, schedule)
    if schedule is None or cron.spec.suspend or cron.metadata.deletion_timestamp is not None:
        return view
    last = cron.status.last_schedule_time or cron.metadata.creation_timestamp
    since = parse_time(last) if last else 0
    deadline = cron.spec.starting_deadline_seconds
    begin = since if deadline is None else max(since, now - deadline * SECOND)
    view.due = schedule.latest(begin, now)
    view.next_due = schedule.after(max(now, since))
    view.begin = begin
    view.too_late = deadline is not None and view.due is None and schedule.latest(since, now) is not None
    return view


def job_name(cron: CronJob, due: int) -> str:
    """The name of the Job of a due time: it ends in the minutes since 1970."""
    return f"{cron.metadata.name}-{due // _MINUTE}"


def make_job(view: View, due: int) -> Job:
    """The Job of a due time, after the API server's defaults."""
    cron, template = view.cron, view.cron.spec.job_template
    at = datetime.fromtimestamp(due // SECOND, view.zone).isoformat().replace("+00:00", "Z")
    meta = ObjectMeta(
        name=job_name(cron, due),
        namespace=cron.metadata.namespace,
        labels=template.metadata.labels,
        annotations={**template.metadata.annotations, SCHEDULED_AT: at},
        owner_references=(controller_ref(cron),),
    )
    job = default(Job(metadata=meta, spec=template.spec))
    assert isinstance(job, Job)
    return job


def surplus_jobs(view: View) -> list[Job]:
    """The finished Jobs that the history has too many of, the first ones started first."""
    spec = view.cron.spec
    found: list[Job] = []
    for succeeded, limit in ((True, spec.successful_jobs_history_limit), (False, spec.failed_jobs_history_limit)):
        jobs = [job for job in view.jobs if (end := finish(job)) is not None and (end.type == COMPLETE) is succeeded]
        jobs.sort(key=lambda job: (job.status.start_time or "9", job.metadata.name))
        found += jobs[: max(0, len(jobs) - limit)] if limit is not None else []
    return found


def fresh_status(view: View) -> CronJobStatus:
    """The status to report: Jobs that have ended, or are gone, are active no more."""
    status = view.cron.status
    uids = {job.metadata.uid for job in view.active}
    ends = [job.status.completion_time for job in view.jobs if _has_succeeded(job)]
    known = [text for text in (status.last_successful_time, *ends) if text]
    return replace(
        status,
        active=tuple(reference for reference in status.active if reference.uid in uids),
        last_successful_time=max(known, key=parse_time, default=None),
    )


def _has_succeeded(job: Job) -> bool:
    end = finish(job)
    return end is not None and end.type == COMPLETE


def _reference(job: Job) -> ObjectReference:
    meta = job.metadata
    return ObjectReference(
        api_version=job.api_version,
        kind=job.kind,
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        resource_version=meta.resource_version,
    )


def _condition_type(end: JobCondition | None) -> str:
    return "" if end is None else end.type


class CronJobs(MethodConcern):
    """Makes the Jobs of CronJobs when they are due, and removes old ones."""

    name: ClassVar[str] = "cronjobs"
    subjects: ClassVar[Sequence[str]] = (CronJob.kind,)

    def __init__(self, zones: Zones = utc_only) -> None:
        super().__init__()
        self._zones = zones

    def _look(self, ctx: Context, key: Key) -> View:
        cron = ctx.ws.must(CronJob, key)
        return look(ctx.ws, cron, ctx.now, self._zones)

    def refused(self, ctx: Context, key: Key, refusal: ForbiddenError) -> None:
        """Awaits the next time all the same."""
        fact = self.fact(ctx.ws, key, ctx.now)
        at = None if fact is None else fact["wake_at"]
        if isinstance(at, int):
            ctx.wake(at)

    # -- consequents -------------------------------------------------------------------------------------------------

    def _report(self, ctx: Context, key: Key, _: Fact) -> None:
        view = self._look(ctx, key)
        status = fresh_status(view)
        jobs = {job.metadata.uid: job for job in view.jobs}
        for reference in view.cron.status.active:
            if reference in status.active:
                continue
            job = jobs.get(reference.uid or "")
            if job is None:
                ctx.event(key, "MissingJob", f"Active job went missing: {reference.name}", source=_SOURCE)
            else:
                message = f"Saw completed job: {reference.name}, condition: {_condition_type(finish(job))}"
                ctx.event(key, "SawCompletedJob", message, source=_SOURCE)
        ctx.update_status(replace(view.cron, status=status))

    def _wonder(self, ctx: Context, key: Key, _: Fact) -> None:
        for job in self._look(ctx, key).strangers:
            message = f"Saw a job that the controller did not create or forgot: {job.metadata.name}"
            ctx.event(key, "UnexpectedJob", message, warning=True, source=_SOURCE)

    def _tell_of_missed(self, ctx: Context, key: Key, view: View) -> None:
        if view.missed > _MANY:
            message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            ctx.event(key, "TooManyMissedTimes", message, warning=True, source=_SOURCE)

    def _start(self, ctx: Context, key: Key, _: Fact) -> None:
        view = self._look(ctx, key)
        if view.due is None:
            return
        self._tell_of_missed(ctx, key, view)
        active = view.cron.status.active
        if view.cron.spec.concurrency_policy == "Replace":
            for job in view.active:
                ctx.delete(job, policy="Background")
            active = ()
        job = make_job(view, view.due)
        found = ctx.ws.find(Job, key.namespace, job.metadata.name)
        if found is None:
            active = (*active, _reference(ctx.create(job)))
        elif controller_uid(found) == view.cron.metadata.uid and all(each.uid != found.metadata.uid for each in active):
            active = (*active, _reference(found))  # it was made before, and the status not written
        status = replace(view.cron.status, active=active, last_schedule_time=format_time(view.due))
        ctx.update_status(replace(view.cron, status=status))

    def _skip(self, ctx: Context, key: Key, fact: Fact) -> None:
        wait(ctx, key, fact)
        self._tell_of_missed(ctx, key, self._look(ctx, key))
        message = "Not starting job because prior execution is running and concurrency policy is Forbid"
        ctx.event(key, "JobAlreadyActive", message, source=_SOURCE)

    def _forget(self, ctx: Context, key: Key, _: Fact) -> None:
        for job in surplus_jobs(self._look(ctx, key)):
            ctx.delete(job, policy="Background")

    _UP_TO_DATE = m.unreported == False  # noqa: E712 - an expression of durable.lang
    _SCHEDULED = _UP_TO_DATE & (m.deleting == False) & (m.problem == "") & (m.suspended == False)  # noqa: E712

    rules: ClassVar[Sequence[Rule]] = (
        Rule(
            name="cronjob-unexpected",
            when=m.unexpected > 0,
            then=_wonder,
            why="{name} has {unexpected} Jobs that it didn't make",
        ),
        Rule(
            name="cronjob-status",
            when=m.unreported == True,  # noqa: E712
            then=_report,
            why="{name} has {active} Jobs that go on",
        ),
        Rule(
            name="cronjob-start",
            when=_SCHEDULED & (m.due == True) & (m.held == False),  # noqa: E712
            then=_start,
            why="{name} is due since {due_at}",
        ),
        Rule(
            name="cronjob-history",
            when=_UP_TO_DATE & (m.deleting == False) & (m.expendable > 0),  # noqa: E712
            then=_forget,
            why="{name} has {expendable} finished Jobs more than its history may hold",
        ),
        Rule(
            name="cronjob-forbidden",
            when=_SCHEDULED & (m.due == True) & (m.held == True),  # noqa: E712
            then=_skip,
            why="{name} is due since {due_at}, but a Job of it still runs and its concurrencyPolicy is Forbid",
        ),
        Rule(
            name="cronjob-unreadable",
            when=(m.deleting == False) & (m.problem != ""),  # noqa: E712
            then=wait,
            why="{name} makes no Jobs: {problem}",
        ),
        Rule(
            name="cronjob-suspended",
            when=(m.deleting == False) & (m.problem == "") & (m.suspended == True),  # noqa: E712
            then=wait,
            why="{name} is suspended: it makes no Jobs",
        ),
        Rule(
            name="cronjob-missed",
            when=_SCHEDULED & (m.due == False) & (m.too_late == True),  # noqa: E712
            then=wait,
            why="{name} missed its last due time by more than its startingDeadlineSeconds; the next one is {next_at}",
        ),
        Rule(
            name="cronjob-wait",
            when=_SCHEDULED & (m.due == False) & (m.too_late == False),  # noqa: E712
            then=wait,
            why="{name} is due next at {next_at}",
        ),
    )
    watches: ClassVar[Mapping[str, Touched]] = {
        "CronJob": itself,
        "Job": lambda _, change: controllers(change, CronJob.kind),
    }

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """When the CronJob is due, and what becomes of its Jobs."""
        cron = ws.find(CronJob, key.namespace, key.name)
        if cron is None:
            return None
        view = look(ws, cron, now, self._zones)
        problem = ""
        if view.zone is None:
            problem = f"time zone {cron.spec.time_zone} isn't known here"
        elif view.schedule is None:
            problem = f"its schedule {cron.spec.schedule!r} can't be read"
        due, next_due = view.due, view.next_due
        return {
            "name": key.name,
            "namespace": key.namespace,
            "deleting": cron.metadata.deletion_timestamp is not None,
            "suspended": bool(cron.spec.suspend),
            "problem": clipped(problem),
            "active": len(view.active),
            "unexpected": len(view.strangers),
            "held": cron.spec.concurrency_policy == "Forbid" and bool(view.active),
            "due": due is not None,
            "due_at": "" if due is None else format_time(due),
            "next_at": "never" if next_due is None else format_time(next_due),
            "too_late": view.too_late,
            "wake_at": view.changes_at,
            "expendable": len(surplus_jobs(view)),
            "unreported": fresh_status(view) != cron.status,
        }
