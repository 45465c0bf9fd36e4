"""The node agent's Lease and report: often enough for a control plane that listens, and no oftener."""

from __future__ import annotations

from loops import NOW, SECOND

from reconciler.api import complete
from reconciler.cycle import Cycle
from reconciler.live.heartbeat import Heartbeat
from reconciler.nodes import make_node
from rules.node_lifecycle import LEASES, NodeLifecycle
from rules.node_zones import readiness
from state.objects import Lease, Node, NodeCondition, replace
from state.snapshot import Key, Snapshot
from state.workspace import Workspace

NODE = Key("Node", "", "n")


def workspace() -> Workspace:
    return Workspace(Snapshot.of([complete(make_node("n", {"cpu": "1"}, now=NOW))]))


def test_a_lease_is_taken_and_renewed_every_ten_seconds() -> None:
    """In kube-node-lease, owned by the node, so that it goes with it."""
    ws, heart = workspace(), Heartbeat("n")
    times = []
    ws.listen(lambda change: times.append(change.new.spec.renew_time) if isinstance(change.new, Lease) else None)
    wrote = [heart.sync(ws, NOW + second * SECOND) for second in range(35)]
    assert [second for second, is_new in enumerate(wrote) if is_new] == [0, 10, 20, 30]
    assert times == [f"2026-01-01T00:00:{second:02}.000000Z" for second in (0, 10, 20, 30)]
    lease = ws.find(Lease, LEASES, "n")
    assert lease is not None
    assert (lease.spec.holder_identity, lease.spec.lease_duration_seconds) == ("n", 40)
    (owner,) = lease.metadata.owner_references
    node = ws.find(Node, "", "n")
    assert node is not None
    assert (owner.kind, owner.name, owner.uid) == ("Node", "n", node.metadata.uid)


def test_the_report_is_posted_again_every_five_minutes() -> None:
    ws, heart = workspace(), Heartbeat("n")
    reports = []
    ws.listen(lambda change: reports.append(change.new) if isinstance(change.new, Node) else None)
    for minute in range(11):
        heart.sync(ws, NOW + minute * 60 * SECOND)
    assert [node.status.conditions[-1].last_heartbeat_time for node in reports] == [
        f"2026-01-01T00:{minute:02}:00Z" for minute in (0, 5, 10)
    ]
    assert {node.status.conditions[-1].last_transition_time for node in reports} == {"2026-01-01T00:00:00Z"}


def test_a_node_that_is_taken_for_lost_reports_at_once() -> None:
    ws, heart = workspace(), Heartbeat("n")
    heart.sync(ws, NOW)
    node = ws.find(Node, "", "n")
    assert node is not None
    lost = replace(node.status, conditions=(NodeCondition(type="Ready", status="Unknown"),))
    ws.put(replace(node, status=lost))
    heart.sync(ws, NOW + SECOND)
    node = ws.find(Node, "", "n")
    assert node is not None
    assert readiness(node) == "True"


def test_a_node_that_was_deleted_gets_no_lease() -> None:
    ws, heart = workspace(), Heartbeat("n")
    ws.remove(NODE)
    assert not heart.sync(ws, NOW)
    assert not ws.table("Lease")


def test_a_clock_that_is_set_back_does_not_stop_it() -> None:
    ws, heart = workspace(), Heartbeat("n")
    heart.sync(ws, NOW)
    heart.sync(ws, NOW - 3600 * SECOND)
    lease = ws.find(Lease, LEASES, "n")
    assert lease is not None
    assert lease.spec.renew_time == "2025-12-31T23:00:00.000000Z"


def test_it_is_heard_and_that_costs_next_to_nothing() -> None:
    """In an hour a listening control plane looks at the node about once in forty seconds, and finds nothing to do."""
    looked = []

    class Counting(NodeLifecycle):
        def fact(self, ws, key, now):  # type: ignore[no-untyped-def]
            looked.append(now)
            return super().fact(ws, key, now)

    cycle = Cycle(Snapshot.of(list(workspace().snapshot)), [Counting(listens=True)])
    heart = Heartbeat("n")
    for second in range(3600):
        heart.sync(cycle.ws, NOW + second * SECOND)
        cycle.settle(NOW + second * SECOND)
    assert cycle.ctx.actions == []
    assert len(looked) <= 3600 / 40 + 1
