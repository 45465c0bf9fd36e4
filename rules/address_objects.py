"""ServiceCIDRs and IPAddresses: where cluster IPs may come from, and which ones are given away to whom.

They are an API server's books. It writes an IPAddress for every cluster IP before it stores the Service, so that no two
servers give one away twice. A plan makes none: what it allocates is in the Service, nothing that it decides goes by a
copy of that, and it would have one more action for every Service. IPAddresses and ServiceCIDRs that it is given count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from rules.ranges import AddressRange
from state.objects import AnyObject, CustomObject, ObjectMeta, Opaque, Service
from state.snapshot import Key
from state.workspace import Workspace

_GROUP = "networking.k8s.io"
#: Their names in a snapshot.
IP_ADDRESS, SERVICE_CIDR = f"IPAddress.{_GROUP}", f"ServiceCIDR.{_GROUP}"
READY = "Ready"
_FAMILY, _MANAGER = "ipaddress.kubernetes.io/ip-family", "ipaddress.kubernetes.io/managed-by"
#: Who manages what API servers write.
_ALLOCATOR = "ipallocator.k8s.io"
#: Nothing is allocated from larger ranges of IPv6 addresses (NewIPAllocator).
_SHORTEST_PREFIX = 64


def ip_address(address: str, service: Key) -> CustomObject:
    """The record of a cluster IP; the address is in its canonical form."""
    parent = {"resource": "services", "namespace": service.namespace, "name": service.name}
    return CustomObject(
        api_version=f"{_GROUP}/v1",
        kind="IPAddress",
        metadata=ObjectMeta(name=address, labels=_labels(address)),
        body=Opaque({"spec": {"parentRef": parent}}),
    )


def address_key(address: str) -> Key:
    """Where the record of an address is."""
    return Key(IP_ADDRESS, "", address)


def _labels(address: str) -> dict[str, str]:
    return {_FAMILY: "IPv6" if ":" in address else "IPv4", _MANAGER: _ALLOCATOR}


def is_managed(record: AnyObject) -> bool:
    """Whether it says that an API server wrote it: only those are tidied up."""
    return record.metadata.labels.get(_MANAGER) == _ALLOCATOR


def is_labelled(record: AnyObject) -> bool:
    """Whether it has the labels of one that an API server wrote."""
    return _labels(record.metadata.name).items() <= record.metadata.labels.items()


def parent_of(record: AnyObject | None) -> dict[str, str]:
    """What an address was given to: group, resource, namespace and name, "" where it doesn't say."""
    spec = record.body.value.get("spec") if isinstance(record, CustomObject) else None
    found: dict[str, Any] = (spec or {}).get("parentRef") or {}
    return {field: found.get(field) or "" for field in ("group", "resource", "namespace", "name")}


def service_of(record: AnyObject | None) -> Key | None:
    """The Service that an address was given to, whether it exists or not; None if it was given to something else."""
    parent = parent_of(record)
    if parent["group"] or parent["resource"] != "services":
        return None
    return Key(Service.kind, parent["namespace"], parent["name"])


# -- ranges ------------------------------------------------------------------------------------------------------------


def service_cidrs(ws: Workspace) -> Iterator[CustomObject]:
    """All ServiceCIDRs, sorted by name."""
    for key in sorted(ws.table(SERVICE_CIDR)):
        found = ws.get(Key(SERVICE_CIDR, *key))
        assert isinstance(found, CustomObject)
        yield found


def ranges_of(cidr: AnyObject | None) -> tuple[AddressRange, ...]:
    """The ranges of a ServiceCIDR. What is none is left out, as by Kubernetes: validation lets none in."""
    spec = cidr.body.value.get("spec") if isinstance(cidr, CustomObject) else None
    found = map(_parsed, (spec or {}).get("cidrs") or ())
    return tuple(each for each in found if each is not None)


@lru_cache(maxsize=256)
def _parsed(text: str) -> AddressRange | None:
    try:
        return AddressRange.parse(text)
    except ValueError:
        return None


def conditions_of(cidr: CustomObject) -> list[dict[str, Any]]:
    """The conditions of a ServiceCIDR."""
    return (cidr.body.value.get("status") or {}).get("conditions") or []


def is_ready(cidr: CustomObject) -> bool:
    """Whether addresses may be allocated from a ServiceCIDR; one of which nobody says so may be used."""
    said = next((each.get("status") for each in conditions_of(cidr) if each.get("type") == READY), "True")
    return said == "True" and cidr.metadata.deletion_timestamp is None


def usable_ranges(ws: Workspace, own: Sequence[AddressRange]) -> dict[str, list[AddressRange]]:
    """What cluster IPs come from, by family, in order: an API server's ``own`` ranges and those of all ServiceCIDRs. A
    range is used if any ServiceCIDR that has it is ready; one of its own is, before it has any.
    """
    ready: dict[AddressRange, bool] = dict.fromkeys(own, False)
    named = set[AddressRange]()
    for cidr in service_cidrs(ws):
        for each in ranges_of(cidr):
            named.add(each)
            ready[each] = ready.get(each, False) or is_ready(cidr)
    usable: dict[str, list[AddressRange]] = {each.family: [] for each in own}
    for each, is_usable in ready.items():
        is_small = each.network.version == 4 or each.network.prefixlen >= _SHORTEST_PREFIX
        if each.family in usable and is_small and (is_usable or each not in named):
            usable[each.family].append(each)
    return usable
