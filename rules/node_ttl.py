"""How long a kubelet may keep what it read of Secrets and ConfigMaps, as an annotation of its node: the longer, the
more nodes there are, as kube-controller-manager's TTL controller sets it.

Only a control plane does so: a plan would say it of every node, and nothing in it goes by that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.concern import Touched
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern
from state.objects import Node, replace
from state.snapshot import Change, Key
from state.workspace import Workspace

ANNOTATION = "node.alpha.kubernetes.io/ttl"
#: From and up to how many nodes which time holds (seconds). They overlap, so that one node more or less doesn't have
#: all nodes changed again and again.
_STEPS = ((0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, float("inf"), 300))


class NodeTtl(MethodConcern):
    """Annotates all nodes alike, by how many there are."""

    name: ClassVar[str] = "node-ttl"
    subjects: ClassVar[Sequence[str]] = ("Node",)
    sees_bindings: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._step = 0

    def attach(self, ws: Workspace) -> None:
        """Counts the nodes."""
        self._step = _step(0, len(ws.table("Node")))

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """A node; and all of them, when there are so many that another time holds."""
        return {"Node": self._touched}

    def _touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        before, self._step = self._step, _step(self._step, len(ws.table("Node")))
        if self._step != before:
            return self.due_at_start(ws)
        return () if change.new is None else (change.key,)

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """The time that holds and the one that the node says; None if they are the same."""
        node = ws.find(Node, "", key.name)
        ttl = str(_STEPS[self._step][2])
        said = None if node is None else node.metadata.annotations.get(ANNOTATION, "")
        if said is None or said == ttl:
            return None
        return {"object": str(key), "said": said, "ttl": ttl, "nodes": len(ws.table("Node"))}

    def _annotate(self, ctx: Context, key: Key, fact: Fact) -> None:
        node = ctx.ws.must(Node, key)
        annotations = {**node.metadata.annotations, ANNOTATION: str(fact["ttl"])}
        ctx.update(replace(node, metadata=replace(node.metadata, annotations=annotations)))

    rules: ClassVar[Sequence[Rule]] = (
        Rule("node-ttl", +m.ttl, _annotate, "{object} is one of {nodes} nodes: what is cached is kept for {ttl} s"),
    )


def _step(step: int, count: int) -> int:
    """The step for so many nodes, coming from another one."""
    while count > _STEPS[step][1]:
        step += 1
    while count < _STEPS[step][0]:
        step -= 1
    return step
