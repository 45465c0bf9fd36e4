"""What to do: one module per concern, and the order in which the loop visits them.

To add a controller, write a ``Concern`` in a module of its own and name it in ``CONCERNS``; a distribution adds one by
an entry point in the group ``reconciler.concerns``.
"""

from __future__ import annotations

from rules.claims import ClaimBinding
from rules.concern import Concern
from rules.cronjobs import CronJobs
from rules.daemonsets import DaemonSets
from rules.deployments import Deployments
from rules.disruption import Disruption
from rules.endpoint_mirroring import EndpointMirroring
from rules.endpoints import EndpointPublication
from rules.garbage import Garbage
from rules.horizontal_autoscaling import HorizontalAutoscaling
from rules.job_tracking import JobPods
from rules.jobs import Jobs
from rules.namespaces import Namespaces
from rules.node_lifecycle import NodeLifecycle
from rules.placement import Placement
from rules.pod_garbage import PodGarbage
from rules.quotas import Quotas
from rules.replication import Replication
from rules.services import Services
from rules.statefulsets import StatefulSets
from rules.taint_eviction import TaintEviction
from rules.volume_protection import ClaimProtection, VolumeProtection
from rules.volumes import VolumePhases

__all__ = ["CONCERNS", "Concern", "make_concerns"]

#: In the order of a pass: who makes objects comes before who acts on them.
CONCERNS: tuple[type[Concern], ...] = (
    Namespaces,
    Garbage,
    PodGarbage,
    NodeLifecycle,
    HorizontalAutoscaling,
    Deployments,
    Replication,
    StatefulSets,
    DaemonSets,
    TaintEviction,
    CronJobs,
    JobPods,
    Jobs,
    Disruption,
    Services,
    EndpointPublication,
    EndpointMirroring,
    VolumePhases,
    ClaimBinding,
    Placement,
    VolumeProtection,
    ClaimProtection,
    Quotas,
)


def make_concerns(*given: Concern) -> list[Concern]:
    """Fresh instances of all concerns, in order; those given take the places of their like, or come last."""
    stand_ins = {type(concern): concern for concern in given}
    usual = [stand_ins.pop(concern) if concern in stand_ins else concern() for concern in CONCERNS]
    return [*usual, *stand_ins.values()]
