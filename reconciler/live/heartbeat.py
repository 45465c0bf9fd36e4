"""The node agent's sign of life: its Lease in kube-node-lease, and its report on the node, as kubelet keeps them.

A control plane that hears neither takes the node for lost (``rules.node_lifecycle``).
"""

from __future__ import annotations

from reconciler.nodes import reported
from rules.node_lifecycle import LEASES
from rules.node_zones import readiness
from rules.taints import NO_SCHEDULE, NOT_READY, retainted
from state.identity import make_uid
from state.objects import Lease, LeaseSpec, Node, NodeCondition, ObjectMeta, OwnerReference, replace
from state.snapshot import Key
from state.times import MINUTE, SECOND, format_micro_time, format_time
from state.workspace import Workspace

#: How long a Lease is good for without being renewed, and how often it is (``--node-lease-duration-seconds`` 40).
DURATION, RENEWAL = 40 * SECOND, 10 * SECOND
#: How often a report is posted that says nothing new (``--node-status-report-frequency``).
REPORT = 5 * MINUTE


def shut_down(node: Node, now: int) -> Node:
    """The node as its agent leaves it: not ready, and at once with the taint that goes with that."""
    time = format_time(now)
    ready = NodeCondition(
        type="Ready",
        status="False",
        reason="KubeletNotReady",
        message="node is shutting down",
        last_heartbeat_time=time,
        last_transition_time=time,
    )
    others = tuple(condition for condition in node.status.conditions if condition.type != "Ready")
    status = replace(node.status, conditions=(*others, ready))
    return retainted(replace(node, status=status), NO_SCHEDULE, add=(NOT_READY,), drop=(NOT_READY,), now=now)


class Heartbeat:
    """Keeps the Lease and the conditions of one node in whichever workspace is the current one."""

    def __init__(self, node: str) -> None:
        self._key = Key(Lease.kind, LEASES, node)
        self._renewed_at = self._reported_at = 0

    def sync(self, ws: Workspace, now: int) -> bool:
        """Renews and reports at ``now`` (µs since the epoch), as far as it is time to; a node that is gone has neither.

        A node that isn't taken to be ready is reported at once. Returns whether anything was written.
        """
        node = ws.find(Node, "", self._key.name)
        if node is None:
            return False
        renews = not 0 <= now - self._renewed_at < RENEWAL
        if renews:
            self._renewed_at = now
            ws.put(self._renewed(ws, node, now))
        reports = readiness(node) != "True" or not 0 <= now - self._reported_at < REPORT
        if reports:
            self._reported_at = now
            ws.put(replace(node, status=replace(node.status, conditions=reported(node.status.conditions, now))))
        return renews or reports

    def _renewed(self, ws: Workspace, node: Node, now: int) -> Lease:
        lease = ws.find(Lease, LEASES, self._key.name)
        if lease is None:
            owner = OwnerReference(api_version="v1", kind=Node.kind, name=self._key.name, uid=node.metadata.uid)
            meta = ObjectMeta(
                name=self._key.name,
                namespace=LEASES,
                uid=make_uid(self._key, ws.revision),
                creation_timestamp=format_time(now),
                owner_references=(owner,),
            )
            spec = LeaseSpec(holder_identity=self._key.name, lease_duration_seconds=DURATION // SECOND)
            lease = Lease(metadata=meta, spec=spec)
        return replace(lease, spec=replace(lease.spec, renew_time=format_micro_time(now)))
