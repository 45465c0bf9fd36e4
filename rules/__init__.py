"""What to do: one module per concern, and the order in which the loop visits them.

To add a controller, write a ``Concern`` in a module of its own and name it in ``CONCERNS``; a distribution adds one by an
entry point in the group ``reconciler.concerns``.
"""

from __future__ import annotations

from rules.concern import Concern
from rules.deployments import Deployments
from rules.garbage import Garbage
from rules.placement import Placement
from rules.pod_garbage import PodGarbage
from rules.replication import Replication

__all__ = ["CONCERNS", "Concern", "make_concerns"]

#: In the order of a pass: who makes objects comes before who acts on them.
CONCERNS: tuple[type[Concern], ...] = (
    Garbage,
    PodGarbage,
    Deployments,
    Replication,
    Placement,
)


def make_concerns() -> list[Concern]:
    """Fresh instances of all concerns, in order."""
    return [concern() for concern in CONCERNS]
