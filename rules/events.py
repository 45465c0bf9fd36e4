"""The Events that Kubernetes' own controllers record for an action, in their words."""

from __future__ import annotations

from rules.actions import Action, Bind, BindClaim, Create, Delete, Event, Update
from rules.admission import ForbiddenError
from rules.scheduling.pods import scheduler_of
from state.objects import (
    AnyObject,
    ControllerRevision,
    Deployment,
    Endpoints,
    EndpointSlice,
    PersistentVolumeClaim,
    ReplicaSet,
    Service,
    StatefulSet,
    controller_of,
)
from state.snapshot import Key

#: Reasons of the events, and conditions, of what couldn't be created.
FAILED_CREATE = "FailedCreate"
FAILED_SET = "ReplicaSetCreateError"
_DEPLOYMENT_SOURCE = "deployment-controller"
#: Who reports what it creates and deletes: by kind its name as a source of events, and how its rules' names begin. What
#: others do to its objects (a user, the garbage collector, the scheduler) is none of its events.
_REPORTERS = {
    "CronJob": ("cronjob-controller", "cronjob-"),
    "DaemonSet": ("daemonset-controller", "daemonset-"),
    "Job": ("job-controller", "job-"),
    "ReplicaSet": ("replicaset-controller", "replication-"),
    "ReplicationController": ("replication-controller", "replication-"),
    "StatefulSet": ("statefulset-controller", "statefulset-"),
}
#: The rule by which a StatefulSet puts right what its pods are known by.
_MENDING = "statefulset-mend"
#: What they report on: not on the revisions that they keep.
_REPORTED = ("Job", "Pod")
_VERBS = {Create: ("SuccessfulCreate", "Created"), Delete: ("SuccessfulDelete", "Deleted")}


def _controller_of(obj: AnyObject) -> Key | None:
    owner = controller_of(obj)
    return None if owner is None else Key(owner.kind, obj.metadata.namespace, owner.name)


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
    return Event(target=owner, type="Normal", reason="ScalingReplicaSet", message=message, source=_DEPLOYMENT_SOURCE)


def event_of(action: Action) -> Event | None:
    """The event that goes with an action, or None."""
    if isinstance(action, Bind):
        meta = action.object.metadata
        message = f"Successfully assigned {meta.namespace}/{meta.name} to {action.node}"
        return Event(
            target=action.target,
            type="Normal",
            reason="Scheduled",
            message=message,
            source=scheduler_of(action.object),
        )
    if isinstance(action, BindClaim):
        return None
    if isinstance(action, Create | Update) and isinstance(action.object, ReplicaSet):
        before = action.before if isinstance(action, Update) else None
        return _scaled(before if isinstance(before, ReplicaSet) else None, action.object)
    if isinstance(action, Update) and action.rule == _MENDING:
        return _mended(action)
    if not isinstance(action, Create | Delete):
        return None
    obj = action.object if isinstance(action, Create) else action.before
    if isinstance(obj, PersistentVolumeClaim):
        return _claimed(action)
    owner = _controller_of(obj)
    source, rules = _REPORTERS.get(owner.kind if owner is not None else "", ("", ""))
    known = obj.kind in _REPORTED and action.rule.startswith(rules)
    if owner is None or not source or not known or _was_ending(action):
        return None
    reason, verb = _VERBS[type(action)]
    message = f"{verb} {obj.kind.lower()}: {action.target.name}"
    if owner.kind == "CronJob":
        message = f"{verb} job {action.target.name}"
    elif owner.kind == StatefulSet.kind:
        message = f"{action.verb} Pod {action.target.name} in StatefulSet {owner.name} successful"
    return Event(target=owner, type="Normal", reason=reason, message=message, source=source)


def _was_ending(action: Action) -> bool:
    """Whether the action only lets an object go that was deleted before."""
    return isinstance(action, Delete) and action.before.metadata.deletion_timestamp is not None


def _mended(action: Update) -> Event | None:
    """A StatefulSet reports how it puts the labels of its pods right."""
    owner = _controller_of(action.object)
    if owner is None or action.target.kind != "Pod":
        return None
    message = f"update Pod {action.target.name} in StatefulSet {owner.name} successful"
    source, _ = _REPORTERS[StatefulSet.kind]
    return Event(target=owner, type="Normal", reason="SuccessfulUpdate", message=message, source=source)


def _claimed(action: Action) -> Event | None:
    """A StatefulSet reports the claims that it creates."""
    source, rules = _REPORTERS[StatefulSet.kind]
    set_name, claim = action.because.get("name"), action.target
    if not isinstance(action, Create) or not action.rule.startswith(rules):
        return None
    ordinal = claim.name.rpartition("-")[2]
    message = f"create Claim {claim.name} Pod {set_name}-{ordinal} in StatefulSet {set_name} success"
    target = Key(StatefulSet.kind, claim.namespace, str(set_name))
    return Event(target=target, type="Normal", reason="SuccessfulCreate", message=message, source=source)


def failure_of(owner: Key, refusal: ForbiddenError) -> Event | None:
    """What a controller reports when something isn't let in that it makes for ``owner``, or None."""
    if owner.kind == Deployment.kind:
        return Event(
            target=owner,
            type="Warning",
            reason=FAILED_SET,
            message=failed_set(refusal),
            source=_DEPLOYMENT_SOURCE,
        )
    if owner.kind == Service.kind:
        return _unpublished(owner, refusal)
    source, _ = _REPORTERS.get(owner.kind, ("", ""))
    if not source or refusal.kind == ControllerRevision.kind:
        return None
    message = f"Error creating: {refusal}"
    if owner.kind == "CronJob":
        message = f"Error creating job: {refusal}"
    elif owner.kind == StatefulSet.kind:
        made = "Claim" if refusal.kind == PersistentVolumeClaim.kind else "Pod"
        message = f"create {made} {refusal.name} in StatefulSet {owner.name} failed error: {refusal}"
    return Event(target=owner, type="Warning", reason=FAILED_CREATE, message=message, source=source)


def _unpublished(service: Key, refusal: ForbiddenError) -> Event | None:
    """What is said of a service whose pods can't be published."""
    name = f"{service.namespace}/{service.name}"
    if refusal.kind == Endpoints.kind:
        target, reason, source = service._replace(kind=Endpoints.kind), "FailedToCreateEndpoint", "endpoint-controller"
        message = f"Failed to create endpoint for service {name}: {refusal}"
    elif refusal.kind == EndpointSlice.kind:
        target, reason, source = service, "FailedToUpdateEndpointSlices", "endpoint-slice-controller"
        failed = f"failed to create EndpointSlice for Service {name}: {refusal}"
        message = f"Error updating Endpoint Slices for Service {name}: {failed}"
    else:
        return None
    return Event(target=target, type="Warning", reason=reason, message=message, source=source)


def failed_set(refusal: ForbiddenError) -> str:
    """What a Deployment says of a ReplicaSet that wasn't let in."""
    return f'Failed to create new replica set "{refusal.name}": {refusal}'
