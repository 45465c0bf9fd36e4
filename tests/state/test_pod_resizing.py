"""What kube-apiserver 1.36 says of a pod whose resources change."""

import pytest

from state.defaults import default
from state.load import from_dict
from state.objects import Opaque, replace
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


def with_status(obj, **container):
    body = {"name": "c", "image": "i", "state": {"running": {}}, **container}
    statuses = from_dict({"apiVersion": "v1", "kind": "Pod", "status": {"containerStatuses": [body]}}).status
    return replace(obj, status=replace(obj.status, container_statuses=statuses.container_statuses))


@pytest.mark.parametrize(
    ("reported", "problems"),
    [
        ({}, ["spec: Forbidden: Pod running on node without support for resize"]),
        ({"resources": {}}, []),
        ({"state": {"waiting": {}}}, []),
    ],
)
def test_a_node_that_cannot_resize(reported, problems):
    """It doesn't report the resources of what runs on it; of a pod of which nothing runs that can't be said."""
    old, new = (with_status(pod(asks(cpu=cpu)), **reported) for cpu in ("1", "2"))
    assert [str(each) for each in resize_problems(new, old)] == problems


def two(first, second):
    one = pod(asks(cpu="1"))
    (container,) = one.spec.containers
    containers = tuple(replace(container, name=name) for name in (first, second))
    return replace(one, spec=replace(one.spec, containers=containers))


def test_containers_that_come_go_or_change_places():
    """A resize is of those that are there."""
    moved = [
        f"spec.containers[{index}].name: Forbidden: containers may not be renamed or reordered on resize"
        for index in (0, 1)
    ]
    assert [str(each) for each in resize_problems(two("d", "c"), two("c", "d"))] == moved
    changed = ["spec.containers: Forbidden: containers may not be added or removed on resize"]
    assert [str(each) for each in resize_problems(two("c", "d"), pod(asks(cpu="1")))] == changed
    added = ["spec.initContainers: Forbidden: initContainers may not be added or removed on resize"]
    assert [str(each) for each in resize_problems(pod(asks(cpu="1"), {}), pod(asks(cpu="1")))] == added


@pytest.mark.parametrize("kind", ["static", "windows"])
def test_pods_of_which_no_kubelet_changes_the_resources(kind):
    """Nothing else is said of them."""
    new, old = pod(asks(cpu="2")), pod(asks(cpu="1"))
    if kind == "static":
        old = replace(old, metadata=replace(old.metadata, annotations={"kubernetes.io/config.mirror": "m"}))
    else:
        old = replace(old, spec=replace(old.spec, os=Opaque({"name": "windows"})))
    (problem,) = resize_problems(new, old)
    assert (problem.path, problem.body) == ("", f"Forbidden: {kind} pods cannot be resized")
