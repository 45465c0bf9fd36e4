"""Hand-written Endpoints: mirrored to EndpointSlices, as the endpointslicemirroring controller does; and what becomes
of Endpoints whose service is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.concern import Concern, Touched, itself, note
from rules.context import Context
from rules.endpoint_places import MANAGED_BY, SERVICE_NAME
from rules.endpoint_subsets import repacked
from rules.endpoints import ENDPOINTS_CONTROLLER, ENDPOINTS_MANAGED_BY
from rules.engine import Rule, m
from rules.ownership import controller_ref, controllers
from rules.port_order import slice_order
from rules.ranges import parse_address
from rules.trigger_times import ANNOTATION as TRIGGER_TIME
from state.objects import (
    Endpoint,
    EndpointAddress,
    EndpointConditions,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSlicePort,
    EndpointSubset,
    ObjectMeta,
    Service,
    replace,
)
from state.snapshot import Change, Key
from state.workspace import Workspace

CONTROLLER = "endpointslicemirroring-controller.k8s.io"
#: Of one subset no more addresses than these are mirrored.
MAX_ADDRESSES = 1000
_SOURCE = "endpoint-slice-mirroring-controller"
_SKIP = "endpointslice.kubernetes.io/skip-mirror"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_OWN_ANNOTATIONS = (
    TRIGGER_TIME,
    "kubectl.kubernetes.io/last-applied-configuration",
)


def is_mirrored(endpoints: Endpoints, service: Service | None) -> bool:
    """Whether the Endpoints are the service's own word: it has no selector, and nothing says otherwise."""
    meta = endpoints.metadata
    return (
        service is not None
        and not service.spec.selector
        and meta.labels.get(_SKIP) != "true"
        and _LEADER not in meta.annotations
    )


def mirror_of(endpoints: Endpoints) -> list[EndpointSlice]:
    """The slices, still without names, that say the same: one for each subset and address type."""
    meta = endpoints.metadata
    fresh = ObjectMeta(
        generate_name=f"{meta.name}-",
        namespace=meta.namespace,
        labels={**meta.labels, MANAGED_BY: CONTROLLER, SERVICE_NAME: meta.name},
        annotations={name: text for name, text in meta.annotations.items() if name not in _OWN_ANNOTATIONS},
        owner_references=(controller_ref(endpoints),),
    )
    slices: list[EndpointSlice] = []
    for subset in repacked(endpoints.subsets):
        both = [
            *((address, True) for address in subset.addresses),
            *((address, False) for address in subset.not_ready_addresses),
        ]
        by_family: dict[str, list[Endpoint]] = {}
        for address, ready in both[:MAX_ADDRESSES]:
            found = _endpoint(address, ready=ready)
            by_family.setdefault("IPv6" if ":" in found.addresses[0] else "IPv4", []).append(found)
        slices.extend(
            EndpointSlice(
                metadata=fresh,
                address_type=family,
                ports=tuple(sorted(map(_port, subset.ports), key=slice_order)),
                endpoints=tuple(of_family),
            )
            for family, of_family in sorted(by_family.items())
        )
    return slices


def _endpoint(address: EndpointAddress, *, ready: bool) -> Endpoint:
    parsed = parse_address(address.ip)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return Endpoint(
        addresses=(str(mapped or parsed or address.ip),),
        conditions=EndpointConditions(ready=ready),
        hostname=address.hostname or None,
        node_name=address.node_name,
        target_ref=address.target_ref,
    )


def _port(port: EndpointPort) -> EndpointSlicePort:
    return EndpointSlicePort(
        name=port.name or "", port=port.port, protocol=port.protocol or "TCP", app_protocol=port.app_protocol
    )


def _changes(
    ws: Workspace, endpoints: Endpoints, service: Service | None
) -> tuple[list[EndpointSlice], list[EndpointSlice], list[EndpointSlice]]:
    """The slices to create, to change and to delete. One of the same ports and type is changed, else one of the type
    that would go.
    """
    live = [
        slice_ for slice_ in ws.owned(endpoints, EndpointSlice) if slice_.metadata.labels.get(MANAGED_BY) == CONTROLLER
    ]
    create, update = [], []
    for wanted in mirror_of(endpoints) if is_mirrored(endpoints, service) else ():
        found = next(
            (one for one in live if (one.address_type, one.ports) == (wanted.address_type, wanted.ports)), None
        )
        if found is None:
            create.append(wanted)
            continue
        live.remove(found)
        if not _says(found, wanted):
            # the controller sends what it would create, under the name that is there
            update.append(_renewed(found, wanted, generate_name=None))
    for wanted in tuple(create):
        found = next((one for one in live if one.address_type == wanted.address_type), None)
        if found is not None:
            live.remove(found)
            create.remove(wanted)
            update.append(_renewed(found, wanted, generate_name=wanted.metadata.generate_name))
    return [] if endpoints.metadata.deletion_timestamp is not None else create, update, live


def _says(found: EndpointSlice, wanted: EndpointSlice) -> bool:
    """Whether a slice holds what it should, under the labels and annotations that it should have."""
    same_meta = (found.metadata.labels, found.metadata.annotations) == (
        wanted.metadata.labels,
        wanted.metadata.annotations,
    )
    return same_meta and found.endpoints == wanted.endpoints


def _renewed(found: EndpointSlice, wanted: EndpointSlice, generate_name: str | None) -> EndpointSlice:
    fresh = wanted.metadata
    meta = replace(found.metadata, labels=fresh.labels, annotations=fresh.annotations, generate_name=generate_name)
    result: EndpointSlice = replace(found, metadata=meta, endpoints=wanted.endpoints, ports=wanted.ports)
    return result


def _size(subset: EndpointSubset) -> int:
    return len(subset.addresses) + len(subset.not_ready_addresses)


def _find(ws: Workspace, key: Key) -> tuple[Endpoints | None, Service | None]:
    return ws.find(Endpoints, key.namespace, key.name), ws.find(Service, key.namespace, key.name)


def _mirror(ctx: Context, key: Key, _: Fact) -> None:
    endpoints, service = _find(ctx.ws, key)
    if endpoints is None:
        return
    skipped = sum(max(0, _size(subset) - MAX_ADDRESSES) for subset in repacked(endpoints.subsets))
    if skipped and is_mirrored(endpoints, service):
        message = (
            f"A max of {MAX_ADDRESSES} addresses can be mirrored to EndpointSlices per Endpoints subset. "
            f"{skipped} addresses were skipped"
        )
        ctx.event(key, "TooManyAddressesToMirror", message, warning=True, source=_SOURCE)
    create, update, delete = _changes(ctx.ws, endpoints, service)
    for fresh in create:
        ctx.create(fresh)
    for changed in update:
        ctx.update(changed)
    for superfluous in delete:
        ctx.delete(superfluous)


def _remove(ctx: Context, key: Key, _: Fact) -> None:
    endpoints, _service = _find(ctx.ws, key)
    assert endpoints is not None
    ctx.delete(endpoints)


RULES = (
    Rule(
        name="endpoints-leftover",
        when=(m.service == False) & (m.generated == True),  # noqa: E712 - durable-rules' own expressions
        then=_remove,
        why="Endpoints {name} were made for a service that is gone",
    ),
    Rule(
        name="endpoints-mirror",
        when=(m.mirrored == True) & (m.differing > 0),  # noqa: E712
        then=_mirror,
        why="service {name} has no selector: its Endpoints, with {addresses} addresses, are mirrored to EndpointSlices",
    ),
    Rule(
        name="endpoints-unmirror",
        when=(m.mirrored == False) & (m.differing > 0),  # noqa: E712
        then=_mirror,
        why="Endpoints {name} are not to be mirrored to EndpointSlices any more",
    ),
    Rule(
        name="endpoints-without-service",
        when=(m.service == False) & (m.generated == False),  # noqa: E712
        then=note,
        why="Endpoints {name} are of no use: there is no service of that name",
    ),
)


def _service_touched(ws: Workspace, change: Change) -> Iterable[Key]:
    key = Key("Endpoints", *change.key.ns_name)
    return (key,) if ws.get(key) is not None else ()


def _slice_touched(_: Workspace, change: Change) -> Iterable[Key]:
    return controllers(change, "Endpoints")


class EndpointMirroring(Concern):
    """Keeps EndpointSlices for hand-written Endpoints."""

    name: ClassVar[str] = "endpoint-mirroring"
    subjects: ClassVar[Sequence[str]] = ("Endpoints",)
    rules: ClassVar[Sequence[Rule]] = RULES
    watches: ClassVar[Mapping[str, Touched]] = {
        "Endpoints": itself,
        "Service": _service_touched,
        "EndpointSlice": _slice_touched,
    }

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """Whether the Endpoints are to be mirrored, and how many slices are not as they should be."""
        endpoints, service = _find(ws, key)
        if endpoints is None:
            return None
        return {
            "name": key.name,
            "namespace": key.namespace,
            "service": service is not None,
            "generated": endpoints.metadata.labels.get(ENDPOINTS_MANAGED_BY) == ENDPOINTS_CONTROLLER,
            "mirrored": is_mirrored(endpoints, service),
            "addresses": sum(map(_size, endpoints.subsets)),
            "differing": sum(map(len, _changes(ws, endpoints, service))),
        }
