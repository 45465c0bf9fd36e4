"""Which EndpointSlices a service has, and in which of them each pod is."""

from __future__ import annotations

from collections.abc import Mapping

from rules.endpoint_slices import pod_of
from state.objects import AnyObject, Endpoint, EndpointSlice
from state.snapshot import Change, NsName

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"


class SlicePlaces:
    """A table over the slices of the endpointslice controller; ``advance`` moves it forward by one change."""

    def __init__(self) -> None:
        self._slices: dict[NsName, dict[str, None]] = {}
        self._places: dict[NsName, dict[str, tuple[str, ...]]] = {}

    def slices(self, service: NsName) -> list[str]:
        """The names of a service's slices, sorted."""
        return sorted(self._slices.get(service, ()))

    def places(self, service: NsName) -> Mapping[str, tuple[str, ...]]:
        """The slices in which a pod has an endpoint, by the pod's name; "" for endpoints that are no pod's."""
        return self._places.get(service, {})

    def advance(self, change: Change) -> list[tuple[NsName, set[str]]]:
        """Takes note of a changed slice; returns the services concerned, with the pods whose endpoints came or went."""
        name = change.key.name
        old, new = _service_of(change.old), _service_of(change.new)
        before, after = _endpoints(change.old), _endpoints(change.new)
        if old is None or new is None or old != new:
            result = []
            if old is not None:
                result.append((old, self._take_out(old, name, set(map(pod_of, before)))))
                self._slices[old].pop(name)
                if not self._slices[old]:
                    del self._slices[old]
            if new is not None:
                self._slices.setdefault(new, {})[name] = None
                result.append((new, self._put_in(new, name, set(map(pod_of, after)))))
            return result
        kept = _kept(change.old, change.new)
        gone = {pod_of(endpoint) for endpoint in before if id(endpoint) not in kept}
        come = {pod_of(endpoint) for endpoint in after if id(endpoint) not in kept}
        self._take_out(old, name, gone - come)
        self._put_in(new, name, come)
        return [(new, gone | come)]

    def _take_out(self, service: NsName, name: str, pods: set[str]) -> set[str]:
        places = self._places.get(service, {})
        for pod in pods:
            left = tuple(place for place in places.get(pod, ()) if place != name)
            if left:
                places[pod] = left
            else:
                places.pop(pod, None)
        if not places:
            self._places.pop(service, None)
        return pods

    def _put_in(self, service: NsName, name: str, pods: set[str]) -> set[str]:
        if pods:
            places = self._places.setdefault(service, {})
            here = (name,)
            for pod in pods:
                others = places.get(pod)
                places[pod] = here if others is None else tuple(sorted({*others, name}))
        return pods


def _kept(old: AnyObject | None, new: AnyObject | None) -> set[int]:
    """The ids of the endpoint objects that are in a slice before and after a change, once, and with the same ports."""
    assert isinstance(old, EndpointSlice)
    assert isinstance(new, EndpointSlice)
    ids = {id(endpoint) for endpoint in new.endpoints}
    if len(ids) < len(new.endpoints) or old.ports != new.ports or old.address_type != new.address_type:
        return set()
    return ids & {id(endpoint) for endpoint in old.endpoints}


def _endpoints(obj: AnyObject | None) -> tuple[Endpoint, ...]:
    return obj.endpoints if isinstance(obj, EndpointSlice) else ()


def _service_of(obj: AnyObject | None) -> NsName | None:
    """The service whose slice this is; None if it is not one of the controller's."""
    if not isinstance(obj, EndpointSlice):
        return None
    labels = obj.metadata.labels
    name = labels.get(SERVICE_NAME)
    return (obj.metadata.namespace, name) if name and labels.get(MANAGED_BY) == CONTROLLER else None
