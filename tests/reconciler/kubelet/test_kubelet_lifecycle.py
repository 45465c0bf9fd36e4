"""A pod's life under the kubelet, in virtual time: start, restarts and back-off, init containers, sidecars, phases."""

from itertools import pairwise

import pytest
from kubelet_node import SECOND, START, SimulatedNode, make_pod

from reconciler.drivers.runtime.simulated import Behaviour
from reconciler.kubelet import KubeletError
from state.objects import replace


def crash(code=1, after=5):
    return Behaviour(runs_for=after * SECOND, exit_code=code)


def test_a_pod_is_started_and_reported():
    node = SimulatedNode(make_pod())
    node.run()
    status = node.status()
    assert (status.phase, status.qos_class, status.start_time) == ("Running", "BestEffort", "2026-01-01T00:00:00Z")
    assert (status.host_ip, status.pod_ip, status.pod_ips[0].ip) == ("192.0.2.1", status.pod_ip, status.pod_ip)
    assert status.pod_ip
    assert [(c.type, c.status) for c in status.conditions] == [
        ("PodReadyToStartContainers", "True"),
        ("Initialized", "True"),
        ("Ready", "True"),
        ("ContainersReady", "True"),
        ("PodScheduled", "True"),
    ]
    container = node.container()
    assert (container.ready, container.started, container.restart_count) == (True, True, 0)
    assert container.state.running.started_at == "2026-01-01T00:00:00Z"
    assert container.container_id.startswith("simulated://")
    assert [reason for reason, _ in node.events] == ["Pulling", "Pulled", "Created", "Started"]
    assert node.events[-2:] == [("Created", "Created container: c"), ("Started", "Started container c")]


def test_every_operation_says_why():
    node = SimulatedNode(make_pod())
    node.run()
    (_, key, first), *_ = node.operations
    assert (key, first.verb, first.rule) == ("pod/default/web", "start-pod", "pod-start")
    assert first.why == "web belongs on this node and its sandbox is none"
    assert first.because["sandbox"] == "none"


def test_nothing_is_done_about_a_pod_that_runs_as_it_should():
    node = SimulatedNode(make_pod())
    node.run()
    before = list(node.operations)
    assert node.kubelet.next_due() is None
    for _ in range(3):
        result = node.sync()
        assert (result.updates, result.events, result.operations) == ({}, [], [])
    assert node.operations == before


def test_a_start_that_takes_time_is_waited_for():
    node = SimulatedNode(make_pod(), behave={"c": Behaviour(starts_after=3 * SECOND)})
    node.run(1)
    assert (node.status().phase, node.container().state.waiting.reason) == ("Pending", "ContainerCreating")
    node.run(3)
    assert node.status().phase == "Running"
    assert node.did("run-container") == [0]


# -- restarts ----------------------------------------------------------------------------------------------------------


def test_crashes_are_answered_with_growing_delays_up_to_five_minutes():
    node = SimulatedNode(make_pod(), behave={"c": crash(after=1)})
    node.run(1500)
    starts = node.did("run-container")
    waits = [round(later - earlier - 1) for earlier, later in pairwise(starts)]
    assert waits[:8] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_ten_good_minutes_forget_the_delays():
    node = SimulatedNode(make_pod(), behave={"c": crash(after=1), "c/3": crash(after=601)})
    node.run(800)
    starts = node.did("run-container")
    assert starts[:4] == [0, 1, 12, 33]
    assert starts[4] == 33 + 601


def test_back_off_is_told_in_status_and_event():
    node = SimulatedNode(make_pod(), behave={"c": crash(after=5)})
    node.run(11)
    container = node.container()
    waiting, last = container.state.waiting, container.last_state.terminated
    assert waiting.reason == "CrashLoopBackOff"
    assert waiting.message == "back-off 10s restarting failed container=c pod=web_default(uid-web)"
    assert (last.exit_code, last.reason, container.restart_count, container.ready) == (1, "Error", 1, False)
    assert node.status().phase == "Running"
    assert node.told("BackOff") == ["Back-off restarting failed container c in pod web_default(uid-web)"]
    assert node.condition("Ready").message == "containers with unready status: [c]"


def test_one_dead_instance_is_kept():
    node = SimulatedNode(make_pod(), behave={"c": crash(after=1)})
    node.run(200)
    assert len(node.runtime.list_containers()) <= 2


@pytest.mark.parametrize(
    ("policy", "code", "phase", "restarts"),
    [
        ("Never", 0, "Succeeded", 0),
        ("Never", 1, "Failed", 0),
        ("OnFailure", 0, "Succeeded", 0),
        ("Always", 0, "Running", 1),
    ],
)
def test_the_restart_policy_decides_what_an_exit_means(policy, code, phase, restarts):
    node = SimulatedNode(make_pod(restartPolicy=policy), behave={"c/0": crash(code)})
    node.run(8)
    assert (node.status().phase, node.container().restart_count) == (phase, restarts)


def test_on_failure_a_failed_container_is_restarted_until_it_succeeds():
    node = SimulatedNode(make_pod(restartPolicy="OnFailure"), behave={"c/0": crash(1), "c/1": crash(0)})
    node.run(20)
    assert (node.status().phase, node.container().restart_count) == ("Succeeded", 1)
    assert node.container().state.terminated.reason == "Completed"


def test_a_finished_pod_keeps_its_status_and_gives_up_its_address():
    node = SimulatedNode(make_pod(restartPolicy="Never"), behave={"c": crash(0)})
    node.run(60)
    status = node.status()
    assert status.phase == "Succeeded"
    assert [(c.type, c.status, c.reason) for c in status.conditions] == [
        ("PodReadyToStartContainers", "False", None),
        ("Initialized", "True", "PodCompleted"),
        ("Ready", "False", "PodCompleted"),
        ("ContainersReady", "False", "PodCompleted"),
        ("PodScheduled", "True", None),
    ]
    assert status.pod_ip
    assert node.network.observe().pods == ()
    node.run(10_000)
    assert node.status() == status
    assert node.did("run-container") == [0]


def test_a_pod_of_two_fails_if_one_did():
    containers = [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]
    node = SimulatedNode(
        make_pod(containers=containers, restartPolicy="Never"), behave={"a": crash(0, 3), "b": crash(2, 9)}
    )
    node.run(5)
    assert node.status().phase == "Running"
    node.run(10)
    assert node.status().phase == "Failed"


def test_an_active_deadline_ends_and_fails_the_pod():
    node = SimulatedNode(make_pod(activeDeadlineSeconds=60))
    node.run(59)
    assert node.status().phase == "Running"
    node.run(2)
    status = node.status()
    assert (status.phase, status.reason) == ("Failed", "DeadlineExceeded")
    assert status.message == "Pod was active on the node longer than the specified deadline"
    assert node.told("DeadlineExceeded") == [status.message]
    assert node.did("stop-container") == [60]
    assert node.container().state.terminated.exit_code == 143


def test_a_lost_sandbox_is_made_anew_with_everything_in_it():
    node = SimulatedNode(make_pod(initContainers=[{"name": "i", "image": "x"}]), behave={"i": crash(0, 1)})
    node.run(5)
    node.runtime.stop_pod_sandbox(node.runtime.list_pod_sandboxes()[0].id)
    node.run(30)
    assert node.status().phase == "Running"
    assert (node.container("i").restart_count, node.container().restart_count) == (1, 1)
    assert node.told("SandboxChanged") == ["Pod sandbox changed, it will be killed and re-created."]


def test_a_changed_image_restarts_the_container():
    node = SimulatedNode(make_pod())
    node.run(1)
    pod = node.pod()
    changed = replace(pod.spec.containers[0], image="app:2")
    node.put(replace(pod, spec=replace(pod.spec, containers=(changed,))))
    node.run(5)
    assert (node.container().image, node.container().restart_count) == ("app:2", 1)
    assert node.told("Killing") == ["Container c definition changed, will be restarted"]


# -- init containers and sidecars --------------------------------------------------------------------------------------

INIT = [{"name": "one", "image": "x"}, {"name": "two", "image": "x"}]


def test_init_containers_run_one_after_the_other_before_the_rest():
    node = SimulatedNode(make_pod(initContainers=INIT), behave={"one": crash(0, 3), "two": crash(0, 4)})
    node.run(2)
    assert node.status().phase == "Pending"
    assert node.container().state.waiting.reason == "PodInitializing"
    condition = node.condition("Initialized")
    assert (condition.status, condition.reason) == ("False", "ContainersNotInitialized")
    assert condition.message == "containers with incomplete status: [one two]"
    node.run(20)
    assert [node.did("run-container", name) for name in ("one", "two", "c")] == [[0], [3], [7]]
    assert node.condition("Initialized").status == "True"
    assert node.container("one").ready
    assert node.status().phase == "Running"


def test_a_failed_init_container_is_tried_again_with_back_off():
    node = SimulatedNode(make_pod(initContainers=INIT[:1]), behave={"one": crash(1, 1), "one/2": crash(0, 1)})
    node.run(60)
    assert node.did("run-container", "one") == [0, 1, 12]
    assert node.did("run-container", "c") == [13]


def test_a_failed_init_container_fails_a_pod_that_never_restarts():
    node = SimulatedNode(make_pod(initContainers=INIT, restartPolicy="Never"), behave={"one": crash(1, 1)})
    node.run(60)
    assert node.status().phase == "Failed"
    assert node.did("run-container", "c") == node.did("run-container", "two") == []


SIDECARS = [
    {"name": "s1", "image": "x", "restartPolicy": "Always"},
    {
        "name": "s2",
        "image": "x",
        "restartPolicy": "Always",
        "startupProbe": {"exec": {"command": ["up"]}, "periodSeconds": 1, "failureThreshold": 30},
    },
]


def up_after(seconds):
    def answer(task, now):
        if task.purpose == "startup":
            return now >= START + seconds * SECOND, "not yet", 0
        return True, "", 0

    return answer


def test_sidecars_start_in_order_and_once_started_let_the_next_begin():
    node = SimulatedNode(make_pod(initContainers=SIDECARS), answer=up_after(7))
    node.run(5)
    assert (node.container("s1").started, node.container("s2").started) == (True, False)
    assert node.did("run-container", "c") == []
    node.run(10)
    assert node.did("run-container", "c") == [7]
    assert node.status().phase == "Running"
    assert node.condition("Initialized").status == "True"


def test_a_sidecar_restarts_whatever_the_pods_policy_and_keeps_no_pod_alive():
    node = SimulatedNode(
        make_pod(initContainers=SIDECARS[:1], restartPolicy="Never"), behave={"s1/0": crash(1, 2), "c": crash(0, 10)}
    )
    node.run(5)
    assert node.container("s1").restart_count == 1
    node.run(30)
    assert node.status().phase == "Succeeded"
    assert node.container("s1").state.terminated is not None


def test_sidecars_end_last_in_reverse_order():
    behave = {
        "c": Behaviour(stops_after=5 * SECOND),
        "s2": Behaviour(stops_after=3 * SECOND),
        "s1": Behaviour(stops_after=SECOND),
    }
    node = SimulatedNode(make_pod(initContainers=SIDECARS), behave=behave, answer=up_after(0))
    node.run(10)
    node.delete()
    node.run(60)
    assert [node.did("stop-container", name) for name in ("c", "s2", "s1")] == [[10], [15], [18]]
    assert node.finished == ["web"]


# -- deletion ----------------------------------------------------------------------------------------------------------


def test_a_deleted_pod_gets_its_grace_period_then_goes_without_a_trace():
    node = SimulatedNode(make_pod(terminationGracePeriodSeconds=20), behave={"c": Behaviour(stops_after=None)})
    node.run(1)
    node.delete()
    node.run(19)
    assert node.finished == []
    assert node.status().phase == "Running"
    node.run(5)
    assert node.finished == ["web"]
    assert node.statuses[-1][0] == 21
    assert node.statuses[-1][2].container_statuses[0].state.terminated.exit_code == 137
    assert node.statuses[-1][2].phase == "Failed"
    assert node.told("Killing") == ["Stopping container c"]
    assert (node.runtime.list_pod_sandboxes(), node.network.observe().pods, node.kubelet.pods) == ((), (), [])


def test_that_nothing_is_left_of_a_pod_is_said_again_when_its_object_is_still_there():
    """Whoever heard it first may not have been able to take it out."""
    node = SimulatedNode(make_pod(metadata={"finalizers": ["example.com/hold"]}))
    node.run(1)
    node.delete()
    node.run(5)
    assert node.finished == ["web"]
    node.put(replace(node.pod(), metadata=replace(node.pod().metadata, finalizers=())))
    node.sync()
    assert node.finished == ["web", "web"]
    node.sync()
    assert node.kubelet.pods == []


def test_the_grace_period_can_be_made_shorter_on_the_way():
    node = SimulatedNode(make_pod(), behave={"c": Behaviour(stops_after=None)})
    node.run(1)
    node.delete(grace=600)
    node.run(10)
    node.delete(grace=12)
    node.run(10)
    assert node.finished == ["web"]


def test_a_pod_that_vanished_from_the_api_ends_gracefully():
    node = SimulatedNode(make_pod(), behave={"c": Behaviour(stops_after=4 * SECOND)})
    node.run(1)
    node.remove("Pod", "web")
    node.run(3)
    assert len(node.runtime.list_containers()) == 1
    node.run(10)
    assert node.runtime.list_pod_sandboxes() == ()
    assert node.kubelet.pods == []


def test_a_pod_with_a_finalizer_is_not_started_again():
    node = SimulatedNode(make_pod(metadata={"finalizers": ["x/y"]}))
    node.run(1)
    node.delete()
    node.run(60)
    assert node.finished
    assert node.did("run-container") == [0]
    assert node.runtime.list_pod_sandboxes() == ()


def test_a_pod_that_was_deleted_before_it_started_just_goes():
    pod = make_pod(metadata={"deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": 30})
    node = SimulatedNode(pod)
    node.run(1)
    assert node.finished == ["web"]
    assert [op.verb for _, _, op in node.operations] == ["clean-up"]


# -- restarts of the kubelet -------------------------------------------------------------------------------------------


def test_a_new_kubelet_changes_nothing_about_running_pods():
    node = SimulatedNode(make_pod("a"), make_pod("b"))
    node.run(5)

    def story():
        return (
            node.status("a"),
            node.status("b"),
            node.runtime.list_containers(),
            len(node.operations),
            len(node.events),
        )

    before = story()
    node.restart()
    node.run(60)
    assert story() == before


def test_a_new_kubelet_ends_what_was_deleted_meanwhile():
    node = SimulatedNode(make_pod(terminationGracePeriodSeconds=7), behave={"c": Behaviour(stops_after=None)})
    node.run(5)
    node.remove("Pod", "web")
    node.restart()
    node.run(6)
    assert node.runtime.list_containers()[0].stopping
    node.run(5)
    assert node.runtime.list_pod_sandboxes() == node.network.observe().pods == ()


def test_a_new_kubelet_goes_on_with_restart_counts():
    node = SimulatedNode(make_pod(), behave={"c": crash(after=5)})
    node.run(7)
    node.restart()
    node.run(6)
    assert node.container().restart_count == 2


def test_a_new_kubelet_does_not_start_finished_pods_again():
    node = SimulatedNode(make_pod(restartPolicy="Never"), behave={"c": crash(0)})
    node.run(10)
    for uid in [sandbox.id for sandbox in node.runtime.list_pod_sandboxes()]:
        node.runtime.remove_pod_sandbox(uid)
    node.restart()
    node.run(60)
    assert node.status().phase == "Succeeded"
    assert node.did("run-container") == [0]


def test_a_container_that_the_runtime_lost_counts_as_a_restart():
    node = SimulatedNode(make_pod())
    node.run(5)
    node.runtime.remove_pod_sandbox(node.runtime.list_pod_sandboxes()[0].id)
    node.run(5)
    container = node.container()
    assert container.restart_count == 1
    assert node.status().phase == "Running"


def test_a_pod_without_a_uid_is_refused():
    node = SimulatedNode(make_pod(metadata={"uid": ""}))
    with pytest.raises(KubeletError, match="pod default/web has no uid"):
        node.sync()
