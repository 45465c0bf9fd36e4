"""Pods that no kubelet will ever finish are removed, as kube-controller-manager's pod garbage collector does it.

Kubernetes waits 40 s before it believes that a node is gone; here a node that isn't among the objects doesn't exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.concern import Concern, Touched
from rules.context import Context
from rules.engine import Rule, m
from state.objects import Node, Pod
from state.snapshot import Change, Key
from state.workspace import Workspace


def _remove(ctx: Context, key: Key, _: Fact) -> None:
    pod = ctx.ws.get(key)
    if pod is not None:
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
)


def _pod_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    pod = change.new
    return (change.key,) if isinstance(pod, Pod) and _fact(ws, pod) is not None else ()


def _node_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    if change.new is not None:
        return ()
    return [Key("Pod", *ns_name) for ns_name in ws.indexes.pods_on(change.key.name)]


class PodGarbage(Concern):
    """Removes pods of nodes that don't exist, and pods that end without ever having been on a node."""

    name: ClassVar[str] = "pod-garbage"
    subjects: ClassVar[Sequence[str]] = ("Pod",)
    rules: ClassVar[Sequence[Rule]] = RULES
    watches: ClassVar[Mapping[str, Touched]] = {"Node": _node_touched, "Pod": _pod_touched}

    def due_at_start(self, ws: Workspace) -> Iterable[Key]:
        """The pods about which there is something to decide."""
        return [key for pod in ws.objects(Pod) if self.fact(ws, key := Key.of(pod), 0) is not None]

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Whether the pod's node exists and whether the pod is ending; None for a pod in order."""
        pod = ws.find(Pod, key.namespace, key.name)
        return None if pod is None else _fact(ws, pod)


def _fact(ws: Workspace, pod: Pod) -> Fact | None:
    node = pod.spec.node_name or ""
    missing = bool(node) and ws.find(Node, "", node) is None
    ending = pod.metadata.deletion_timestamp is not None
    if not missing and (node or not ending):
        return None
    return {
        "object": str(Key.of(pod)),
        "node": node,
        "bound": bool(node),
        "node_missing": missing,
        "ending": ending,
    }
