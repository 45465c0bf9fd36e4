"""The spread constraints of pods that state none: those of the system, for the pods that services and owners select."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rules.scheduling.cluster import Cluster
from rules.scheduling.pods import PodClass
from rules.scheduling.terms import HOSTNAME, ZONE, Constraint, selector_key
from state.objects import (
    LabelSelector,
    LabelSelectorRequirement,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
    replace,
)
from state.selectors import from_object


def _system(topology_key: str, max_skew: int) -> Constraint:
    return Constraint(
        topology_key=topology_key,
        max_skew=max_skew,
        min_domains=1,
        selector=None,
        honor_affinity=True,
        honor_taints=False,
        hard=False,
    )


#: As kube-scheduler's systemDefaultConstraints.
SYSTEM = (_system(HOSTNAME, 3), _system(ZONE, 5))


def default_constraints(
    cluster: Cluster, cls: PodClass, configured: tuple[Constraint, ...] | None
) -> Sequence[Constraint]:
    """The cluster-level constraints with the selector that fits the pod; none for a pod that nothing selects."""
    templates = SYSTEM if configured is None else configured
    if not templates:
        return ()
    selector = default_selector(cluster, cls)
    if not selector.match_labels and not selector.match_expressions:
        return ()
    compiled, key = from_object(selector), selector_key(selector)
    return [dataclasses.replace(template, selector=compiled, key=key) for template in templates]


def default_selector(cluster: Cluster, cls: PodClass) -> LabelSelector:
    """What services and the controlling owner select together, as helper.DefaultSelector."""
    labels: dict[str, str] = {}
    for service in cluster.services.selecting(cls.namespace, dict(cls.labels)):
        labels |= service.spec.selector
    merged = LabelSelector(match_labels=labels)
    owner = cls.owner
    if owner is None:
        return merged
    found = cluster.view.table(owner.kind).get((cls.namespace, owner.name))
    if isinstance(found, ReplicationController) and owner.api_version == "v1":
        return LabelSelector(match_labels={**labels, **found.spec.selector})
    if isinstance(found, ReplicaSet | StatefulSet) and owner.api_version == "apps/v1":
        return _both(merged, found.spec.selector)
    return merged


def _both(first: LabelSelector, second: LabelSelector) -> LabelSelector:
    """A selector that asks for both; labels of the second become requirements, so that a conflict selects nothing."""
    added = tuple(
        LabelSelectorRequirement(key=key, operator="In", values=(value,))
        for key, value in sorted(second.match_labels.items())
    )
    return replace(first, match_expressions=(*first.match_expressions, *added, *second.match_expressions))
