"""What the kubelet does when something is missing or fails: images, configuration, volumes, network, runtime."""

import pytest
from kubelet_node import SECOND, SimulatedNode, make, make_pod

from reconciler.drivers.faults import Fault
from reconciler.drivers.runtime.simulated import Behaviour


def env_pod(*env, **container):
    return make_pod(containers=[{"name": "c", "image": "app:1", "env": list(env), **container}])


def config_of(node):
    """The environment that the container was given."""
    return node.given[-1].env


class RecordingNode(SimulatedNode):
    def __init__(self, *pods, **options):
        self.given = []
        super().__init__(*pods, **options)

    def _behaviour(self, sandbox, config):
        self.given.append(config)
        return super()._behaviour(sandbox, config)


def test_an_image_that_cannot_be_pulled_is_tried_again_with_back_off():
    node = SimulatedNode(make_pod())
    node.runtime.break_image("app:1", "manifest unknown")
    node.run(100)
    assert node.did("pull-image") == [0, 10, 30, 70]
    waiting = node.container().state.waiting
    assert waiting.reason == "ImagePullBackOff"
    assert waiting.message == 'Back-off pulling image "app:1": ErrImagePull: manifest unknown'
    assert node.status().phase == "Pending"
    assert node.events[1:5] == [
        ("Failed", 'Failed to pull image "app:1": manifest unknown'),
        ("Failed", "Error: ErrImagePull"),
        ("BackOff", 'Back-off pulling image "app:1"'),
        ("Failed", "Error: ImagePullBackOff"),
    ]
    node.runtime.break_image("app:1")
    node.run(100)
    assert node.status().phase == "Running"


@pytest.mark.parametrize(
    ("image", "policy", "pulls"),
    [("app:1", None, 1), ("app:1", "Always", 2), ("app", None, 2), ("app:latest", "IfNotPresent", 1)],
)
def test_the_pull_policy_decides_about_pulls_before_restarts(image, policy, pulls):
    container = {"name": "c", "image": image, **({"imagePullPolicy": policy} if policy else {})}
    node = SimulatedNode(make_pod(containers=[container]), behave={"c/0": Behaviour(runs_for=SECOND, exit_code=1)})
    node.run(5)
    assert node.container().restart_count == 1
    assert len(node.did("pull-image")) == pulls


def test_an_image_that_must_not_be_pulled_has_to_be_there():
    node = SimulatedNode(make_pod(containers=[{"name": "c", "image": "app:1", "imagePullPolicy": "Never"}]))
    node.run(5)
    assert node.container().state.waiting.reason == "ErrImageNeverPull"
    node.runtime.pull_image("app:1")
    node.run(10)
    assert node.status().phase == "Running"


def test_a_missing_config_map_is_waited_for():
    ref = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "a"}}}
    node = RecordingNode(env_pod(ref))
    node.run(100)
    waiting = node.container().state.waiting
    assert (waiting.reason, waiting.message) == ("CreateContainerConfigError", 'configmap "cfg" not found')
    assert node.told("Failed") == ['Error: configmap "cfg" not found']
    assert node.kubelet.next_due() is None
    node.put(make("ConfigMap", "cfg", data={"b": "2"}))
    node.run(1)
    assert node.container().state.waiting.message == "couldn't find key a in ConfigMap default/cfg"
    node.put(make("ConfigMap", "cfg", data={"a": "1"}))
    node.run(1)
    assert node.status().phase == "Running"
    assert config_of(node)["A"] == "1"


def test_a_missing_volume_keeps_the_pod_from_starting():
    volumes = [{"name": "v", "configMap": {"name": "cfg"}}]
    node = SimulatedNode(make_pod(volumes=volumes))
    node.run(100)
    assert node.container().state.waiting.reason == "ContainerCreating"
    assert node.told("FailedMount") == ['MountVolume.SetUp failed for volume "v" : configmap "cfg" not found']
    assert node.runtime.list_pod_sandboxes() == ()
    assert node.condition("PodReadyToStartContainers").status == "False"
    node.put(make("ConfigMap", "cfg", data={}))
    node.run(1)
    assert node.status().phase == "Running"


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ((), 'persistentvolumeclaim "claim" not found'),
        ((make("PersistentVolumeClaim", "claim"),), "error processing PVC default/claim: PVC is not bound"),
        (
            (make("PersistentVolumeClaim", "claim", spec={"volumeName": "pv"}, status={"phase": "Bound"}),),
            'persistentvolume "pv" not found',
        ),
    ],
)
def test_a_claim_must_be_bound(objects, message):
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "claim"}}]
    node = SimulatedNode(make_pod(volumes=volumes), objects=objects)
    node.run(10)
    assert node.told("FailedMount") == [f'MountVolume.SetUp failed for volume "v" : {message}']
    node.put(make("PersistentVolumeClaim", "claim", spec={"volumeName": "pv"}, status={"phase": "Bound"}))
    node.put(make("PersistentVolume", "pv", "", spec={"hostPath": {"path": "/srv"}}))
    node.run(1)
    assert node.status().phase == "Running"


def test_a_volume_of_an_unknown_type_is_refused_by_name():
    node = SimulatedNode(make_pod(volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}]))
    node.run(1)
    assert "not supported here" in node.told("FailedMount")[0]


def test_a_sandbox_or_address_that_cannot_be_made_is_tried_again():
    node = SimulatedNode(make_pod())
    node.runtime.fail("run_pod_sandbox", "uid-web", "no cgroup")
    node.run(5)
    assert node.told("FailedCreatePodSandBox") == ["Failed to create pod sandbox: no cgroup"]
    node.run(10)
    assert node.status().phase == "Running"
    assert node.did("start-pod") == [0, 10]


def test_a_container_that_cannot_be_created_is_tried_again():
    node = SimulatedNode(make_pod())
    node.runtime.fail("create_container", "c", "disk full")
    node.run(5)
    assert node.container().state.waiting.reason == "CreateContainerError"
    node.run(10)
    assert node.status().phase == "Running"


def test_a_command_that_cannot_be_started_backs_off():
    node = SimulatedNode(make_pod(), behave={"c": Behaviour(start_error='exec: "x": not found')})
    node.run(5)
    container = node.container()
    assert container.state.waiting.reason == "CrashLoopBackOff"
    assert (container.last_state.terminated.reason, container.last_state.terminated.exit_code) == ("StartError", 128)
    assert node.told("Failed") == ['Error: exec: "x": not found'] * 2


def test_a_driver_that_fails_to_end_a_pod_is_asked_again():
    node = SimulatedNode(make_pod())
    node.run(1)
    node.network.faults.add(Fault("teardown_pod", "uid-web", message="busy"))
    node.delete()
    node.run(9)
    assert node.finished == []
    assert node.told("FailedSync") == ["stop-sandbox: teardown_pod uid-web: busy"]
    node.run(60)
    assert node.finished == ["web"]


# -- the environment ---------------------------------------------------------------------------------------------------


def test_a_container_is_told_about_itself_and_services():
    field = lambda path: {"fieldRef": {"fieldPath": path}}  # noqa: E731
    service = make("Service", "back-end", spec={"clusterIP": "10.0.0.9", "ports": [{"name": "http", "port": 80}]})
    node = RecordingNode(
        env_pod(
            {"name": "IP", "valueFrom": field("status.podIP")},
            {"name": "NODE", "valueFrom": field("spec.nodeName")},
            {"name": "HOST", "valueFrom": field("status.hostIP")},
            {
                "name": "URL",
                "value": "http://$(BACK_END_SERVICE_HOST):$(BACK_END_SERVICE_PORT_HTTP)/$(IP)/$(NO)/$$(IP)",
            },
            command=["run", "$(URL)"],
        ),
        objects=(service,),
    )
    node.run(1)
    env = config_of(node)
    ip = node.status().pod_ip
    assert (env["IP"], env["NODE"], env["HOST"]) == (ip, "n1", "192.0.2.1")
    assert env["URL"] == f"http://10.0.0.9:80/{ip}/$(NO)/$(IP)"
    assert node.given[-1].command == ("run", env["URL"])


def test_mounts_lead_to_the_pods_volumes():
    mounts = [
        {"name": "v", "mountPath": "/data", "readOnly": True},
        {"name": "v", "mountPath": "/sub", "subPath": "a/b"},
        {"name": "v", "mountPath": "/env", "subPathExpr": "$(WHO)"},
    ]
    pod = make_pod(
        containers=[
            {
                "name": "c",
                "image": "x",
                "volumeMounts": mounts,
                "env": [{"name": "WHO", "value": "me"}],
                "workingDir": "/data",
            }
        ],
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    node = RecordingNode(pod)
    node.run(1)
    (config,) = node.given
    assert [(m.host_path, m.container_path, m.read_only) for m in config.mounts] == [
        ("/volumes/uid-web/v", "/data", True),
        ("/volumes/uid-web/v/a/b", "/sub", False),
        ("/volumes/uid-web/v/me", "/env", False),
    ]
    assert (config.working_dir, config.log_path) == ("/data", "c/0.log")


def test_pods_on_the_hosts_network_have_its_address():
    node = SimulatedNode(make_pod(hostNetwork=True))
    node.run(1)
    assert node.status().pod_ip == "192.0.2.1"
    assert node.network.observe().pods == ()
