"""Warnings about Services, their endpoints and nodes, most of them about addresses."""

from __future__ import annotations

from collections.abc import Iterator

from state.addresses import cidr_warnings, ip_warnings
from state.objects import Endpoints, EndpointSlice, Node, Service
from state.validation.services import TOPOLOGY_HINTS, TOPOLOGY_MODE

_EXTERNAL = "ExternalName"


def of_service(obj: Service) -> Iterator[str]:
    """Service."""
    spec = obj.spec
    headless = spec.type == "ClusterIP" and spec.cluster_ip == "None"
    if TOPOLOGY_HINTS in obj.metadata.annotations:
        yield f"annotation {TOPOLOGY_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead"
    if spec.type != _EXTERNAL and spec.cluster_ip not in (None, "", "None"):
        for index, address in enumerate(spec.cluster_ips):
            yield from ip_warnings(f"spec.clusterIPs[{index}]", address)
    if headless:
        ignored = (
            ("loadBalancerIP", bool(spec.load_balancer_ip)),
            ("externalIPs", bool(spec.external_ips)),
            ("SessionAffinity", spec.session_affinity != "None"),
        )
        yield from (f"spec.{name} is ignored for headless services" for name, given in ignored if given)
    for index, address in enumerate(spec.external_ips):
        yield from ip_warnings(f"spec.externalIPs[{index}]", address)
    if spec.external_ips and not headless and spec.type != _EXTERNAL:
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    if spec.load_balancer_ip:
        yield from ip_warnings("spec.loadBalancerIP", spec.load_balancer_ip)
    for index, block in enumerate(spec.load_balancer_source_ranges):
        yield from cidr_warnings(f"spec.loadBalancerSourceRanges[{index}]", block)
    if spec.type == _EXTERNAL and spec.external_ips:
        yield f'spec.externalIPs is ignored when spec.type is "{_EXTERNAL}"'
    if spec.type != _EXTERNAL and spec.external_name:
        yield f'spec.externalName is ignored when spec.type is not "{_EXTERNAL}"'
    if spec.traffic_distribution == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


def of_endpoints(obj: Endpoints) -> Iterator[str]:
    """Endpoints; those that are kept by their controller are known to be well written."""
    if obj.metadata.labels.get("endpoints.kubernetes.io/managed-by") == "endpoint-controller":
        return
    for index, subset in enumerate(obj.subsets):
        for name, addresses in (("addresses", subset.addresses), ("notReadyAddresses", subset.not_ready_addresses)):
            for number, address in enumerate(addresses):
                yield from ip_warnings(f"subsets[{index}].{name}[{number}].ip", address.ip)


def of_endpoint_slice(obj: EndpointSlice) -> Iterator[str]:
    """EndpointSlice."""
    if obj.address_type == "FQDN":
        yield "spec.addressType: FQDN endpoints are deprecated"
    else:
        for index, endpoint in enumerate(obj.endpoints):
            for number, address in enumerate(endpoint.addresses):
                yield from ip_warnings(f"endpoints[{index}].addresses[{number}]", address)


def of_node(obj: Node) -> Iterator[str]:
    """Node."""
    if obj.spec.config_source is not None:
        yield "spec.configSource: the feature is removed"
    if obj.spec.external_id:
        yield "spec.externalID: this field is deprecated, and is unused by Kubernetes"
    for index, block in enumerate(obj.spec.pod_cidrs):
        yield from cidr_warnings(f"spec.podCIDRs[{index}]", block)
