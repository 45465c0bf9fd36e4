"""Services: cluster IPs, IP families and node ports, as the API server allocates them when a Service is stored.

Asking for a number that is out of range or taken is refused by an API server; here the service stays as it is and a
note says why. Of two that ask for one number the older has it, then the first by name.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from rules.actions import Fact
from rules.concern import Touched, note
from rules.context import Context
from rules.engine import Rule, m
from rules.methods import MethodConcern, clipped
from rules.ranges import AddressRange, parse_address, port_range
from rules.service_fields import has_addresses, is_headless, needs_health_port, needs_node_ports, trimmed
from state.objects import Service, ServicePort, ServiceSpec, replace
from state.snapshot import Change, Key
from state.workspace import Workspace

#: The range of kubeadm's clusters.
CLUSTER_CIDR = "10.96.0.0/16"
NODE_PORTS = (30000, 32767)
_SINGLE, _DUAL = "SingleStack", "RequireDualStack"
_FAMILIES = ("IPv4", "IPv6")
#: A cluster IP as text, or a node port.
_Number = str | int


class _RefusedError(Exception):
    """The service can't have what it asks for; the message is the API server's."""


class Services(MethodConcern):
    """Gives Services their addresses and ports.

    Args:
        cidrs: the ranges of cluster IPs: one, or one for each family, the first being the default family.
        node_ports: the first and the last node port.
    """

    name: ClassVar[str] = "services"
    subjects: ClassVar[Sequence[str]] = ("Service",)

    def __init__(self, cidrs: Sequence[str] = (CLUSTER_CIDR,), node_ports: tuple[int, int] = NODE_PORTS) -> None:
        super().__init__()
        self._ranges = {found.family: found for found in map(AddressRange.parse, cidrs)}
        if not 1 <= len(cidrs) == len(self._ranges):
            msg = f"cidrs {list(cidrs)}: expected one range, or one for each of IPv4 and IPv6"
            raise ValueError(msg)
        self._ports = port_range(*node_ports)
        self._port_span = f"{node_ports[0]}-{node_ports[1]}"
        #: Who asks for a number or has it.
        self._claimants: dict[_Number, dict[Key, None]] = {}
        #: Numbers given away by the facts of this pass, but not yet written.
        self._promised: set[_Number] = set()
        self._completed: dict[Key, ServiceSpec] = {}
        #: Services for which a range is too full.
        self._starved: set[Key] = set()

    def attach(self, ws: Workspace) -> None:
        """Begins a table of all numbers in use, and has it follow the workspace."""
        self._claimants.clear()
        self._starved.clear()
        for ns_name in ws.table("Service"):
            key = Key("Service", *ns_name)
            self._record(Change(key, None, ws.get(key)))
        ws.listen(self._record)

    def _record(self, change: Change) -> None:
        if change.key.kind != "Service":
            return
        before, after = _numbers(change.old), _numbers(change.new)
        for number in before - after:
            claimants = self._claimants[number]
            claimants.pop(change.key, None)
            if not claimants:
                del self._claimants[number]
        for number in after - before:
            self._claimants.setdefault(number, {})[change.key] = None

    def _touched(self, _: Workspace, change: Change) -> Iterable[Key]:
        """The service, all that ask for a number it has or had, and those that wait for any to become free."""
        if change.new is not None:
            yield change.key
        before, after = _numbers(change.old), _numbers(change.new)
        for number in before ^ after:
            yield from self._claimants.get(number, ())
        if change.new is None:
            self._starved.discard(change.key)
        if before - after:
            yield from self._starved

    @property
    def watches(self) -> Mapping[str, Touched]:  # type: ignore[override]
        """Services alone."""
        return {"Service": self._touched}

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
            addresses = (*given, *(self._pick_address(key, family, owner) for family in families[len(given) :]))
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
        served = tuple(self._ranges)
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

    def _check_addresses(self, ws: Workspace, key: Key, spec: ServiceSpec) -> None:
        for address in _addresses(spec):
            why = ""
            if all(found.number(address) is None for found in self._ranges.values()):
                why = "the provided network does not match the current range"
            elif self._holder(ws, address) != key:
                why = "provided IP is already allocated"
            if why:
                shown = ",".join(f'"{text}"' for text in spec.cluster_ips or (address,))
                raise _RefusedError(
                    f"spec.clusterIPs: Invalid value: [{shown}]: failed to allocate IP {address}: {why}"
                )

    def _check_ports(self, ws: Workspace, key: Key, spec: ServiceSpec) -> None:
        wanted = [
            (f"spec.ports[{index}].nodePort: Invalid value: {port.node_port}", port.node_port)
            for index, port in enumerate(spec.ports)
        ]
        health = spec.health_check_node_port
        wanted.append((f"failed to allocate requested HealthCheck NodePort {health}", health))
        for refusal, number in wanted:
            if not number:
                continue
            if number not in self._ports:
                why = f"provided port is not in the valid range. The range of valid ports is {self._port_span}"
            elif self._holder(ws, number) != key:
                why = "provided port is already allocated"
            else:
                continue
            raise _RefusedError(f"{refusal}: {why}")

    def _holder(self, ws: Workspace, number: _Number) -> Key:
        """Who has a number of all that ask for it."""

        def age(key: Key) -> tuple[str, Key]:
            service = ws.get(key)
            assert service is not None
            return (service.metadata.creation_timestamp or "", key)

        return min(self._claimants[number], key=age)

    def _pick_address(self, key: Key, family: str, owner: str) -> str:
        found = self._ranges[family]
        number = found.numbers.pick(owner, _Taken(self._claimants, self._promised, found.text))
        if number is None:
            self._starved.add(key)
            raise _RefusedError("spec.clusterIPs: failed to allocate a serviceIP: range is full")
        self._promised.add(found.text(number))
        return found.text(number)

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
        number = self._ports.pick(owner, _Taken(self._claimants, self._promised))
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
        used: Container[_Number],
        promised: Container[_Number],
        name: Callable[[int], _Number] = lambda number: number,
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


def _addresses(spec: ServiceSpec) -> Iterator[str]:
    """The cluster IPs that a spec names, in their canonical form where they have one."""
    if has_addresses(spec) and not is_headless(spec):
        for text in spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ()):
            parsed = parse_address(text)
            yield text if parsed is None else str(parsed)


def _numbers(obj: object) -> set[_Number]:
    """All numbers that a service asks for or has; numbers that its type has no use for don't count."""
    if not isinstance(obj, Service):
        return set()
    spec = trimmed(obj.spec)
    ports = {port.node_port for port in spec.ports if port.node_port}
    if spec.health_check_node_port:
        ports.add(spec.health_check_node_port)
    return {*_addresses(spec), *ports}
