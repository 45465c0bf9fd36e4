"""What the kubelet tells of each container, and whether it starts it again."""

import pytest
from kubelet_node import SECOND, SimulatedNode, make_pod

from reconciler.drivers.runtime.simulated import Behaviour
from state.dump import dump
from state.objects import replace

NEEDS = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}


def container_status(node, name="c"):
    status = dump(node.pod())["status"]
    every = (*status.get("initContainerStatuses", ()), *status["containerStatuses"])
    return next(each for each in every if each["name"] == name)


def test_the_resources_of_a_container_are_told():
    """What it is allocated, and that as what applies; a container that asks for nothing is told to have nothing."""
    plain = {"name": "plain", "image": "app:1"}
    node = SimulatedNode(make_pod(containers=[{"name": "c", "image": "app:1", "resources": NEEDS}, plain]))
    node.run()
    found = container_status(node)
    assert (found["allocatedResources"], found["resources"]) == (NEEDS["requests"], NEEDS)
    found = container_status(node, "plain")
    assert found["resources"] == {}
    assert "allocatedResources" not in found


def test_a_resize_is_told_and_ends_nothing():
    """The container goes on with what its spec says now."""
    node = SimulatedNode(make_pod(containers=[{"name": "c", "image": "app:1", "resources": NEEDS}]))
    node.run()
    pod, before = node.pod(), container_status(node)
    (container,) = pod.spec.containers
    more = replace(container.resources, requests={**container.resources.requests, "cpu": "200m"})
    node.put(replace(pod, spec=replace(pod.spec, containers=(replace(container, resources=more),))))
    node.run(5)
    found = container_status(node)
    assert (found["allocatedResources"]["cpu"], found["resources"]["requests"]["cpu"]) == ("200m", "200m")
    assert (found["containerID"], found["restartCount"]) == (before["containerID"], 0)


def test_a_container_that_waits_has_no_resources():
    """There is nothing yet that could use them; its mounts are known."""
    init = {"name": "i", "image": "app:1"}
    mounts = [{"name": "v", "mountPath": "/v", "readOnly": True}, {"name": "v", "mountPath": "/w"}]
    main = {"name": "c", "image": "app:1", "resources": NEEDS, "volumeMounts": mounts}
    node = SimulatedNode(make_pod(containers=[main], initContainers=[init], volumes=[{"name": "v", "emptyDir": {}}]))
    node.run()
    found = container_status(node)
    assert not {"resources", "allocatedResources"} & found.keys()
    assert found["volumeMounts"] == [
        {"name": "v", "mountPath": "/v", "readOnly": True, "recursiveReadOnly": "Disabled"},
        {"name": "v", "mountPath": "/w"},
    ]


RETRY = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
NOT_FATAL = {"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [1]}}


@pytest.mark.parametrize(
    ("of_pod", "own", "code", "phase", "is_restarted"),
    [
        ("Never", {}, 0, "Succeeded", False),
        ("Never", {"restartPolicy": "Always"}, 0, "Running", True),
        ("Never", {"restartPolicy": "OnFailure"}, 0, "Succeeded", False),
        ("Never", {"restartPolicy": "OnFailure"}, 3, "Running", True),
        ("Always", {"restartPolicy": "Never"}, 3, "Failed", False),
        ("Always", {"restartPolicy": "OnFailure"}, 0, "Succeeded", False),
        ("Never", {"restartPolicy": "Never", "restartPolicyRules": [RETRY]}, 42, "Running", True),
        ("Never", {"restartPolicy": "Never", "restartPolicyRules": [RETRY]}, 1, "Failed", False),
        ("Never", {"restartPolicy": "Never", "restartPolicyRules": [NOT_FATAL]}, 1, "Failed", False),
        ("Never", {"restartPolicy": "Never", "restartPolicyRules": [NOT_FATAL]}, 2, "Running", True),
    ],
)
def test_a_container_s_own_restart_policy(of_pod, own, code, phase, is_restarted):
    """Its rules come first, then its own policy, then the pod's."""
    pod = make_pod(containers=[{"name": "c", "image": "app:1", **own}], restartPolicy=of_pod)
    node = SimulatedNode(pod, behave={"c": Behaviour(runs_for=SECOND, exit_code=code)})
    node.run(30)
    found = container_status(node)
    assert (node.status().phase, found["restartCount"] > 0) == (phase, is_restarted)


@pytest.mark.parametrize(
    ("of_pod", "own", "phase"),
    [("Always", {"restartPolicy": "Never"}, "Failed"), ("Never", {"restartPolicy": "OnFailure"}, "Pending")],
)
def test_an_init_container_s_own_restart_policy(of_pod, own, phase):
    """If it may not be tried again, the pod has failed."""
    pod = make_pod(initContainers=[{"name": "i", "image": "app:1", **own}], restartPolicy=of_pod)
    node = SimulatedNode(pod, behave={"i": Behaviour(runs_for=SECOND, exit_code=1)})
    node.run(30)
    assert (node.status().phase, container_status(node, "i")["restartCount"] > 0) == (phase, phase == "Pending")
