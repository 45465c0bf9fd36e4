"""Zone hints of services with ``service.kubernetes.io/topology-mode: Auto``: each zone gets endpoints in proportion to
the CPU of its nodes, as k8s.io/endpointslice/topologycache does it.

An endpoint serves its own zone, but for those that zones with too many give to zones with too few. Where that is
impossible without overloading some by more than a fifth, there are no hints at all. Slices that need no change keep the
hints that they have as long as these are possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import ceil
from typing import NamedTuple

from rules.backends import ZONE, ServiceView
from rules.context import Context
from rules.endpoint_slices import Arrangement, Content, Wanted, pod_of
from state import quantity
from state.objects import Endpoint, EndpointHints, EndpointSlice, ForZone, Node, Service, replace
from state.snapshot import Change, Key, NsName
from state.workspace import Workspace

ENABLED, DISABLED = "Topology Aware Hints has been enabled", "Topology Aware Hints has been disabled"
NO_ZONE = "One or more endpoints do not have a zone specified"
NO_HINTS = "No hints allocated for zones"
NO_NODE_INFO = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
TOO_FEW = "Insufficient number of endpoints"
OVERLOADED = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"
#: By how much an endpoint may have more to do than its share.
_OVERLOAD_THRESHOLD = 0.2
_HALF = 0.5
_SOURCE = "endpoint-slice-controller"
#: Nodes with these labels run no clients.
_EXCLUDED = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


class Allocation(NamedTuple):
    """How many endpoints a zone is to have."""

    minimum: int
    maximum: int
    desired: float


# -- what the zones are worth ------------------------------------------------------------------------------------------


class TopologyHints:
    """The hints of all services that ask for them, and each zone's share of the CPU for as long as one does."""

    def __init__(self) -> None:
        self._asking: dict[NsName, None] = {}
        self._given: set[NsName] = set()
        self._ratios: Mapping[str, float] | None = None

    def follow(self, service: NsName, *, asks: bool) -> None:
        """Takes note of whether a service asks for hints."""
        if not asks:
            self._asking.pop(service, None)
            return
        if not self._asking:
            self._ratios = None
        self._asking[service] = None

    def forget(self, service: NsName) -> None:
        """The service is gone."""
        self._asking.pop(service, None)
        self._given.discard(service)

    def advance(self, change: Change) -> list[NsName]:
        """Takes note of a changed node; returns the services to which it makes a difference."""
        if not self._asking or _worth(change.old) == _worth(change.new):
            return []
        self._ratios = None
        return list(self._asking)

    def give(
        self, ws: Workspace, view: ServiceView, slices: Mapping[str, EndpointSlice], result: Arrangement
    ) -> dict[str, str]:
        """Gives a service's endpoints hints if it asks for them: ``hint`` for each address type, and its answers."""
        if not view.by_topology:
            return {}
        if self._ratios is None:
            self._ratios = cpu_ratios(ws.objects(Node))
        return {family: hint(result, slices, family, self._ratios) for family in view.families}

    def tell(self, ctx: Context, view: ServiceView, outcomes: Mapping[str, str], *, news: bool) -> None:
        """Records the events of hints that come and go; ``news``: something was written."""
        service = (view.namespace, view.name)
        if not outcomes and service in self._given:
            outcomes = {view.families[0]: DISABLED}
        for family, why in outcomes.items():
            if news and (why or service not in self._given):
                reason = "TopologyAwareHintsDisabled" if why else "TopologyAwareHintsEnabled"
                message = f"{why or ENABLED}, addressType: {family}"
                ctx.event(Key(Service.kind, *service), reason, message, warning=bool(why), source=_SOURCE)
            if why:
                self._given.discard(service)
            else:
                self._given.add(service)


def _worth(obj: object) -> tuple[str, int] | None:
    """A node's zone and CPU in thousandths; None for one that doesn't count."""
    if not isinstance(obj, Node) or any(label in obj.metadata.labels for label in _EXCLUDED):
        return None
    ready = next((condition.status for condition in obj.status.conditions if condition.type == "Ready"), "")
    if ready != "True":
        return None
    return obj.metadata.labels.get(ZONE, ""), quantity.milli(obj.status.allocatable.get("cpu", 0))


def cpu_ratios(nodes: Iterable[Node]) -> dict[str, float]:
    """The share of each zone; empty if there is but one, or if a node's zone or CPU isn't known."""
    cpu: Counter[str] = Counter()
    for node in nodes:
        worth = _worth(node)
        if worth is None:
            continue
        if not all(worth):
            return {}
        cpu[worth[0]] += worth[1]
    total = cpu.total()
    return {zone: cpu[zone] / total for zone in sorted(cpu)} if len(cpu) > 1 else {}


def allocations(ratios: Mapping[str, float], endpoints: int) -> dict[str, Allocation] | str:
    """What each zone is to have of so many ready endpoints; or why that is impossible."""
    if not ratios:
        return NO_NODE_INFO
    counts = f"({endpoints} endpoints, {len(ratios)} zones)"
    if len(ratios) > endpoints:
        return f"{TOO_FEW} {counts}"
    desired = {zone: ratio * endpoints for zone, ratio in ratios.items()}
    minimum = {zone: ceil(number * (1 / (1 + _OVERLOAD_THRESHOLD))) for zone, number in desired.items()}
    spare = endpoints - sum(minimum.values())
    if spare < 0:
        return f"{OVERLOADED} {counts}"
    return {zone: Allocation(least, least + spare, max(desired[zone], float(least))) for zone, least in minimum.items()}


# -- who serves which zone ---------------------------------------------------------------------------------------------


def with_hints_of(wanted: Wanted, slices: Iterable[EndpointSlice]) -> Wanted:
    """The wanted endpoints with the hints that they have: those alone are no reason to change a slice."""
    present = {
        (slice_.address_type, pod_of(endpoint)): endpoint.hints for slice_ in slices for endpoint in slice_.endpoints
    }
    return {
        (family, ports): {
            pod: replace(endpoint, hints=present.get((family, pod))) if _is_ready(endpoint) else endpoint
            for pod, endpoint in endpoints.items()
        }
        for (family, ports), endpoints in wanted.items()
    }


def hint(result: Arrangement, slices: Mapping[str, EndpointSlice], family: str, ratios: Mapping[str, float]) -> str:
    """Gives hints to a service's endpoints of one address type, or takes them away.

    Args:
        result: what is to be done with its slices; those that need other hints come to it.
        slices: its slices by name.
        family: the address type.
        ratios: the share of each zone.

    Returns:
        Why there are no hints; "" if there are.
    """
    changing = [*(one for one in result.create if one.address_type == family)]
    changing += [one for _, one in sorted(result.update.items()) if one.address_type == family]
    unchanged = {
        name: slice_
        for name, slice_ in sorted(slices.items())
        if slice_.address_type == family and name not in result.update and name not in result.delete
    }
    ready = sum(map(_is_ready, _all(changing, unchanged)))
    wanted = allocations(ratios, ready)
    if isinstance(wanted, str):
        return _without_hints(result, changing, unchanged, wanted)
    given: Counter[str] = Counter()
    for name, slice_ in tuple(unchanged.items()):
        present = _possible(slice_, given, wanted)
        if present is None:
            changing.append(_change(result, name, unchanged.pop(name)))
        else:
            given += present
    if any(_is_ready(endpoint) and not endpoint.zone for endpoint in _all(changing, {})):
        return _without_hints(result, changing, unchanged, NO_ZONE)
    for content in changing:
        for index, endpoint in enumerate(content.endpoints):
            content.endpoints[index] = _for_zone(endpoint, endpoint.zone if _is_ready(endpoint) else None)
    given.update(endpoint.zone or "" for endpoint in _all(changing, {}) if _is_ready(endpoint))
    _redistribute(changing, *rebalance(wanted, given))
    return "" if given else _without_hints(result, changing, unchanged, NO_HINTS)


def _all(changing: Iterable[Content], unchanged: Mapping[str, EndpointSlice]) -> Iterator[Endpoint]:
    for content in changing:
        yield from content.endpoints
    for slice_ in unchanged.values():
        yield from slice_.endpoints


def _is_ready(endpoint: Endpoint) -> bool:
    return endpoint.conditions is not None and endpoint.conditions.ready is True


def _for_zone(endpoint: Endpoint, zone: str | None) -> Endpoint:
    hints = None if zone is None else EndpointHints(for_zones=(ForZone(name=zone),))
    result: Endpoint = endpoint if endpoint.hints == hints else replace(endpoint, hints=hints)
    return result


def _change(result: Arrangement, name: str, slice_: EndpointSlice) -> Content:
    content = result.update[name] = Content(slice_.address_type, slice_.ports, list(slice_.endpoints))
    return content


def _without_hints(
    result: Arrangement, changing: Iterable[Content], unchanged: Mapping[str, EndpointSlice], why: str
) -> str:
    hinted = [_change(result, name, one) for name, one in unchanged.items() if any(e.hints for e in one.endpoints)]
    for content in (*changing, *hinted):
        content.endpoints[:] = [_for_zone(endpoint, None) for endpoint in content.endpoints]
    return why


def _possible(slice_: EndpointSlice, given: Mapping[str, int], wanted: Mapping[str, Allocation]) -> Counter[str] | None:
    """The number of hints for each zone in a slice; None if it can't stay as it is: a ready endpoint has no hint, or
    one for a zone that needs none or has enough.
    """
    found: Counter[str] = Counter()
    for endpoint in filter(_is_ready, slice_.endpoints):
        if endpoint.hints is None or not endpoint.hints.for_zones:
            return None
        found.update(zone.name for zone in endpoint.hints.for_zones)
    for zone, number in found.items():
        if zone not in wanted or number + given.get(zone, 0) > wanted[zone].maximum:
            return None
    return found


def rebalance(wanted: Mapping[str, Allocation], given: Mapping[str, int]) -> tuple[Counter[str], Counter[str]]:
    """How many endpoints each zone gives to others, and how many it receives."""
    excess = {zone: given.get(zone, 0) - one.desired for zone, one in sorted(wanted.items())}
    surplus = {zone: number for zone, number in excess.items() if number > 0}
    lack = {zone: -number for zone, number in excess.items() if number < 0}
    giving: Counter[str] = Counter()
    receiving: Counter[str] = Counter()
    while surplus and lack:
        giver, receiver = max(surplus, key=surplus.__getitem__), max(lack, key=lack.__getitem__)
        most = (surplus[giver], lack[receiver])
        if min(most) < _HALF or max(most) < 1:  # half an endpoint is not worth another zone
            break
        giving[giver] += 1
        receiving[receiver] += 1
        surplus[giver] -= 1
        lack[receiver] -= 1
    return giving, receiving


def _redistribute(changing: Iterable[Content], giving: Counter[str], receiving: Counter[str]) -> None:
    """Has endpoints serve the zones that are to receive some."""
    receivers = iter(sorted(receiving.elements()))
    for content in changing:
        for index, endpoint in enumerate(content.endpoints):
            zone = endpoint.zone or ""
            if giving[zone] > 0 and _is_ready(endpoint):
                receiver = next(receivers, None)
                if receiver is None:
                    return
                giving[zone] -= 1
                content.endpoints[index] = _for_zone(endpoint, receiver)
