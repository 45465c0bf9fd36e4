"""A HorizontalPodAutoscaler (autoscaling/v2) as its controller reads it: typed, with the API's defaults filled in."""

from __future__ import annotations

from typing import Any

import msgspec

from state.errors import StateError
from state.objects import CustomObject, LabelSelector, Opaque, Quantity, Struct, decode_hook, replace

KIND = "HorizontalPodAutoscaler.autoscaling"


class Target(Struct, frozen=True):
    """What a metric is to be: one of the three, and ``type`` says which."""

    type: str = ""
    average_utilization: int | None = None
    average_value: Quantity | None = None
    value: Quantity | None = None


class Metric(Struct, frozen=True):
    """Which metric of the custom or external ones."""

    name: str = ""
    selector: LabelSelector | None = None


class Reference(Struct, frozen=True):
    """An object of the autoscaler's namespace."""

    kind: str = ""
    name: str = ""
    api_version: str = ""


class ResourceSource(Struct, frozen=True):
    """CPU or memory of pods."""

    name: str = ""
    target: Target = Target()


class ContainerSource(Struct, frozen=True):
    """CPU or memory of one container of each pod."""

    name: str = ""
    container: str = ""
    target: Target = Target()


class PodsSource(Struct, frozen=True):
    """A metric that each pod has."""

    metric: Metric = Metric()
    target: Target = Target()


class ObjectSource(Struct, frozen=True):
    """A metric of one object."""

    described_object: Reference = Reference()
    metric: Metric = Metric()
    target: Target = Target()


class ExternalSource(Struct, frozen=True):
    """A metric of something outside."""

    metric: Metric = Metric()
    target: Target = Target()


class MetricSpec(Struct, frozen=True):
    """One of the metrics to scale by; ``type`` says which source it has."""

    type: str = ""
    resource: ResourceSource | None = None
    container_resource: ContainerSource | None = None
    pods: PodsSource | None = None
    object: ObjectSource | None = None
    external: ExternalSource | None = None


class Policy(Struct, frozen=True):
    """How many replicas, or percent of them, may come or go in a period."""

    type: str
    value: int
    period_seconds: int


class ScalingRules(Struct, frozen=True):
    """How fast it may go in one direction. ``tolerance`` is behind a feature gate that is off, and not looked at."""

    stabilization_window_seconds: int | None = None
    select_policy: str = "Max"
    policies: tuple[Policy, ...] = ()
    tolerance: Quantity | None = None


class Behavior(Struct, frozen=True):
    """How fast it may go in both directions."""

    scale_up: ScalingRules = ScalingRules()
    scale_down: ScalingRules = ScalingRules()


class Spec(Struct, frozen=True):
    """What is scaled, within which bounds, by what."""

    scale_target_ref: Reference
    max_replicas: int
    min_replicas: int = 1
    metrics: tuple[MetricSpec, ...] = ()
    behavior: Behavior | None = None


_CPU = ResourceSource(name="cpu", target=Target(type="Utilization", average_utilization=80))
_USUAL = (MetricSpec(type="Resource", resource=_CPU),)
_DOUBLE = Policy(type="Percent", value=100, period_seconds=15)
_FOUR = Policy(type="Pods", value=4, period_seconds=15)


class AutoscalerError(StateError):
    """An autoscaler that can't be read."""


def spec_of(autoscaler: CustomObject) -> Spec:
    """What an autoscaler says.

    Raises:
        AutoscalerError: it isn't one.
    """
    try:
        spec = msgspec.convert(autoscaler.body.value.get("spec"), Spec, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        raise AutoscalerError(f"spec: {error}") from error
    behavior = None if spec.behavior is None else _completed(spec.behavior)
    return replace(spec, metrics=spec.metrics or _USUAL, behavior=behavior)


def _completed(behavior: Behavior) -> Behavior:
    up, down = behavior.scale_up, behavior.scale_down
    if up.stabilization_window_seconds is None:
        up = replace(up, stabilization_window_seconds=0)
    return Behavior(
        scale_up=replace(up, policies=up.policies or (_FOUR, _DOUBLE)),
        scale_down=replace(down, policies=down.policies or (_DOUBLE,)),
    )


def status_of(autoscaler: CustomObject) -> dict[str, Any]:
    """What it reports, as plain data."""
    status = autoscaler.body.value.get("status")
    return status if isinstance(status, dict) else {}


def with_status(autoscaler: CustomObject, status: dict[str, Any]) -> CustomObject:
    """The autoscaler, reporting something else."""
    return replace(autoscaler, body=Opaque({**autoscaler.body.value, "status": status}))
