"""Made-up nodes from a short description."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.nodes import MAX_NODES, parse_nodes, reported
from state.errors import StateError
from state.objects import NodeCondition
from state.times import format_time
from state.validation import validate

NOW = 1_767_225_600_000_000


@pytest.mark.parametrize(
    ("text", "count", "capacity"),
    [
        (3, 3, {"cpu": "4", "memory": "16Gi", "pods": "110"}),
        ("0", 0, None),
        ("1", 1, {"cpu": "4", "memory": "16Gi", "pods": "110"}),
        ("3x8cpu,32Gi", 3, {"cpu": "8", "memory": "32Gi", "pods": "110"}),
        ("1x500mcpu,1000Mi,7pods", 1, {"cpu": "500m", "memory": "1000Mi", "pods": "7"}),
        ("1x1cpus , 2Gi , 1pod", 1, {"cpu": "1", "memory": "2Gi", "pods": "1"}),
        ("1x64Gi", 1, {"cpu": "4", "memory": "64Gi", "pods": "110"}),
        ("1xcpu=2,memory=1Gi,nvidia.com/gpu=8", 1, {"cpu": "2", "memory": "1Gi", "pods": "110", "nvidia.com/gpu": "8"}),
    ],
)
def test_a_description_says_how_many_and_how_large(text, count, capacity):
    nodes = parse_nodes(text)
    assert len(nodes) == count
    assert all(node.status.capacity == node.status.allocatable == capacity for node in nodes)
    assert not [problem for node in nodes for problem in validate(node)]


def test_groups_are_numbered_on_and_padded():
    nodes = parse_nodes("2x8cpu,64Gi+10x2cpu,4Gi,3zones")
    assert [node.metadata.name for node in nodes] == [f"node-{number:02}" for number in range(12)]
    zones = [node.metadata.labels.get("topology.kubernetes.io/zone") for node in nodes]
    assert zones == [None, None, *(f"zone-{number % 3}" for number in range(10))]
    assert nodes[3].metadata.labels["kubernetes.io/hostname"] == "node-03"


def test_a_made_up_node_is_ready():
    """As its kubelet would report it."""
    (node,) = parse_nodes(1, now=NOW)
    assert [(c.type, c.status, c.reason) for c in node.status.conditions] == [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID"),
        ("Ready", "True", "KubeletReady"),
    ]
    assert {c.last_transition_time for c in node.status.conditions} == {"2026-01-01T00:00:00Z"}


def test_a_further_report_is_a_heartbeat():
    """What hasn't changed has the time at which it became so; conditions of others stay."""
    network = NodeCondition(type="NetworkUnavailable", status="False")
    lost = NodeCondition(type="Ready", status="Unknown", last_transition_time=format_time(NOW + 5_000_000))
    *rest, _ = reported((), NOW)
    after = {c.type: c for c in reported((*rest, lost, network), NOW + 9_000_000)}
    assert after.pop("NetworkUnavailable") == network
    assert {c.last_heartbeat_time for c in after.values()} == {"2026-01-01T00:00:09Z"}
    assert after["Ready"].last_transition_time == "2026-01-01T00:00:09Z"
    assert after["DiskPressure"].last_transition_time == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "cannot read ''"),
        ("three", "cannot read 'three'"),
        (-3, "cannot read '-3'"),
        ("3x", "cannot read '3x'"),
        ("3x4cpu,16Gib", "cannot read '16Gib': "),
        ("3x-4cpu", "cannot read '-4cpu': a node cannot have less than nothing"),
        ("3x4cpu,-5pods", "cannot read '-5pods'"),
        ("3x0zones", "cannot read '0zones'"),
        ("3x=4", "cannot read '=4': name part must be non-empty"),
        ("3xa b=4", "cannot read 'a b=4': name part must consist of"),
        ("1+", "cannot read ''"),
        (MAX_NODES + 1, "1000001 nodes; at most 1000000 are made up"),
        ("9" * 5_000, "cannot read"),
        ("1x" + "9" * 5_000 + "zones", "cannot read"),
    ],
)
def test_another_form_is_refused_with_what_is_expected(text, part):
    with pytest.raises(StateError) as caught:
        parse_nodes(text)
    assert part in str(caught.value)
    if "at most" not in part:
        assert str(caught.value).endswith("as in 3x4cpu,16Gi")


@given(st.text(alphabet="0123456789x+,=. cpuGizonesd-/", max_size=12))
def test_any_text_is_nodes_or_refused(text):
    try:
        nodes = parse_nodes(text[:6] if "x" in text[:7] else text[:3])
    except StateError:
        return
    assert len({node.metadata.name for node in nodes}) == len(nodes)
