"""Validation of networking.k8s.io/v1."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from state import names
from state.addresses import canonical_cidr_faults, parsed_ip
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.plain._values import Json, domain_prefixed, items, part, path_segment, selector, text

_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_NO_PATH_HAS = ("//", "/./", "/../", "%2f", "%2F")
_NO_PATH_ENDS_WITH = ("/..", "/.")
_WILDCARD = r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_MAX_CONTROLLER = 250
_PARENT = ("group", "resource", "namespace", "name")
_ONE_OF_EACH = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
_POLICY_TYPES = ("Ingress", "Egress")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def ingress(found: Report, obj: Json) -> None:
    """Ingress."""
    spec = part(obj, "spec")
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        found.invalid("spec", spec.get("rules"), "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend") is not None:
        _backend(found, "spec.defaultBackend", spec["defaultBackend"])
    for path, rule in items(spec, "rules", "spec"):
        _ingress_rule(found, path, rule)
    for path, tls in items(spec, "tls", "spec"):
        for own_path, host in items(tls, "hosts", path):
            _host(found, own_path, host)
        if tls.get("secretName"):
            checks.text(found, f"{path}.secretName", tls["secretName"], names.dns1123_subdomain)
    if spec.get("ingressClassName") is not None:
        checks.text(found, "spec.ingressClassName", spec["ingressClassName"], names.dns1123_subdomain)
    annotated = part(part(obj, "metadata"), "annotations").get(_CLASS_ANNOTATION)
    if annotated is not None and spec.get("ingressClassName") is not None:
        path = f"annotations.{_CLASS_ANNOTATION}"
        found.invalid(path, annotated, "can not be set when the class field is also set")
    for path, point in items(part(part(obj, "status"), "loadBalancer"), "ingress", "status.loadBalancer"):
        _entry_point(found, path, point)


def _entry_point(found: Report, path: str, point: Json) -> None:
    """One way in, as a load balancer reports it."""
    address, host = text(point, "ip"), text(point, "hostname")
    if address:
        checks.ip(found, f"{path}.ip", address)
    if host:
        checks.text(found, f"{path}.hostname", host, names.dns1123_subdomain)
        if parsed_ip(host) is not None:
            found.invalid(f"{path}.hostname", host, "must be a DNS name, not an IP address")


def _host(found: Report, path: str, host: str) -> None:
    if "*" not in host:
        found.each_invalid(path, host, names.dns1123_subdomain(host))
        return
    if len(host) > names.SUBDOMAIN_LENGTH:
        found.invalid(path, host, names.length_message(names.SUBDOMAIN_LENGTH))
    if not re.fullmatch(_WILDCARD, host):
        rule = (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
            "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        )
        found.invalid(path, host, names.regex_message(rule, _WILDCARD, "*.example.com"))


def _ingress_rule(found: Report, path: str, rule: Json) -> None:
    host = text(rule, "host")
    if host:
        if parsed_ip(host) is not None:
            found.invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
        _host(found, f"{path}.host", host)
    http = rule.get("http")
    if http is None:
        return
    if not http.get("paths"):
        found.required(f"{path}.http.paths")
    for own_path, item in items(http, "paths", f"{path}.http"):
        _http_path(found, own_path, item)


def _http_path(found: Report, path: str, item: Json) -> None:
    kind, address = item.get("pathType"), text(item, "path")
    if kind is None:
        found.required(f"{path}.pathType", "pathType must be specified")
        return
    if kind in {"Exact", "Prefix"}:
        if not address.startswith("/"):
            found.invalid(f"{path}.path", address, "must be an absolute path")
        for sequence in _NO_PATH_HAS:
            if sequence in address:
                found.invalid(f"{path}.path", address, f"must not contain '{sequence}'")
        for suffix in _NO_PATH_ENDS_WITH:
            if address.endswith(suffix):
                found.invalid(f"{path}.path", address, f"cannot end with '{suffix}'")
    elif kind == "ImplementationSpecific":
        if address and not address.startswith("/"):
            found.invalid(f"{path}.path", address, "must be an absolute path")
    else:
        found.unsupported(f"{path}.pathType", kind, _PATH_TYPES)
    _backend(found, f"{path}.backend", part(item, "backend"))


def _backend(found: Report, path: str, backend: Json) -> None:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        found.invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        _reference(found, f"{path}.resource", resource)
    elif service is not None:
        _service_backend(found, path, service)
    else:
        found.invalid(path, "", "resource or service backend is required")


def _service_backend(found: Report, path: str, service: Json) -> None:
    checks.named(found, f"{path}.service.name", text(service, "name"), names.dns1123_label)
    port = part(service, "port")
    name, number = text(port, "name"), port.get("number") or 0
    if name and number:
        found.invalid(path, "", "cannot set both port name & port number")
    elif name:
        checks.text(found, f"{path}.service.port.name", name, names.port_name)
    elif number:
        checks.port(found, f"{path}.service.port.number", number)
    else:
        found.required(path, "port name or number is required")


def _reference(found: Report, path: str, reference: Json) -> None:
    if reference.get("apiGroup") is not None:
        checks.text(found, f"{path}.apiGroup", reference["apiGroup"], names.dns1123_subdomain)
    path_segment(found, f"{path}.kind", text(reference, "kind"), "kind is required")
    path_segment(found, f"{path}.name", text(reference, "name"), "name is required")


def ingress_class(found: Report, obj: Json) -> None:
    """IngressClass."""
    spec = part(obj, "spec")
    controller = text(spec, "controller")
    if len(controller.encode()) > _MAX_CONTROLLER:
        found.too_long("spec.controller", _MAX_CONTROLLER)
    domain_prefixed(found, "spec.controller", controller)
    parameters = spec.get("parameters")
    if parameters is None:
        return
    path = "spec.parameters"
    _reference(found, path, parameters)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        found.required(f"{path}.scope")
    elif scope not in {"Cluster", "Namespace"}:
        found.unsupported(f"{path}.scope", scope, ("Cluster", "Namespace"))
    elif scope == "Namespace":
        if namespace is None:
            found.required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
        else:
            checks.text(found, f"{path}.namespace", namespace, names.dns1123_label)
    elif namespace is not None:
        found.forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")


def ingress_class_update(found: Report, new: Json, old: Json) -> None:
    """A class keeps its controller."""
    checks.immutable(
        found, "spec.controller", text(part(new, "spec"), "controller"), text(part(old, "spec"), "controller")
    )


def network_policy(found: Report, obj: Json) -> None:
    """NetworkPolicy."""
    spec = part(obj, "spec")
    selector(found, "spec.podSelector", spec.get("podSelector"))
    for field, peers in (("ingress", "from"), ("egress", "to")):
        for path, rule in items(spec, field, "spec"):
            for own_path, port in items(rule, "ports", path):
                _policy_port(found, own_path, port)
            for own_path, peer in items(rule, peers, path):
                _peer(found, own_path, peer)
    types = spec.get("policyTypes") or []
    if len(types) > len(_POLICY_TYPES):
        found.invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for path, kind in items(spec, "policyTypes", "spec"):
        if kind not in _POLICY_TYPES:
            found.unsupported(path, kind, _POLICY_TYPES)


def _policy_port(found: Report, path: str, port: Json) -> None:
    protocol, number, last = port.get("protocol"), port.get("port"), port.get("endPort")
    if protocol is not None and protocol not in _PROTOCOLS:
        found.unsupported(f"{path}.protocol", protocol, _PROTOCOLS)
    if number is None:
        if last is not None:
            found.invalid(f"{path}.endPort", last, "may not be specified when `port` is not specified")
    elif isinstance(number, int):
        checks.port(found, f"{path}.port", number)
        if last is not None:
            if last < number:
                found.invalid(f"{path}.endPort", number, "must be greater than or equal to `port`")
            checks.port(found, f"{path}.endPort", last)
    else:
        if last is not None:
            found.invalid(f"{path}.endPort", last, "may not be specified when `port` is non-numeric")
        checks.port(found, f"{path}.port", number)


def _peer(found: Report, path: str, peer: Json) -> None:
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(name) is not None]
    for name in given:
        if name == "ipBlock":
            _ip_block(found, f"{path}.ipBlock", peer[name])
        else:
            selector(found, f"{path}.{name}", peer[name])
    if not given:
        found.required(path, "must specify a peer")
    elif len(given) > 1 and "ipBlock" in given:
        found.forbidden(path, "may not specify both ipBlock and another peer")


def _ip_block(found: Report, path: str, block: Json) -> None:
    whole = text(block, "cidr")
    if not whole:
        found.required(f"{path}.cidr")
        return
    checks.cidr(found, f"{path}.cidr", whole)
    network = _network(whole)
    if network is None:
        return
    for own_path, text_of_part in items(block, "except", path):
        checks.cidr(found, own_path, text_of_part)
        inner = _network(text_of_part)
        if inner is not None and not _is_strictly_within(inner, network):
            found.invalid(own_path, text_of_part, "must be a strict subset of `cidr`")


def _network(block: str) -> _Network | None:
    if "/" not in block:
        return None
    try:
        return ipaddress.ip_network(block, strict=False)
    except ValueError:
        return None


def _is_strictly_within(inner: Any, outer: Any) -> bool:
    return bool(inner.version == outer.version and inner.subnet_of(outer) and inner.prefixlen > outer.prefixlen)


def ip_address(found: Report, obj: Json) -> None:
    """IPAddress: named by the address, it points to what has it."""
    reference = part(obj, "spec").get("parentRef")
    path = "spec.parentRef"
    if reference is None:
        found.required(path)
        return
    if text(reference, "group"):
        checks.text(found, f"{path}.group", reference["group"], names.dns1123_subdomain)
    for field in ("resource", "name"):
        path_segment(found, f"{path}.{field}", text(reference, field))
    if text(reference, "namespace"):
        path_segment(found, f"{path}.namespace", reference["namespace"])


def ip_address_update(found: Report, new: Json, old: Json) -> None:
    """An address keeps what it belongs to."""
    now, before = (part(each, "spec").get("parentRef") for each in (new, old))
    if now != before:
        shown = None if now is None else {name.title(): now.get(name, "") for name in _PARENT}
        found.invalid("spec.parentRef", shown, checks.IMMUTABLE)


def service_cidr(found: Report, obj: Json) -> None:
    """ServiceCIDR: one range of addresses, or one of each family."""
    ranges = part(obj, "spec").get("cidrs") or []
    if not ranges:
        found.required("spec.cidrs", "at least one CIDR required")
        return
    faults = (
        ("may only hold up to 2 values", len(ranges) > 2),
        (_ONE_OF_EACH, len(ranges) == 2 and not checks.dual_stack(tuple(ranges))),
    )
    for message, is_so in faults:
        if is_so:
            found.invalid("spec.cidrs", {"CIDRs": ranges}, message)
            return
    for path, block in items(part(obj, "spec"), "cidrs", "spec"):
        checks.text(found, path, block, canonical_cidr_faults)


def service_cidr_update(found: Report, new: Json, old: Json) -> None:
    """A range stays what it is; a second one of the other family may come later."""
    now, before = (part(each, "spec").get("cidrs") or [] for each in (new, old))
    if len(before) == 1 and len(now) == 2:
        checks.immutable(found, "spec.cidrs[0]", now[0], before[0])
    else:
        checks.immutable(found, "spec.cidrs", now, before)
