"""ServiceCIDRs: ready for use, and kept as long as any cluster IP comes from them alone; as kube-controller-manager's
service-cidr controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from rules.actions import Fact
from rules.address_objects import (
    IP_ADDRESS,
    READY,
    SERVICE_CIDR,
    conditions_of,
    is_managed,
    ranges_of,
    service_cidrs,
)
from rules.concern import Touched, wait
from rules.context import SECOND, Context
from rules.engine import Rule, m
from rules.methods import MethodConcern
from rules.ranges import AddressRange
from state.objects import AnyObject, CustomObject, Opaque, replace
from state.snapshot import Change, Key
from state.times import format_time, parse_time
from state.workspace import Workspace

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
#: So long one that is deleted stays, for servers to hear of it and allocate from it no more (deletionGracePeriod).
_GRACE = 10 * SECOND
_READY: dict[str, str] = {
    "type": READY,
    "status": "True",
    "reason": "",
    "message": "Kubernetes Service CIDR is ready",
}
_BLOCKED: dict[str, str] = {
    "type": READY,
    "status": "False",
    "reason": "Terminating",
    "message": "There are still IPAddresses referencing the ServiceCIDR, "
    "please remove them or create a new ServiceCIDR",
}


class ServiceCidrs(MethodConcern):
    """Looks after the finalizer and the condition of each ServiceCIDR."""

    name: ClassVar[str] = "service-cidrs"
    subjects: ClassVar[Sequence[str]] = (SERVICE_CIDR,)

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """ServiceCIDRs, which may stand in for each other, and the addresses that come from them."""
        return {SERVICE_CIDR: _overlapping, IP_ADDRESS: _containing}

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """What the ServiceCIDR lacks, or whether it can go."""
        cidr = ws.get(key)
        if not isinstance(cidr, CustomObject):
            return None
        deleted, is_kept = cidr.metadata.deletion_timestamp, FINALIZER in cidr.metadata.finalizers
        is_needed = deleted is None or _is_needed(ws, cidr)
        at = 0 if deleted is None else parse_time(deleted) + _GRACE
        return {
            "name": key.name,
            "unprotected": deleted is None and not is_kept,
            "unready": deleted is None and not _tells(cidr, _READY),
            "blocked": deleted is not None and is_needed and not _tells(cidr, _BLOCKED),
            "goes": is_kept and not is_needed and at <= now,
            "ends": is_kept and not is_needed and at > now,
            "wake_at": at,
        }

    def _protect(self, ctx: Context, key: Key, _: Fact) -> None:
        cidr = _cidr(ctx.ws, key)
        finalizers = (*cidr.metadata.finalizers, FINALIZER)
        ctx.update(replace(cidr, metadata=replace(cidr.metadata, finalizers=finalizers)))

    def _tell_ready(self, ctx: Context, key: Key, _: Fact) -> None:
        self._tell(ctx, key, _READY)

    def _tell_blocked(self, ctx: Context, key: Key, _: Fact) -> None:
        self._tell(ctx, key, _BLOCKED)

    def _tell(self, ctx: Context, key: Key, told: dict[str, str]) -> None:
        cidr = _cidr(ctx.ws, key)
        others = [each for each in conditions_of(cidr) if each.get("type") != READY]
        condition = {**told, "lastTransitionTime": format_time(ctx.now)}
        status: dict[str, Any] = {**(cidr.body.value.get("status") or {}), "conditions": [*others, condition]}
        ctx.update_status(replace(cidr, body=Opaque({**cidr.body.value, "status": status})))

    def _let_go(self, ctx: Context, key: Key, _: Fact) -> None:
        cidr = _cidr(ctx.ws, key)
        finalizers = tuple(each for each in cidr.metadata.finalizers if each != FINALIZER)
        ctx.update(replace(cidr, metadata=replace(cidr.metadata, finalizers=finalizers)))

    rules: ClassVar[Sequence[Rule]] = (
        Rule(
            name="service-cidr-protect",
            when=m.unprotected == True,  # noqa: E712 - durable-rules' own expressions
            then=_protect,
            why="{name} is not to go while addresses come from it",
        ),
        Rule(
            name="service-cidr-ready",
            when=m.unready == True,  # noqa: E712
            then=_tell_ready,
            why="addresses may come from {name}",
        ),
        Rule(
            name="service-cidr-blocked",
            when=m.blocked == True,  # noqa: E712
            then=_tell_blocked,
            why="{name} is deleted, and addresses come from it still",
        ),
        Rule(
            name="service-cidr-end",
            when=m.goes == True,  # noqa: E712
            then=_let_go,
            why="{name} is deleted, and no address comes from it alone",
        ),
        Rule(
            name="service-cidr-ends",
            when=m.ends == True,  # noqa: E712
            then=wait,
            why="{name} is deleted, and goes when all servers have heard of it",
        ),
    )


def _cidr(ws: Workspace, key: Key) -> CustomObject:
    found = ws.get(key)
    assert isinstance(found, CustomObject)
    return found


def _tells(cidr: CustomObject, told: dict[str, str]) -> bool:
    """Whether a condition of the ServiceCIDR says so."""
    return any(told.items() <= each.items() for each in conditions_of(cidr))


def _is_needed(ws: Workspace, cidr: CustomObject) -> bool:
    """Whether an address that is given away comes from this ServiceCIDR and from no other one (canDeleteCIDR)."""
    own = ranges_of(cidr)
    others = [
        each for found in service_cidrs(ws) if found.metadata.name != cidr.metadata.name for each in ranges_of(found)
    ]
    if all(any(_includes(other, each) for other in others) for each in own):
        return False

    def is_alone(address: str) -> bool:
        """Whether this one has it, and no other one."""
        return any(each.number(address) is not None for each in own) and all(
            other.number(address) is None for other in others
        )

    records = (ws.get(Key(IP_ADDRESS, *place)) for place in ws.table(IP_ADDRESS))
    return any(is_managed(each) and is_alone(each.metadata.name) for each in records if each is not None)


def _has(cidr: CustomObject, address: str) -> bool:
    return any(each.number(address) is not None for each in ranges_of(cidr))


def _includes(outer: AddressRange, inner: AddressRange) -> bool:
    if outer.network.version != inner.network.version:
        return False
    return outer.network.overlaps(inner.network) and outer.network.prefixlen <= inner.network.prefixlen


def _overlapping(ws: Workspace, change: Change) -> Iterable[Key]:
    """A changed ServiceCIDR is due, and all that have addresses in common with one that comes or goes."""
    if change.new is not None:
        yield change.key
    if change.new is None or change.old is None:
        changed = ranges_of(change.new or change.old)
        for cidr in service_cidrs(ws):
            if any(_overlap(each, other) for each in ranges_of(cidr) for other in changed):
                yield Key.of(cidr)


def _overlap(one: AddressRange, other: AddressRange) -> bool:
    return one.network.version == other.network.version and one.network.overlaps(other.network)


def _containing(ws: Workspace, change: Change) -> Iterable[Key]:
    """An address that comes or goes may be what keeps those ServiceCIDRs that are being deleted."""
    record: AnyObject | None = change.new or change.old
    if record is None or not is_managed(record) or (change.new is not None and change.old is not None):
        return
    for cidr in service_cidrs(ws):
        if cidr.metadata.deletion_timestamp and _has(cidr, record.metadata.name):
            yield Key.of(cidr)
