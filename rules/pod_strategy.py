"""What the API server writes into a pod by itself: into a new one, once admission is through with it, and into a
reported status. As the PrepareForCreate of podStrategy and the PrepareForUpdate of podStatusStrategy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from rules.scheduling.terms import with_label_keys
from state import profiles
from state.kept import Remembered, by_identity
from state.objects import (
    Container,
    EphemeralContainer,
    Opaque,
    Pod,
    PodAffinityTerm,
    PodCondition,
    PodSpec,
    PodStatus,
    TopologySpreadConstraint,
    replace,
)

ContainerT = TypeVar("ContainerT", Container, EphemeralContainer)
KeyedT = TypeVar("KeyedT", PodAffinityTerm, TopologySpreadConstraint)
#: By what they are made of, which is kept with them: specifications with their keys' requirements.
_made = Remembered[tuple[int | str | None, ...], tuple[PodSpec, PodSpec]]()
_GATED = "Scheduling is blocked due to non-empty scheduling gates"


def created_pod(pod: Pod) -> Pod:
    """The new pod as it is stored: its selectors ask for the labels that it names as keys, AppArmor's annotations are
    fields, and what holds it back is a condition.
    """
    spec, status, meta = pod.spec, pod.status, pod.metadata
    if spec.affinity is not None or spec.topology_spread_constraints:
        spec = _with_label_keys(spec, meta.labels)
    if meta.annotations:
        spec = _with_app_armor(spec, meta.annotations)
    if spec.scheduling_gates and not any(each.type == "PodScheduled" for each in status.conditions):
        gated = PodCondition(
            type="PodScheduled",
            status="False",
            reason="SchedulingGated",
            message=_GATED,
            last_transition_time=meta.creation_timestamp,
        )
        status = replace(status, conditions=(*status.conditions, gated))
    if spec is pod.spec and status is pod.status:
        return pod
    return replace(pod, spec=spec, status=status)


def reported_status(status: PodStatus, before: PodStatus) -> PodStatus:
    """A reported status with what it leaves out and may not take away: the class of service, and of which generation
    the pod and each condition is told; conditions of one type are taken in their order.
    """
    generations: dict[str, list[int | None]] = {}
    for old in before.conditions:
        generations.setdefault(old.type, []).append(old.observed_generation)
    conditions = []
    for condition in status.conditions:
        kept = generations.get(condition.type)
        known = kept.pop(0) if kept else None
        conditions.append(condition if condition.observed_generation else replace(condition, observed_generation=known))
    return replace(
        status,
        qos_class=status.qos_class or before.qos_class,
        observed_generation=status.observed_generation or before.observed_generation,
        conditions=tuple(conditions),
    )


# -- matchLabelKeys and mismatchLabelKeys -----------------------------------------------------------------------------


@by_identity
def _label_keys(spec: PodSpec) -> tuple[str, ...]:
    """The keys whose labels matter."""
    keys = {key for each in spec.topology_spread_constraints for key in each.match_label_keys}
    keys.update(key for term in _terms(spec) for key in (*term.match_label_keys, *term.mismatch_label_keys))
    return tuple(sorted(keys))


def _terms(spec: PodSpec) -> Iterator[PodAffinityTerm]:
    affinity = spec.affinity
    for pods in () if affinity is None else (affinity.pod_affinity, affinity.pod_anti_affinity):
        if pods is not None:
            yield from pods.required_during_scheduling_ignored_during_execution
            for weighted in pods.preferred_during_scheduling_ignored_during_execution:
                yield weighted.pod_affinity_term


def _with_label_keys(spec: PodSpec, labels: Mapping[str, str]) -> PodSpec:
    """Pods that share a specification and the labels that matter share the new one, too."""
    keys = _label_keys(spec)
    if not keys:
        return spec
    shared = (id(spec), *map(labels.get, keys))
    known = _made.get(shared)
    if known is None:
        constraints = tuple(_keyed(each, (), labels) for each in spec.topology_spread_constraints)
        affinity = spec.affinity
        if affinity is not None:
            for name in ("pod_affinity", "pod_anti_affinity"):
                affinity = replace(affinity, **{name: _affine(getattr(affinity, name), labels)})
        known = _made[shared] = (spec, replace(spec, affinity=affinity, topology_spread_constraints=constraints))
    return known[1]


def _affine(pods: Any, labels: Mapping[str, str]) -> Any:
    if pods is None:
        return None
    preferred = tuple(
        replace(weighted, pod_affinity_term=_term(weighted.pod_affinity_term, labels))
        for weighted in pods.preferred_during_scheduling_ignored_during_execution
    )
    return replace(
        pods,
        required_during_scheduling_ignored_during_execution=tuple(
            _term(term, labels) for term in pods.required_during_scheduling_ignored_during_execution
        ),
        preferred_during_scheduling_ignored_during_execution=preferred,
    )


def _term(term: PodAffinityTerm, labels: Mapping[str, str]) -> PodAffinityTerm:
    return _keyed(term, term.mismatch_label_keys, labels)


def _keyed(given: KeyedT, mismatch: tuple[str, ...], labels: Mapping[str, str]) -> KeyedT:
    selector = with_label_keys(given.label_selector, labels, given.match_label_keys, mismatch)
    return given if selector is given.label_selector else replace(given, label_selector=selector)


# -- AppArmor's annotations --------------------------------------------------------------------------------------------


def _with_app_armor(spec: PodSpec, annotations: Mapping[str, str]) -> PodSpec:
    """With profiles that so far only annotations name (applyAppArmorVersionSkew); the pod's own needn't be repeated."""
    prefix = profiles.APP_ARMOR_CONTAINER
    if not any(key.startswith(prefix) for key in annotations) or profiles.is_windows(spec):
        return spec
    own = profiles.part_of(spec.security_context, profiles.APP_ARMOR)

    def confined(container: ContainerT) -> ContainerT:
        context = container.security_context
        profile = profiles.app_armor_profile(annotations.get(prefix + container.name, ""))
        if profile in (None, own) or profiles.part_of(context, profiles.APP_ARMOR) is not None:
            return container
        values = {} if context is None else context.value
        return replace(container, security_context=Opaque({**values, profiles.APP_ARMOR: profile}))

    return replace(
        spec,
        init_containers=tuple(map(confined, spec.init_containers)),
        containers=tuple(map(confined, spec.containers)),
        ephemeral_containers=tuple(map(confined, spec.ephemeral_containers)),
    )
