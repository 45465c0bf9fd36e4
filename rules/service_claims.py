"""Who asks for which cluster IPs and node ports, or has them: Services, and IPAddresses as the record of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rules.address_objects import IP_ADDRESS
from rules.ranges import parse_address
from rules.service_fields import has_addresses, is_headless, trimmed
from state.objects import AnyObject, Service, ServiceSpec
from state.snapshot import Change, Key
from state.workspace import Workspace

#: A cluster IP as text, or a node port.
Number = str | int


def addresses_of(spec: ServiceSpec) -> Iterator[str]:
    """The cluster IPs that a spec names, in their canonical form where they have one."""
    if has_addresses(spec) and not is_headless(spec):
        for text in spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ()):
            parsed = parse_address(text)
            yield text if parsed is None else str(parsed)


def addresses_of_service(obj: AnyObject | None) -> tuple[str, ...]:
    """The same of an object: none if it isn't a Service."""
    return tuple(addresses_of(obj.spec)) if isinstance(obj, Service) else ()


def numbers_of(obj: AnyObject | None) -> set[Number]:
    """All numbers that a Service asks for or has, or the one that an IPAddress stands for; numbers that a Service's
    type has no use for don't count.
    """
    if obj is None:
        return set()
    if not isinstance(obj, Service):
        return {obj.metadata.name}
    spec = trimmed(obj.spec)
    ports = {port.node_port for port in spec.ports if port.node_port}
    if spec.health_check_node_port:
        ports.add(spec.health_check_node_port)
    return {*addresses_of(spec), *ports}


class Claims:
    """A table of all numbers in use, which follows a workspace."""

    def __init__(self) -> None:
        self._claimants: dict[Number, dict[Key, None]] = {}

    def attach(self, ws: Workspace) -> None:
        """Begins anew with what is in a workspace, and follows that."""
        self._claimants.clear()
        for kind in (Service.kind, IP_ADDRESS):
            for place in ws.table(kind):
                key = Key(kind, *place)
                self._record(Change(key, None, ws.get(key)))
        ws.listen(self._record)

    def _record(self, change: Change) -> None:
        if change.key.kind not in (Service.kind, IP_ADDRESS):
            return
        before, after = numbers_of(change.old), numbers_of(change.new)
        for number in before - after:
            claimants = self._claimants[number]
            claimants.pop(change.key, None)
            if not claimants:
                del self._claimants[number]
        for number in after - before:
            self._claimants.setdefault(number, {})[change.key] = None

    def of(self, number: Number) -> Mapping[Key, None]:
        """Who asks for a number or has it."""
        return self._claimants.get(number, {})

    def services(self, number: Number) -> list[Key]:
        """The Services among them, sorted."""
        return sorted(key for key in self.of(number) if key.kind == Service.kind)

    def __contains__(self, number: object) -> bool:
        return number in self._claimants
