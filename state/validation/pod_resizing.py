"""What a pod's ``resize`` may change: amounts of CPU and memory, of containers and of the pod as a whole."""

from __future__ import annotations

from state.objects import Container, Pod, ResourceRequirements, replace
from state.profiles import is_windows
from state.qos import qos_class
from state.validation._report import Report
from state.validation.pods import MIRROR

_RESIZED = ("cpu", "memory")
_FIELDS = ("requests", "limits")
_NONE = ResourceRequirements()


def pod_resize(found: Report, new: Pod, old: Pod) -> None:
    """Both differ in nothing but resources and policies of resizing, unless containers come, go or change places."""
    for is_fixed, kind in ((MIRROR in old.metadata.annotations, "static"), (is_windows(old.spec), "windows")):
        if is_fixed:
            found.forbidden("", f"{kind} pods cannot be resized")
            return
    if qos_class(new.spec) != (old.status.qos_class or qos_class(old.spec)):
        found.invalid("spec", new.status.qos_class, "Pod QOS Class may not change as a result of resizing")
    if not _can_be_resized(old):
        found.forbidden("spec", "Pod running on node without support for resize")
    _of_pod(found, new.spec.resources, old.spec.resources)
    same = _same(found, "containers", new.spec.containers, old.spec.containers)
    if not (_same(found, "initContainers", new.spec.init_containers, old.spec.init_containers) and same):
        return
    pairs = list(zip(new.spec.init_containers, old.spec.init_containers, strict=True))
    regular = list(zip(new.spec.containers, old.spec.containers, strict=True))
    for name, both in (("initContainers", pairs), ("containers", regular)):
        for index, (now, was) in enumerate(both):
            _kept(found, f"spec.{name}[{index}].resources", "resource", now.resources, was.resources)
    for now, was in regular:
        if _without_resizing(now, was) != was:
            found.forbidden("spec", "only cpu and memory resources are mutable")
    for index, (now, was) in enumerate(pairs):
        path = f"spec.initContainers[{index}]"
        if _without_resizing(now, was) != was:
            found.forbidden(path, "only cpu and memory resources for init or sidecar containers are mutable")
        restarts = any(policy.restart_policy == "RestartContainer" for policy in now.resize_policy)
        if now != was and now.restart_policy != "Always" and restarts:
            message = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"
            found.forbidden(path, message)


def _same(found: Report, field: str, new: tuple[Container, ...], old: tuple[Container, ...]) -> bool:
    """Whether the containers are those that were there, in their order."""
    if len(new) != len(old):
        found.forbidden(f"spec.{field}", f"{field} may not be added or removed on resize")
        return False
    moved = [index for index, (now, was) in enumerate(zip(new, old, strict=True)) if now.name != was.name]
    for index in moved:
        found.forbidden(f"spec.{field}[{index}].name", f"{field} may not be renamed or reordered on resize")
    return not moved


def _can_be_resized(pod: Pod) -> bool:
    """Whether the pod's node reports the resources of what runs; of a pod of which nothing runs that can't be said."""
    running = (
        each for each in pod.status.container_statuses if each.state is not None and each.state.running is not None
    )
    first = next(running, None)
    return first is None or first.resources is not None


def _of_pod(found: Report, new: ResourceRequirements | None, old: ResourceRequirements | None) -> None:
    if old is not None and new is None:
        found.forbidden("spec.resources", "pod-level resources cannot be removed")
        return
    _kept(found, "spec.resources", "pod-level resource", new, old)
    if _masked(new or _NONE, old or _NONE) != (old or _NONE):
        found.forbidden("spec", "only cpu and memory resources are mutable at pod-level")


def _kept(
    found: Report, path: str, what: str, new: ResourceRequirements | None, old: ResourceRequirements | None
) -> None:
    for field in _FIELDS:
        if getattr(old or _NONE, field).keys() - getattr(new or _NONE, field).keys():
            found.forbidden(f"{path}.{field}", f"{what} {field} cannot be removed")


def _without_resizing(new: Container, old: Container) -> Container:
    """A container with the amounts that may change put back."""
    masked = _masked(new.resources or _NONE, old.resources or _NONE)
    return replace(new, resources=old.resources if masked == (old.resources or _NONE) else masked)


def _masked(new: ResourceRequirements, old: ResourceRequirements) -> ResourceRequirements:
    amounts = {}
    for field in _FIELDS:
        now, was = getattr(new, field), getattr(old, field)
        kept = {name: amount for name, amount in now.items() if name not in _RESIZED}
        amounts[field] = {**kept, **{name: was[name] for name in _RESIZED if name in was}}
    return replace(new, **amounts)
