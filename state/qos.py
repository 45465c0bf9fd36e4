"""The quality-of-service class of a pod, as ``pkg/apis/core/v1/helper/qos`` computes it."""

from __future__ import annotations

from collections.abc import Mapping

from state import quantity
from state.kept import by_identity
from state.objects import PodSpec, Quantity

_COMPUTE = ("cpu", "memory")


@by_identity
def qos_class(spec: PodSpec) -> str:
    """Guaranteed if every container's limits equal its requests, BestEffort if none says either, else Burstable.

    Only CPU and memory count. Resources of the pod as a whole, where given, decide alone.
    """
    if spec.resources is not None and (spec.resources.limits or spec.resources.requests):
        pairs = [(spec.resources.requests, spec.resources.limits)]
    else:
        containers = (*spec.containers, *spec.init_containers)
        pairs = [(c.resources.requests, c.resources.limits) if c.resources else ({}, {}) for c in containers]
    if not any(_positive(resources) for pair in pairs for resources in pair):
        return "BestEffort"
    return "Guaranteed" if all(_guaranteed(requests, limits) for requests, limits in pairs) else "Burstable"


def _positive(resources: Mapping[str, Quantity]) -> bool:
    return any(name in _COMPUTE and quantity.compare(amount, 0) > 0 for name, amount in resources.items())


def _guaranteed(requests: Mapping[str, Quantity], limits: Mapping[str, Quantity]) -> bool:
    return all(
        name in limits
        and quantity.compare(limits[name], 0) > 0
        and quantity.compare(requests.get(name, limits[name]), limits[name]) == 0
        for name in _COMPUTE
    )
