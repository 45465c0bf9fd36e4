"""The subsets of an Endpoints object, as the endpoints controller packs and truncates them."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from rules.backends import Backend
from state.objects import EndpointAddress, EndpointPort, EndpointSubset, replace

#: More addresses than these are not listed in one Endpoints object.
MAX_ADDRESSES = 1000


def subsets_of(backends: Iterable[Backend]) -> tuple[EndpointSubset, ...]:
    """One subset for all ports that the same addresses offer."""
    by_ports: dict[tuple[EndpointPort, ...], list[Backend]] = {}
    for backend in backends:
        if backend.address is not None:
            by_ports.setdefault(backend.ports.of_endpoints, []).append(backend)
    if len(by_ports) < 2:
        return tuple(_subset(ports, offering) for ports, offering in by_ports.items())
    by_port: dict[EndpointPort, list[Backend]] = {}
    for ports, offering in by_ports.items():
        for port in ports:
            by_port.setdefault(port, []).extend(offering)
    ports_of: dict[tuple[int, ...], list[EndpointPort]] = {}
    offering_of: dict[tuple[int, ...], list[Backend]] = {}
    for port, offering in by_port.items():
        who = tuple(sorted(map(id, offering)))
        ports_of.setdefault(who, []).append(port)
        offering_of[who] = offering
    packed = (_subset(tuple(sorted(ports, key=_order)), offering_of[who]) for who, ports in ports_of.items())
    return tuple(sorted(packed, key=lambda subset: [_order(port) for port in subset.ports]))


def _subset(ports: tuple[EndpointPort, ...], backends: Iterable[Backend]) -> EndpointSubset:
    ready: list[EndpointAddress] = []
    not_ready: list[EndpointAddress] = []
    for backend in backends:
        assert backend.address is not None
        (ready if backend.address_ready else not_ready).append(backend.address)
    ready.sort(key=_by_address)
    not_ready.sort(key=_by_address)
    return EndpointSubset(addresses=tuple(ready), not_ready_addresses=tuple(not_ready), ports=ports)


def _by_address(address: EndpointAddress) -> tuple[str, str]:
    return address.ip, "" if address.target_ref is None else address.target_ref.uid or ""


def _order(port: EndpointPort) -> tuple[str, str, int]:
    return port.name or "", port.protocol or "", port.port


def truncated(subsets: tuple[EndpointSubset, ...]) -> tuple[EndpointSubset, ...]:
    """The subsets with at most ``MAX_ADDRESSES`` addresses, ready ones first; the same object if there are no more.

    Each subset keeps its share, rounded up; the last one gets what is left.
    """
    ready = sum(len(subset.addresses) for subset in subsets)
    not_ready = sum(len(subset.not_ready_addresses) for subset in subsets)
    if ready + not_ready <= MAX_ADDRESSES:
        return subsets
    crowded = ready > MAX_ADDRESSES
    room, total = (MAX_ADDRESSES, ready) if crowded else (MAX_ADDRESSES - ready, not_ready)
    left = room
    kept = []
    for subset in subsets:
        addresses = subset.addresses if crowded else subset.not_ready_addresses
        share = min(left, ceil(len(addresses) * room / total))
        left -= share
        cut = addresses[:share]
        if crowded:
            kept.append(replace(subset, addresses=cut, not_ready_addresses=()))
        else:
            kept.append(replace(subset, not_ready_addresses=cut))
    return tuple(kept)
