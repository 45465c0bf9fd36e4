"""What is checked of the status of a pod, when one is reported (ValidatePodStatusUpdate)."""

from __future__ import annotations

from state import names
from state.addresses import parsed_ip
from state.objects import Container, ContainerStatus, Pod, PodResourceClaimStatus
from state.restarts import restarts
from state.validation import _checks as checks
from state.validation._report import Report

_OF_THE_SYSTEM = ("PodScheduled", "Ready", "Initialized")


def pod_status(found: Report, new: Pod, old: Pod) -> None:
    """What ended stays so if it isn't to be started again; addresses are some; the class of service stays."""
    spec, status, before = old.spec, new.status, old.status
    for index, condition in enumerate(status.conditions):
        if condition.type not in _OF_THE_SYSTEM:
            # the API server's own slip: conditions are in no metadata
            checks.text(found, f"metadata.conditions[{index}].Type", condition.type, names.qualified_name)
    if status.nominated_node_name and status.nominated_node_name != before.nominated_node_name:
        checks.text(found, "status.nominatedNodeName", status.nominated_node_name, names.dns1123_subdomain)
    if before.qos_class and status.qos_class != before.qos_class:
        found.invalid("status.qosClass", status.qos_class, checks.IMMUTABLE)
    regular = {each.name: each for each in spec.containers}
    initial = {each.name: each for each in spec.init_containers}
    if not any(
        rule.action == "RestartAllContainers"
        for each in (*spec.containers, *spec.init_containers)
        for rule in each.restart_policy_rules
    ):
        policy = spec.restart_policy or "Always"
        _ended(found, "container", (status.container_statuses, before.container_statuses), regular, policy)
        both = (status.init_container_statuses, before.init_container_statuses)
        _ended(found, "initContainer", both, initial, policy)
    both = (status.ephemeral_container_statuses, before.ephemeral_container_statuses)
    _ended(found, "ephemeralContainer", both, {}, "Never")
    _claims(found, status.resource_claim_statuses, {claim.name for claim in spec.resource_claims})
    _addresses(found, "status.podIPs", [each.ip for each in status.pod_ips])
    hosts = [each.ip for each in status.host_ips]
    if hosts and hosts[0] != (status.host_ip or ""):
        found.invalid("status.hostIPs[0].ip", hosts[0], "must be equal to `hostIP`")
    _addresses(found, "status.hostIPs", hosts)


def _ended(
    found: Report,
    kind: str,
    both: tuple[tuple[ContainerStatus, ...], tuple[ContainerStatus, ...]],
    containers: dict[str, Container],
    policy: str,
) -> None:
    new, old = both
    live = {status.name for status in new if status.state is None or status.state.terminated is None}
    for index, status in enumerate(old):
        ended = None if status.state is None else status.state.terminated
        if ended is None or status.name not in live:
            continue
        if not restarts(containers.get(status.name, Container()), policy, ended.exit_code):
            found.forbidden(f"status.{kind}Statuses[{index}].state", "may not be transitioned to non-terminated state")


def _claims(found: Report, statuses: tuple[PodResourceClaimStatus, ...], known: set[str]) -> None:
    seen: set[str] = set()
    for index, status in enumerate(statuses):
        path = f"status.resourceClaimStatuses[{index}].name"
        if status.name not in known:
            found.invalid(path, status.name, "must match the name of an entry in `spec.resourceClaims`")
        if status.name in seen:
            found.duplicate(path, status.name)
        seen.add(status.name)
        if status.resource_claim_name is not None:
            checks.text(found, path, status.resource_claim_name, names.dns1123_subdomain)


def _addresses(found: Report, path: str, given: list[str]) -> None:
    """One of each family at most."""
    valid = [checks.ip(found, f"{path}[{index}].ip", address) for index, address in enumerate(given)]
    if not all(valid):
        return
    families = {address.version for address in map(parsed_ip, given) if address is not None}
    if len(given) > len(families):
        message = "may specify no more than one IP for each IP family"
        found.invalid(path, [{"IP": address} for address in given], message)
    for index, address in enumerate(given):
        if address in given[:index]:
            found.duplicate(f"{path}[{index}]", {"IP": address})
