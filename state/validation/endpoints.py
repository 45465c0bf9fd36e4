"""Validation of the addresses behind Services: Endpoints (v1) and EndpointSlices (discovery.k8s.io/v1)."""

from __future__ import annotations

from state import names
from state.addresses import parsed_ip
from state.objects import Endpoint, EndpointAddress, EndpointHints, EndpointPort, Endpoints, EndpointSlice
from state.validation import _checks as checks
from state.validation._checks import Rule
from state.validation._report import Report
from state.validation.metadata import object_meta

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_MAX_ADDRESSES = 100
_MAX_PORTS = 20_000
_MAX_ENDPOINTS = 1000
_MAX_TOPOLOGY = 16
_MAX_HINTS = 8


def endpoints(found: Report, obj: Endpoints) -> None:
    """Endpoints (v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    for index, subset in enumerate(obj.subsets):
        path = f"subsets[{index}]"
        if not subset.addresses and not subset.not_ready_addresses:
            found.required(path, "must specify `addresses` or `notReadyAddresses`")
        for number, address in enumerate(subset.addresses):
            _address(found, f"{path}.addresses[{number}]", address)
        for number, address in enumerate(subset.not_ready_addresses):
            _address(found, f"{path}.notReadyAddresses[{number}]", address)
        for number, port in enumerate(subset.ports):
            _port(found, f"{path}.ports[{number}]", port, several=len(subset.ports) > 1)


def _address(found: Report, path: str, address: EndpointAddress) -> None:
    valid = checks.ip(found, f"{path}.ip", address.ip)
    if address.hostname:
        checks.text(found, f"{path}.hostname", address.hostname, names.dns1123_label)
    if address.node_name is not None:
        checks.text(found, f"{path}.nodeName", address.node_name, names.dns1123_subdomain)
    if valid:
        checks.routable_ip(found, f"{path}.ip", address.ip)


def _port(found: Report, path: str, port: EndpointPort, *, several: bool) -> None:
    if port.name:
        checks.text(found, f"{path}.name", port.name, names.dns1123_label)
    elif several:
        found.required(f"{path}.name")
    checks.port(found, f"{path}.port", port.port)
    found.one_of(f"{path}.protocol", port.protocol, checks.PROTOCOLS)
    if port.app_protocol is not None:
        checks.text(found, f"{path}.appProtocol", port.app_protocol, names.qualified_name)


def endpoint_slice(found: Report, obj: EndpointSlice) -> None:
    """EndpointSlice (discovery.k8s.io/v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    found.one_of("addressType", obj.address_type, _ADDRESS_TYPES)
    if len(obj.endpoints) > _MAX_ENDPOINTS:
        found.too_many("endpoints", len(obj.endpoints), _MAX_ENDPOINTS)
    else:
        for index, endpoint in enumerate(obj.endpoints):
            _endpoint(found, f"endpoints[{index}]", endpoint, obj.address_type)
    if len(obj.ports) > _MAX_PORTS:
        found.too_many("ports", len(obj.ports), _MAX_PORTS)
        return
    seen: set[str] = set()
    for index, port in enumerate(obj.ports):
        path, name = f"ports[{index}]", port.name or ""
        if name:
            checks.text(found, f"{path}.name", name, names.dns1123_label)
        if name in seen:
            found.duplicate(f"{path}.name", name)
        seen.add(name)
        if port.port is not None:
            checks.port(found, f"{path}.port", port.port)
        found.one_of(f"{path}.protocol", port.protocol, checks.PROTOCOLS)
        if port.app_protocol is not None:
            checks.text(found, f"{path}.appProtocol", port.app_protocol, names.qualified_name)


def _endpoint(found: Report, path: str, endpoint: Endpoint, address_type: str) -> None:
    if not endpoint.addresses:
        found.required(f"{path}.addresses", "must contain at least 1 address")
    elif len(endpoint.addresses) > _MAX_ADDRESSES:
        found.too_many(f"{path}.addresses", len(endpoint.addresses), _MAX_ADDRESSES)
    for index, address in enumerate(endpoint.addresses):
        _slice_address(found, f"{path}.addresses[{index}]", address, address_type)
    if endpoint.node_name is not None:
        checks.text(found, f"{path}.nodeName", endpoint.node_name, names.dns1123_subdomain)
    if len(endpoint.deprecated_topology) > _MAX_TOPOLOGY:
        found.too_many(f"{path}.deprecatedTopology", len(endpoint.deprecated_topology), _MAX_TOPOLOGY)
    checks.labels(found, f"{path}.deprecatedTopology", endpoint.deprecated_topology)
    if "topology.kubernetes.io/zone" in endpoint.deprecated_topology:
        key_path = f"{path}.deprecatedTopology[topology.kubernetes.io/zone]"
        message = 'use "zone" field instead'
        found.invalid(key_path, endpoint.deprecated_topology["topology.kubernetes.io/zone"], message)
    if endpoint.hostname is not None:
        checks.text(found, f"{path}.hostname", endpoint.hostname, names.dns1123_label)
    if endpoint.hints is not None:
        _hints(found, f"{path}.hints", endpoint.hints)


def _slice_address(found: Report, path: str, address: str, address_type: str) -> None:
    if address_type in {"IPv4", "IPv6"}:
        parsed = parsed_ip(address)
        if parsed is None or f"IPv{parsed.version}" != address_type:
            found.invalid(path, address, f"must be a valid {address_type} address")
        if parsed is not None:
            checks.routable_ip(found, path, address)
    elif address_type == "FQDN":
        domain = address.removesuffix(".")
        messages = names.dns1123_subdomain(domain) if domain else []
        if not domain:
            found.required(path)
        elif messages:
            found.invalid(path, domain, ",".join(messages))
        elif "." not in domain:
            found.invalid(path, domain, "should be a domain with at least two segments separated by dots")


def _hints(found: Report, path: str, hints: EndpointHints) -> None:
    _hinted(found, f"{path}.forZones", [zone.name for zone in hints.for_zones], names.label_value)
    _hinted(found, f"{path}.forNodes", [node.name for node in hints.for_nodes], names.dns1123_subdomain)


def _hinted(found: Report, path: str, given: list[str], rule: Rule) -> None:
    if len(given) > _MAX_HINTS:
        found.too_many(path, len(given), _MAX_HINTS)
        return
    for index, name in enumerate(given):
        if name in given[:index]:
            found.duplicate(f"{path}[{index}].name", name)
        checks.text(found, f"{path}[{index}].name", name, rule)


def endpoint_slice_update(found: Report, new: EndpointSlice, old: EndpointSlice) -> None:
    """A slice keeps the type of its addresses."""
    checks.immutable(found, "addressType", new.address_type, old.address_type)
