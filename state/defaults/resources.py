"""Resource lists as the API server stores them: canonical quantities, nothing finer than a thousandth."""

from __future__ import annotations

from functools import lru_cache

from state.objects import Quantity
from state.quantity import QuantityError, canonical, compare, milli

ResourceList = dict[str, Quantity]


def canonical_quantity(quantity: Quantity) -> Quantity:
    """``quantity`` in Kubernetes' canonical form ("0.1" is "100m"); one that cannot be read stays as it is written."""
    try:
        return canonical(quantity)
    except QuantityError:  # validation reports it, with its path
        return quantity


@lru_cache(maxsize=65536)
def _stored(quantity: Quantity) -> Quantity:
    """A quantity of a resource list: rounded up to thousandths, then canonical."""
    try:
        text = canonical(quantity)
        thousandths = f"{milli(quantity)}m"
        return text if compare(text, thousandths) == 0 else canonical(thousandths)
    except QuantityError:  # validation reports it, with its path
        return quantity


def resource_list(resources: ResourceList) -> ResourceList:
    """``resources`` as stored; the same map if all its quantities are."""
    if not resources:
        return resources
    stored = {name: _stored(quantity) for name, quantity in resources.items()}
    return resources if all(stored[name] == quantity for name, quantity in resources.items()) else stored


def with_missing(resources: ResourceList, others: ResourceList) -> ResourceList:
    """``resources`` and what only ``others`` names; the same map if that is nothing."""
    missing = {name: quantity for name, quantity in others.items() if name not in resources}
    return {**resources, **missing} if missing else resources
