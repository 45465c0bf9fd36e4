"""Which part of a pod the kubelet's events are about, and where they come from."""

import pytest
from kubelet_node import make_pod

from rules.kubelet.pods import pod_event
from rules.kubelet.records import PodMemory, PodView
from state.objects import Container, EphemeralContainer, replace

POD = make_pod()
POD = replace(
    POD,
    spec=replace(
        POD.spec,
        node_name="n1",
        init_containers=(Container(name="first"),),
        ephemeral_containers=(EphemeralContainer(name="debugger"),),
    ),
)


@pytest.mark.parametrize(
    ("container", "part"),
    [
        ("c", "spec.containers{c}"),
        ("first", "spec.initContainers{first}"),
        ("debugger", "spec.ephemeralContainers{debugger}"),
        ("", ""),
    ],
)
def test_an_event_says_which_container_it_is_about(container, part):
    """As ``involvedObject.fieldPath`` has it; the source is the kubelet of the pod's node."""
    event = pod_event(PodView(POD, PodMemory()), "Started", "it did", container)
    assert (event.part, event.source, event.host) == (part, "kubelet", "n1")
