"""Time passes on simulated nodes: pods run, crash, back off and end, and the clock jumps from one to the next."""

from __future__ import annotations

from itertools import pairwise

import pytest
from manifests_for_tests import NOW, config_map, deployment, pod

from reconciler import StateError
from reconciler.drivers.runtime.simulated import Behaviour
from reconciler.simulation import HORIZON, Simulation, end_of, simulate
from rules.actions import Event
from state.objects import Pod
from state.snapshot import Key
from state.times import MINUTE, SECOND, parse_time

START = parse_time(NOW)
THE_POD = Key("Pod", "default", "p")


def the_pod(run):
    obj = run.snapshot.get(THE_POD)
    assert isinstance(obj, Pod)
    return obj


def container_status(run):
    (status,) = the_pod(run).status.container_statuses
    return status


def test_a_deployment_becomes_available():
    run = simulate(deployment(replicas=3), nodes=2, now=NOW)
    assert run.settled
    (obj,) = run.snapshot.objects("Deployment")
    assert obj.status.available_replicas == 3
    assert all(one.status.phase == "Running" for one in run.snapshot.objects("Pod"))
    assert run.notes == ()
    times = [at for at, _ in run.timeline]
    assert times == sorted(times)


def test_the_same_simulation_has_the_same_history():
    def history():
        run = simulate(deployment(replicas=3, minReadySeconds=7), nodes=2, now=NOW)
        return [(at, item.to_dict()) for at, item in run.timeline]

    assert history() == history()


def test_a_crashing_container_backs_off_as_kubelet_does():
    """It starts again at once, then after 10 s, 20 s, 40 s … up to five minutes; each time it runs for one second."""
    run = Simulation(pod(), nodes=1, now=NOW, behaviours=lambda *_: Behaviour(runs_for=SECOND, exit_code=3))
    starts = []

    def note(now):
        status = container_status(run)
        started = status.last_state and status.last_state.terminated and status.last_state.terminated.started_at
        if started and (not starts or starts[-1] != started):
            starts.append(started)

    run.run_until(START + 30 * MINUTE, note)
    note(run.now)
    seconds = [(parse_time(text) - START) // SECOND for text in starts]
    gaps = [after - before for before, after in pairwise(seconds)]
    assert gaps[:7] == [1, 11, 21, 41, 81, 161, 301]
    assert {*gaps[7:]} <= {301}
    status = container_status(run)
    assert status.restart_count >= 7
    assert status.state.waiting.reason == "CrashLoopBackOff"
    assert (status.last_state.terminated.exit_code, status.last_state.terminated.reason) == (3, "Error")
    assert not run.settled
    assert "BackOff" in {item.reason for _, item in run.timeline if isinstance(item, Event)}


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (1, "Failed")])
def test_a_pod_that_is_not_restarted_ends(code, phase):
    run = simulate(
        pod(restartPolicy="Never"), nodes=1, now=NOW, behaviours=lambda *_: Behaviour(runs_for=MINUTE, exit_code=code)
    )
    assert run.settled
    assert the_pod(run).status.phase == phase
    assert run.now == START + MINUTE


def test_a_deleted_pod_takes_its_time_to_end():
    run = simulate(pod(), nodes=1, now=NOW, behaviours=lambda *_: Behaviour(stops_after=5 * SECOND))
    run.loop.delete(THE_POD)
    run.happen()
    assert the_pod(run).metadata.deletion_timestamp == "2026-01-01T00:00:30Z"
    run.settle()
    assert run.snapshot.get(THE_POD) is None
    assert START + 5 * SECOND <= run.now < START + 30 * SECOND


def test_a_container_that_does_not_end_is_killed_after_its_grace_period():
    run = simulate(pod(), nodes=1, now=NOW, behaviours=lambda *_: Behaviour(stops_after=None))
    run.loop.delete(THE_POD)
    run.settle()
    assert run.snapshot.get(THE_POD) is None
    assert run.now >= START + 30 * SECOND


def test_time_passes_until_the_end_given():
    for until, expected in [
        ("10m", START + 10 * MINUTE),
        ("2026-01-01T01:00:00Z", START + 60 * MINUTE),
        ("settled", START),
    ]:
        assert simulate(config_map(), now=NOW, until=until).now == expected
    assert simulate(config_map(), now=NOW, until="2025-01-01T00:00:00Z").now == START


def test_what_never_settles_is_given_up_after_a_day():
    run = simulate(pod(), nodes=1, now=NOW, behaviours=lambda *_: Behaviour(runs_for=20 * MINUTE))
    assert not run.settled
    assert START + HORIZON - 20 * MINUTE < run.now <= START + HORIZON


@pytest.mark.parametrize("until", ["", "soon", "5", "2026-01-01"])
def test_another_end_is_refused(until):
    with pytest.raises(StateError, match="expected settled, a duration as in 10m, or a time"):
        end_of(until, 0)


def test_progress_is_told_every_time_at_which_something_happens():
    told = []
    simulate(deployment(minReadySeconds=9), nodes=1, now=NOW, progress=told.append)
    assert told
    assert told == sorted({*told})


def test_without_a_kubelet_the_caller_reports():
    run = Simulation(pod(), nodes=1, now=NOW, kubelet=False)
    run.settle()
    assert the_pod(run).status.phase == "Pending"
    run.loop.patch(THE_POD, {"status": {"phase": "Running"}})
    run.happen()
    assert the_pod(run).status.phase == "Running"


def test_what_is_refused_is_told_of_all_manifests():
    run = Simulation([pod(), {"kind": "Pod"}], nodes=1, now=NOW, on_invalid="skip")
    run.loop.apply([{"kind": "Job"}, config_map(), config_map()])
    run.happen()
    assert [str(refusal.key) for refusal in run.refused] == ["None", "None"]
    assert len(run.warnings) == 1


def test_a_rolled_out_image_replaces_all_pods():
    run = simulate(deployment(replicas=4), nodes=2, now=NOW)
    before = {obj.metadata.uid for obj in run.snapshot.objects("Pod")}
    run.loop.patch("deploy/web", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}})
    run.happen()
    assert run.settle()
    after = run.snapshot.objects("Pod")
    assert len(after) == 4
    assert not before & {obj.metadata.uid for obj in after}
