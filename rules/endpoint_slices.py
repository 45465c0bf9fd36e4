"""How a service's endpoints are spread over EndpointSlices: with as few changed slices as can be.

As the endpointslice controller does it: an endpoint stays where it is; new ones fill the slices that change anyway, the
fullest first; what is left goes into one other slice if it fits, else into new ones. Slices hold endpoints of one
address type that have the same ports.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from state.objects import Endpoint, EndpointSlice, EndpointSlicePort

MAX_ENDPOINTS = 100
#: Address type and ports.
Group = tuple[str, tuple[EndpointSlicePort, ...]]
#: Endpoints by the name of their pod.
Wanted = Mapping[Group, Mapping[str, Endpoint]]


@dataclass(slots=True)
class Content:
    """What a slice is to hold."""

    address_type: str
    ports: tuple[EndpointSlicePort, ...]
    endpoints: list[Endpoint]


@dataclass(slots=True)
class Arrangement:
    """What is to be done with a service's slices; ``update`` and ``delete`` by name."""

    create: list[Content] = field(default_factory=list)
    update: dict[str, Content] = field(default_factory=dict)
    delete: list[str] = field(default_factory=list)


def pod_of(endpoint: Endpoint) -> str:
    """The name of the pod behind an endpoint; "" if there is none."""
    reference = endpoint.target_ref
    return (reference.name or "") if reference is not None and reference.kind == "Pod" else ""


def arrange(
    families: Iterable[str],
    slices: Mapping[str, EndpointSlice],
    touched: Container[str],
    changed: Container[str],
    wanted: Wanted,
) -> Arrangement:
    """Finds a place for the endpoints of changed pods; those of other pods stay.

    Args:
        families: the address types of the service.
        slices: its slices by name, sorted.
        touched: names of the slices that hold an endpoint of a changed pod, or another that is not a pod's.
        changed: names of the pods that may have changed, "" for endpoints of none.
        wanted: the endpoints of the changed pods, as they are to be.
    """
    result = Arrangement()
    served = tuple(families)
    result.delete.extend(name for name, slice_ in slices.items() if slice_.address_type not in served)
    for family in served:
        of_family = {name: slice_ for name, slice_ in slices.items() if slice_.address_type == family}
        part = _Part(family, of_family)
        groups = {ports: dict(endpoints) for (of, ports), endpoints in wanted.items() if of == family}
        part.keep(touched, changed, groups)
        for ports in sorted(groups, key=_order):
            part.place(ports, list(groups[ports].values()))
        part.finish(result)
    return result


class _Part:
    """The slices of one address type."""

    def __init__(self, family: str, slices: Mapping[str, EndpointSlice]) -> None:
        self._family = family
        self._slices = slices
        self._edited: dict[str, Content] = {}
        self._create: list[Content] = []
        self._delete: dict[str, None] = {}

    def keep(
        self,
        touched: Container[str],
        changed: Container[str],
        groups: dict[tuple[EndpointSlicePort, ...], dict[str, Endpoint]],
    ) -> None:
        """Goes through the touched slices: an endpoint that is still wanted there stays, and leaves ``groups``."""
        for name, slice_ in self._slices.items():
            if name in touched:
                kept, same = _kept(slice_.endpoints, changed, groups.get(slice_.ports, {}))
                if kept and not same:
                    self._edited[name] = Content(self._family, slice_.ports, kept)
                elif not kept:
                    self._delete[name] = None
            elif not slice_.endpoints:
                self._delete[name] = None

    def place(self, ports: tuple[EndpointSlicePort, ...], queue: list[Endpoint]) -> None:
        """Finds a place for endpoints that are in no slice yet."""
        edited = [content for _, content in sorted(self._edited.items()) if content.ports == ports]
        for content in sorted(edited, key=lambda content: -len(content.endpoints)):
            queue = _fill(content, queue)
        while queue:
            content = self._roomy(ports, len(queue)) or self._new(ports)
            queue = _fill(content, queue)

    def _roomy(self, ports: tuple[EndpointSlicePort, ...], number: int) -> Content | None:
        """The fullest of the unchanged slices that takes so many more endpoints."""
        best: tuple[int, str] | None = None
        for name, slice_ in self._slices.items():
            if slice_.ports != ports or name in self._edited or name in self._delete:
                continue
            size = len(slice_.endpoints)
            if size + number <= MAX_ENDPOINTS and (best is None or size > best[0]):
                best = (size, name)
        if best is None:
            return None
        content = Content(self._family, ports, list(self._slices[best[1]].endpoints))
        self._edited[best[1]] = content
        return content

    def _new(self, ports: tuple[EndpointSlicePort, ...]) -> Content:
        content = Content(self._family, ports, [])
        self._create.append(content)
        return content

    def finish(self, result: Arrangement) -> None:
        """Leaves one empty slice if there is nothing, and gives slices that would go to what would be made."""
        if not self._create and len(self._delete) == len(self._slices):
            empty = next((name for name in self._delete if _is_placeholder(self._slices[name])), None)
            if empty is None:
                self._new(())
            else:
                del self._delete[empty]
        result.update |= self._edited
        for name in self._delete:
            if self._create:
                result.update[name] = self._create.pop()
            else:
                result.delete.append(name)
        result.create.extend(self._create)


def _kept(
    endpoints: tuple[Endpoint, ...], changed: Container[str], wanted: dict[str, Endpoint]
) -> tuple[list[Endpoint], bool]:
    """The endpoints that stay in a slice, and whether all do, as they are. What stays is taken out of ``wanted``."""
    kept, same = [], True
    for endpoint in endpoints:
        pod = pod_of(endpoint)
        if pod not in changed:
            kept.append(endpoint)
            continue
        now = wanted.get(pod)
        if now is None or now.addresses != endpoint.addresses or now.target_ref != endpoint.target_ref:
            same = False
            continue
        del wanted[pod]
        same = same and now == endpoint
        kept.append(now)
    return kept, same


def _fill(content: Content, queue: list[Endpoint]) -> list[Endpoint]:
    """Fills a slice up; returns what doesn't fit."""
    room = MAX_ENDPOINTS - len(content.endpoints)
    content.endpoints.extend(queue[:room])
    return queue[room:]


def _is_placeholder(slice_: EndpointSlice) -> bool:
    return not slice_.endpoints and not slice_.ports


def _order(ports: tuple[EndpointSlicePort, ...]) -> tuple[tuple[str, int, str], ...]:
    return tuple((port.name or "", port.port or 0, port.protocol or "") for port in ports)
