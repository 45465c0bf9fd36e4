"""What an update may change of a pod: images, deadlines, more tolerations, fewer gates; little else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from state import names
from state.objects import Affinity, Container, NodeAffinity, NodeSelectorTerm, Pod, PodSpec, replace
from state.profiles import APP_ARMOR_CONTAINER
from state.validation import scheduling
from state.validation._report import Report
from state.validation.containers import PADDED_IMAGE
from state.validation.differences import difference, internal
from state.validation.pods import MIRROR, pod_annotations

_INT32_MAX = 2**31 - 1
_FIXED = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
#: What admission sets again if an update omits it.
_SET_BY_ADMISSION = ("preemption_policy", "priority")
_ADDITIONS = "are allowed (no mutations or deletions)"


def pod_update(found: Report, new: Pod, old: Pod) -> None:
    """A pod keeps what it was made with, but for images, deadlines, more tolerations and fewer gates."""
    _annotations_update(found, new.metadata.annotations, old.metadata.annotations)
    pod_annotations(found, "metadata.annotations", new.metadata.annotations, new.spec)
    spec, before = new.spec, old.spec
    if not (
        _containers_update(found, "spec.containers", spec.containers, before.containers)
        and _containers_update(found, "spec.initContainers", spec.init_containers, before.init_containers)
        and _deadline_update(found, spec.active_deadline_seconds, before.active_deadline_seconds)
    ):
        return
    _tolerations_update(found, spec, before)
    gates = {gate.name for gate in before.scheduling_gates}
    for index, gate in enumerate(spec.scheduling_gates):
        if gate.name not in gates:
            message = f"only deletion is allowed, but found new scheduling gate '{gate.name}'"
            found.forbidden(f"spec.schedulingGates[{index}].name", message)
    fixed = _fixed(spec, before)
    if gates:
        fixed = _Gated(found, fixed, before).fixed()
    if fixed != before:
        found.forbidden("spec", f"{_FIXED}\n{difference('PodSpec', before, fixed)}")


def _annotations_update(found: Report, new: Mapping[str, str], old: Mapping[str, str]) -> None:
    for verb, keys in (
        ("remove or update", [key for key, value in old.items() if new.get(key) != value]),
        ("add", list(new.keys() - old.keys())),
    ):
        for key in sorted(keys):
            if key.startswith(APP_ARMOR_CONTAINER):
                found.forbidden(f"metadata.annotations[{key}]", f"may not {verb} AppArmor annotations")
            if key == MIRROR:
                found.forbidden(f"metadata.annotations[{key}]", f"may not {verb} mirror pod annotation")


def _containers_update(found: Report, path: str, new: tuple[Container, ...], old: tuple[Container, ...]) -> bool:
    """Whether the containers are the same, and have images."""
    if len(new) != len(old):
        found.forbidden(path, "pod updates may not add or remove containers")
        return False
    for index, container in enumerate(new):
        image = container.image or ""
        if not image:
            found.required(f"{path}[{index}].image")
            return False
        if image != image.strip():
            found.invalid(f"{path}[{index}].image", image, PADDED_IMAGE)
            return False
    return True


def _deadline_update(found: Report, seconds: int | None, before: int | None) -> bool:
    """Whether the deadline is one that a pod can have, and no later than it was."""
    path = "spec.activeDeadlineSeconds"
    if seconds is None:
        if before is not None:
            found.invalid(path, None, "must not update from a positive integer to nil value")
    elif not 0 <= seconds <= _INT32_MAX:
        found.invalid(path, seconds, names.range_message(0, _INT32_MAX))
        return False
    elif before is not None and seconds > before:
        found.invalid(path, seconds, "must be less than or equal to previous value")
        return False
    return True


def _tolerations_update(found: Report, spec: PodSpec, before: PodSpec) -> None:
    kept = {replace(toleration, toleration_seconds=None) for toleration in spec.tolerations}
    if any(replace(toleration, toleration_seconds=None) not in kept for toleration in before.tolerations):
        message = "existing toleration can not be modified except its tolerationSeconds"
        found.forbidden("spec.tolerations", message)
    else:
        scheduling.tolerations(found, "spec.tolerations", spec.tolerations)


def _fixed(spec: PodSpec, before: PodSpec) -> PodSpec:
    """A specification with everything put back that may change, or that the server has set."""
    grace_seconds = spec.termination_grace_period_seconds
    if grace_seconds == 1 and (before.termination_grace_period_seconds or 0) < 0:
        grace_seconds = before.termination_grace_period_seconds
    return replace(
        spec,
        **{name: getattr(spec, name) or getattr(before, name) for name in _SET_BY_ADMISSION},
        containers=_with_images(spec.containers, before.containers),
        init_containers=_with_images(spec.init_containers, before.init_containers),
        active_deadline_seconds=before.active_deadline_seconds,
        termination_grace_period_seconds=grace_seconds,
        tolerations=before.tolerations,
        scheduling_gates=before.scheduling_gates,
    )


def _with_images(given: tuple[Container, ...], before: tuple[Container, ...]) -> tuple[Container, ...]:
    return tuple(replace(new, image=old.image) for new, old in zip(given, before, strict=True))


@dataclass(frozen=True, slots=True)
class _Gated:
    """A pod that isn't scheduled yet: it may come to ask for more of its node."""

    found: Report
    spec: PodSpec
    before: PodSpec

    def fixed(self) -> PodSpec:
        """The specification with what may be added to it put back."""
        selector, before = self.spec.node_selector, self.before.node_selector
        if not before.items() <= selector.items():
            value = dict(sorted(selector.items())) or None
            self.found.invalid("spec.nodeSelector", value, f"only additions to spec.nodeSelector {_ADDITIONS}")
        return replace(self.spec, node_selector=before, affinity=self._affinity())

    def _affinity(self) -> Affinity | None:
        affinity, before = self.spec.affinity, self.before.affinity
        now = None if affinity is None else affinity.node_affinity
        was = None if before is None else before.node_affinity
        if now == was:
            return affinity
        self._terms(_terms(now), _terms(was))
        if affinity is None:
            return Affinity(node_affinity=was)
        if before is None and affinity.pod_affinity is None and affinity.pod_anti_affinity is None:
            return None
        return replace(affinity, node_affinity=was)

    def _terms(self, new: tuple[NodeSelectorTerm, ...], old: tuple[NodeSelectorTerm, ...]) -> None:
        path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        if old and len(old) != len(new):
            message = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
            self.found.invalid(path, [internal("NodeSelectorTerm", term) for term in new] or None, message)
            return
        for index, (now, was) in enumerate(zip(new, old, strict=False)):
            if not _narrows(now, was):
                value = internal("NodeSelectorTerm", now)
                self.found.invalid(f"{path}[{index}]", value, f"only additions {_ADDITIONS}")


def _terms(affinity: NodeAffinity | None) -> tuple[NodeSelectorTerm, ...]:
    required = affinity.required_during_scheduling_ignored_during_execution if affinity is not None else None
    return required.node_selector_terms if required is not None else ()


def _narrows(new: NodeSelectorTerm, old: NodeSelectorTerm) -> bool:
    """Whether a term asks for all that it did; an empty one, which no node fulfils, stays empty."""
    if not old.match_expressions and not old.match_fields:
        return not new.match_expressions and not new.match_fields
    return (
        new.match_expressions[: len(old.match_expressions)] == old.match_expressions
        and new.match_fields[: len(old.match_fields)] == old.match_fields
    )
