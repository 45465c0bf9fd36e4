"""Validation of Services. Whether an address or a port is free is for those who allocate them."""

from __future__ import annotations

from state import names
from state.addresses import parsed_ip
from state.objects import LoadBalancerStatus, Service, ServicePort, ServiceSpec
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.metadata import object_meta

#: The API server's own range unless it's told another (--service-node-port-range).
NODE_PORTS = range(30000, 32768)
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_POLICIES = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
TOPOLOGY_HINTS, TOPOLOGY_MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_MAX_AFFINITY_SECONDS = 86_400
_ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"


def service(found: Report, obj: Service) -> None:
    """Service (v1)."""
    object_meta(found, obj.metadata, names.dns1123_label, namespaced=True)
    spec = obj.spec
    hints, mode = (obj.metadata.annotations.get(key) for key in (TOPOLOGY_HINTS, TOPOLOGY_MODE))
    if None not in (hints, mode) and hints != mode:
        message = f"must match annotations[{TOPOLOGY_HINTS}] when both are specified"
        found.invalid(f"metadata.annotations[{TOPOLOGY_MODE}]", mode, message)
    headless = _is_headless(spec)
    if not spec.ports and not headless and spec.type != "ExternalName":
        found.required("spec.ports")
    if headless and spec.type in {"LoadBalancer", "NodePort"}:
        found.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {spec.type} services")
    if spec.type == "ExternalName":
        _external_name(found, spec)
    seen: set[str] = set()
    for index, port in enumerate(spec.ports):
        _port(found, f"spec.ports[{index}]", port, seen, several=len(spec.ports) > 1)
    checks.labels(found, "spec.selector", spec.selector)
    _affinity(found, spec)
    if spec.type != "ExternalName":
        _cluster_ips(found, spec)
    for index, address in enumerate(spec.external_ips):
        if checks.ip(found, f"spec.externalIPs[{index}]", address):
            checks.routable_ip(found, f"spec.externalIPs[{index}]", address)
    found.one_of("spec.type", spec.type, _TYPES)
    _unique_ports(found, spec)
    _load_balancer(found, spec)
    if not spec.load_balancer_source_ranges and _SOURCE_RANGES in obj.metadata.annotations:
        _annotated_ranges(found, obj.metadata.annotations[_SOURCE_RANGES], spec)
    _traffic(found, spec)
    if obj.status.load_balancer is not None:
        _balancer_status(found, obj.status.load_balancer, spec)


def _is_headless(spec: ServiceSpec) -> bool:
    return spec.cluster_ips == ("None",)


def _external_name(found: Report, spec: ServiceSpec) -> None:
    if spec.cluster_ips:
        found.forbidden("spec.clusterIPs", "may not be set for ExternalName services")
    if spec.ip_families:
        found.forbidden("spec.ipFamilies", "may not be set for ExternalName services")
    if spec.ip_family_policy is not None:
        found.forbidden("spec.ipFamilyPolicy", "may not be set for ExternalName services")
    checks.named(found, "spec.externalName", (spec.external_name or "").removesuffix("."))


def _port(found: Report, path: str, port: ServicePort, seen: set[str], *, several: bool) -> None:
    if port.name:
        checks.text(found, f"{path}.name", port.name, names.dns1123_label)
        if port.name in seen:
            found.duplicate(f"{path}.name", port.name)
        seen.add(port.name)
    elif several:
        found.required(f"{path}.name")
    checks.port(found, f"{path}.port", port.port)
    found.one_of(f"{path}.protocol", port.protocol, checks.PROTOCOLS)
    checks.port(found, f"{path}.targetPort", port.target_port)
    if port.app_protocol is not None:
        checks.text(found, f"{path}.appProtocol", port.app_protocol, names.qualified_name)


def _affinity(found: Report, spec: ServiceSpec) -> None:
    path, config = "spec.sessionAffinityConfig", spec.session_affinity_config
    found.one_of("spec.sessionAffinity", spec.session_affinity, ("ClientIP", "None"))
    if spec.session_affinity == "None" and config is not None:
        found.forbidden(path, "must not be set when session affinity is None")
    if spec.session_affinity == "ClientIP":
        client = config.client_ip if config is not None else None
        seconds = client.timeout_seconds if client is not None else None
        if seconds is None:
            missing = (
                path if config is None else f"{path}.clientIP" if client is None else f"{path}.clientIP.timeoutSeconds"
            )
            found.required(missing, "when session affinity type is ClientIP")
        elif not 0 < seconds <= _MAX_AFFINITY_SECONDS:
            message = f"must be greater than 0 and less than {_MAX_AFFINITY_SECONDS}"
            found.invalid(f"{path}.clientIP.timeoutSeconds", seconds, message)


def _cluster_ips(found: Report, spec: ServiceSpec) -> None:
    """Addresses and their families, so far as they are given."""
    path, addresses = "spec.clusterIPs", spec.cluster_ips
    if spec.cluster_ip and addresses and addresses[0] != spec.cluster_ip:
        found.invalid(path, list(addresses), "first value must match `clusterIP`")
    for index, family in enumerate(spec.ip_families):
        if family not in _FAMILIES:
            found.unsupported(f"spec.ipFamilies[{index}]", family, _FAMILIES)
        if family in spec.ip_families[:index]:
            found.duplicate(f"spec.ipFamilies[{index}]", family)
    if spec.ip_family_policy not in {None, *_FAMILY_POLICIES}:
        found.unsupported("spec.ipFamilyPolicy", spec.ip_family_policy, _FAMILY_POLICIES)
    valid = True
    for index, address in enumerate(addresses):
        if index == 0 and address == "None":
            if len(addresses) > 1:
                found.invalid(path, list(addresses), "'None' must be the first and only value")
                valid = False
        elif not checks.ip(found, f"{path}[{index}]", address):
            valid = False
    if len(addresses) > 2:
        found.invalid(path, list(addresses), "may only hold up to 2 values")
    if not valid or _is_headless(spec):
        return
    if len(addresses) > 1 and not checks.dual_stack(addresses):
        found.invalid(path, list(addresses), "may specify no more than one IP for each IP family")
    for index, (address, family) in enumerate(zip(addresses, spec.ip_families, strict=False)):
        parsed = parsed_ip(address)
        if parsed is not None and family in _FAMILIES and family != f"IPv{parsed.version}":
            message = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            found.invalid(f"{path}[{index}]", address, message)


def _unique_ports(found: Report, spec: ServiceSpec) -> None:
    node_ports: set[tuple[str | None, int]] = set()
    ports: set[tuple[str | None, int]] = set()
    for index, port in enumerate(spec.ports):
        path = f"spec.ports[{index}].nodePort"
        if not port.node_port:
            continue
        if spec.type == "ClusterIP":
            found.forbidden(path, "may not be used when `type` is 'ClusterIP'")
        elif port.node_port not in NODE_PORTS:
            valid = f"The range of valid ports is {NODE_PORTS.start}-{NODE_PORTS.stop - 1}"
            found.invalid(path, port.node_port, f"provided port is not in the valid range. {valid}")
        if (port.protocol, port.node_port) in node_ports:
            found.duplicate(path, port.node_port)
        node_ports.add((port.protocol, port.node_port))
    for index, port in enumerate(spec.ports):
        if (port.protocol, port.port) in ports:
            value = {"Name": "", "Protocol": port.protocol, "AppProtocol": None, "Port": port.port}
            found.duplicate(f"spec.ports[{index}]", value | {"TargetPort": 0, "NodePort": 0})
        ports.add((port.protocol, port.port))


def _load_balancer(found: Report, spec: ServiceSpec) -> None:
    balanced, path = spec.type == "LoadBalancer", "spec.LoadBalancerSourceRanges"
    if spec.load_balancer_source_ranges and not balanced:
        found.forbidden(path, _ONLY_BALANCED)
    for index, block in enumerate(spec.load_balancer_source_ranges):
        checks.cidr(found, f"{path}[{index}]", block.strip())
    if spec.allocate_load_balancer_node_ports is not None and not balanced:
        found.forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_BALANCED)
    if spec.load_balancer_class is not None:
        if balanced:
            checks.text(found, "spec.loadBalancerClass", spec.load_balancer_class, names.qualified_name)
        else:
            found.forbidden("spec.loadBalancerClass", _ONLY_BALANCED)


def _annotated_ranges(found: Report, ranges: str, spec: ServiceSpec) -> None:
    path = f"metadata.annotations[{_SOURCE_RANGES}]"
    if spec.type != "LoadBalancer":
        found.forbidden(path, _ONLY_BALANCED)
    for block in ranges.strip().split(",") if ranges.strip() else ():
        checks.cidr(found, path, block.strip())


def _traffic(found: Report, spec: ServiceSpec) -> None:
    external, internal = spec.external_traffic_policy, spec.internal_traffic_policy
    accessible = spec.type in {"LoadBalancer", "NodePort"} or (spec.type == "ClusterIP" and bool(spec.external_ips))
    if accessible:
        found.one_of("spec.externalTrafficPolicy", external, _POLICIES)
    elif external:
        message = "may only be set for externally-accessible services"
        found.invalid("spec.externalTrafficPolicy", external, message)
    if spec.health_check_node_port:
        path = "spec.healthCheckNodePort"
        if spec.type == "LoadBalancer" and external == "Local":
            checks.port(found, path, spec.health_check_node_port)
        else:
            message = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            found.invalid(path, spec.health_check_node_port, message)
    if internal is not None and internal not in _POLICIES:
        found.unsupported("spec.internalTrafficPolicy", internal, _POLICIES)
    if spec.traffic_distribution is not None and spec.traffic_distribution not in _DISTRIBUTIONS:
        found.unsupported("spec.trafficDistribution", spec.traffic_distribution, _DISTRIBUTIONS)


def _balancer_status(found: Report, status: LoadBalancerStatus, spec: ServiceSpec) -> None:
    if spec.type != "LoadBalancer" and status.ingress:
        found.forbidden("status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'")
        return
    for index, ingress in enumerate(status.ingress):
        path = f"status.loadBalancer.ingress[{index}]"
        if ingress.ip:
            checks.ip(found, f"{path}.ip", ingress.ip)
        elif ingress.ip_mode is not None:
            found.forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set")
        if ingress.ip_mode is not None and ingress.ip_mode not in {"Proxy", "VIP"}:
            found.unsupported(f"{path}.ipMode", ingress.ip_mode, ("Proxy", "VIP"))
        if ingress.hostname:
            checks.text(found, f"{path}.hostname", ingress.hostname, names.dns1123_subdomain)
            if parsed_ip(ingress.hostname) is not None:
                found.invalid(f"{path}.hostname", ingress.hostname, "must be a DNS name, not an IP address")


def service_update(found: Report, new: Service, old: Service) -> None:
    """A Service keeps its first address and family, unless it comes from or becomes an external name."""
    spec, before = new.spec, old.spec
    if "ExternalName" not in {spec.type, before.type}:
        if not (_is_headless(spec) and _is_headless(before)):
            _cluster_ips_update(found, spec, before)
        if not _is_headless(spec) and not _is_headless(before):
            _families_update(found, spec, before)
    if spec.type == before.type == "LoadBalancer" and spec.load_balancer_class != before.load_balancer_class:
        found.invalid("spec.loadBalancerClass", spec.load_balancer_class, "may not change once set")
    checked = all(each.type == "LoadBalancer" and each.external_traffic_policy == "Local" for each in (spec, before))
    if checked and spec.health_check_node_port != before.health_check_node_port:
        found.forbidden("spec.healthCheckNodePort", "field is immutable")


def _cluster_ips_update(found: Report, spec: ServiceSpec, before: ServiceSpec) -> None:
    """Addresses that an update leaves out are taken over; a second one may come and go."""
    path, now, then = "spec.clusterIPs", spec.cluster_ips, before.cluster_ips
    if not now or not then:
        return
    both = range(len(now)) if len(now) == len(then) else range(1)
    for index in both:
        if now[index] != then[index]:
            found.invalid(f"{path}[{index}]", list(now), "may not change once set")
    if len(now) < len(then) and spec.ip_family_policy != "SingleStack":
        message = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        found.invalid("spec.ipFamilyPolicy", spec.ip_family_policy, message)


def _families_update(found: Report, spec: ServiceSpec, before: ServiceSpec) -> None:
    path, now, then = "spec.ipFamilies[0]", spec.ip_families, before.ip_families
    if not now or not then:
        return
    both = range(len(now)) if len(now) == len(then) else range(1)
    for index in both:
        if now[index] != then[index]:
            found.invalid(path, list(now), "may not change once set")
    if len(now) < len(then) and spec.ip_family_policy != "SingleStack":
        message = "must be set to 'SingleStack' when releasing the secondary ipFamily"
        found.invalid("spec.ipFamilyPolicy", spec.ip_family_policy, message)
