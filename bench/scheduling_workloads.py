"""Clusters and pods for the scheduling benchmarks: nodes of 4 CPU, 32Gi, 110 pods in 3 zones; pods of 100m, 500Mi.

The shapes are those of kube-scheduler's own performance tests. Everything is built from numbers, nothing is random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from state.objects import (
    Affinity,
    Container,
    LabelSelector,
    Node,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    PodSpec,
    PodStatus,
    ResourceRequirements,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
    replace,
)

ZONE = "topology.kubernetes.io/zone"
HOSTNAME = "kubernetes.io/hostname"
SELECTOR = LabelSelector(match_labels={"app": "bench"})


class View:
    """Tables of objects, as the scheduler reads them."""

    def __init__(self, nodes: list[Node], pods: list[Pod] = []) -> None:  # noqa: B006 - only read
        self._tables: dict[str, dict[tuple[str, str], object]] = {
            "Node": {("", node.metadata.name): node for node in nodes},
            "Pod": {(pod.metadata.namespace, pod.metadata.name): pod for pod in pods},
        }

    def table(self, kind: str) -> Mapping[tuple[str, str], object]:
        """All objects of a kind."""
        return self._tables.get(kind, {})


@dataclass(frozen=True)
class Workload:
    """A benchmark: what runs on how many nodes, kube-scheduler's own figures, and our target (pods a second)."""

    name: str
    nodes: int
    pods: int
    make: Callable[[int], Pod]
    kube_scheduler: str
    target: int
    full: bool = False

    def __str__(self) -> str:
        return self.name.replace(" ", "-").replace(",", "")


def nodes(count: int) -> list[Node]:
    """Nodes of the usual shape."""
    allocatable = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    status = NodeStatus(allocatable=allocatable, capacity=allocatable)
    return [
        Node(
            metadata=ObjectMeta(
                name=f"node-{n:05}", labels={HOSTNAME: f"node-{n:05}", ZONE: f"zone-{n % 3}", "group": f"g{n % 50}"}
            ),
            status=status,
        )
        for n in range(count)
    ]


def spec(**fields: object) -> PodSpec:
    """A pod's spec of the usual shape."""
    needs = ResourceRequirements(requests={"cpu": "100m", "memory": "500Mi"})
    return PodSpec(containers=(Container(name="c", image="pause", resources=needs),), **fields)  # type: ignore[arg-type]


_LABELS = {"app": "bench"}
_BASIC = spec()
_TERM = PodAffinityTerm(topology_key=HOSTNAME, label_selector=SELECTOR)
_APART = spec(
    affinity=Affinity(pod_anti_affinity=PodAntiAffinity(required_during_scheduling_ignored_during_execution=(_TERM,)))
)
_SPREAD = spec(
    topology_spread_constraints=(
        TopologySpreadConstraint(
            max_skew=1, topology_key=ZONE, when_unsatisfiable="DoNotSchedule", label_selector=SELECTOR
        ),
    )
)
_NEAR = spec(
    affinity=Affinity(
        pod_affinity=PodAffinity(
            preferred_during_scheduling_ignored_during_execution=(
                WeightedPodAffinityTerm(weight=1, pod_affinity_term=replace(_TERM, topology_key=ZONE)),
            )
        )
    )
)


def pod(number: int, shape: PodSpec, labels: Mapping[str, str] = _LABELS) -> Pod:
    """A pending pod."""
    return Pod(
        metadata=ObjectMeta(name=f"pod-{number:06}", namespace="default", labels=dict(labels), uid=f"uid-{number}"),
        spec=shape,
        status=PodStatus(phase="Pending"),
    )


def different(number: int) -> Pod:
    """A pod like no other: own requests, own label, and a selector of its own mix."""
    needs = ResourceRequirements(requests={"cpu": f"{50 + number % 97}m", "memory": f"{100 + number}Mi"})
    selector = {"group": f"g{number % 50}"} if number % 2 else {ZONE: f"zone-{number % 3}"}
    shape = PodSpec(containers=(Container(name="c", image="pause", resources=needs),), node_selector=selector)
    return pod(number, shape, {"app": f"app-{number}"})


def filling(count: int) -> list[Pod]:
    """Running pods of low priority that leave no CPU on ``count`` nodes."""
    needs = ResourceRequirements(requests={"cpu": "1", "memory": "1Gi"})
    shape = PodSpec(containers=(Container(name="c", image="pause", resources=needs),), priority=0)
    return [
        replace(
            pod(n * 4 + k, replace(shape, node_name=f"node-{n:05}")),
            metadata=ObjectMeta(name=f"full-{n}-{k}", namespace="default", labels={"app": "full"}),
            status=PodStatus(phase="Running", start_time=f"2026-01-01T00:{k:02}:00Z"),
        )
        for n in range(count)
        for k in range(4)
    ]


def important(number: int) -> Pod:
    """A pod that fits nowhere but could preempt; each has requests of its own."""
    needs = ResourceRequirements(requests={"cpu": f"{500 + number}m", "memory": "500Mi"})
    shape = PodSpec(containers=(Container(name="c", image="pause", resources=needs),), priority=100)
    return pod(number, shape)


#: ``kube_scheduler`` is what kube-scheduler v1.34.1 itself placed in a second on a 2-core machine (wall time, in
#: process, API faked; its CPU seconds are 1.6 to 2 times that), sampling nodes as it does by default unless said.
WORKLOADS = (
    Workload("basic", 5_000, 10_000, lambda n: pod(n, _BASIC), "720-825 (43-121 looking at all)", 40_000),
    Workload("anti-affinity on hostname", 5_000, 5_000, lambda n: pod(n, _APART), "96-111", 10_000),
    Workload("spread over zones, hard", 5_000, 5_000, lambda n: pod(n, _SPREAD), "182-306", 10_000),
    Workload("preferred affinity on zone", 1_000, 1_000, lambda n: pod(n, _NEAR), "435-733", 10_000),
    Workload("all different", 5_000, 10_000, different, "not measured", 1_500),
    Workload("unschedulable, preemption", 5_000, 1_000, important, "not measured", 500, full=True),
    Workload("basic, large", 50_000, 500_000, lambda n: pod(n, _BASIC), "out of its range", 30_000),
)
