"""The Common Expression Language with Kubernetes' libraries: rules of custom resources, admission policies, match
conditions of webhooks.

Written here because no library for Python has what Kubernetes' expressions are full of: optional fields, comprehensions
of two variables, ``quantity``, ``authorizer``, objects as values, and a budget. ``syntax`` reads expressions into a
``tree``, ``checker`` says by ``types`` and ``signatures`` what of one can never be evaluated, ``costs`` what it may
cost, ``program`` evaluates.
"""

from reconciler.apiserver.cel.macros import BUDGET, OUT_OF_BUDGET, Steps
from reconciler.apiserver.cel.program import Lazy, Program, compiled
from reconciler.apiserver.cel.tree import CelSyntaxError
from reconciler.apiserver.cel.values import CelBudgetError, CelError, Optional, kind_name

__all__ = [
    "BUDGET",
    "OUT_OF_BUDGET",
    "CelBudgetError",
    "CelError",
    "CelSyntaxError",
    "Lazy",
    "Optional",
    "Program",
    "Steps",
    "compiled",
    "kind_name",
]
