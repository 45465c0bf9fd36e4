"""Validation of pods and pod templates."""

from __future__ import annotations

import re
from collections.abc import Mapping

from state import names
from state.defaults.pod_resources import together
from state.kept import Remembered
from state.objects import (
    Pod,
    PodResourceClaim,
    PodSpec,
    PodTemplateSpec,
    ResourceRequirements,
    Volume,
    replace,
)
from state.profiles import containers_of
from state.quantity import QuantityError, canonical, compare
from state.validation import _checks as checks
from state.validation import scheduling
from state.validation._opaque import Fields
from state.validation._report import Report
from state.validation.containers import (
    RESTART_POLICIES,
    Surroundings,
    containers,
    ephemeral_containers,
    init_containers,
)
from state.validation.metadata import object_meta, template_meta
from state.validation.resources import is_huge_page, pod_resource_name, requirements
from state.validation.security import pod_security_context, profiles_agree, security_annotations
from state.validation.volumes import volumes
from state.validation.windows import host_process, operating_system

_INT32_MAX = 2**31 - 1
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
_OWN_USERS = "when `hostUsers` is false"
#: In bytes, as Linux takes it.
_MAX_HOST_NAME = 64
_MAX_NAMESERVERS, _MAX_SEARCHES, _MAX_SEARCH_LENGTH = 3, 32, 2048
_SEARCH = re.compile(r"[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*")

MIRROR = "kubernetes.io/config.mirror"
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_COST = re.compile(r"-?[0-9]+")
#: Specifications of pods that were found valid, by identity: the pods of one template share theirs.
_valid = Remembered[int, PodSpec]()


def pod(found: Report, obj: Pod) -> None:
    """Pod (v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    pod_annotations(found, "metadata.annotations", obj.metadata.annotations, obj.spec)
    if _valid.get(id(obj.spec)) is not obj.spec:
        before = len(found.problems)
        pod_spec(found, "spec", obj.spec, pod_name=obj.metadata.name, in_pod=True)
        if len(found.problems) == before and not any(volume.ephemeral is not None for volume in obj.spec.volumes):
            _valid[id(obj.spec)] = obj.spec


def new_pod(found: Report, obj: Pod) -> None:
    """What a pod may not have when it is created, though it may come to have it later."""
    spec, annotations = obj.spec, obj.metadata.annotations
    if spec.ephemeral_containers:
        found.forbidden("spec.ephemeralContainers", "cannot be set on create")
    if spec.node_name and spec.scheduling_gates:
        found.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")
    if annotations:
        profiles_agree(found, "spec", annotations, spec)


def pod_template(found: Report, path: str, template: PodTemplateSpec, extra: tuple[Volume, ...] = ()) -> None:
    """A template of pods; ``extra`` are volumes that its pods get from elsewhere."""
    template_meta(found, path, template.metadata)
    pod_annotations(found, f"{path}.annotations", template.metadata.annotations, template.spec)
    pod_spec(found, f"{path}.spec", template.spec, extra=extra)
    if template.spec.ephemeral_containers:
        found.forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def pod_annotations(found: Report, path: str, given: Mapping[str, str], spec: PodSpec) -> None:
    """The annotations of a pod that mean something to the API server."""
    if not given:
        return
    if MIRROR in given and not spec.node_name:
        message = "must set spec.nodeName if mirror pod annotation is set"
        found.invalid(f"{path}[{MIRROR}]", given[MIRROR], message)
    cost = given.get(_DELETION_COST, "0")
    if not (_COST.fullmatch(cost) and (cost == "0" or not cost.startswith("0")) and -(2**31) <= int(cost) < 2**31):
        found.invalid(f"{path}[{_DELETION_COST}]", cost, "must be a 32bit integer")
    security_annotations(found, path, given, {each.name for _, each in containers_of("", spec)})


def pod_spec(
    found: Report,
    path: str,
    spec: PodSpec,
    *,
    pod_name: str = "",
    in_pod: bool = False,
    extra: tuple[Volume, ...] = (),
) -> None:
    """The specification of a pod, or of the pods that a template makes."""
    known = {volume.name: volume for volume in extra} | volumes(found, f"{path}.volumes", spec.volumes, pod_name)
    _resource_claims(found, f"{path}.resourceClaims", spec.resource_claims)
    around = Surroundings(spec, known, in_pod)
    containers(found, f"{path}.containers", around)
    init_containers(found, f"{path}.initContainers", around)
    ephemeral_containers(found, f"{path}.ephemeralContainers", around)
    _own_resources(found, path, spec)
    _host_network(found, path, spec, in_pod=in_pod)
    found.one_of(f"{path}.restartPolicy", spec.restart_policy, RESTART_POLICIES)
    found.one_of(f"{path}.dnsPolicy", spec.dns_policy, _DNS_POLICIES)
    checks.labels(found, f"{path}.nodeSelector", spec.node_selector)
    pod_security_context(found, f"{path}.securityContext", spec)
    scheduling.affinity(found, f"{path}.affinity", spec.affinity)
    _dns(found, f"{path}.dnsConfig", spec)
    for index, gate in enumerate(spec.readiness_gates):
        gate_path = f"{path}.readinessGates[{index}].conditionType"
        checks.text(found, gate_path, gate.condition_type, names.qualified_name)
    scheduling.scheduling_gates(found, f"{path}.schedulingGates", spec.scheduling_gates)
    scheduling.topology_spread(found, f"{path}.topologySpreadConstraints", spec.topology_spread_constraints)
    host_process(found, path, spec)
    _host_users(found, path, spec)
    _names(found, path, spec)
    scheduling.tolerations(found, f"{path}.tolerations", spec.tolerations)
    for index, alias in enumerate(spec.host_aliases):
        checks.ip(found, f"{path}.hostAliases[{index}].ip", alias.ip)
        for number, hostname in enumerate(alias.hostnames):
            alias_path = f"{path}.hostAliases[{index}].hostnames[{number}]"
            checks.text(found, alias_path, hostname, names.dns1123_subdomain)
    if spec.preemption_policy is not None:
        found.one_of(f"{path}.preemptionPolicy", spec.preemption_policy, PREEMPTION_POLICIES)
    _overhead(found, f"{path}.overhead", spec)
    operating_system(found, path, spec)


def _names(found: Report, path: str, spec: PodSpec) -> None:
    """Names of other objects, of the node, and of the pod itself; and how long it may run."""
    for name, value in (("serviceAccountName", spec.service_account_name), ("nodeName", spec.node_name)):
        if value:
            checks.text(found, f"{path}.{name}", value, names.dns1123_subdomain)
    seconds = spec.active_deadline_seconds
    if seconds is not None and not 1 <= seconds <= _INT32_MAX:
        found.invalid(f"{path}.activeDeadlineSeconds", seconds, names.range_message(1, _INT32_MAX))
    for name, value in (("hostname", spec.hostname), ("subdomain", spec.subdomain)):
        if value:
            checks.text(found, f"{path}.{name}", value, names.dns1123_label)
    _host_name_override(found, f"{path}.hostnameOverride", spec)
    if spec.priority_class_name:
        checks.text(found, f"{path}.priorityClassName", spec.priority_class_name, names.dns1123_subdomain)
    if spec.runtime_class_name is not None:
        checks.text(found, f"{path}.runtimeClassName", spec.runtime_class_name, names.dns1123_subdomain)


def _host_name_override(found: Report, path: str, spec: PodSpec) -> None:
    """A hostname of the pod's own, of whatever domain: where nothing else says what it is, and as Linux takes it."""
    name = spec.hostname_override
    if name is None:
        return
    for field, is_set in (("setHostnameAsFQDN", spec.set_hostname_as_fqdn), ("hostNetwork", spec.host_network)):
        if is_set:
            found.forbidden(path, f"may not be specified when {field} is true")
    if len(name.encode()) > _MAX_HOST_NAME:
        found.too_long(path, _MAX_HOST_NAME)
    checks.text(found, path, name, names.dns1123_subdomain)


def _resource_claims(found: Report, path: str, claims: tuple[PodResourceClaim, ...]) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        own_path = f"{path}[{index}]"
        if claim.name and claim.name in seen:
            found.duplicate(f"{own_path}.name", claim.name)
        else:
            checks.named(found, f"{own_path}.name", claim.name, names.dns1123_label)
        seen.add(claim.name)
        by_name, by_template = claim.resource_claim_name, claim.resource_claim_template_name
        value = {"Name": claim.name, "ResourceClaimName": by_name, "ResourceClaimTemplateName": by_template}
        if by_name is not None and by_template is not None:
            message = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            found.invalid(own_path, value, message)
        if by_name is None and by_template is None:
            message = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            found.invalid(own_path, value, message)
        for name, reference in (("resourceClaimName", by_name), ("resourceClaimTemplateName", by_template)):
            if reference is not None:
                checks.text(found, f"{own_path}.{name}", reference, names.dns1123_subdomain)


def _own_resources(found: Report, path: str, spec: PodSpec) -> None:
    """Resources of the pod as a whole: no container may have a higher limit."""
    own = spec.resources
    if own is None:
        return
    if own.claims:
        found.forbidden(f"{path}.resources.claims", "claims cannot be set for Resources at pod-level")
    requirements(found, f"{path}.resources", replace(own, claims=()), name_rule=pod_resource_name)
    try:
        _consistent_resources(found, f"{path}.resources", spec, own)
    except QuantityError:  # reported where it stands
        return


def _consistent_resources(found: Report, path: str, spec: PodSpec, own: ResourceRequirements) -> None:
    """The pod has enough for what its containers request together, and each of them may use."""
    requests = together(spec, lambda needs: needs.requests)
    pages = {name: amount for name, amount in together(spec, lambda needs: needs.limits).items() if is_huge_page(name)}
    for field, given, amounts in (("requests", own.requests, requests), ("limits", own.limits, pages)):
        for name in sorted(amounts.keys() & given.keys()):
            if compare(amounts[name], given[name]) > 0:
                message = f"must be greater than or equal to aggregate container {field} of {canonical(amounts[name])}"
                found.invalid(f"{path}.{field}[{name}]", canonical(given[name]), message)
    for index, container in enumerate(spec.containers):
        limits = container.resources.limits if container.resources is not None else {}
        for name in sorted(limits.keys() & own.limits.keys()):
            if compare(limits[name], own.limits[name]) > 0:
                message = f"must be less than or equal to pod limits of {canonical(own.limits[name])}"
                found.invalid(f"{path}.containers[{index}][{name}].limits", canonical(limits[name]), message)


def _overhead(found: Report, path: str, spec: PodSpec) -> None:
    if spec.overhead:
        requirements(found, path, ResourceRequirements(limits=spec.overhead))


def _host_network(found: Report, path: str, spec: PodSpec, *, in_pod: bool) -> None:
    """On the node's network, a container's port is the node's."""
    if not spec.host_network:
        return
    for index, container in enumerate(spec.containers):
        for number, port in enumerate(container.ports):
            host_port = port.host_port or 0
            if (in_pod or host_port) and host_port != port.container_port:
                port_path = f"{path}.containers[{index}].ports[{number}].hostPort"
                found.invalid(port_path, host_port, "must match `containerPort` when `hostNetwork` is true")


def _host_users(found: Report, path: str, spec: PodSpec) -> None:
    """A pod with users of its own shares nothing with the node that its users would be needed for."""
    if spec.host_users is not False:
        return
    shared = {"hostNetwork": spec.host_network, "HostPID": spec.host_pid, "HostIPC": spec.host_ipc}
    for name in (name for name, is_shared in shared.items() if is_shared):
        found.forbidden(f"{path}.{name}", _OWN_USERS)
    for where, container in containers_of(path, spec):
        if container.volume_devices:
            found.forbidden(f"{where}.volumeDevices", _OWN_USERS)


def _dns(found: Report, path: str, spec: PodSpec) -> None:
    none = spec.dns_policy == "None"
    if spec.dns_config is None:
        if none:
            found.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
        return
    config = Fields(found, path, spec.dns_config)
    servers, searches = config.texts("nameservers"), config.texts("searches")
    if none and not servers:
        message = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        found.required(f"{path}.nameservers", message)
        return
    if len(servers) > _MAX_NAMESERVERS:
        message = f"must not have more than {_MAX_NAMESERVERS} nameservers"
        found.invalid(f"{path}.nameservers", servers, message)
    for index, server in enumerate(servers):
        checks.ip(found, f"{path}.nameservers[{index}]", server)
    if len(searches) > _MAX_SEARCHES:
        found.invalid(f"{path}.searches", searches, f"must not have more than {_MAX_SEARCHES} search paths")
    if len(" ".join(searches)) > _MAX_SEARCH_LENGTH:
        message = f"must not have more than {_MAX_SEARCH_LENGTH} characters (including spaces) in the search list"
        found.invalid(f"{path}.searches", searches, message)
    for index, search in enumerate(searches):
        domain = search.removesuffix(".")
        if search != "." and not (_SEARCH.fullmatch(domain) and len(domain) <= names.SUBDOMAIN_LENGTH):
            found.each_invalid(f"{path}.searches[{index}]", domain, names.dns1123_subdomain(domain))
    for index, option in enumerate(config.sections("options")):
        if not option.text("name"):
            found.required(f"{path}.options[{index}]", "must not be empty")
