"""What the loop does about preemption: victims go, the pod waits for the node, and less important ones wait no more."""

from reconciler import Reconciler


def node(name, cpu="1"):
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"allocatable": {"cpu": cpu, "memory": "4Gi", "pods": "10"}},
    }


def pod(name, priority, node_name=None):
    where = {} if node_name is None else {"nodeName": node_name}
    containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": containers, "priority": priority, **where},
    }


def nominated(loop, name):
    return loop.ws.table("Pod")["default", name].status.nominated_node_name


def said(plan, rule):
    return {action.target.name: action.why for action in plan.actions if action.rule == rule}


def test_a_more_important_pod_takes_the_room_that_was_made_for_another():
    """The other one loses its nomination and is tried again at once."""
    loop = Reconciler(observed=[node("a"), pod("low", 0, node_name="a")])
    loop.step()
    loop.apply([pod("middle", 10)])
    loop.step()
    assert nominated(loop, "middle") == "a"
    loop.apply([pod("high", 100)])
    plan = loop.step()
    assert nominated(loop, "high") == "a"
    assert nominated(loop, "middle") is None
    assert said(plan, "pod-unnominated") == {
        "middle": "room on a is not kept for middle any more: default/high is more important"
    }
    assert not loop.step().actions


def test_a_pod_for_which_nobody_can_be_evicted_any_more_waits_for_no_node():
    """As when the node that it was to come to is lost."""
    loop = Reconciler(observed=[node("a"), node("b", "500m"), pod("low", 0, node_name="a")])
    loop.step()
    loop.apply([pod("high", 10)])
    loop.step()
    assert nominated(loop, "high") == "a"
    loop.delete("node/a")
    plan = loop.step()
    assert nominated(loop, "high") is None
    assert said(plan, "pod-unnominated") == {
        "high": "room on a is not kept for high any more: no pod can be evicted for it"
    }
