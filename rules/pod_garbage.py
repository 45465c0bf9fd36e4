"""Pods that no kubelet will ever finish are removed, as kube-controller-manager's pod garbage collector does it.

Kubernetes waits 40 s before it believes that a node is gone; here a node that isn't among the objects doesn't exist.
A pod that ends on a node that fell silent stays, until somebody says that the node is out of service, by a taint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.concern import Concern, Touched
from rules.context import Context
from rules.engine import Rule, m
from rules.node_zones import is_unready
from rules.pods import disrupted, is_finished
from rules.taints import OUT_OF_SERVICE
from state.objects import Node, Pod, replace
from state.snapshot import Change, Key
from state.workspace import Workspace

_REASON, _MESSAGE = "DeletionByPodGC", "PodGC: node no longer exists"


def _remove(ctx: Context, key: Key, fact: Fact) -> None:
    """Deletes the pod at once. If a finalizer holds it, it has failed: its Job goes by that."""
    pod = ctx.ws.find(Pod, key.namespace, key.name)
    assert pod is not None
    if pod.metadata.finalizers and not is_finished(pod):
        failed = replace(pod, status=replace(pod.status, phase="Failed"))
        ctx.update_status(disrupted(failed, _REASON, _MESSAGE, ctx.now) if fact["node_missing"] else failed)
    ctx.delete(pod, 0)


RULES = (
    Rule(
        "garbage-lost-pod",
        m.node_missing == True,  # noqa: E712 - an expression of durable.lang
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
)


def _pod_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    pod = change.new
    return (change.key,) if isinstance(pod, Pod) and _fact(ws, pod) is not None else ()


def _node_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    node = change.new
    if isinstance(node, Node) and not _is_out_of_service(node):
        return ()
    return [Key("Pod", *ns_name) for ns_name in ws.indexes.pods_on(change.key.name)]


def _is_out_of_service(node: Node) -> bool:
    return any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints) and is_unready(node)


class PodGarbage(Concern):
    """Removes pods of nodes that don't exist or are out of service, and pods that end without having been on a node."""

    name: ClassVar[str] = "pod-garbage"
    subjects: ClassVar[Sequence[str]] = ("Pod",)
    rules: ClassVar[Sequence[Rule]] = RULES
    watches: ClassVar[Mapping[str, Touched]] = {"Node": _node_touched, "Pod": _pod_touched}

    def due_at_start(self, ws: Workspace) -> Iterable[Key]:
        """The pods about which there is something to decide."""
        return [key for pod in ws.objects(Pod) if self.fact(ws, key := Key.of(pod), 0) is not None]

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Whether the pod's node exists and is in service, and whether the pod is ending; None for a pod in order."""
        pod = ws.find(Pod, key.namespace, key.name)
        return None if pod is None else _fact(ws, pod)


def _fact(ws: Workspace, pod: Pod) -> Fact | None:
    name = pod.spec.node_name or ""
    node = ws.find(Node, "", name) if name else None
    missing = bool(name) and node is None
    ending = pod.metadata.deletion_timestamp is not None
    out_of_service = ending and node is not None and _is_out_of_service(node)
    if not missing and not out_of_service and (name or not ending):
        return None
    return {
        "object": str(Key.of(pod)),
        "node": name,
        "bound": bool(name),
        "node_missing": missing,
        "out_of_service": out_of_service,
        "ending": ending,
    }
