"""The Events that Kubernetes' own controllers record for an action, in their words."""

from __future__ import annotations

from rules.actions import Action, Bind, BindClaim, Create, Delete, Event, Update
from state.objects import AnyObject, Deployment, ReplicaSet
from state.snapshot import Key

_SOURCES = {
    "DaemonSet": "daemonset-controller",
    "Deployment": "deployment-controller",
    "Job": "job-controller",
    "CronJob": "cronjob-controller",
    "ReplicaSet": "replicaset-controller",
    "ReplicationController": "replication-controller",
    "StatefulSet": "statefulset-controller",
}
_VERBS = {Create: ("SuccessfulCreate", "Created"), Delete: ("SuccessfulDelete", "Deleted")}


def _controller_of(obj: AnyObject) -> Key | None:
    for owner in obj.metadata.owner_references:
        if owner.controller:
            return Key(owner.kind, obj.metadata.namespace, owner.name)
    return None


def _replicas(obj: AnyObject | None) -> int:
    return 0 if not isinstance(obj, ReplicaSet) or obj.spec.replicas is None else obj.spec.replicas


def _scaled(before: ReplicaSet | None, after: ReplicaSet) -> Event | None:
    """A Deployment reports how it scales its ReplicaSets."""
    owner = _controller_of(after)
    old, new = _replicas(before), _replicas(after)
    if owner is None or owner.kind != Deployment.kind or old == new:
        return None
    direction = "up" if new > old else "down"
    message = f"Scaled {direction} replica set {after.metadata.name} from {old} to {new}"
    return Event(target=owner, type="Normal", reason="ScalingReplicaSet", message=message, source=_SOURCES[owner.kind])


def event_of(action: Action) -> Event | None:
    """The event that goes with an action, or None."""
    if isinstance(action, Bind):
        meta = action.object.metadata
        message = f"Successfully assigned {meta.namespace}/{meta.name} to {action.node}"
        return Event(
            target=action.target, type="Normal", reason="Scheduled", message=message, source="default-scheduler"
        )
    if isinstance(action, BindClaim):
        return None
    if isinstance(action, Create | Update) and isinstance(action.object, ReplicaSet):
        before = action.before if isinstance(action, Update) else None
        return _scaled(before if isinstance(before, ReplicaSet) else None, action.object)
    if not isinstance(action, Create | Delete):
        return None
    obj = action.object if isinstance(action, Create) else action.before
    owner = _controller_of(obj)
    if owner is None or owner.kind not in _SOURCES or action.rule.startswith("garbage"):
        return None
    reason, verb = _VERBS[type(action)]
    message = f"{verb} {action.target.kind.lower()}: {action.target.name}"
    return Event(target=owner, type="Normal", reason=reason, message=message, source=_SOURCES[owner.kind])
