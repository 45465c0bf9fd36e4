"""Services: cluster IPs, IP families and node ports, as the API server allocates them when a Service is stored.

Asking for a number that is out of range or taken is refused by an API server; here the service stays as it is and a
note says why. Of two that ask for one number the older has it, then the first by name.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.address_objects import IP_ADDRESS, SERVICE_CIDR, service_of, usable_ranges
from rules.concern import Touched, note
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern, clipped
from rules.ranges import AddressRange, parse_address, port_range
from rules.service_claims import Claims, Number, addresses_of, numbers_of
from rules.service_fields import has_addresses, is_headless, needs_health_port, needs_node_ports, trimmed
from state.objects import Service, ServicePort, ServiceSpec, replace
from state.snapshot import Change, Key
from state.workspace import Workspace

#: The range of kubeadm's clusters.
CLUSTER_CIDR = "10.96.0.0/16"
NODE_PORTS = (30000, 32767)
_SINGLE, _DUAL = "SingleStack", "RequireDualStack"
_FAMILIES = ("IPv4", "IPv6")


class _RefusedError(Exception):
    """The service can't have what it asks for; the message is the API server's."""


def own_ranges(cidrs: Sequence[str]) -> tuple[AddressRange, ...]:
    """The ranges of cluster IPs that an API server is given: one, or one for each family.

    Raises:
        ValueError: they aren't.
    """
    found = tuple(map(AddressRange.parse, cidrs))
    if not 1 <= len(found) == len({each.family for each in found}):
        msg = f"cidrs {list(cidrs)}: expected one range, or one for each of IPv4 and IPv6"
        raise ValueError(msg)
    return found


def unobtainable(spec: ServiceSpec, address: str, why: str) -> str:
    """How the API server says that a service can't have an address that it asks for."""
    shown = ",".join(f'"{text}"' for text in spec.cluster_ips or (address,))
    return f"spec.clusterIPs: Invalid value: [{shown}]: failed to allocate IP {address}: {why}"


class Services(MethodConcern):
    """Gives Services their addresses and ports.

    Args:
        cidrs: the ranges of cluster IPs: one, or one for each family, the first being the default family. Further ones
            of the same families come from ServiceCIDRs.
        node_ports: the first and the last node port.
    """

    name: ClassVar[str] = "services"
    subjects: ClassVar[Sequence[str]] = ("Service",)

    def __init__(self, cidrs: Sequence[str] = (CLUSTER_CIDR,), node_ports: tuple[int, int] = NODE_PORTS) -> None:
        super().__init__()
        self._own = own_ranges(cidrs)
        self._served = tuple(each.family for each in self._own)
        self._ports = port_range(*node_ports)
        self._port_span = f"{node_ports[0]}-{node_ports[1]}"
        #: By family, the ranges that addresses come from; None if that has to be found out.
        self._ranges: dict[str, list[AddressRange]] | None = None
        self._claims = Claims()
        #: What Services had before they were changed, if somebody knows: they needn't ask for it again.
        self.held: Mapping[Key, Container[Number]] = {}
        #: Numbers given away by the facts of this pass, but not yet written.
        self._promised: set[Number] = set()
        self._completed: dict[Key, ServiceSpec] = {}
        #: Services for which a range is too full, or not there.
        self._starved: set[Key] = set()

    def attach(self, ws: Workspace) -> None:
        """Begins a table of all numbers in use, and has it follow the workspace."""
        self._starved.clear()
        self._ranges = None
        self._claims.attach(ws)

    def _touched(self, _: Workspace, change: Change) -> Iterable[Key]:
        """The service, all that ask for a number it has or had, and those that wait for any to become free; the same of
        an IPAddress.
        """
        if change.new is None:
            self._starved.discard(change.key)
        elif change.key.kind == Service.kind:
            yield change.key
        before, after = numbers_of(change.old), numbers_of(change.new)
        for number in before ^ after:
            yield from self._claims.services(number)
        if before - after:
            yield from self._starved

    def _touched_by_range(self, _: Workspace, __: Change) -> Iterable[Key]:
        self._ranges = None
        return self._starved

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """Services, the IPAddresses that are the record of what they have, and where those come from."""
        return {"Service": self._touched, IP_ADDRESS: self._touched, SERVICE_CIDR: self._touched_by_range}

    def run(self, ctx: Context, due: Sequence[Key]) -> None:
        """Looks at the services that are due; numbers promised to one are not promised to the next."""
        self._promised.clear()
        self._completed.clear()
        super().run(ctx, due)

    def fact(self, ws: Workspace, key: Key, now: int) -> Fact | None:
        """What the service lacks, has too much of, or asks for in vain."""
        service = ws.find(Service, key.namespace, key.name)
        if service is None:
            return None
        self._starved.discard(key)
        spec = trimmed(service.spec)
        problem = ""
        completed = spec
        if has_addresses(spec):
            try:
                completed = self._complete(ws, key, spec)
            except _RefusedError as refused:
                problem = str(refused)
        self._completed[key] = completed
        ingress = service.status.load_balancer is not None and service.status.load_balancer.ingress
        return {
            "name": key.name,
            "namespace": key.namespace,
            "type": service.spec.type or "ClusterIP",
            "gets": clipped(_difference(spec, completed)),
            "surplus": spec is not service.spec,
            "incomplete": completed != spec,
            "problem": clipped(problem),
            "awaits_balancer": spec.type == "LoadBalancer" and not ingress,
        }

    # -- what a service is to have -----------------------------------------------------------------------------------

    def _complete(self, ws: Workspace, key: Key, spec: ServiceSpec) -> ServiceSpec:
        """The spec with all that is allocated.

        Raises:
            _RefusedError: it asks for what it can't have.
        """
        families, policy = self._families(spec)
        self._check_addresses(ws, key, spec)
        self._check_ports(ws, key, spec)
        owner = f"{key.namespace}/{key.name}"
        if is_headless(spec):
            addresses: tuple[str, ...] = spec.cluster_ips or ("None",)
        else:
            given = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
            addresses = (*given, *(self._pick_address(ws, key, family, owner) for family in families[len(given) :]))
        ports = self._with_ports(key, spec, owner) if needs_node_ports(spec) else spec.ports
        health = spec.health_check_node_port
        if needs_health_port(spec) and not health:
            health = self._pick_port(key, f"{owner} health check")
        return replace(
            spec,
            cluster_ip=addresses[0],
            cluster_ips=addresses,
            ip_families=families,
            ip_family_policy=policy,
            ports=ports,
            health_check_node_port=health,
        )

    def _families(self, spec: ServiceSpec) -> tuple[tuple[str, ...], str]:
        """The families of its addresses, and the policy; as the registry's ``initIPFamilyFields``."""
        served = self._served
        by_hand = is_headless(spec) and not spec.selector
        addresses = [] if is_headless(spec) else [parse_address(text) for text in spec.cluster_ips]
        families = spec.ip_families or tuple(f"IPv{a.version}" for a in addresses if a is not None) or served[:1]
        policy = spec.ip_family_policy or (_DUAL if by_hand or len(families) > 1 else _SINGLE)
        if by_hand:
            others = tuple(family for family in _FAMILIES if family not in families)
            return (families if policy == _SINGLE else (*families, *others)), policy
        if policy == _DUAL and len(served) < len(_FAMILIES):
            raise _RefusedError(
                f'spec.ipFamilyPolicy: Invalid value: "{_DUAL}": this cluster is not configured for dual-stack services'
            )
        for index, family in enumerate(families):
            if family not in served:
                raise _RefusedError(
                    f'spec.ipFamilies[{index}]: Invalid value: "{family}": not configured on this cluster'
                )
        if policy != _SINGLE:
            families = (*families, *(family for family in served if family not in families))
        return families, policy

    def _usable(self, ws: Workspace) -> dict[str, list[AddressRange]]:
        if self._ranges is None:
            self._ranges = usable_ranges(ws, self._own)
        return self._ranges

    def _check_addresses(self, ws: Workspace, key: Key, spec: ServiceSpec) -> None:
        for address in addresses_of(spec):
            why = ""
            if address in self.held.get(key, ()):
                continue
            if all(found.number(address) is None for ranges in self._usable(ws).values() for found in ranges):
                self._starved.add(key)
                why = "the provided network does not match the current range"
            elif self._holder(ws, address) != key:
                why = "provided IP is already allocated"
            if why:
                raise _RefusedError(unobtainable(spec, address, why))

    def _check_ports(self, ws: Workspace, key: Key, spec: ServiceSpec) -> None:
        wanted = [
            (f"spec.ports[{index}].nodePort: Invalid value: {port.node_port}", port.node_port)
            for index, port in enumerate(spec.ports)
        ]
        health = spec.health_check_node_port
        wanted.append((f"failed to allocate requested HealthCheck NodePort {health}", health))
        for refusal, number in wanted:
            if not number or number in self.held.get(key, ()):
                continue
            if number not in self._ports:
                why = f"provided port is not in the valid range. The range of valid ports is {self._port_span}"
            elif self._holder(ws, number) != key:
                why = "provided port is already allocated"
            else:
                continue
            raise _RefusedError(f"{refusal}: {why}")

    def _holder(self, ws: Workspace, number: Number) -> Key:
        """Who has a number of all that ask for it: whom it is recorded for, or who was first."""

        def age(key: Key) -> tuple[str, Key]:
            return (ws.must(Service, key).metadata.creation_timestamp or "", key)

        claimants, services = self._claims.of(number), self._claims.services(number)
        record = next((key for key in claimants if key.kind == IP_ADDRESS), None)
        if record is None:
            return min(services, key=age)
        recorded = service_of(ws.get(record))
        return recorded if recorded in services else record

    def _pick_address(self, ws: Workspace, key: Key, family: str, owner: str) -> str:
        for found in self._usable(ws)[family]:
            number = found.numbers.pick(owner, _Taken(self._claims, self._promised, found.text))
            if number is not None:
                self._promised.add(found.text(number))
                return found.text(number)
        self._starved.add(key)
        raise _RefusedError("spec.clusterIPs: failed to allocate a serviceIP: range is full")

    def _with_ports(self, key: Key, spec: ServiceSpec, owner: str) -> tuple[ServicePort, ...]:
        """The ports with node ports; those that differ by protocol alone share one."""
        by_port = {port.port: port.node_port for port in reversed(spec.ports) if port.node_port}
        ports = []
        for port in spec.ports:
            if not port.node_port:
                if port.port not in by_port:
                    by_port[port.port] = self._pick_port(key, f"{owner}:{port.port}")
                ports.append(replace(port, node_port=by_port[port.port]))
            else:
                ports.append(port)
        return tuple(ports)

    def _pick_port(self, key: Key, owner: str) -> int:
        number = self._ports.pick(owner, _Taken(self._claims, self._promised))
        if number is None:
            self._starved.add(key)
            raise _RefusedError("spec.ports: failed to allocate a nodePort: range is full")
        self._promised.add(number)
        return number

    # -- consequents -------------------------------------------------------------------------------------------------

    def _allocate(self, ctx: Context, key: Key, _: Fact) -> None:
        service = ctx.ws.find(Service, key.namespace, key.name)
        assert service is not None
        ctx.update(replace(service, spec=self._completed[key]))

    rules: ClassVar[Sequence[Rule]] = (
        Rule(
            name="service-release",
            when=(m.surplus == True) & (m.incomplete == False),  # noqa: E712 - durable-rules' own expressions
            then=_allocate,
            why="{name} is of type {type} and gives up what only other types have",
        ),
        Rule(
            name="service-allocate",
            when=(m.problem == "") & (m.incomplete == True),  # noqa: E712
            then=_allocate,
            why="{name} of type {type} gets {gets}",
        ),
        Rule(
            name="service-refused",
            when=m.problem != "",
            then=note,
            why="{name} gets no address: {problem}",
        ),
        Rule(
            name="service-load-balancer",
            when=(m.problem == "") & (m.awaits_balancer == True),  # noqa: E712
            then=note,
            why="{name} waits for a load balancer: nothing here assigns external addresses",
        ),
    )


class _Taken:
    """The numbers of a range that are in use or promised; ``name`` is how an address is written."""

    __slots__ = ("_name", "_promised", "_used")

    def __init__(
        self,
        used: Container[Number],
        promised: Container[Number],
        name: Callable[[int], Number] = lambda number: number,
    ) -> None:
        self._used, self._promised, self._name = used, promised, name

    def __contains__(self, number: object) -> bool:
        assert isinstance(number, int)
        name = self._name(number)
        return name in self._used or name in self._promised


def _difference(spec: ServiceSpec, completed: ServiceSpec) -> str:
    """What the completed spec has beyond the other, for a person."""
    ports = [str(after.node_port) for before, after in zip(spec.ports, completed.ports, strict=True) if before != after]
    parts = {
        "cluster IP": [text for text in completed.cluster_ips if text not in spec.cluster_ips],
        "IP family": [family for family in completed.ip_families if family not in spec.ip_families],
        "IP family policy": [completed.ip_family_policy or ""]
        if completed.ip_family_policy != spec.ip_family_policy
        else [],
        "node port": ports,
        "health check port": [str(completed.health_check_node_port)]
        if completed.health_check_node_port != spec.health_check_node_port
        else [],
    }
    return ", ".join(f"{what} {' and '.join(values)}" for what, values in parts.items() if values)
