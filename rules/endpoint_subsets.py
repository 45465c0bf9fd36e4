"""The subsets of an Endpoints object, as the endpoints controller packs and truncates them."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from rules.backends import Backend
from rules.port_order import endpoints_order
from state.objects import EndpointAddress, EndpointPort, EndpointSubset, replace

#: More addresses than these are not listed in one Endpoints object.
MAX_ADDRESSES = 1000


def subsets_of(backends: Iterable[Backend]) -> tuple[EndpointSubset, ...]:
    """One subset for all ports that the same addresses offer."""
    by_ports: dict[tuple[EndpointPort, ...], list[Backend]] = {}
    for backend in backends:
        if backend.address is not None:
            by_ports.setdefault(backend.ports.of_endpoints, []).append(backend)
    subsets = tuple(_subset(ports, offering) for ports, offering in by_ports.items())
    return repacked(subsets) if len(subsets) > 1 else subsets


def _subset(ports: tuple[EndpointPort, ...], backends: Iterable[Backend]) -> EndpointSubset:
    ready: list[EndpointAddress] = []
    not_ready: list[EndpointAddress] = []
    for backend in backends:
        assert backend.address is not None
        (ready if backend.address_ready else not_ready).append(backend.address)
    ready.sort(key=_by_address)
    not_ready.sort(key=_by_address)
    return EndpointSubset(addresses=tuple(ready), not_ready_addresses=tuple(not_ready), ports=ports)


def repacked(subsets: Iterable[EndpointSubset]) -> tuple[EndpointSubset, ...]:
    """The same in the canonical form (RepackSubsets): ports that the same addresses offer are together, no address is
    there twice, and one that is both ready and not ready for a port is not ready.
    """
    addresses: dict[tuple[str, str], EndpointAddress] = {}
    offered: dict[EndpointPort | None, dict[tuple[str, str], bool]] = {}
    for subset in subsets:
        for port in subset.ports or (None,):
            ready = offered.setdefault(port, {})
            for address in subset.addresses:
                ready.setdefault(_by_address(address), True)
            ready |= dict.fromkeys(map(_by_address, subset.not_ready_addresses), False)
        for address in (*subset.addresses, *subset.not_ready_addresses):
            addresses.setdefault(_by_address(address), address)
    ports_of: dict[tuple[tuple[tuple[str, str], bool], ...], list[EndpointPort]] = {}
    for port, ready in offered.items():
        if ready:
            ports_of.setdefault(tuple(sorted(ready.items())), []).extend([] if port is None else [port])
    packed = (
        EndpointSubset(
            addresses=tuple(addresses[key] for key, ready in who if ready),
            not_ready_addresses=tuple(addresses[key] for key, ready in who if not ready),
            ports=tuple(sorted(ports, key=endpoints_order)),
        )
        for who, ports in ports_of.items()
    )
    return tuple(sorted(packed, key=lambda subset: [endpoints_order(port) for port in subset.ports]))


def _by_address(address: EndpointAddress) -> tuple[str, str]:
    return address.ip, "" if address.target_ref is None else address.target_ref.uid or ""


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
