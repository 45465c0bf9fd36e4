"""Validation of built-in kinds that have no type in ``state.objects``: of their fields as plain JSON.

The values have the right types already, and the defaults are filled in; what there is no more of such a kind than its
fields, whoever serves it knows. Messages, paths and their order are the API server's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from state.errors import Problem
from state.validation._report import EnoughError, Report
from state.validation.plain import (
    autoscaling,
    certificates,
    devices,
    flowcontrol,
    networking,
    nodes,
    rbac,
    storage,
)

__all__ = ["plain_changes", "plain_problems"]

Json = dict[str, Any]
#: By kind, what checks an object (without kind and version).
_CHECKS: dict[str, Callable[[Report, Json], None]] = {
    "CertificateSigningRequest": certificates.request,
    "ClusterRole": rbac.cluster_role,
    "ClusterRoleBinding": rbac.cluster_role_binding,
    "DeviceClass": devices.device_class,
    "FlowSchema": flowcontrol.flow_schema,
    "HorizontalPodAutoscaler": autoscaling.autoscaler,
    "Ingress": networking.ingress,
    "IngressClass": networking.ingress_class,
    "IPAddress": networking.ip_address,
    "NetworkPolicy": networking.network_policy,
    "PriorityLevelConfiguration": flowcontrol.priority_level,
    "ResourceClaim": devices.claim,
    "ResourceClaimTemplate": devices.claim_template,
    "ResourceSlice": devices.resource_slice,
    "Role": rbac.role,
    "RoleBinding": rbac.role_binding,
    "RuntimeClass": nodes.runtime_class,
    "ServiceCIDR": networking.service_cidr,
    "VolumeAttributesClass": storage.attributes_class,
}
#: By kind, what an update may not change.
_UPDATES: dict[str, Callable[[Report, Json, Json], None]] = {
    "CertificateSigningRequest": certificates.request_update,
    "ClusterRoleBinding": rbac.binding_update,
    "IngressClass": networking.ingress_class_update,
    "IPAddress": networking.ip_address_update,
    "ResourceClaim": devices.kept,
    "ResourceClaimTemplate": devices.kept,
    "ResourceSlice": devices.resource_slice_update,
    "RoleBinding": rbac.binding_update,
    "RuntimeClass": nodes.runtime_class_update,
    "ServiceCIDR": networking.service_cidr_update,
    "VolumeAttributesClass": storage.attributes_class_update,
}


def plain_problems(kind: str, obj: Json) -> tuple[Problem, ...]:
    """What of an object, given with the name and annotations of its metadata, isn't allowed."""
    found = Report()
    check = _CHECKS.get(kind)
    with suppress(EnoughError):
        if check is not None:
            check(found, obj)
    return tuple(found.problems)


def plain_changes(kind: str, new: Json, old: Json) -> tuple[Problem, ...]:
    """What of an object isn't allowed as a change of the old one."""
    found = Report()
    check = _UPDATES.get(kind)
    with suppress(EnoughError):
        if check is not None:
            check(found, new, old)
    return tuple(found.problems)
