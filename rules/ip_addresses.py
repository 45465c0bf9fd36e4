"""The record of cluster IPs is put right: each has an IPAddress for the Service that has it, and an IPAddress is of a
Service that has it; as kube-apiserver's repair loop (RepairIPAddress).

API servers write IPAddresses themselves, and delete those that a Service gives up. Here it is about Services from
before there were any, about what somebody changed by hand, and about what a server left behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.address_objects import (
    IP_ADDRESS,
    SERVICE_CIDR,
    address_key,
    ip_address,
    is_labelled,
    is_managed,
    parent_of,
    ranges_of,
    service_cidrs,
    service_of,
)
from rules.concern import Touched, wait
from rules.context import SECOND, Context
from rules.engine import Rule, m
from rules.methods import MethodConcern
from rules.service_claims import Claims, addresses_of_service
from state.objects import AnyObject, Service
from state.snapshot import Change, Key
from state.times import parse_time
from state.workspace import Workspace

SOURCE = "ipallocator-repair-controller"
#: How long a Service may take that its address was given to: a request's longest time.
_GRACE = 60 * SECOND
#: The same of one that is there and is only to be changed.
_SHORT_GRACE = 2 * SECOND
# What may be wrong with the address of a Service (the first in the alphabet is put right first), and how that is told:
# with family and address, namespace and name.
_MISSING, _FOREIGN, _MISLABELLED, _OUTSIDE, _TWICE = "missing", "foreign", "mislabelled", "outside", "twice"
_TOLD_OF_SERVICE = {
    _MISSING: ("ClusterIPNotAllocated", "Cluster IP [{0}]: {1} is not allocated; repairing"),
    _FOREIGN: (
        "ClusterIPNotAllocated",
        "the ClusterIP [{0}]: {1} for Service {2}/{3} has a wrong reference; repairing",
    ),
    _OUTSIDE: (
        "ClusterIPOutOfRange",
        "Cluster IP [{0}]: {1} is not within any configured Service CIDR; please recreate service",
    ),
    _TWICE: (
        "ClusterIPAlreadyAllocated",
        "Cluster IP [{0}]:{1} was assigned to multiple services; please recreate service",
    ),
}
# What may be wrong with an IPAddress; the same with the address, namespace and name of its Service.
_CHANGED, _RELEASED, _LEAKED, _WRONG, _EARLY = "changed", "released", "leaked", "wrong", "early"
_TOLD_OF_RECORD = {
    _LEAKED: ("IPAddressNotAllocated", "IPAddress: {0} for Service {1}/{2} appears to have leaked: cleaning up"),
    _WRONG: ("IPAddressWrongReference", "IPAddress: {0} for Service {1}/{2} has a wrong reference; cleaning up"),
}


class IpAddresses(MethodConcern):
    """Compares Services and IPAddresses. Services are left alone before there is any ServiceCIDR."""

    name: ClassVar[str] = "ip-addresses"
    subjects: ClassVar[Sequence[str]] = (IP_ADDRESS, "Service")

    def __init__(self) -> None:
        super().__init__()
        self._claims = Claims()
        #: What Services had that were seen to give it up: nobody has to wait for them.
        self._released: set[Key] = set()

    def attach(self, ws: Workspace) -> None:
        """Begins a table of who has which address."""
        self._released.clear()
        self._claims.attach(ws)

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """Both sides, and the ranges that addresses may come from."""
        return {"Service": self._of_service, IP_ADDRESS: self._of_record, SERVICE_CIDR: self._of_range}

    def _of_service(self, ws: Workspace, change: Change) -> Iterable[Key]:
        if change.new is not None:
            yield change.key
        kept = addresses_of_service(change.new)
        for record in (address_key(each) for each in addresses_of_service(change.old) if each not in kept):
            if ws.get(record) is not None:
                self._released.add(record)
                yield record

    def _of_record(self, _: Workspace, change: Change) -> Iterable[Key]:
        if change.new is None:
            self._released.discard(change.key)
        else:
            yield change.key
        yield from self._claims.services(change.key.name)

    def _of_range(self, ws: Workspace, change: Change) -> Iterable[Key]:
        if ranges_of(change.old) != ranges_of(change.new):
            for place in ws.table(Service.kind):
                yield Key(Service.kind, *place)

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """What is wrong; None if nothing is."""
        obj = ws.get(key)
        if obj is None:
            return None
        if key.kind == IP_ADDRESS:
            return self._fact_of_record(ws, key, obj, now)
        return self._fact_of_service(ws, key, obj) if ws.table(SERVICE_CIDR) else None

    # -- Services ------------------------------------------------------------------------------------------------------

    def _fact_of_service(self, ws: Workspace, key: Key, service: AnyObject) -> Fact | None:
        found = {each: trouble for each in addresses_of_service(service) if (trouble := _trouble(ws, key, each))}
        return {"object": str(key), "trouble": min(found.values()), "wake_at": 0} if found else None

    def _in_trouble(self, ctx: Context, key: Key, trouble: str) -> list[str]:
        """The addresses of a Service that something is wrong with; an event says so."""
        found = [each for each in addresses_of_service(ctx.ws.get(key)) if _trouble(ctx.ws, key, each) == trouble]
        for address in found if trouble in _TOLD_OF_SERVICE else ():
            reason, text = _TOLD_OF_SERVICE[trouble]
            message = text.format("IPv6" if ":" in address else "IPv4", address, key.namespace, key.name)
            ctx.event(key, reason, message, warning=True, source=SOURCE)
        return found

    def _repair(self, ctx: Context, key: Key, fact: Fact) -> None:
        for address in self._in_trouble(ctx, key, str(fact["trouble"])):
            known = ctx.ws.get(address_key(address))
            if known is not None:
                ctx.delete(known)
            if ctx.ws.get(address_key(address)) is None:  # no finalizer holds it
                ctx.create(ip_address(address, key))

    def _complain(self, ctx: Context, key: Key, fact: Fact) -> None:
        """Says what only a new Service can put right."""
        self._in_trouble(ctx, key, str(fact["trouble"]))
        ctx.note()

    # -- IPAddresses ---------------------------------------------------------------------------------------------------

    def _fact_of_record(self, ws: Workspace, key: Key, record: AnyObject, now: int) -> Fact | None:
        service = service_of(record)
        if not is_managed(record) or service in self._claims.of(key.name):
            return None
        trouble, at = _CHANGED, 0
        if service is not None:
            is_there = ws.get(service) is not None
            trouble = _WRONG if is_there else _LEAKED
            at = parse_time(record.metadata.creation_timestamp or "") + (_SHORT_GRACE if is_there else _GRACE)
            if key in self._released:
                trouble, at = _RELEASED, 0
        return {"object": str(key), "trouble": _EARLY if at > now else trouble, "wake_at": at}

    def _clean_up(self, ctx: Context, key: Key, fact: Fact) -> None:
        record = ctx.ws.get(key)
        assert record is not None
        trouble, parent = str(fact["trouble"]), parent_of(record)
        if trouble == _CHANGED:
            shown = ",".join(f"{field.title()}:{value}" for field, value in parent.items())
            text = f"IPAddress {key.name} appears to have been modified, not referencing a Service"
            message = f"{text} &ParentReference{{{shown},}}: cleaning up"
            ctx.event(key, "IPAddressNotAllocated", message, warning=True, source=SOURCE)
        elif trouble in _TOLD_OF_RECORD:
            reason, text = _TOLD_OF_RECORD[trouble]
            message = text.format(key.name, parent["namespace"], parent["name"])
            ctx.event(key, reason, message, warning=True, source=SOURCE)
        ctx.delete(record)

    rules: ClassVar[Sequence[Rule]] = (
        Rule(
            name="ip-address-clean-up",
            when=(m.trouble == _CHANGED) | (m.trouble == _RELEASED) | (m.trouble == _LEAKED) | (m.trouble == _WRONG),
            then=_clean_up,
            why="{object} is of no Service that has it: {trouble}",
        ),
        Rule(
            name="ip-address-repair",
            when=(m.trouble == _MISSING) | (m.trouble == _FOREIGN) | (m.trouble == _MISLABELLED),
            then=_repair,
            why="a cluster IP of {object} has no right IPAddress: {trouble}",
        ),
        Rule(
            name="ip-address-unrepairable",
            when=(m.trouble == _OUTSIDE) | (m.trouble == _TWICE),
            then=_complain,
            why="a cluster IP of {object} can't be its own: {trouble}",
        ),
        Rule(
            name="ip-address-early",
            when=m.trouble == _EARLY,
            then=wait,
            why="{object} may be of a Service that is to be stored",
        ),
    )


def _trouble(ws: Workspace, key: Key, address: str) -> str:
    """What is wrong with the record of an address that a Service has; "" if nothing is."""
    if all(each.number(address) is None for cidr in service_cidrs(ws) for each in ranges_of(cidr)):
        return _OUTSIDE
    record = ws.get(address_key(address))
    if record is None:
        return _MISSING
    service = service_of(record)
    other = None if service is None else ws.get(service)
    if other is None:
        return _FOREIGN
    if service != key and address in addresses_of_service(other):
        return _TWICE
    return "" if is_labelled(record) else _MISLABELLED
