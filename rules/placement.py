"""Pods to nodes: which pods are to be scheduled is decided by the rules here, where they go by ``rules.scheduling``.

Pods that are due are tried in queue order, each placed before the next. A pod that fits nowhere stays pending with the
scheduler's own words, and is tried again when something changes that could make room for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rules.actions import Fact
from rules.concern import Concern, Touched
from rules.context import Context
from rules.engine import Rule, m
from rules.pods import disrupted
from rules.scheduling import DEFAULT, Decision, Profile, Scheduler, VolumeChoices
from rules.scheduling.pods import scheduler_of
from rules.scheduling.preemption import PREEMPTED
from rules.scheduling.volumes import BOUND_BY_CONTROLLER, SELECTED_NODE
from state.objects import ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod, PodCondition, replace
from state.snapshot import Binding, Change, Key
from state.times import format_time
from state.workspace import Workspace

_FINISHED = ("Succeeded", "Failed")


def _leave(ctx: Context, _: Key, __: Fact) -> None:
    ctx.note()


def _queue(_: Context, key: Key, __: Fact) -> None:
    raise AssertionError(f"{key} is placed with all others that are due, by Placement.decide")


RULES = (
    Rule(
        name="pod-foreign",
        when=(m.pending == True) & (m.ours == False),  # noqa: E712 - durable-rules' own expressions
        then=_leave,
        why="{name} asks for the scheduler {scheduler}, which is not this one",
    ),
    Rule(
        name="pod-gated",
        when=(m.pending == True) & (m.ours == True) & (m.gates > 0),  # noqa: E712
        then=_leave,
        why="{name} is held back by {gates} scheduling gates: {gate_names}",
    ),
    Rule(
        name="pod-queue",
        when=(m.pending == True) & (m.ours == True) & (m.gates == 0),  # noqa: E712
        then=_queue,
        why="{name} is on no node yet",
    ),
)
_QUEUE = RULES[-1]

# What comes of an attempt. The facts are the decision's.


def _bind(ctx: Context, key: Key, fact: Fact) -> None:
    pod = ctx.ws.find(Pod, key.namespace, key.name)
    assert pod is not None
    ctx.bind(pod, str(fact["node"]))


def _pend(ctx: Context, key: Key, fact: Fact) -> None:
    _report(ctx, key, "Unschedulable", str(fact["message"]))
    ctx.note()


def _preempt(ctx: Context, key: Key, fact: Fact) -> None:
    pod = ctx.ws.find(Pod, key.namespace, key.name)
    assert pod is not None
    for name in str(fact["victims"]).split():
        victim = ctx.ws.find(Pod, *name.split("/"))
        if victim is not None and victim.metadata.deletion_timestamp is None:
            _evict(ctx, victim, pod, str(fact["nominated"]))
    _report(ctx, key, "Unschedulable", str(fact["message"]), nominated=str(fact["nominated"]))
    ctx.note()


def _unnominate(ctx: Context, key: Key, _: Fact) -> None:
    pod = ctx.ws.find(Pod, key.namespace, key.name)
    assert pod is not None
    ctx.update_status(replace(pod, status=replace(pod.status, nominated_node_name=None)))


def _evict(ctx: Context, victim: Pod, preemptor: Pod, node: str) -> None:
    """Deletes a pod for another one; its DisruptionTarget condition says so, and that the room is spoken for."""
    message = f"{scheduler_of(preemptor)}: preempting to accommodate a higher priority pod"
    told = ctx.update_status(disrupted(victim, PREEMPTED, message, ctx.now))
    message = f"Preempted by pod {preemptor.metadata.uid} on node {node}"
    ctx.event(Key.of(victim), "Preempted", message, source=scheduler_of(preemptor))
    ctx.delete(told)


BIND = Rule(
    name="pod-bind",
    when=m.node != "",
    then=_bind,
    why="{feasible_nodes} of {evaluated_nodes} nodes fit; {node} scores highest with {score}",
)
PREEMPT = Rule(
    name="pod-preempt",
    when=m.victims != "",
    then=_preempt,
    why="Pending: {message} Evicting {victims} would make room on {nominated}",
)
UNNOMINATE = Rule(
    name="pod-unnominated",
    when=m.node != "",
    then=_unnominate,
    why="room on {node} is not kept for {name} any more: {reason}",
)
PEND = Rule(name="pod-pending", when=m.node == "", then=_pend, why="Pending: {message}")
PROVISION = Rule(
    name="pod-awaits-volume",
    when=m.provisions > 0,
    then=_leave,
    why="Pending: {node} is chosen; waiting for volumes to be provisioned for it ({provisions})",
)


class Placement(Concern):
    """Schedules the pods that ask for one of its profiles; those that ask for none want the default scheduler."""

    name = "placement"
    subjects = ("Pod",)
    rules = RULES

    def __init__(self, profiles: Sequence[Profile] = (DEFAULT,)) -> None:
        super().__init__()
        self.profiles = tuple(profiles)
        self._names = frozenset(profile.name for profile in profiles)
        self._scheduler: Scheduler | None = None
        #: Pods that were tried in vain; and of these the ones that a pod coming to a node could help.
        self._waiting: set[Key] = set()
        self._sociable: set[Key] = set()

    def attach(self, ws: Workspace) -> None:
        """Builds the scheduler's tables, and has them follow the workspace."""
        scheduler = Scheduler(ws, self.profiles[0], self.profiles[1:])
        self._scheduler = scheduler
        self._waiting.clear()
        self._sociable.clear()

        def follow(change: Change) -> None:
            _, old, new = change
            if type(change) is Binding and isinstance(new, Pod) and scheduler.cluster.confirm(new):
                return
            scheduler.changed(old, new)

        ws.listen(follow)

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """A pod when it changes, and every pending one when something changes that could make room."""
        return {"Pod": self._pods_due, **dict.fromkeys(_ROOM, self._all_waiting)}

    def _all_waiting(self, _: Workspace, __: Change) -> Iterable[Key]:
        return self._waiting

    def _pods_due(self, _: Workspace, change: Change) -> Iterable[Key]:
        """The pod itself if it has no node; waiting ones if it came to a node or gives something up there."""
        old, new = change.old, change.new
        assert old is None or isinstance(old, Pod)
        assert new is None or isinstance(new, Pod)
        if new is None:
            self._forget(change.key)
            return self._waiting if old is not None and old.spec.node_name else ()
        if not new.spec.node_name:
            same = old is not None and _is_alike(old, new)
            return () if same and _is_pending(new) else (change.key,)
        if old is None or not old.spec.node_name:
            self._forget(change.key)
            return self._sociable
        return self._waiting if _frees(old, new) else ()

    def _forget(self, key: Key) -> None:
        self._waiting.discard(key)
        self._sociable.discard(key)

    def _remember(self, pod: Pod) -> None:
        key = Key.of(pod)
        self._waiting.add(key)
        if _looks_at_pods(pod):
            self._sociable.add(key)

    def due_at_start(self, ws: Workspace) -> Iterable[Key]:
        """Pods without a node."""
        return [Key("Pod", *ns_name) for ns_name in ws.indexes.unassigned_pods()]

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """What says whether a pod is to be scheduled; None for a pod that is on a node or on its way out."""
        pod = ws.find(Pod, key.namespace, key.name)
        if pod is None or not _is_pending(pod):
            return None
        spec = pod.spec
        scheduler = scheduler_of(pod)
        return {
            "name": key.name,
            "pending": True,
            "ours": scheduler in self._names,
            "scheduler": scheduler,
            "gates": len(spec.scheduling_gates),
            "gate_names": ", ".join(gate.name for gate in spec.scheduling_gates),
        }

    def decide(self, ctx: Context, keys: Sequence[Key], facts: Sequence[Fact]) -> None:
        """Places all pods that the rules queue, one after the other."""
        queue: list[Pod] = []
        for firing in self.match(facts):
            slot = firing.slots[0]
            if firing.rule is _QUEUE:
                pod = ctx.ws.find(Pod, keys[slot].namespace, keys[slot].name)
                assert pod is not None
                queue.append(pod)
            else:
                self.fire(ctx, firing.rule, keys[slot], facts[slot])
        if queue:
            assert self._scheduler is not None
            for decision in self._scheduler.schedule(queue, now=ctx.now):
                self._carry(ctx, decision)

    def _carry(self, ctx: Context, decision: Decision) -> None:
        """Does what follows from a decision: volumes first, then the pod."""
        key = Key("Pod", *decision.pod)
        if decision.node is None or decision.volume_choices.provision:
            pod = ctx.ws.find(Pod, key.namespace, key.name)
            assert pod is not None
            self._remember(pod)
        fact = decision.facts
        if decision.node is None:
            fact = {
                **decision.facts,
                "message": decision.fit_error or "",
                "nominated": decision.nominated_node or "",
                "victims": " ".join("/".join(victim) for victim in decision.victims),
            }
            self.fire(ctx, PREEMPT if decision.victims else PEND, key, fact)
            for other in decision.unnominated:
                self._unnominate(ctx, Key("Pod", *other), key)
            return
        choices = decision.volume_choices
        rule = PROVISION if choices.provision else BIND
        if choices.static or choices.provision:
            ctx.firing(self.name, rule, key, fact)
            _reserve(ctx, key, decision.node, choices)
        if choices.provision:
            assert self._scheduler is not None
            self._scheduler.cluster.forget(decision.pod)
        self.fire(ctx, rule, key, fact)

    def _unnominate(self, ctx: Context, key: Key, by: Key) -> None:
        """Takes a pod's nomination away, for a more important pod or because nothing can be done for it."""
        pod = ctx.ws.find(Pod, key.namespace, key.name)
        assert pod is not None
        reason = "no pod can be evicted for it" if key == by else f"{by.namespace}/{by.name} is more important"
        node = pod.status.nominated_node_name or ""
        self.fire(ctx, UNNOMINATE, key, {"name": key.name, "node": node, "reason": reason})


def _reserve(ctx: Context, pod: Key, node: str, choices: VolumeChoices) -> None:
    """Writes a claim's chosen volume, or the node that its new volume is needed on, as the scheduler's PreBind does."""
    for claim_name in sorted(choices.static):
        claim = ctx.ws.find(PersistentVolumeClaim, pod.namespace, claim_name)
        volume = ctx.ws.find(PersistentVolume, "", choices.static[claim_name])
        assert claim is not None
        assert volume is not None
        ref = ObjectReference(
            api_version="v1",
            kind="PersistentVolumeClaim",
            namespace=pod.namespace,
            name=claim_name,
            uid=claim.metadata.uid,
        )
        annotations = {**volume.metadata.annotations, BOUND_BY_CONTROLLER: "yes"}
        ctx.update(
            replace(
                volume,
                metadata=replace(volume.metadata, annotations=annotations),
                spec=replace(volume.spec, claim_ref=ref),
            )
        )
    for claim_name in sorted(choices.provision):
        claim = ctx.ws.find(PersistentVolumeClaim, pod.namespace, claim_name)
        assert claim is not None
        annotations = {**claim.metadata.annotations, SELECTED_NODE: node}
        ctx.update(replace(claim, metadata=replace(claim.metadata, annotations=annotations)))


def _report(ctx: Context, key: Key, reason: str, message: str, nominated: str | None = None) -> None:
    """Says in the pod's PodScheduled condition, and in an event, why it has no node; not again what it says already.

    The transition time stays while the condition stays false.
    """
    pod = ctx.ws.find(Pod, key.namespace, key.name)
    assert pod is not None
    before = next((c for c in pod.status.conditions if c.type == "PodScheduled"), None)
    since = before.last_transition_time if before is not None and before.status == "False" else format_time(ctx.now)
    condition = PodCondition(
        type="PodScheduled",
        status="False",
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=pod.metadata.generation,
    )
    others = tuple(c for c in pod.status.conditions if c.type != "PodScheduled")
    status = replace(pod.status, conditions=(*others, condition))
    if nominated is not None:
        status = replace(status, nominated_node_name=nominated)
    if status != pod.status:
        ctx.update_status(replace(pod, status=status))
        if reason == "Unschedulable":
            ctx.event(key, "FailedScheduling", message, warning=True, source=scheduler_of(pod))


def _is_pending(pod: Pod) -> bool:
    return not pod.spec.node_name and pod.metadata.deletion_timestamp is None and pod.status.phase not in _FINISHED


def _is_alike(old: Pod, new: Pod) -> bool:
    """Whether a pending pod, tried as it was before, needs no other try: it may have lost the room made for it, too."""
    lost = bool(old.status.nominated_node_name) and not new.status.nominated_node_name
    return old.spec is new.spec and old.metadata.labels == new.metadata.labels and not lost


def _frees(old: Pod, new: Pod) -> bool:
    """Whether a change of a pod that stays on its node could make room for another."""
    return (
        old.spec is not new.spec
        or old.metadata.labels != new.metadata.labels
        or (old.metadata.deletion_timestamp is None) != (new.metadata.deletion_timestamp is None)
        or (new.status.phase in _FINISHED and old.status.phase not in _FINISHED)
    )


def _looks_at_pods(pod: Pod) -> bool:
    """Whether a pod that comes to a node could make a place for this one: it wants company, or an even spread."""
    affinity = pod.spec.affinity
    wants_company = affinity is not None and affinity.pod_affinity is not None
    return wants_company or bool(pod.spec.topology_spread_constraints)


#: Kinds of which any change may let a waiting pod in.
_ROOM = (
    "CSIDriver",
    "CSINode",
    "CSIStorageCapacity",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "ReplicaSet",
    "ReplicationController",
    "Service",
    "StatefulSet",
    "StorageClass",
    "VolumeAttachment",
)
