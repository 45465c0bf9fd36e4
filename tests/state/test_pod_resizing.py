"""What kube-apiserver 1.36 says of a pod whose resources change."""

import pytest

from state.defaults import default
from state.load import from_dict
from state.validation import resize_problems


def pod(resources=None, init=None, whole=None, **container):
    spec = {"containers": [{"name": "c", "image": "i", "resources": resources or {}, **container}]}
    if init is not None:
        spec["initContainers"] = [{"name": "i", "image": "i", **init}]
    if whole is not None:
        spec["resources"] = whole
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": spec}
    return default(from_dict({**body, "status": {"qosClass": "Burstable"}}))


def asks(**requests):
    return {"requests": requests}


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        (pod(asks(cpu="1")), pod(asks(cpu="2", memory="1Gi")), []),
        (
            pod(asks(cpu="1", memory="1Gi")),
            pod(asks(cpu="1")),
            ["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"],
        ),
        (
            pod(asks(cpu="1")),
            pod(asks(**{"cpu": "1", "ephemeral-storage": "1Gi"})),
            ["spec: Forbidden: only cpu and memory resources are mutable"],
        ),
        (pod(asks(cpu="1")), pod({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}), []),
        (
            pod(asks(cpu="1")),
            pod({"limits": {"cpu": "1", "memory": "1Gi"}}),
            ['spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing'],
        ),
        (pod(asks(cpu="1"), {"resources": asks(cpu="1")}), pod(asks(cpu="1"), {"resources": asks(cpu="2")}), []),
        (
            pod(asks(cpu="1"), whole=asks(cpu="2")),
            pod(asks(cpu="1")),
            ["spec.resources: Forbidden: pod-level resources cannot be removed"],
        ),
        (pod(asks(cpu="1"), whole=asks(cpu="2")), pod(asks(cpu="1"), whole=asks(cpu="3")), []),
    ],
)
def test_resizing(old, new, problems):
    """Amounts of CPU and memory come and change, but don't go."""
    assert [str(each) for each in resize_problems(new, old)] == problems


def test_init_containers_that_would_start_again():
    """They have ended before anybody could resize them."""
    policy = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
    old, new = (pod(asks(cpu="1"), {"resources": asks(cpu=cpu), "resizePolicy": policy}) for cpu in ("1", "2"))
    message = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"
    assert [str(each) for each in resize_problems(new, old)] == [f"spec.initContainers[0]: Forbidden: {message}"]
