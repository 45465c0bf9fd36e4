"""Which nodes a DaemonSet runs on, and what its pod for a node looks like, as kube-controller-manager's daemon util."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rules.history import REVISION_LABEL
from rules.ownership import controller_ref
from rules.pods import pod_from_template
from rules.scheduling.plugins.taint_toleration import tolerates, untolerated
from rules.strategies import template_generation
from state import selectors
from state.objects import (
    Affinity,
    DaemonSet,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    Toleration,
    replace,
)
from state.workspace import Workspace

GENERATION_LABEL = "pod-template-generation"
_NAME_FIELD = "metadata.name"
_TROUBLE = "node.kubernetes.io/"
_TOLERATED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)
_OF_HOST_NETWORK = ("network-unavailable", "NoSchedule")


def tolerations(spec: PodSpec) -> tuple[Toleration, ...]:
    """The tolerations of a daemon's pods: the template's, and those of nodes in trouble, which last without end."""
    wanted = {
        _identity(toleration): toleration
        for key, effect in (*_TOLERATED, *([_OF_HOST_NETWORK] if spec.host_network else []))
        for toleration in [Toleration(key=_TROUBLE + key, operator="Exists", effect=effect)]
    }
    own = tuple(wanted.get(_identity(toleration), toleration) for toleration in spec.tolerations)
    return (*own, *(toleration for toleration in wanted.values() if toleration not in own))


def _identity(toleration: Toleration) -> tuple[str, str, str, str]:
    """What makes two tolerations the same one, whatever time they give."""
    return (toleration.key or "", toleration.operator or "", toleration.effect or "", toleration.value or "")


def make_pod(ws: Workspace, ds: DaemonSet, revision: str) -> Pod:
    """What the pods on all nodes have in common, after the API server's defaults and admission."""
    template = ds.spec.template
    labels = {**template.metadata.labels, REVISION_LABEL: revision}
    generation = template_generation(ds)
    if generation:
        labels[GENERATION_LABEL] = str(generation)
    template = replace(
        template,
        metadata=replace(template.metadata, labels=labels),
        spec=replace(template.spec, tolerations=tolerations(template.spec)),
    )
    return pod_from_template(ws, template, ds, controller_ref(ds))


def pinned(pod: Pod, node: str) -> Pod:
    """The pod for one node: the pin stands in place of the template's required node affinity."""
    pin = NodeSelectorRequirement(key=_NAME_FIELD, operator="In", values=(node,))
    required = NodeSelector(node_selector_terms=(NodeSelectorTerm(match_fields=(pin,)),))
    affinity = pod.spec.affinity or Affinity()
    node_affinity = replace(
        affinity.node_affinity or NodeAffinity(), required_during_scheduling_ignored_during_execution=required
    )
    return replace(pod, spec=replace(pod.spec, affinity=replace(affinity, node_affinity=node_affinity)))


def target_node(pod: Pod) -> str:
    """The node that the pod is on or is pinned to; "" if neither."""
    if pod.spec.node_name:
        return pod.spec.node_name
    required = _required(pod.spec)
    for term in () if required is None else required.node_selector_terms:
        for field in term.match_fields:
            if field.key == _NAME_FIELD and field.operator == "In" and len(field.values) == 1:
                return field.values[0]
    return ""


def _required(spec: PodSpec) -> NodeSelector | None:
    affinity = None if spec.affinity is None else spec.affinity.node_affinity
    return None if affinity is None else affinity.required_during_scheduling_ignored_during_execution


def suitability(ds: DaemonSet) -> Callable[[Node], tuple[bool, bool]]:
    """A function that says of a node whether a pod is to run there, and whether one that does may go on."""
    spec = ds.spec.template.spec
    wanted: Sequence[tuple[str, str]] = tuple(spec.node_selector.items())
    required, tolerated = _required(spec), tolerations(spec)

    def suits(node: Node) -> tuple[bool, bool]:
        labels, name = node.metadata.labels, node.metadata.name
        if spec.node_name and spec.node_name != name:
            return False, False
        for label, value in wanted:
            if labels.get(label) != value:
                return False, False
        if required is not None and not selectors.matches_node_selector(required, labels, name):
            return False, False
        taints = node.spec.taints
        if not taints or untolerated(tolerated, taints) is None:
            return True, True
        return False, all(taint.effect != "NoExecute" or tolerates(tolerated, taint) for taint in taints)

    return suits
