"""What a pod asks for altogether, as quantities: what quotas and limit ranges count.

The scheduler counts in rounded integers of its own (``rules.scheduling.resources``); here a sum keeps the suffix that
people see in ``kubectl describe quota``.
"""

from __future__ import annotations

from collections.abc import Mapping

from state.objects import Container, PodSpec, Quantity
from state.quantity import add, compare

Amounts = Mapping[str, Quantity]
_POD_LEVEL = ("cpu", "memory")
_HUGE_PAGES = "hugepages-"


def amounts(container: Container, field: str) -> Amounts:
    """A container's ``requests`` or ``limits``."""
    found: Amounts = {} if container.resources is None else getattr(container.resources, field)
    return found


def of_containers(spec: PodSpec, field: str) -> dict[str, Quantity]:
    """What all containers ask for (``field``: ``requests`` or ``limits``), as component-helpers' PodRequests.

    Containers and sidecars add up; an init container counts with the sidecars started before it, where that is more.
    """
    total: dict[str, Quantity] = {}
    for container in spec.containers:
        _add(total, amounts(container, field))
    sidecars: dict[str, Quantity] = {}
    peak: dict[str, Quantity] = {}
    for container in spec.init_containers:
        asked = dict(amounts(container, field))
        if container.restart_policy == "Always":
            _add(total, asked)
            _add(sidecars, asked)
            asked = sidecars
        else:
            _add(asked, sidecars)
        _raise(peak, asked)
    _raise(total, peak)
    return total


def of_pod(spec: PodSpec, field: str) -> dict[str, Quantity]:
    """What the pod asks for: what it says itself counts instead of what its containers say, and overhead comes on top
    (for limits, where there is one).
    """
    total = of_containers(spec, field)
    own: Amounts = {} if spec.resources is None else getattr(spec.resources, field)
    total |= {name: amount for name, amount in own.items() if name in _POD_LEVEL or name.startswith(_HUGE_PAGES)}
    overhead = spec.overhead if field == "requests" else {n: a for n, a in spec.overhead.items() if n in total}
    _add(total, overhead)
    return total


def _add(total: dict[str, Quantity], part: Amounts) -> None:
    for name, amount in part.items():
        total[name] = add(total[name], amount) if name in total else amount


def _raise(total: dict[str, Quantity], part: Amounts) -> None:
    for name, amount in part.items():
        if name not in total or compare(amount, total[name]) > 0:
            total[name] = amount
