"""Kubernetes' control loop as a pure function with real hands.

``reconcile(desired, observed)`` gives a plan: what Kubernetes would do, and why. ``simulate`` lets time pass on
simulated nodes. ``Reconciler`` stays warm from one change to the next.
"""

from reconciler.api import Reconciler, reconcile
from reconciler.cycle import OscillationError
from reconciler.explain import Explanation
from reconciler.plan import Plan
from state.errors import InvalidObject, StateError

__all__ = [
    "Explanation",
    "InvalidObject",
    "OscillationError",
    "Plan",
    "Reconciler",
    "StateError",
    "reconcile",
]
