"""Validation of what tells the scheduler where a pod may go: affinity, tolerations, spreading, gates, taints."""

from __future__ import annotations

from state import names
from state.objects import (
    Affinity,
    LabelSelector,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    PodSchedulingGate,
    Taint,
    Toleration,
    TopologySpreadConstraint,
)
from state.validation import _checks as checks
from state.validation._report import Report

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_SPREAD_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")


def affinity(found: Report, path: str, given: Affinity | None) -> None:
    """Which nodes and which other pods a pod wants to be near to, or away from."""
    if given is None:
        return
    nodes = given.node_affinity
    if nodes is not None:
        required = nodes.required_during_scheduling_ignored_during_execution
        if required is not None:
            node_selector(found, f"{path}.nodeAffinity.{_REQUIRED}", required)
        preferred = nodes.preferred_during_scheduling_ignored_during_execution
        for index, preference in enumerate(preferred):
            own_path = f"{path}.nodeAffinity.{_PREFERRED}[{index}]"
            _weight(found, own_path, preference.weight)
            _node_term(found, f"{own_path}.preference", preference.preference, strict=False)
    _pod_affinity(found, f"{path}.podAffinity", given.pod_affinity)
    _pod_affinity(found, f"{path}.podAntiAffinity", given.pod_anti_affinity)


def node_selector(found: Report, path: str, selector: NodeSelector) -> None:
    """A selection of nodes that cannot be done without."""
    if not selector.node_selector_terms:
        found.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(selector.node_selector_terms):
        _node_term(found, f"{path}.nodeSelectorTerms[{index}]", term, strict=True)


def _node_term(found: Report, path: str, term: NodeSelectorTerm, *, strict: bool) -> None:
    for index, requirement in enumerate(term.match_expressions):
        _node_requirement(found, f"{path}.matchExpressions[{index}]", requirement, strict=strict)
    for index, requirement in enumerate(term.match_fields):
        _node_field(found, f"{path}.matchFields[{index}]", requirement)


def _node_requirement(found: Report, path: str, requirement: NodeSelectorRequirement, *, strict: bool) -> None:
    """``strict`` is for what is required: a preference with a bad value does no harm, and the API server lets it be."""
    operator, values = requirement.operator, requirement.values
    if operator in {"In", "NotIn"}:
        if not values:
            found.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            found.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    elif operator in {"Gt", "Lt"}:
        if len(values) != 1:
            found.required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        found.invalid(f"{path}.operator", operator, "not a valid selector operator")
    checks.text(found, f"{path}.key", requirement.key, names.qualified_name)
    for index, value in enumerate(values if strict else ()):
        checks.text(found, f"{path}.values[{index}]", value, names.label_value)


def _node_field(found: Report, path: str, requirement: NodeSelectorRequirement) -> None:
    if requirement.operator not in {"In", "NotIn"}:
        found.invalid(f"{path}.operator", requirement.operator, "not a valid selector operator")
    elif len(requirement.values) != 1:
        message = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        found.required(f"{path}.values", message)
    if requirement.key != "metadata.name":
        found.invalid(f"{path}.key", requirement.key, "not a valid field selector key")
        return
    for index, value in enumerate(requirement.values):
        checks.text(found, f"{path}.values[{index}]", value, names.dns1123_subdomain)


def _pod_affinity(found: Report, path: str, given: PodAffinity | PodAntiAffinity | None) -> None:
    if given is None:
        return
    for index, term in enumerate(given.required_during_scheduling_ignored_during_execution):
        _pod_term(found, f"{path}.{_REQUIRED}[{index}]", term)
    for index, weighted in enumerate(given.preferred_during_scheduling_ignored_during_execution):
        own_path = f"{path}.{_PREFERRED}[{index}]"
        _weight(found, own_path, weighted.weight)
        _pod_term(found, f"{own_path}.podAffinityTerm", weighted.pod_affinity_term)


def _pod_term(found: Report, path: str, term: PodAffinityTerm) -> None:
    checks.label_selector(found, f"{path}.labelSelector", term.label_selector)
    checks.label_selector(found, f"{path}.namespaceSelector", term.namespace_selector)
    for namespace in term.namespaces:
        checks.text(found, f"{path}.namespace", namespace, names.dns1123_label)
    _label_keys(found, path, term.match_label_keys, term.mismatch_label_keys, term.label_selector)
    if not term.topology_key:
        found.required(f"{path}.topologyKey", "can not be empty")
    checks.text(found, f"{path}.topologyKey", term.topology_key, names.qualified_name)


def _label_keys(
    found: Report, path: str, match: tuple[str, ...], mismatch: tuple[str, ...], selector: LabelSelector | None
) -> None:
    """Keys of labels whose values are the pod's own; ``path`` is that of what has them, and a selector.

    The requirements that the API server makes of them for a new pod are in the selector already: a key that it had
    before is there twice.
    """
    for name, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        if keys and selector is None:
            found.forbidden(f"{path}.{name}", "must not be specified when labelSelector is not set")
            continue
        for index, key in enumerate(keys):
            checks.text(found, f"{path}.{name}[{index}]", key, names.qualified_name)
    places = {key: index for index, key in enumerate(match)}
    seen = set() if selector is None else set(selector.match_labels)
    for requirement in () if selector is None else selector.match_expressions:
        key = requirement.key
        if key in places and key in seen:
            found.invalid(f"{path}[{places[key]}]", key, "exists in both matchLabelKeys and labelSelector")
        seen.add(key)
    for index, key in enumerate(match):
        if key in mismatch:
            message = "exists in both matchLabelKeys and mismatchLabelKeys"
            found.invalid(f"{path}.matchLabelKeys[{index}]", key, message)


def _weight(found: Report, path: str, weight: int) -> None:
    if not 1 <= weight <= 100:
        found.invalid(f"{path}.weight", weight, "must be in the range 1-100")


def tolerations(found: Report, path: str, given: tuple[Toleration, ...]) -> None:
    """Taints that a pod puts up with."""
    for index, toleration in enumerate(given):
        own_path = f"{path}[{index}]"
        operator = toleration.operator or ""
        if toleration.key:
            checks.text(found, f"{own_path}.key", toleration.key, names.qualified_name)
        elif operator != "Exists":
            message = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            found.invalid(f"{own_path}.operator", operator, message)
        if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
            message = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            found.invalid(f"{own_path}.effect", toleration.effect or "", message)
        if operator in {"", "Equal"}:
            messages = names.label_value(toleration.value or "")
            if messages:
                found.invalid(f"{own_path}.operator", toleration.value, ";".join(messages))
        elif operator == "Exists":
            if toleration.value:
                message = "value must be empty when `operator` is 'Exists'"
                found.invalid(f"{own_path}.operator", toleration.value, message)
        else:
            compared = ("Lt", "Gt") if operator in {"Lt", "Gt"} else ()  # alpha: told of only to those who ask for them
            found.unsupported(f"{own_path}.operator", operator, ("Equal", "Exists", *compared))
        if toleration.effect and toleration.effect not in _TAINT_EFFECTS:
            found.unsupported(f"{own_path}.effect", toleration.effect, _TAINT_EFFECTS)


def taints(found: Report, path: str, given: tuple[Taint, ...]) -> None:
    """What keeps pods off a node, each key once for each effect."""
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(given):
        own_path = f"{path}[{index}]"
        checks.text(found, f"{own_path}.key", taint.key, names.qualified_name)
        messages = names.label_value(taint.value or "")
        if messages:
            found.invalid(f"{own_path}.value", taint.value, ";".join(messages))
        found.one_of(f"{own_path}.effect", taint.effect, _TAINT_EFFECTS)
        if (taint.key, taint.effect) in seen:
            value = {
                "Key": taint.key,
                "Value": taint.value or "",
                "Effect": taint.effect,
                "TimeAdded": taint.time_added,
            }
            found.duplicate(own_path, value, "taints must be unique by key and effect pair")
        seen.add((taint.key, taint.effect))


def topology_spread(found: Report, path: str, given: tuple[TopologySpreadConstraint, ...]) -> None:
    """How evenly pods are to be spread."""
    for index, constraint in enumerate(given):
        own_path = f"{path}[{index}]"
        key, action = constraint.topology_key, constraint.when_unsatisfiable
        if constraint.max_skew <= 0:
            found.invalid(f"{own_path}.maxSkew", constraint.max_skew, checks.NOT_POSITIVE)
        if not key:
            found.required(f"{own_path}.topologyKey", "can not be empty")
        if action not in _SPREAD_ACTIONS:
            found.unsupported(f"{own_path}.whenUnsatisfiable", action, _SPREAD_ACTIONS)
        if any((key, action) == (other.topology_key, other.when_unsatisfiable) for other in given[index + 1 :]):
            found.duplicate(f"{own_path}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}")
        _min_domains(found, f"{own_path}.minDomains", constraint)
        for name, policy in (
            ("nodeAffinityPolicy", constraint.node_affinity_policy),
            ("nodeTaintsPolicy", constraint.node_taints_policy),
        ):
            if policy is not None and policy not in {"Honor", "Ignore"}:
                found.unsupported(f"{own_path}.{name}", policy, ("Honor", "Ignore"))
        _label_keys(found, own_path, constraint.match_label_keys, (), constraint.label_selector)
        checks.label_selector(found, f"{own_path}.labelSelector", constraint.label_selector)


def _min_domains(found: Report, path: str, constraint: TopologySpreadConstraint) -> None:
    domains, action = constraint.min_domains, constraint.when_unsatisfiable
    if domains is not None and domains <= 0:
        found.invalid(path, domains, checks.NOT_POSITIVE)
    if domains is not None and action != "DoNotSchedule":
        message = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        found.invalid(path, domains, message)


def scheduling_gates(found: Report, path: str, gates: tuple[PodSchedulingGate, ...]) -> None:
    """What holds a pod back from being scheduled, each once."""
    seen: set[str] = set()
    for index, gate in enumerate(gates):
        checks.text(found, f"{path}[{index}]", gate.name, names.qualified_name)
        if gate.name in seen:
            found.duplicate(f"{path}[{index}]", gate.name)
        seen.add(gate.name)
