"""Defaults of the kinds that describe a cluster and its rules, and of Secrets."""

from __future__ import annotations

from base64 import b64encode

from state.defaults._sharing import each, filled, given
from state.defaults.resources import ResourceList, resource_list, with_missing
from state.objects import LimitRange, LimitRangeItem, Namespace, Node, NodeSpec, PriorityClass, ResourceQuota, Secret

_NAME_LABEL = "kubernetes.io/metadata.name"
_FINALIZER = "kubernetes"


def namespace(obj: Namespace) -> Namespace:
    """Namespace (v1): labelled with its name, and kept by a finalizer until its contents are gone."""
    meta, finalizers = obj.metadata, obj.spec.finalizers
    labels = meta.labels
    if meta.name and labels.get(_NAME_LABEL) != meta.name:
        labels = {**labels, _NAME_LABEL: meta.name}
    if meta.deletion_timestamp is None and _FINALIZER not in finalizers:
        finalizers = (*finalizers, _FINALIZER)
    return filled(
        obj,
        metadata=filled(meta, labels=labels),
        spec=filled(obj.spec, finalizers=finalizers),
        status=filled(obj.status, phase=obj.status.phase or "Active"),
    )


def node(obj: Node) -> Node:
    """Node (v1): all of the capacity is allocatable unless it says otherwise."""
    capacity = resource_list(obj.status.capacity)
    allocatable = resource_list(obj.status.allocatable) if obj.status.allocatable else capacity
    return filled(obj, spec=_node_spec(obj.spec), status=filled(obj.status, capacity=capacity, allocatable=allocatable))


def _node_spec(spec: NodeSpec) -> NodeSpec:
    """One range of pod addresses is written in two fields; the older one decides."""
    if spec.pod_cidr and spec.pod_cidrs[:1] != (spec.pod_cidr,):
        return filled(spec, pod_cidrs=(spec.pod_cidr,))
    if spec.pod_cidrs and not spec.pod_cidr:
        return filled(spec, pod_cidr=spec.pod_cidrs[0])
    return spec


def limit_range(obj: LimitRange) -> LimitRange:
    """LimitRange (v1)."""
    return filled(obj, spec=filled(obj.spec, limits=each(obj.spec.limits, _limit)))


def _limit(item: LimitRangeItem) -> LimitRangeItem:
    """Containers get the maximum as limit; as request the default limit, or else the minimum."""
    default: ResourceList = item.default
    request: ResourceList = item.default_request
    if item.type == "Container":
        default = with_missing(default, item.max)
        request = with_missing(with_missing(request, default), item.min)
    return filled(
        item,
        default=resource_list(default),
        default_request=resource_list(request),
        max=resource_list(item.max),
        max_limit_request_ratio=resource_list(item.max_limit_request_ratio),
        min=resource_list(item.min),
    )


def resource_quota(obj: ResourceQuota) -> ResourceQuota:
    """ResourceQuota (v1)."""
    status = obj.status
    return filled(
        obj,
        spec=filled(obj.spec, hard=resource_list(obj.spec.hard)),
        status=filled(status, hard=resource_list(status.hard), used=resource_list(status.used)),
    )


def priority_class(obj: PriorityClass) -> PriorityClass:
    """PriorityClass (scheduling.k8s.io/v1)."""
    return filled(obj, preemption_policy=given(obj.preemption_policy, "PreemptLowerPriority"))


def secret(obj: Secret) -> Secret:
    """Secret (v1): what is written as plain text (``stringData``) is stored encoded, over what ``data`` says."""
    if obj.string_data:
        encoded = {key: b64encode(text.encode()).decode() for key, text in obj.string_data.items()}
        obj = filled(obj, data={**obj.data, **encoded}, string_data={})
    return filled(obj, type=obj.type or "Opaque")
