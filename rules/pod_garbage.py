"""Pods that no kubelet will ever finish are removed, as kube-controller-manager's pod garbage collector does it.

Of pods that have finished only so many are kept (``--terminated-pod-gc-threshold``): evicted ones go first, then the
oldest.

In a plan a node that isn't among the objects doesn't exist. A control plane whose clock goes on waits for it for a
while first (``QUARANTINE``): a node that was deleted may come back, and then nothing was lost. A pod that ends on a
node that fell silent stays, until somebody says that the node is out of service, by a taint.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.concern import Touched, wait
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern
from rules.node_zones import is_unready
from rules.pods import disrupted, is_finished
from rules.taints import OUT_OF_SERVICE
from state.objects import Node, Pod, replace
from state.snapshot import Change, Key
from state.times import SECOND
from state.workspace import Workspace

#: How many finished pods are kept.
FINISHED = 12_500
#: How long a node has to be missing in a control plane, until its pods are removed.
QUARANTINE = 40 * SECOND
_REASON, _MESSAGE = "DeletionByPodGC", "PodGC: node no longer exists"


def _remove(_: PodGarbage, ctx: Context, key: Key, fact: Fact) -> None:
    """Deletes the pod at once. If a finalizer holds it, it has failed: its Job goes by that."""
    pod = ctx.ws.find(Pod, key.namespace, key.name)
    if pod is None:  # more than one rule says so
        return
    if pod.metadata.finalizers and not is_finished(pod):
        failed = replace(pod, status=replace(pod.status, phase="Failed"))
        ctx.update_status(disrupted(failed, _REASON, _MESSAGE, ctx.now) if fact["node_missing"] else failed)
    ctx.delete(pod, 0)


RULES = (
    Rule(
        "garbage-lost-pod",
        (m.node_missing == True) & (m.quarantined == False),  # noqa: E712 - an expression of durable.lang
        _remove,
        "{object} is bound to node {node}, which does not exist",
    ),
    Rule(
        "garbage-unscheduled-pod",
        (m.bound == False) & (m.ending == True),  # noqa: E712
        _remove,
        "{object} is being deleted and was never on a node",
    ),
    Rule(
        "garbage-out-of-service-pod",
        (m.out_of_service == True) & (m.ending == True),  # noqa: E712
        _remove,
        "{object} is being deleted, and its node {node} is not ready and marked as out of service",
    ),
    Rule(
        "garbage-finished-pod",
        m.superfluous == True,  # noqa: E712
        _remove,
        "{object} has finished, as have many after it: no more than {kept} such pods are kept",
    ),
    Rule(
        "garbage-quarantined-pod",
        (m.quarantined == True) & (m.superfluous == False),  # noqa: E712
        wait,
        "{object} is bound to node {node}, which does not exist, or not yet",
    ),
)


def _is_out_of_service(node: Node) -> bool:
    return any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints) and is_unready(node)


class PodGarbage(MethodConcern):
    """Removes pods of nodes that have been missing for ``quarantine`` (µs) or are out of service, pods that end without
    having been on a node, and finished pods when there are more than ``finished`` of them.
    """

    name: ClassVar[str] = "pod-garbage"
    subjects: ClassVar[Sequence[str]] = ("Pod",)
    rules: ClassVar[Sequence[Rule]] = RULES

    def __init__(self, finished: int = FINISHED, quarantine: int = 0) -> None:
        super().__init__()
        self._most, self._quarantine = finished, quarantine
        #: The nodes that pods are on and that don't exist, with the time until which they are waited for.
        self._missing: dict[str, int] = {}
        #: The finished pods, in the order in which they go.
        self._finished: list[_Rank] = []

    def attach(self, ws: Workspace) -> None:
        """Ranks the finished pods."""
        self._finished = sorted(rank for pod in ws.objects(Pod) if (rank := _rank(pod)) is not None)

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """Pods, and the nodes that they are on."""
        return {"Node": self._node_touched, "Pod": self._pod_touched}

    def _node_touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        node, waited = change.new, self._missing
        is_back = isinstance(node, Node) and waited.pop(node.metadata.name, None) is not None
        if isinstance(node, Node) and not is_back and not _is_out_of_service(node):
            return ()
        return [Key("Pod", *ns_name) for ns_name in ws.indexes.pods_on(change.key.name)]

    def _pod_touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        pod, old = change.new, change.old
        before, after = _rank(old), _rank(pod)
        if before != after:
            if before is not None:
                del self._finished[bisect_left(self._finished, before)]
            if after is not None:
                insort(self._finished, after)
        if self._missing and pod is None and isinstance(old, Pod) and not ws.pods_on(old.spec.node_name or ""):
            self._missing.pop(old.spec.node_name or "", None)
        surplus = self._superfluous() if after is not None else []
        return (change.key, *surplus) if isinstance(pod, Pod) and _fact(ws, pod) is not None else surplus

    def _superfluous(self) -> list[Key]:
        """The finished pods that are too many."""
        surplus = self._finished[: max(0, len(self._finished) - self._most)]
        return [Key("Pod", namespace, name) for _, _, name, namespace in surplus]

    def due_at_start(self, ws: Workspace) -> Iterable[Key]:
        """The pods about which there is something to decide."""
        return [Key.of(pod) for pod in ws.objects(Pod) if self._found(ws, pod) is not None]

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Whether the pod's node exists and is in service, and whether the pod is ending; None for a pod in order."""
        pod = ws.find(Pod, key.namespace, key.name)
        found = None if pod is None else self._found(ws, pod)
        if found is None:
            return None
        until = now
        if found["node_missing"]:
            until = self._missing.setdefault(str(found["node"]), now + self._quarantine)
        return {**found, "quarantined": until > now, "wake_at": until}

    def _found(self, ws: Workspace, pod: Pod) -> Fact | None:
        rank = _rank(pod)
        surplus = len(self._finished) - self._most
        superfluous = rank is not None and surplus > 0 and rank < self._finished[surplus]
        found = _fact(ws, pod, decided=superfluous)
        return None if found is None else {**found, "superfluous": superfluous, "kept": self._most}


#: Not evicted, age, name and namespace of a finished pod: what the order goes by in which they are removed.
_Rank = tuple[bool, str, str, str]


def _rank(obj: object) -> _Rank | None:
    """The place of a pod among those that have finished; None for others, and for those that are being deleted."""
    if not isinstance(obj, Pod) or not is_finished(obj) or obj.metadata.deletion_timestamp is not None:
        return None
    meta = obj.metadata
    evicted = obj.status.phase == "Failed" and obj.status.reason == "Evicted"
    return not evicted, meta.creation_timestamp or "", meta.name, meta.namespace


def _fact(ws: Workspace, pod: Pod, *, decided: bool = False) -> Fact | None:
    """What speaks against a pod; None for one in order, unless it is ``decided`` that there is something."""
    name = pod.spec.node_name or ""
    node = ws.find(Node, "", name) if name else None
    missing = bool(name) and node is None
    ending = pod.metadata.deletion_timestamp is not None
    out_of_service = ending and node is not None and _is_out_of_service(node)
    if not missing and not out_of_service and (name or not ending) and not decided:
        return None
    return {
        "object": str(Key.of(pod)),
        "node": name,
        "bound": bool(name),
        "node_missing": missing,
        "out_of_service": out_of_service,
        "ending": ending,
    }
