"""``endpoints.kubernetes.io/last-change-trigger-time``: when that happened for which Endpoints and EndpointSlices were
written last, so that one can measure how long it took until clients knew.

Kubernetes' controllers remember what they have seen of each pod; here it is read off what was published before.
"""

from __future__ import annotations

from collections.abc import Mapping

from rules.endpoint_slices import Arrangement, pod_of
from state.objects import EndpointSlice, ObjectMeta, Pod, Service, replace
from state.times import parse_time
from state.workspace import Workspace

ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"


def triggered(ws: Workspace, service: Service, slices: Mapping[str, EndpointSlice], result: Arrangement) -> str | None:
    """The first time among those at which pods whose endpoints are new, or change, became ready or unready; for a new
    service that of its creation. None if nothing of that kind changes.

    Args:
        ws: where the pods are.
        service: the service.
        slices: its slices as they are, by name.
        result: what is to be done with them.
    """
    if not slices:
        return service.metadata.creation_timestamp
    known = {pod_of(endpoint): endpoint for name in result.update for endpoint in slices[name].endpoints}
    times: list[str | None] = []
    for content in (*result.create, *result.update.values()):
        for endpoint in content.endpoints:
            pod = pod_of(endpoint)
            before = known.get(pod)
            if before is not endpoint and (before is None or replace(before, hints=endpoint.hints) != endpoint):
                times.append(_turned(ws.find(Pod, service.metadata.namespace, pod)))
    return min((at for at in times if at), key=parse_time, default=None)


def _turned(pod: Pod | None) -> str | None:
    """When a pod became ready, or ceased to be."""
    conditions = () if pod is None else pod.status.conditions
    return next((each.last_transition_time for each in conditions if each.type == "Ready"), None)


def stamped(meta: ObjectMeta, at: str | None) -> ObjectMeta:
    """The metadata of what is written for something that happened at a time, if that is known."""
    others = {name: text for name, text in meta.annotations.items() if name != ANNOTATION}
    result: ObjectMeta = replace(meta, annotations=others if at is None else {**others, ANNOTATION: at})
    return result
