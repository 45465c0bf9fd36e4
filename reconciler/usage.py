"""What pods and nodes use, as metrics-server reports it: PodMetrics and NodeMetrics (metrics.k8s.io/v1beta1).

Autoscalers go by these objects, and ``kubectl top`` shows them. They aren't stored: the latest report is all there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.drivers.runtime.base import ContainerStats, RuntimeDriver
from state.objects import CustomObject, ObjectMeta, Opaque, Pod
from state.quantity import Amount, Format
from state.snapshot import Key
from state.times import SECOND, format_duration, format_time
from state.workspace import Workspace

API_VERSION = "metrics.k8s.io/v1beta1"
_POD, _NODE = "PodMetrics", "NodeMetrics"
_GROUP = "metrics.k8s.io"
#: How often usage is looked at (µs), as metrics-server does by default.
PERIOD = 15 * SECOND
_NANOS = 10**9

#: Nanoseconds of processor time a second, and bytes of memory.
_Usage = tuple[int, int]


class UsageReporter:
    """Reports what the containers of a runtime use; a pod from the second look on, since usage is a difference."""

    def __init__(self, runtime: RuntimeDriver) -> None:
        self._runtime = runtime
        self._before: dict[str, ContainerStats] = {}
        self._at = 0

    @property
    def next_due(self) -> int:
        """When it is time for a look (µs since the epoch)."""
        return self._at + PERIOD

    def sync(self, ws: Workspace, now: int) -> None:
        """Looks, if it is time, and writes what it sees into the workspace."""
        if now < self.next_due:
            return
        window, self._at = now - self._at, now
        used = dict(self._used())
        pods = {pod.metadata.uid: pod for pod in ws.objects(Pod) if pod.metadata.uid in used}
        reports = {}
        nodes: dict[str, list[_Usage]] = {}
        for uid in sorted(pods):
            pod, containers = pods[uid], used[uid]
            meta = ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace, labels=pod.metadata.labels)
            listed = [{"name": name, "usage": _amounts([containers[name]])} for name in sorted(containers)]
            reports[Key(f"{_POD}.{_GROUP}", meta.namespace, meta.name)] = _metrics(
                _POD, meta, {"containers": listed}, now, window
            )
            nodes.setdefault(pod.spec.node_name or "", []).extend(containers.values())
        for name in sorted(nodes):
            meta = ObjectMeta(name=name)
            reports[Key(f"{_NODE}.{_GROUP}", "", name)] = _metrics(
                _NODE, meta, {"usage": _amounts(nodes[name])}, now, window
            )
        for kind in (_POD, _NODE):
            for key in [Key(f"{kind}.{_GROUP}", *place) for place in ws.table(f"{kind}.{_GROUP}")]:
                if key not in reports:
                    ws.remove(key)
        for report in reports.values():
            ws.put(report)

    def _used(self) -> Iterator[tuple[str, dict[str, _Usage]]]:
        """What the containers of each pod have used since the last look, by uid and name."""
        stats = {each.id: each for each in self._runtime.container_stats()}
        pods: dict[str, dict[str, _Usage]] = {}
        for status in self._runtime.list_containers():
            now, before = stats.get(status.id), self._before.get(status.id)
            if now is not None and before is not None and now.at > before.at:
                spent = max(0, now.cpu_nanoseconds - before.cpu_nanoseconds)
                rate = spent * SECOND // (now.at - before.at)
                pods.setdefault(status.pod_uid, {})[status.name] = (rate, now.memory_bytes)
        self._before = stats
        yield from pods.items()


def _amounts(usages: list[_Usage]) -> dict[str, str]:
    cpu, memory = (sum(part) for part in zip(*usages, strict=True))
    return {"cpu": str(Amount(cpu)), "memory": str(Amount(memory * _NANOS, Format.BINARY_SI))}


def _metrics(kind: str, meta: ObjectMeta, body: Mapping[str, Any], now: int, window: int) -> CustomObject:
    at = format_time(now)
    meta = ObjectMeta(name=meta.name, namespace=meta.namespace, labels=meta.labels, creation_timestamp=at)
    told = {"timestamp": at, "window": format_duration(window), **body}
    return CustomObject(api_version=API_VERSION, kind=kind, metadata=meta, body=Opaque(told))
