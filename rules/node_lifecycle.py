"""Nodes in trouble: what their conditions say becomes taints, and a node whose kubelet falls silent becomes Unknown, as
kube-controller-manager's node lifecycle controller does it.

NoSchedule taints follow the conditions at once. The NoExecute ones, by which a node is emptied, come one node after the
other in each zone (``rules.node_zones``), and go when the node is ready again.

Silence is for a control plane to notice whose clock goes on (``listens``), and only of a node whose kubelet was heard:
it keeps a Lease in kube-node-lease, or has reported the node's status again. A node that somebody wrote by hand has
neither. What counts is how long nothing has come here, on this clock; how far two renewals lie apart is taken from the
kubelet's, so that a renewal causes no work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import ClassVar

from rules.actions import Fact
from rules.concern import Concern, Touched, wait
from rules.context import Context
from rules.engine import Rule, m
from rules.node_zones import EXCLUDED, Survey, is_unready, readiness, zone_of
from rules.pods import is_ready
from rules.taints import (
    NO_EXECUTE,
    NO_SCHEDULE,
    NOT_READY,
    OF_CONDITIONS,
    UNREACHABLE,
    UNSCHEDULABLE,
    of_effect,
    retainted,
)
from state.objects import Lease, Node, NodeCondition, Pod, replace
from state.snapshot import Change, Key
from state.times import SECOND, format_time, parse_time
from state.workspace import Workspace

#: Where kubelets keep their Leases.
LEASES = "kube-node-lease"
#: How long a kubelet may be silent (``--node-monitor-grace-period``, 50 s since v1.32), and one that never reported.
GRACE, STARTUP_GRACE = 50 * SECOND, 60 * SECOND
_SOURCE = "node-controller"
_SILENCED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_TROUBLES = (NOT_READY, UNREACHABLE)
_OURS = frozenset({*OF_CONDITIONS.values(), UNSCHEDULABLE})
_SILENT = "Kubelet stopped posting node status."
_NEVER = "Kubelet never posted node status."


def _wanted(node: Node) -> list[str]:
    """The NoSchedule taints that go with the node's conditions and ``spec.unschedulable``."""
    keys = [key for c in node.status.conditions if (key := OF_CONDITIONS.get((c.type, c.status))) is not None]
    return [*keys, UNSCHEDULABLE] if node.spec.unschedulable else keys


def _present(node: Node, effect: str) -> list[str]:
    """The taints of an effect that are this controller's to add and remove."""
    ours = _OURS if effect == NO_SCHEDULE else _TROUBLES
    return [taint.key for taint in of_effect(node, effect) if taint.key in ours]


def _needs_care(node: Node) -> bool:
    """Whether the node is in trouble, or has taints that it should not have."""
    wanted = _wanted(node)
    if not node.spec.taints:  # as nearly always
        return bool(wanted)
    return is_unready(node) or set(wanted) != set(_present(node, NO_SCHEDULE)) or bool(_present(node, NO_EXECUTE))


def _is_silent(node: Node) -> bool:
    """Whether it was found before that the kubelet is silent."""
    return {c.type for c in node.status.conditions if c.status == "Unknown"} >= set(_SILENCED)


def _ready_pods(ws: Workspace, node: str) -> list[Pod]:
    return [pod for pod in ws.pods_on(node) if is_ready(pod)]


# -- consequents -------------------------------------------------------------------------------------------------------


def _lose(ctx: Context, key: Key, _: Fact) -> None:
    """All that the kubelet reports on is unknown now."""
    node = ctx.ws.must(Node, key)
    now = format_time(ctx.now)
    stopped = {"status": "Unknown", "reason": "NodeStatusUnknown", "message": _SILENT, "last_transition_time": now}
    conditions = [
        replace(c, **stopped) if c.type in _SILENCED and c.status != "Unknown" else c for c in node.status.conditions
    ]
    present = {condition.type for condition in conditions}
    conditions += [
        NodeCondition(
            type=kind,
            status="Unknown",
            reason="NodeStatusNeverUpdated",
            message=_NEVER,
            last_heartbeat_time=node.metadata.creation_timestamp,
            last_transition_time=now,
        )
        for kind in _SILENCED
        if kind not in present
    ]
    ctx.update_status(replace(node, status=replace(node.status, conditions=tuple(conditions))))
    if readiness(node) == "True":
        ctx.event(key, "NodeNotReady", f"Node {key.name} status is now: NodeNotReady", source=_SOURCE)


def _mark_pods(ctx: Context, key: Key, _: Fact) -> None:
    """Whether a pod is ready can't be known any more, and so it isn't."""
    unready = {"status": "False", "last_transition_time": format_time(ctx.now)}
    for pod in _ready_pods(ctx.ws, key.name):
        conditions = tuple(replace(c, **unready) if c.type == "Ready" else c for c in pod.status.conditions)
        ctx.update_status(replace(pod, status=replace(pod.status, conditions=conditions)))
        ctx.event(Key.of(pod), "NodeNotReady", "Node is not ready", warning=True, source=_SOURCE)


def _taint(ctx: Context, key: Key, _: Fact) -> None:
    node = ctx.ws.must(Node, key)
    wanted, present = _wanted(node), _present(node, NO_SCHEDULE)
    add = [name for name in wanted if name not in present]
    drop = [name for name in present if name not in wanted]
    ctx.update(retainted(node, NO_SCHEDULE, add=add, drop=drop, now=ctx.now))


def _keep(ctx: Context, key: Key, _: Fact) -> None:
    ctx.update(retainted(ctx.ws.must(Node, key), NO_EXECUTE, drop=_TROUBLES, now=ctx.now))


def _empty(ctx: Context, key: Key, _: Fact) -> None:
    node = ctx.ws.must(Node, key)
    taint = OF_CONDITIONS["Ready", readiness(node)]
    ctx.update(retainted(node, NO_EXECUTE, add=[taint], drop=_TROUBLES, now=ctx.now))


def _listen(ctx: Context, _: Key, fact: Fact) -> None:
    at = fact["silent_at"]
    assert isinstance(at, int)
    ctx.wake(at)


RULES = (
    Rule(
        "node-silent",
        m.silent == True,  # noqa: E712 - an expression of durable.lang
        _lose,
        "nothing has come from the kubelet of node {node} for {grace} seconds",
    ),
    Rule(
        "node-pods-not-ready",
        (m.ready == "Unknown") & (m.ready_pods > 0),
        _mark_pods,
        "node {node} is silent: nobody knows whether its {ready_pods} ready pods still are",
    ),
    Rule(
        "node-taint",
        m.mistainted == True,  # noqa: E712
        _taint,
        "by the conditions and spec.unschedulable of node {node} its NoSchedule taints are {wanted}, not {present}",
    ),
    Rule(
        "node-ready-again",
        (m.emptied == True) & (m.ready == "True"),  # noqa: E712
        _keep,
        "node {node} is ready: its pods may stay",
    ),
    Rule(
        "node-spare",
        (m.emptied == True) & (m.unready == True) & (m.all_down == True),  # noqa: E712
        _keep,
        "no node is ready, so that it may be this control plane that is cut off: node {node} is not emptied",
    ),
    Rule(
        "node-empty",
        m.due == True,  # noqa: E712
        _empty,
        "node {node} is not ready (Ready is {ready}): pods leave it when they have tolerated that for long enough",
    ),
    Rule(
        "node-empty-later",
        (m.waits == True) & (m.turn != ""),  # noqa: E712
        wait,
        "node {node} is not ready; nodes of its zone are emptied one after the other, this one from {turn} on",
    ),
    Rule(
        "node-not-emptied",
        (m.waits == True) & (m.turn == ""),  # noqa: E712
        wait,
        "node {node} is not ready, but neither are too many others: as long as that is so, its pods stay",
    ),
    Rule(
        "node-listen",
        m.silent_at > 0,
        _listen,
        "node {node} is ready as long as its kubelet goes on to be heard",
    ),
)


class NodeLifecycle(Concern):
    """Taints nodes by their conditions; with ``listens`` also notices kubelets that fall silent."""

    name: ClassVar[str] = "node-lifecycle"
    subjects: ClassVar[Sequence[str]] = (Node.kind,)
    rules: ClassVar[Sequence[Rule]] = RULES

    def __init__(self, *, listens: bool = False) -> None:
        super().__init__()
        self._listens = listens
        #: Of each kubelet that is listened to the time of its last sign, on its clock, and when that came here.
        self._heard: dict[str, tuple[int, int]] = {}
        #: The nodes without a Lease whose status their kubelets have reported again and again.
        self._beating: set[str] = set()
        #: The nodes that came and went, of which nobody was told yet; by name, with whether they came.
        self._news: dict[str, bool] = {}
        #: The nodes in trouble: what becomes of one depends on how many others there are.
        self._troubled: set[Key] = set()
        self._survey: Survey | None = None

    def attach(self, ws: Workspace) -> None:
        """Forgets what was heard of other nodes."""
        self._heard.clear()
        self._beating.clear()
        self._news.clear()
        self._troubled.clear()
        self._survey = None

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """A node that says something new, and with it all in trouble; a node whose kubelet has taken its Lease."""
        return {Node.kind: self._node_touched, **({Lease.kind: _lease_touched} if self._listens else {})}

    def _node_touched(self, ws: Workspace, change: Change) -> Iterable[Key]:
        key, old, new = change
        assert old is None or isinstance(old, Node)
        begins = False
        if self._listens and (old is None or new is None):
            self._news[key.name] = new is not None
        if not isinstance(new, Node):
            self._heard.pop(key.name, None)
            self._beating.discard(key.name)
            self._troubled.discard(key)
            self._survey = None
            if self._news:  # nobody is asked about the node any more, but another has it told of
                return {*self._troubled, *(Key(Node.kind, *name) for name in islice(ws.table(Node.kind), 1))}
        elif old is not None:
            begins = self._listens and key.name not in self._beating and 0 < _heartbeat(old) < _heartbeat(new)
            if begins:
                self._beating.add(key.name)
            if _look(old) == _look(new):
                return (key,) if begins else ()
        self._survey = None
        if key.name in self._news or (isinstance(new, Node) and (old is not None or self._concerns(ws, new))):
            return (key, *self._troubled)
        return self._troubled

    def run(self, ctx: Context, due: Sequence[Key]) -> None:
        """Looks at the nodes that are due; tells of those that came and went."""
        for name, came in sorted(self._news.items()):
            told = f"Registered Node {name} in Controller" if came else f"Removing Node {name} from Controller"
            reason = "RegisteredNode" if came else "RemovingNode"
            ctx.event(Key(Node.kind, "", name), reason, f"Node {name} event: {told}", source=_SOURCE)
        self._news.clear()
        super().run(ctx, due)

    def _lease(self, ws: Workspace, node: str) -> Lease | None:
        return ws.find(Lease, LEASES, node) if self._listens else None

    def due_at_start(self, ws: Workspace) -> Iterable[Key]:
        """The nodes that need care, and those that are to be listened to."""
        nodes = ws.table(Node.kind).values()
        return [Key.of(node) for node in nodes if isinstance(node, Node) and self._concerns(ws, node)]

    def _concerns(self, ws: Workspace, node: Node) -> bool:
        return _needs_care(node) or self._is_heard(ws, node.metadata.name)

    def _is_heard(self, ws: Workspace, node: str) -> bool:
        """Whether there is a kubelet that reports."""
        return node in self._beating or self._lease(ws, node) is not None

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """What is to be done about a node; None for one in order that nobody listens to."""
        node = ws.find(Node, "", key.name)
        if node is None:
            return None
        silent_at, troubled = self._silent_at(ws, node, now), _needs_care(node)
        if troubled:
            self._troubled.add(key)
        else:
            self._troubled.discard(key)
            if not silent_at:
                return None
        return {
            "node": key.name,
            "silent": 0 < silent_at <= now,
            "silent_at": silent_at if silent_at > now else 0,
            "grace": _grace(node) // SECOND,
            **self._trouble(ws, node, now),
        }

    def _silent_at(self, ws: Workspace, node: Node, now: int) -> int:
        """When the kubelet has been silent for too long, unless it is heard before; 0 for one not listened to."""
        name = node.metadata.name
        if not self._is_heard(ws, name) or _is_silent(node):
            self._heard.pop(name, None)
            return 0
        lease = self._lease(ws, name)
        renewed = None if lease is None else lease.spec.renew_time
        sign = max(_heartbeat(node), parse_time(renewed) if renewed else 0)
        before, came = self._heard.get(name, (sign, now))
        if sign > before:
            came = min(now, came + sign - before)
        self._heard[name] = (sign, came)
        return came + _grace(node)

    def _trouble(self, ws: Workspace, node: Node, now: int) -> dict[str, int | str | bool | None]:
        """The facts about a node's conditions and taints."""
        ready, unready = readiness(node), is_unready(node)
        wanted, present, emptied = _wanted(node), _present(node, NO_SCHEDULE), _present(node, NO_EXECUTE)
        all_down, turn = False, None
        if unready:
            self._survey = self._survey or Survey(ws.objects(Node))
            all_down = self._survey.is_all_down
            turn = now if emptied else self._survey.turn(node, now)
        right = unready and emptied == [OF_CONDITIONS["Ready", ready]]
        due = unready and not right and not all_down and turn is not None and turn <= now
        return {
            "ready": ready,
            "unready": unready,
            "ready_pods": len(_ready_pods(ws, node.metadata.name)) if ready == "Unknown" else 0,
            "mistainted": set(wanted) != set(present),
            "wanted": ", ".join(sorted(wanted)) or "none",
            "present": ", ".join(sorted(present)) or "none",
            "emptied": bool(emptied),
            "all_down": all_down,
            "due": due,
            "waits": unready and not emptied and not due,
            "turn": "" if turn is None else format_time(turn),
            "wake_at": turn,
        }


def _grace(node: Node) -> int:
    return GRACE if readiness(node) else STARTUP_GRACE


def _heartbeat(node: Node) -> int:
    """When the kubelet reported last that the node is ready, or not; µs, 0 for never."""
    times = (c.last_heartbeat_time for c in node.status.conditions if c.type == "Ready")
    return max((parse_time(at) for at in times if at), default=0)


def _look(node: Node) -> tuple[object, ...]:
    """All of a node that matters here. A kubelet that reports the same once more changes nothing."""
    ready = next(((c.status, c.last_transition_time) for c in node.status.conditions if c.type == "Ready"), None)
    return ready, _wanted(node), node.spec.taints, zone_of(node), node.metadata.labels.get(EXCLUDED)


def _lease_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    """The node, when its kubelet has taken its Lease; what comes after is looked at when it is time to."""
    key, old, new = change
    if key.namespace != LEASES or old is not None or new is None or ws.find(Node, "", key.name) is None:
        return ()
    return (Key(Node.kind, "", key.name),)
