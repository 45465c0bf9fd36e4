"""Kubernetes' control loop as a pure function with real hands.

``reconcile(desired, observed)`` gives a plan: what Kubernetes would do, and why. ``simulate`` lets time pass on
simulated nodes. ``Reconciler`` stays warm from one change to the next. ``Cluster`` is the Kubernetes API in process.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.api import Reconciler, reconcile
    from reconciler.apiserver.status import ApiError
    from reconciler.cluster import Cluster
    from reconciler.cycle import OscillationError
    from reconciler.explain import Explanation
    from reconciler.plan import Plan
    from reconciler.simulation import Simulation, simulate
    from state.errors import InvalidObject, StateError

__all__ = [
    "ApiError",
    "Cluster",
    "Explanation",
    "InvalidObject",
    "OscillationError",
    "Plan",
    "Reconciler",
    "Simulation",
    "StateError",
    "reconcile",
    "simulate",
]
_PLACES = {
    "ApiError": "reconciler.apiserver.status",
    "Cluster": "reconciler.cluster",
    "Explanation": "reconciler.explain",
    "InvalidObject": "state.errors",
    "OscillationError": "reconciler.cycle",
    "Plan": "reconciler.plan",
    "Reconciler": "reconciler.api",
    "Simulation": "reconciler.simulation",
    "StateError": "state.errors",
    "reconcile": "reconciler.api",
    "simulate": "reconciler.simulation",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Imports a public name when it is first asked for: the command line's help can't wait for all of them."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_PLACES[name]), name)
        return value
