"""CronJobs: as recorded from Kubernetes; when schedules are due; what becomes of the Jobs."""

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loops import NOW, SECOND, assert_settled, said
from recorded import Player, load_case
from recorded_form import normal

from reconciler.cycle import Cycle
from rules.cron import parse_schedule
from rules.cronjobs import CronJobs
from rules.garbage import Garbage
from rules.job_tracking import JobPods
from rules.jobs import Jobs
from rules.pod_garbage import PodGarbage
from state.defaults import default
from state.dump import dump
from state.load import from_dict
from state.objects import CronJob, CronJobStatus, Job, replace
from state.snapshot import Key, Snapshot
from state.times import format_time, parse_time

KEY = Key("CronJob", "ns", "c")
MINUTE = 60 * SECOND


def concerns():
    return [Garbage(), PodGarbage(), CronJobs(), JobPods(), Jobs()]


def test_does_as_recorded():
    """A Job for each minute: its name, owner, labels and annotation, and the status of both."""
    player = Player(load_case("cronjob-every-minute"), concerns()).play()
    expected = player.case["expected"]["snapshots"]
    (job,) = player.ws.objects(Job)
    minutes = str(parse_time("2026-01-01T00:01:00Z") // MINUTE)
    found = normal(dump(job))
    wanted = {key: expected["job"][key] for key in ("metadata", "status")}
    assert {key: found[key] for key in wanted} == _with_minutes(wanted, minutes)
    (cron,) = player.ws.objects(CronJob)
    assert sorted(dump(cron)["status"]) == expected["status-keys"]
    assert_settled(player.cycle, concerns, player.now)


def _with_minutes(value, minutes):
    if isinstance(value, dict):
        return {key: _with_minutes(item, minutes) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_minutes(item, minutes) for item in value]
    return value.replace("<minutes>", minutes) if isinstance(value, str) else value


# -- schedules ---------------------------------------------------------------------------------------------------------

#: After 2026-01-01T00:00:00Z, a Thursday.
FIRST_DUE = [
    ("* * * * *", "2026-01-01T00:01:00Z"),
    ("*/15 * * * *", "2026-01-01T00:15:00Z"),
    ("5/20 * * * *", "2026-01-01T00:05:00Z"),
    ("0 9-17/4 * * mon-fri", "2026-01-01T09:00:00Z"),
    ("30 6 * * SUN", "2026-01-04T06:30:00Z"),
    ("0 0 13 * 5", "2026-01-02T00:00:00Z"),
    ("0 0 13 * *", "2026-01-13T00:00:00Z"),
    ("0 0 */2 * 1", "2026-01-03T00:00:00Z"),
    ("0 0 ? * 6", "2026-01-03T00:00:00Z"),
    ("1,2,40-42 3 * feb,mar *", "2026-02-01T03:01:00Z"),
    ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
    ("@hourly", "2026-01-01T01:00:00Z"),
    ("@daily", "2026-01-02T00:00:00Z"),
    ("@weekly", "2026-01-04T00:00:00Z"),
    ("@monthly", "2026-02-01T00:00:00Z"),
    ("@yearly", "2027-01-01T00:00:00Z"),
    ("@every 1h30m", "2026-01-01T01:30:00Z"),
    ("@every 10ms", "2026-01-01T00:00:01Z"),
]


@pytest.mark.parametrize(("text", "due"), FIRST_DUE)
def test_reads_schedules(text, due):
    """Fields, lists, ranges, steps, names and descriptors; either day is enough unless one of them is open."""
    assert format_time(parse_schedule(text).after(NOW)) == due


def test_a_day_that_never_comes():
    """The thirty-first of February is never due."""
    assert parse_schedule("0 0 31 2 *").after(NOW) is None
    assert parse_schedule("0 0 31 2 *").latest(NOW, NOW + 10**15) is None


@pytest.mark.parametrize("text", ["* * * * *", "0 0 1 1 *", "@every 1h"])
@pytest.mark.parametrize("hours", [-12, 0, 14])
@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_times_of_all_years_may_be_asked_about(text, hours, time):
    """A status can hold any time; there is an answer, and soon."""
    schedule, moment = parse_schedule(text, timezone(timedelta(hours=hours))), parse_time(time)
    due = schedule.latest(moment, NOW)
    assert due is None or moment < due <= NOW
    later = schedule.after(max(moment, NOW))
    assert later is None or later > NOW


def test_what_is_no_schedule():
    """Text that can't be read is no schedule."""
    assert parse_schedule("every day") is None
    assert parse_schedule("61 * * * *") is None


def test_times_are_those_of_the_zone():
    """Noon is noon where the zone is."""
    zone = timezone(timedelta(hours=5, minutes=30))
    assert format_time(parse_schedule("0 12 * * *", zone).after(NOW)) == "2026-01-01T06:30:00Z"


@given(st.sampled_from([text for text, _ in FIRST_DUE if "29 2" not in text]), st.integers(0, 40 * 24 * 60))
def test_the_latest_due_time_is_the_one_before_the_next(text, minutes):
    """Counting forwards from one due time to the next finds the same ones as looking back."""
    schedule, until = parse_schedule(text), NOW + minutes * MINUTE + SECOND // 2
    last = schedule.latest(NOW, until)
    following = schedule.after(NOW if last is None else last)
    assert following > until
    assert last is None or NOW < last <= until


# -- Jobs --------------------------------------------------------------------------------------------------------------


def cronjob(schedule="*/10 * * * *", **spec):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "img:1"}]}}
    document = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "c", "namespace": "ns", "uid": "uid-c", "creationTimestamp": format_time(NOW)},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": template}}, **spec},
    }
    return default(from_dict(document))


def loop(*objects, zones=None):
    own = CronJobs() if zones is None else CronJobs(zones)
    cycle = Cycle(Snapshot.of(objects), [Garbage(), own])
    cycle.settle(NOW)
    return cycle


def jobs(cycle):
    return [obj.metadata.name for obj in cycle.ws.objects(Job)]


def finish(cycle, name, kind="Complete", at=NOW):
    job = cycle.ws.find(Job, "ns", name)
    condition = {"type": kind, "status": "True", "lastTransitionTime": format_time(at)}
    status = {"conditions": [condition], "startTime": format_time(at)}
    if kind == "Complete":
        status["completionTime"] = format_time(at)
    cycle.ws.put(from_dict({**dump(job), "status": status}))


def warnings(cycle):
    return {(each.reason, each.message) for each in cycle.ctx.events if each.type == "Warning"}


def due(minutes):
    return f"c-{(NOW + minutes * MINUTE) // MINUTE}"


def test_wakes_when_it_is_due():
    """Nothing happens before, and the note says when it will."""
    cycle = loop(cronjob())
    assert jobs(cycle) == []
    assert cycle.wake_at == NOW + 10 * MINUTE
    assert said(cycle) == [("cronjobs", str(KEY), "c is due next at 2026-01-01T00:10:00Z")]
    cycle.settle(NOW + 10 * MINUTE)
    assert jobs(cycle) == [due(10)]
    assert cycle.wake_at == NOW + 20 * MINUTE


def test_of_missed_times_only_the_latest_counts():
    """After an hour of sleep one Job is made, not six."""
    cycle = loop(cronjob())
    cycle.settle(NOW + 65 * MINUTE)
    assert jobs(cycle) == [due(60)]


def test_a_start_can_be_too_late():
    """startingDeadlineSeconds: a time missed by more than that is skipped, and the note says so."""
    cycle = loop(cronjob(startingDeadlineSeconds=60))
    cycle.settle(NOW + 13 * MINUTE)
    assert jobs(cycle) == []
    assert "missed its last due time" in said(cycle)[0][2]
    assert cycle.wake_at == NOW + 20 * MINUTE


@pytest.mark.parametrize(
    ("policy", "left"), [("Allow", [due(10), due(20)]), ("Forbid", [due(10)]), ("Replace", [due(20)])]
)
def test_concurrency_policies(policy, left):
    """A Job that still runs when the next is due: both, only the old one, or only the new one."""
    cycle = loop(cronjob(concurrencyPolicy=policy))
    cycle.settle(NOW + 10 * MINUTE)
    cycle.settle(NOW + 20 * MINUTE)
    assert jobs(cycle) == left
    active = cycle.ws.find(CronJob, "ns", "c").status.active
    assert [reference.name for reference in active] == left


def test_a_forbidden_start_is_made_up_for():
    """Once the Job that was in the way has ended, the time that is due still is made up for."""
    cycle = loop(cronjob(concurrencyPolicy="Forbid"))
    cycle.settle(NOW + 10 * MINUTE)
    cycle.settle(NOW + 20 * MINUTE)
    finish(cycle, due(10), at=NOW + 21 * MINUTE)
    cycle.settle(NOW + 21 * MINUTE)
    assert jobs(cycle) == [due(10), due(20)]
    assert cycle.ws.find(CronJob, "ns", "c").status.last_successful_time == "2026-01-01T00:21:00Z"


def test_a_job_that_was_made_before_the_status_was_written_is_counted():
    """After a stop in between, say: it is not made again, and runs as any other."""
    cycle = loop(cronjob())
    cycle.settle(NOW + 10 * MINUTE)
    (name,) = jobs(cycle)
    cron = cycle.ws.find(CronJob, "ns", "c")
    cycle.ws.put(replace(cron, status=CronJobStatus()))
    cycle.settle(NOW + 10 * MINUTE)
    assert jobs(cycle) == [name]
    status = cycle.ws.find(CronJob, "ns", "c").status
    assert [each.name for each in status.active] == [name]
    assert status.last_schedule_time == format_time(NOW + 10 * MINUTE)


def test_a_job_that_somebody_else_made_is_told():
    """``kubectl create job --from=cronjob/c`` makes one that c owns; it's none of the status."""
    cycle = loop(cronjob())
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "c", "uid": "uid-c", "controller": True}
    job = {"metadata": {"name": "by-hand", "namespace": "ns", "uid": "uid-j", "ownerReferences": [owner]}}
    template = dump(cronjob())["spec"]["jobTemplate"]["spec"]
    cycle.ws.put(default(from_dict({"apiVersion": "batch/v1", "kind": "Job", **job, "spec": template})))
    cycle.settle(NOW)
    message = "Saw a job that the controller did not create or forgot: by-hand"
    assert warnings(cycle) == {("UnexpectedJob", message)}
    assert cycle.ws.find(CronJob, "ns", "c").status.active == ()


@pytest.mark.parametrize(("policy", "extra"), [("Allow", set()), ("Forbid", {"JobAlreadyActive"})])
@pytest.mark.parametrize("times", [100, 101])
def test_too_many_missed_times_are_told(policy, extra, times):
    """More than 100; the latest counts all the same."""
    cycle = loop(cronjob("* * * * *", concurrencyPolicy=policy))
    cycle.settle(NOW + MINUTE)
    cycle.ctx.events.clear()
    cycle.settle(NOW + (1 + times) * MINUTE)
    assert {each.reason for each in cycle.ctx.events} & {"JobAlreadyActive"} == extra
    assert bool(warnings(cycle)) is (times > 100)
    assert jobs(cycle) == [due(1)] + [due(1 + times)] * (policy == "Allow")


def test_history_is_bounded():
    """Of finished Jobs the last three that succeeded and the last one that failed stay."""
    cycle = loop(cronjob())
    for number in range(1, 9):
        now = NOW + number * 10 * MINUTE
        cycle.settle(now)
        finish(cycle, due(number * 10), "Failed" if number % 2 else "Complete", now)
        cycle.settle(now)
    assert jobs(cycle) == [due(40), due(60), due(70), due(80)]


def test_a_suspended_one_makes_nothing():
    """suspend: no Jobs, no wake-up, a note."""
    cycle = loop(cronjob(suspend=True))
    cycle.settle(NOW + 65 * MINUTE)
    assert jobs(cycle) == []
    assert cycle.wake_at is None
    assert said(cycle) == [("cronjobs", str(KEY), "c is suspended: it makes no Jobs")]


def test_a_zone_that_is_not_known_is_explained():
    """Without a table of zones only UTC is known; with one the schedule is the zone's."""
    cron = cronjob("0 6 * * *", timeZone="Asia/Kolkata")
    cycle = loop(cron)
    assert said(cycle) == [("cronjobs", str(KEY), "c makes no Jobs: time zone Asia/Kolkata isn't known here")]
    kolkata = timezone(timedelta(hours=5, minutes=30))
    cycle = loop(cron, zones={"Asia/Kolkata": kolkata, "UTC": UTC}.get)
    assert cycle.wake_at == parse_time("2026-01-01T00:30:00Z")
    cycle.settle(cycle.wake_at)
    (job,) = cycle.ws.objects(Job)
    at = job.metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert at == "2026-01-01T06:00:00+05:30"


@given(st.lists(st.integers(1, 30), max_size=6), st.sampled_from(["Allow", "Forbid", "Replace"]), st.booleans())
def test_settles_whatever_happens(steps, policy, deadline):
    """Whatever time goes by, and whether Jobs end or not: a cold loop agrees."""
    cycle = loop(cronjob(concurrencyPolicy=policy, **({"startingDeadlineSeconds": 120} if deadline else {})))
    now = NOW
    for minutes in steps:
        now += minutes * MINUTE
        cycle.settle(now)
        if minutes % 3 == 0 and jobs(cycle):
            finish(cycle, jobs(cycle)[-1], "Complete" if minutes % 2 else "Failed", now)
            cycle.settle(now)
    assert_settled(cycle, lambda: [Garbage(), CronJobs()], now)
