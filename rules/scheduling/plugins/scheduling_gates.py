"""SchedulingGates: a pod with gates isn't tried at all."""

from __future__ import annotations

from rules.scheduling.pods import PodClass
from rules.scheduling.status import UNRESOLVABLE, Refusal

NAME = "SchedulingGates"


def gate(cls: PodClass) -> Refusal | None:
    """Why the pod may not be tried yet."""
    if not cls.gates:
        return None
    return Refusal(NAME, UNRESOLVABLE, (f"waiting for scheduling gates: [{' '.join(cls.gates)}]",))
