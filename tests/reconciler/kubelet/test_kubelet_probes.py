"""Probes, readiness gates and lifecycle hooks under the kubelet, in virtual time."""

import pytest
from kubelet_node import SECOND, START, SimulatedNode, make_pod

from reconciler.drivers.runtime.simulated import Behaviour
from reconciler.kubelet.tasks import Exec, HttpGet, Impossible, TcpConnect
from state.objects import PodCondition, replace


def pod_with(spec=None, **container):
    return make_pod(containers=[{"name": "c", "image": "app:1", **container}], **(spec or {}))


HTTP = {"httpGet": {"path": "/healthz", "port": 8080}}


class Answers:
    """Answers tasks by purpose from a function of the second; remembers the tasks."""

    def __init__(self, **by_purpose):
        self.by_purpose = by_purpose
        self.tasks = []

    def __call__(self, task, now):
        second = (now - START) / SECOND
        self.tasks.append((second, task))
        good = self.by_purpose.get(task.purpose, lambda _: True)(second)
        takes = 0
        if isinstance(good, tuple):
            good, takes = good
        return good, "" if good else "HTTP probe failed with statuscode: 500", takes * SECOND

    def seconds(self, purpose):
        return [second for second, task in self.tasks if task.purpose == purpose]


def test_a_pod_is_ready_once_its_readiness_probe_passes():
    answers = Answers(readiness=lambda second: second >= 12)
    node = SimulatedNode(
        pod_with(readinessProbe={**HTTP, "initialDelaySeconds": 2, "periodSeconds": 5}), answer=answers
    )
    node.run(11)
    assert answers.seconds("readiness") == [2, 7]
    assert (node.status().phase, node.container().ready, node.condition("Ready").status) == ("Running", False, "False")
    node.run(2)
    assert node.container().ready
    assert node.condition("Ready").last_transition_time == "2026-01-01T00:00:12Z"
    assert node.told("Unhealthy") == ["Readiness probe failed: HTTP probe failed with statuscode: 500"] * 2


def test_thresholds_are_counted_in_a_row():
    bad = {20, 30, 50, 60, 70}
    answers = Answers(readiness=lambda second: second not in bad)
    probe = {**HTTP, "failureThreshold": 3, "successThreshold": 2}
    node = SimulatedNode(pod_with(readinessProbe=probe), answer=answers)
    node.run(95)
    ready = [(second, status.container_statuses[0].ready) for second, _, status in node.statuses]
    assert ready == [(0, False), (10, True), (70, False), (90, True)]


def test_a_failed_liveness_probe_restarts_the_container():
    answers = Answers(liveness=lambda second: not 20 <= second <= 50)
    node = SimulatedNode(pod_with(livenessProbe=HTTP), answer=answers, behave={"c": Behaviour(stops_after=SECOND)})
    node.run(100)
    assert answers.seconds("liveness")[:5] == [0, 10, 20, 30, 40]
    assert node.did("stop-container") == [40]
    assert node.told("Killing") == ["Container c failed liveness probe, will be restarted"]
    assert node.container().restart_count == 1
    assert node.did("run-container") == [0, 41]


def test_a_liveness_probes_own_grace_period_wins():
    probe = {**HTTP, "failureThreshold": 1, "terminationGracePeriodSeconds": 5}
    answers = Answers(liveness=lambda second: second < 10)
    node = SimulatedNode(pod_with(livenessProbe=probe), answer=answers, behave={"c": Behaviour(stops_after=None)})
    node.run(16)
    assert node.container().last_state.terminated.finished_at == "2026-01-01T00:00:15Z"


def test_without_restarts_a_failed_liveness_probe_fails_the_pod():
    answers = Answers(liveness=lambda _: False)
    node = SimulatedNode(pod_with({"restartPolicy": "Never"}, livenessProbe=HTTP), answer=answers)
    node.run(40)
    assert node.told("Killing")[0] == "Container c failed liveness probe"
    assert node.status().phase == "Failed"


def test_other_probes_wait_for_the_startup_probe():
    answers = Answers(startup=lambda second: second >= 6)
    startup = {**HTTP, "periodSeconds": 2, "failureThreshold": 10}
    node = SimulatedNode(pod_with(startupProbe=startup, livenessProbe=HTTP, readinessProbe=HTTP), answer=answers)
    node.run(5)
    assert (node.container().started, node.container().ready) == (False, False)
    node.run(20)
    assert (node.container().started, node.container().ready) == (True, True)
    assert answers.seconds("startup") == [0, 2, 4, 6]
    assert answers.seconds("liveness")[0] == answers.seconds("readiness")[0] == 6


def test_a_failed_startup_probe_restarts_the_container():
    answers = Answers(startup=lambda _: False)
    node = SimulatedNode(pod_with(startupProbe={**HTTP, "periodSeconds": 1, "failureThreshold": 3}), answer=answers)
    node.run(3)
    assert node.told("Killing") == ["Container c failed startup probe, will be restarted"]
    assert node.told("Unhealthy")[0].startswith("Startup probe failed: ")
    assert node.did("run-container") == [0, 2]


def test_probes_are_made_of_the_manifest():
    answers = Answers()
    containers = [
        {
            "name": "c",
            "image": "x",
            "ports": [{"name": "web", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "ready", "port": "web", "scheme": "HTTPS", "host": "h"}},
            "livenessProbe": {"tcpSocket": {"port": 9090}, "timeoutSeconds": 7},
        },
        {"name": "d", "image": "x", "readinessProbe": {"exec": {"command": ["true"]}}},
        {"name": "e", "image": "x", "readinessProbe": {"httpGet": {"port": "nameless"}}},
    ]
    node = SimulatedNode(make_pod(containers=containers), answer=answers)
    node.run(1)
    doing = {(task.container, task.purpose): task for _, task in answers.tasks}
    assert doing["c", "readiness"].doing == HttpGet("https", "h", 8080, "/ready")
    assert doing["c", "readiness"].doing.url == "https://h:8080/ready"
    assert doing["c", "liveness"].doing == TcpConnect(node.status().pod_ip, 9090)
    assert doing["c", "liveness"].timeout == 7
    assert doing["d", "readiness"].doing == Exec(("true",))
    assert doing["e", "readiness"].doing == Impossible("couldn't find port: nameless")


def test_a_slow_probe_is_not_started_twice_and_times_out():
    answers = Answers(readiness=lambda _: (True, 60))
    node = SimulatedNode(pod_with(readinessProbe={**HTTP, "timeoutSeconds": 4}), answer=answers)
    node.run(9)
    assert answers.seconds("readiness") == [0]
    assert node.told("Unhealthy") == ["Readiness probe failed: timed out after 4s"]


def test_readiness_is_probed_while_a_pod_ends_and_liveness_is_not():
    answers = Answers()
    probes = {"livenessProbe": {**HTTP, "periodSeconds": 1}, "readinessProbe": {**HTTP, "periodSeconds": 1}}
    node = SimulatedNode(pod_with(**probes), answer=answers, behave={"c": Behaviour(stops_after=5 * SECOND)})
    node.run(2.5)
    node.delete()
    node.run(3)
    assert max(answers.seconds("liveness")) == 2
    assert max(answers.seconds("readiness")) == 5


def test_readiness_gates_hold_a_pod_back():
    node = SimulatedNode(make_pod(readinessGates=[{"conditionType": "example.com/ok"}]))
    node.run(1)
    ready = node.condition("Ready")
    assert (ready.status, ready.reason) == ("False", "ReadinessGatesNotReady")
    assert ready.message == 'corresponding condition of pod readiness gate "example.com/ok" does not exist.'
    assert node.condition("ContainersReady").status == "True"
    for value, expected in (("False", "False"), ("True", "True")):
        pod = node.pod()
        gate = PodCondition(type="example.com/ok", status=value)
        others = tuple(c for c in pod.status.conditions if c.type != gate.type)
        node.put(replace(pod, status=replace(pod.status, conditions=(*others, gate))))
        node.run(1)
        assert node.condition("Ready").status == expected
        assert node.condition("example.com/ok").status == value


# -- hooks -------------------------------------------------------------------------------------------------------------


def test_a_post_start_hook_runs_once_after_the_start():
    answers = Answers()
    node = SimulatedNode(pod_with(lifecycle={"postStart": {"exec": {"command": ["hello"]}}}), answer=answers)
    node.run(30)
    node.restart()
    node.run(30)
    assert answers.seconds("postStart") == [0]


def test_a_failed_post_start_hook_restarts_the_container():
    answers = Answers(postStart=lambda second: second > 0)
    node = SimulatedNode(
        pod_with(lifecycle={"postStart": {"exec": {"command": ["hello"]}}}),
        answer=answers,
        behave={"c": Behaviour(stops_after=SECOND)},
    )
    node.run(5)
    assert node.container().restart_count == 1
    assert node.told("FailedPostStartHook") == ["PostStartHook failed: HTTP probe failed with statuscode: 500"]


@pytest.mark.parametrize(("takes", "stopped"), [(5, 15), (0, 10), (100, 30)])
def test_a_pre_stop_hook_has_the_grace_period_and_comes_before_the_signal(takes, stopped):
    answers = Answers(preStop=lambda _: (True, takes))
    node = SimulatedNode(
        pod_with({"terminationGracePeriodSeconds": 20}, lifecycle={"preStop": {"exec": {"command": ["bye"]}}}),
        answer=answers,
        behave={"c": Behaviour(stops_after=None)},
    )
    node.run(10)
    node.delete()
    node.run(60)
    assert answers.seconds("preStop") == [10]
    assert node.did("stop-container") == [stopped]
    killed = node.statuses[-1][2].container_statuses[0].state.terminated
    # What is left of the grace period, but never less than two seconds.
    assert killed.finished_at == f"2026-01-01T00:00:{max(30, stopped + 2)}Z"


def test_a_sleep_hook_sleeps():
    node = SimulatedNode(pod_with(lifecycle={"preStop": {"sleep": {"seconds": 8}}}))
    node.run(1)
    node.delete()
    node.run(30)
    assert node.did("stop-container") == [9]


def test_a_failed_pre_stop_hook_is_told_and_the_container_stopped():
    answers = Answers(preStop=lambda _: False)
    node = SimulatedNode(pod_with(lifecycle={"preStop": {"httpGet": {"port": 1}}}), answer=answers)
    node.run(1)
    node.delete()
    node.run(1)
    assert node.finished == ["web"]
    assert len(node.told("FailedPreStopHook")) == 1
