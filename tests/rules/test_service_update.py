"""What an update leaves out of a Service stays allocated; what its type has no use for goes."""

from __future__ import annotations

import pytest

from rules.service_update import updated_service
from state.objects import (
    ConfigMap,
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
    replace,
)


def service(of_type, *ports, **fields):
    made = tuple(ServicePort(name=name, port=number, node_port=node_port) for name, number, node_port in ports)
    return Service(metadata=ObjectMeta(name="s"), spec=ServiceSpec(type=of_type, ports=made, **fields))


def node_ports(of):
    return [port.node_port for port in of.spec.ports]


ADDRESS = {"cluster_ip": "10.96.0.7", "cluster_ips": ("10.96.0.7",)}
OLD = service("NodePort", ("http", 80, 30080), ("https", 443, 30443), **ADDRESS)


def test_addresses_stay_where_the_update_does_not_say():
    new = updated_service(service("ClusterIP", ("http", 80, None)), OLD)
    assert (new.spec.cluster_ip, new.spec.cluster_ips) == ("10.96.0.7", ("10.96.0.7",))


def test_another_address_is_left_for_validation_to_refuse():
    new = updated_service(service("ClusterIP", ("http", 80, None), cluster_ip="10.96.0.8"), OLD)
    assert (new.spec.cluster_ip, new.spec.cluster_ips) == ("10.96.0.8", ())


def test_node_ports_stay_with_the_names_of_their_ports():
    new = updated_service(service("LoadBalancer", ("https", 8443, None), ("http", 80, None), ("new", 1, None)), OLD)
    assert node_ports(new) == [30443, 30080, None]


def test_a_node_port_that_another_port_asks_for_is_not_taken_over():
    new = updated_service(service("NodePort", ("http", 80, None), ("other", 81, 30080)), OLD)
    assert node_ports(new) == [None, 30080]


def test_node_ports_go_with_the_type():
    taken_over = service("ClusterIP", ("http", 80, 30080), ("https", 443, 30443), external_traffic_policy="Cluster")
    old = service("NodePort", ("http", 80, 30080), ("https", 443, 30443), external_traffic_policy="Cluster")
    new = updated_service(taken_over, old)
    assert node_ports(new) == [None, None]
    assert new.spec.external_traffic_policy is None


def test_node_ports_that_were_changed_with_the_type_stay_to_be_refused():
    assert node_ports(updated_service(service("ClusterIP", ("http", 80, 31000)), OLD)) == [31000]


@pytest.mark.parametrize(("of_type", "left"), [("LoadBalancer", 1), ("NodePort", 0), ("ClusterIP", 0)])
def test_the_load_balancer_goes_with_the_type(of_type, left):
    """Its address is none of the Service's any more, though the load balancer may be there for a while."""
    status = ServiceStatus(load_balancer=LoadBalancerStatus(ingress=(LoadBalancerIngress(ip="192.0.2.1"),)))
    old = replace(service("LoadBalancer", ("http", 80, 30080)), status=status)
    new = updated_service(replace(service(of_type, ("http", 80, 30080)), status=status), old)
    assert len(new.status.load_balancer.ingress) == left


def test_an_external_name_has_no_addresses():
    new = updated_service(service("ExternalName", external_name="example.com", **ADDRESS), OLD)
    assert (new.spec.cluster_ip, new.spec.cluster_ips) == (None, ())


def test_families_go_with_the_address_whoever_takes_that_away():
    """Each field on its own: what the update leaves as it was goes, be the address taken away by hand or not."""
    families = {"ip_families": ("IPv4",), "ip_family_policy": "SingleStack"}
    old = service("ClusterIP", **ADDRESS, **families)
    spec = updated_service(service("ExternalName", external_name="example.com", **families), old).spec
    assert (spec.cluster_ips, spec.ip_families, spec.ip_family_policy) == ((), (), None)
    families["ip_family_policy"] = "PreferDualStack"
    spec = updated_service(service("ExternalName", external_name="example.com", **ADDRESS, **families), old).spec
    assert (spec.cluster_ips, spec.ip_families, spec.ip_family_policy) == ((), (), "PreferDualStack")


def test_fields_of_a_load_balancer_go_with_the_type():
    fields = {"allocate_load_balancer_node_ports": True, "health_check_node_port": 32000, "load_balancer_class": "x/y"}
    old = service("LoadBalancer", ("http", 80, 30080), external_traffic_policy="Local", **fields)
    new = updated_service(service("NodePort", ("http", 80, 30080), external_traffic_policy="Local", **fields), old)
    assert [getattr(new.spec, name) for name in fields] == [None, None, None]
    assert node_ports(new) == [30080]


def test_the_health_check_port_goes_with_the_local_policy():
    """Of the same type still."""
    old = service("LoadBalancer", external_traffic_policy="Local", health_check_node_port=31000)
    new = service("LoadBalancer", external_traffic_policy="Cluster", health_check_node_port=31000)
    assert updated_service(new, old).spec.health_check_node_port is None
    other = service("LoadBalancer", external_traffic_policy="Cluster", health_check_node_port=31001)
    assert updated_service(other, old).spec.health_check_node_port == 31001


@pytest.mark.parametrize("obj", [OLD, ConfigMap(metadata=ObjectMeta(name="c"))])
def test_an_update_without_a_change_is_none(obj):
    assert updated_service(obj, obj) == obj
