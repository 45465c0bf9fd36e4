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
from state.objects import CronJob, Job
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
