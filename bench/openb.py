"""Replays a production GPU trace (openb: Alibaba, 2023) and prints GPU allocation next to the published figures.

    python bench/openb.py [--trace DIR] [--seeds 42 43 ...]

The experiment is that of "Beware of Fragmentation" (USENIX ATC 2023): pods in random order, with random copies, until
they ask for 130% of the GPUs; none ever leaves; one that fits nowhere is skipped.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
import sys
import time
from pathlib import Path

from gpu_sharing import COUNT, GPUS, SHARE, WHOLE, GpuSharing
from scheduling_workloads import View

from rules.scheduling import DEFAULT, Scheduler
from rules.scheduling.profile import Profile
from state.objects import Container, Node, NodeStatus, ObjectMeta, Pod, PodSpec, PodStatus, ResourceRequirements

TRACE = Path(__file__).resolve().parents[1] / ".." / "shared" / "traces" / "openb"
ARRIVED = (80, 90, 95, 100, 110, 130)
#: Published GPU allocation in % at these points, mean of 10 seeds.
PUBLISHED = {
    "Random": (78.66, 85.02, 85.72, 86.30, 86.88, 87.47),
    "BestFit": (80.02, 89.99, 92.82, 92.86, 92.94, 93.08),
    "FGD": (80.02, 89.98, 94.91, 95.23, 95.30, 95.39),
}
_MODEL = "gpu-model"


def load_nodes(trace: Path, *, whole: bool) -> list[Node]:
    """The nodes with GPUs; ``whole``: GPUs are one resource, not to be shared."""
    made = []
    with (trace / "openb_node_list_gpu_node.csv").open() as rows:
        for row in csv.DictReader(rows):
            gpus = int(row["gpu"])
            have = {"cpu": f"{row['cpu_milli']}m", "memory": f"{row['memory_mib']}Mi", "pods": "1001"}
            have |= {GPUS: gpus, COUNT: gpus} if whole else {GPUS: gpus, COUNT: 10**6, SHARE: gpus * WHOLE}
            labels = {_MODEL: row["model"]} if row["model"] else {}
            made.append(Node(metadata=ObjectMeta(name=row["sn"], labels=labels), status=NodeStatus(allocatable=have)))
    return made


def load_pods(trace: Path) -> list[tuple[PodSpec, int]]:
    """Each pod's spec, with the thousandths of GPUs that it asks for."""
    found = []
    with gzip.open(trace / "openb_pod_list_default.csv.gz", "rt") as rows:
        for row in csv.DictReader(rows):
            count = int(row["num_gpu"])
            share = count * (int(row["gpu_milli"]) if count == 1 else WHOLE)
            needs: dict[str, str | int | float] = {"cpu": f"{row['cpu_milli']}m", "memory": f"{row['memory_mib']}Mi"}
            if count:
                needs |= {COUNT: count, SHARE: share}
            container = Container(name="c", resources=ResourceRequirements(requests=needs))
            found.append((PodSpec(containers=(container,)), share))
    return found


def arrivals(pods: list[tuple[PodSpec, int]], capacity: int, seed: int) -> list[tuple[PodSpec, int]]:
    """The pods shuffled, with random copies, until they ask for 130% of the capacity."""
    rng = random.Random(seed)
    order = list(pods)
    rng.shuffle(order)
    asked = sum(share for _, share in order)
    while asked < capacity * 1.3:
        copy = rng.choice(pods)
        order.append(copy)
        asked += copy[1]
    return order


def replay(trace: Path, seed: int, profile: Profile, *, whole: bool) -> tuple[list[float], int]:
    """GPU allocation in % at each point, and how many pods were tried."""
    nodes = load_nodes(trace, whole=whole)
    capacity = WHOLE * sum(int(node.status.allocatable[GPUS]) for node in nodes)
    order = arrivals(load_pods(trace), capacity, seed)
    scheduler = Scheduler(View(nodes), profile)
    marks, results = list(ARRIVED), []
    arrived = allocated = 0
    for number, (spec, share) in enumerate(order):
        asked = without_share(spec) if whole and share else spec
        meta = ObjectMeta(name=f"pod-{number}", namespace="default")
        arrived += share
        [decision] = scheduler.schedule([Pod(metadata=meta, spec=asked, status=PodStatus(phase="Pending"))], now=0)
        allocated += share if decision.node is not None else 0
        while marks and arrived >= capacity * marks[0] / 100:
            results.append(100 * allocated / capacity)
            marks.pop(0)
    return results + [100 * allocated / capacity] * len(marks), len(order)


_WHOLE: dict[int, PodSpec] = {}


def without_share(spec: PodSpec) -> PodSpec:
    """A spec that asks for whole GPUs only, which is all that the default plugins know."""
    known = _WHOLE.get(id(spec))
    if known is None:
        resources = spec.containers[0].resources
        assert resources is not None
        needs = {name: amount for name, amount in resources.requests.items() if name != SHARE}
        container = Container(name="c", resources=ResourceRequirements(requests=needs))
        known = _WHOLE[id(spec)] = PodSpec(containers=(container,))
    return known


def main() -> int:
    """Replays and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path, default=TRACE)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    args = parser.parse_args()
    if not args.trace.is_dir():
        parser.error(f"the trace isn't there: {args.trace}; --trace says where it is")
    no_preemption = Profile(DEFAULT.name, DEFAULT.filters, DEFAULT.scorers, preemption=False)
    sharing = GpuSharing
    print(f"{'GPU allocation in % at arrived %':34}" + "".join(f"{mark:>8}" for mark in ARRIVED))
    for name, figures in PUBLISHED.items():
        print(f"{name + ' (published)':34}" + "".join(f"{figure:8.2f}" for figure in figures))
    for name in ("default profile, whole GPUs", "own plugin, GPU sharing"):
        whole = name.startswith("default")
        began, runs, pods = time.perf_counter(), [], 0
        for seed in args.seeds:
            own = sharing()
            profile = (
                no_preemption
                if whole
                else Profile(DEFAULT.name, (*DEFAULT.filters, own), ((own, 10),), preemption=False)
            )
            results, tried = replay(args.trace, seed, profile, whole=whole)
            runs.append(results)
            pods += tried
        took = time.perf_counter() - began
        means = [sum(column) / len(column) for column in zip(*runs, strict=True)]
        figures = "".join(f"{mean:8.2f}" for mean in means)
        print(f"{name:34}{figures}   {len(runs)} runs, {pods} pods, {took:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
