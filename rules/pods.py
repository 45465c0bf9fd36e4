"""What controllers ask about a pod: does it count, is it ready and since when; and how a template becomes a pod."""

from __future__ import annotations

from rules.admission import admit_pod
from state.defaults import default
from state.objects import (
    AnyObject,
    ObjectMeta,
    OwnerReference,
    Pod,
    PodCondition,
    PodStatus,
    PodTemplateSpec,
    replace,
)
from state.times import SECOND, format_time, parse_time
from state.workspace import Workspace

#: The condition of a pod that goes for no fault of its own.
DISRUPTION = "DisruptionTarget"
_FINISHED = ("Succeeded", "Failed")


def is_finished(pod: Pod) -> bool:
    """Whether all containers have ended for good."""
    return pod.status.phase in _FINISHED


def is_active(pod: Pod) -> bool:
    """Whether the pod counts as a replica: neither finished nor about to go."""
    return pod.metadata.deletion_timestamp is None and pod.status.phase not in _FINISHED


def ready_since(status: PodStatus) -> str | None:
    """Since when the pod is ready, as written ("" if that isn't known); None if it isn't ready."""
    for condition in status.conditions:
        if condition.type == "Ready":
            return (condition.last_transition_time or "") if condition.status == "True" else None
    return None


def is_ready(pod: Pod) -> bool:
    """Whether the pod's Ready condition is true."""
    return ready_since(pod.status) is not None


def available_at(since: str, min_ready_seconds: int) -> int | None:
    """When a pod that is ready since then becomes available (µs); None if that can't be said.

    Without ``minReadySeconds`` ready is available, at once.
    """
    if not min_ready_seconds:
        return 0
    return parse_time(since) + min_ready_seconds * SECOND if since else None


def disrupted(pod: Pod, reason: str, message: str, now: int) -> Pod:
    """The pod, saying why it is about to be deleted; ``podFailurePolicy`` and the scheduler go by it."""
    condition = PodCondition(
        type=DISRUPTION,
        status="True",
        reason=reason,
        message=message,
        last_transition_time=format_time(now),
        observed_generation=pod.metadata.generation,
    )
    others = tuple(other for other in pod.status.conditions if other.type != DISRUPTION)
    return replace(pod, status=replace(pod.status, conditions=(*others, condition)))


def pod_from_template(
    ws: Workspace, template: PodTemplateSpec | None, owner: AnyObject, ref: OwnerReference, name: str = ""
) -> Pod:
    """The pod that a controller creates: the template's metadata and spec, owned by ``owner``, after the API server's
    defaults and admission. Any number of pods may be created from it; they share its parts. ``name`` is the one by
    which a refusal calls it; most have none yet.
    """
    template = template or PodTemplateSpec()
    meta = ObjectMeta(
        name=name,
        generate_name=owner.metadata.name + "-",
        namespace=owner.metadata.namespace,
        labels=template.metadata.labels,
        annotations=template.metadata.annotations,
        finalizers=template.metadata.finalizers,
        owner_references=(ref,),
    )
    pod = default(Pod(metadata=meta, spec=template.spec))
    assert isinstance(pod, Pod)
    return admit_pod(ws, pod)
