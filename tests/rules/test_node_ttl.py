"""How long kubelets may keep what they read, by the number of nodes."""

import pytest
from loops import NOW, assert_settled

from reconciler.cycle import Cycle
from rules.node_ttl import ANNOTATION, NodeTtl
from state.objects import Node, ObjectMeta, replace
from state.snapshot import Key, Snapshot


def concerns():
    return [NodeTtl()]


def node(number):
    return Node(metadata=ObjectMeta(name=f"n{number:04}"))


def loop(count):
    cycle = Cycle(Snapshot.of(map(node, range(count))), concerns())
    cycle.settle(NOW)
    return cycle


def said(cycle):
    return {each.metadata.annotations[ANNOTATION] for each in cycle.ws.objects(Node)}


@pytest.mark.parametrize(("count", "ttl"), [(1, "0"), (100, "0"), (101, "15"), (500, "15"), (501, "30"), (1801, "60")])
def test_the_more_nodes_the_longer(count, ttl):
    cycle = loop(count)
    assert said(cycle) == {ttl}
    assert_settled(cycle, concerns, NOW)


def test_a_node_more_or_less_doesnt_change_all():
    """The steps overlap: what holds above 100 nodes holds down to 90."""
    cycle = loop(100)
    cycle.ws.put(node(100))
    cycle.settle(NOW)
    assert said(cycle) == {"15"}
    for number in range(11):
        cycle.ws.remove(Key("Node", "", f"n{number:04}"))
    cycle.settle(NOW)
    assert said(cycle) == {"15"}
    cycle.ws.remove(Key("Node", "", "n0011"))
    cycle.settle(NOW)
    assert said(cycle) == {"0"}


def test_what_somebody_else_says_is_put_right():
    cycle = loop(1)
    (found,) = cycle.ws.objects(Node)
    cycle.ws.put(replace(found, metadata=replace(found.metadata, annotations={ANNOTATION: "soon", "a": "b"})))
    cycle.settle(NOW)
    (found,) = cycle.ws.objects(Node)
    assert found.metadata.annotations == {ANNOTATION: "0", "a": "b"}
