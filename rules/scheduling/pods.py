"""Pods as the scheduler sees them: what identical pods share is compiled once, the rest is a small entry a pod.

Two pods are identical when namespace, labels, controlling owner and spec are; then every plugin treats them alike.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

import msgspec

from rules.scheduling import resources
from rules.scheduling.terms import Constraint, Labels, Term, compile_constraints, compile_terms, compile_weighted
from state.objects import Pod, PodSpec, PodStatus, Volume, controller_of, encode_hook
from state.times import parse_time

PodKey = tuple[str, str]
DEFAULT_SCHEDULER = "default-scheduler"
FINISHED = ("Succeeded", "Failed")

#: The sources of volumes that some volume plugin has a say about.
_LIMITED_SOURCES = (
    "persistent_volume_claim",
    "ephemeral",
    "gce_persistent_disk",
    "aws_elastic_block_store",
    "azure_disk",
    "iscsi",
    "rbd",
    "azure_file",
    "cinder",
    "vsphere_volume",
    "portworx_volume",
)
_encoder = msgspec.msgpack.Encoder(enc_hook=encode_hook)


class HostPort(NamedTuple):
    """A port that a pod takes on its node; ``ip`` 0.0.0.0 stands for all addresses."""

    protocol: str
    port: int
    ip: str


class PodClass:
    """What the plugins need of a set of identical pods."""

    def __init__(self, pod: Pod, number: int) -> None:
        spec, labels, namespace = pod.spec, pod.metadata.labels, pod.metadata.namespace
        self.number = number
        self.namespace = namespace
        self.labels: Labels = labels
        self.owner = controller_of(pod)
        self.spec: PodSpec = spec
        self.priority = spec.priority or 0
        self.preempts = spec.preemption_policy != "Never"
        self.gates = tuple(gate.name for gate in spec.scheduling_gates)
        self.requests = {
            name: value for name, value in resources.pod_requests(pod).items() if value and resources.is_counted(name)
        }
        self.held_cpu, self.held_memory = resources.non_zero_requests(pod)
        self.score_cpu, self.score_memory = resources.incoming_requests(pod)
        self.ports = _host_ports(spec)
        self.images = tuple(_full_name(c.image or "") for c in (*spec.init_containers, *spec.containers))
        self.volumes = tuple(volume for volume in spec.volumes if _is_limited(volume))
        affinity = spec.affinity
        pod_affinity = affinity.pod_affinity if affinity is not None else None
        pod_anti = affinity.pod_anti_affinity if affinity is not None else None
        self.affinity: tuple[Term, ...] = ()
        self.preferred_affinity: tuple[Term, ...] = ()
        self.anti_affinity: tuple[Term, ...] = ()
        self.preferred_anti_affinity: tuple[Term, ...] = ()
        if pod_affinity is not None:
            required = pod_affinity.required_during_scheduling_ignored_during_execution
            preferred = pod_affinity.preferred_during_scheduling_ignored_during_execution
            self.affinity = compile_terms(required, namespace, labels)
            self.preferred_affinity = compile_weighted(preferred, namespace, labels)
        if pod_anti is not None:
            required = pod_anti.required_during_scheduling_ignored_during_execution
            preferred = pod_anti.preferred_during_scheduling_ignored_during_execution
            self.anti_affinity = compile_terms(required, namespace, labels)
            self.preferred_anti_affinity = compile_weighted(preferred, namespace, labels)
        #: Node name -> how many pods of the class are there, and how many of those are being deleted.
        self.places: dict[str, int] = {}
        self.leaving: dict[str, int] = {}
        constraints = spec.topology_spread_constraints
        self.hard_spread: tuple[Constraint, ...] = compile_constraints(constraints, labels, hard=True)
        self.soft_spread: tuple[Constraint, ...] = compile_constraints(constraints, labels, hard=False)

    def has(self, pod: Pod) -> bool:
        """Whether a pod is plainly of the class. One that isn't may still be: its encoding tells."""
        meta = pod.metadata
        return (
            meta.namespace == self.namespace
            and meta.labels == self.labels
            and pod.spec == self.spec
            and controller_of(pod) == self.owner
        )


class PodEntry:
    """One pod of a class: pending, assumed on a node, or running there."""

    __slots__ = ("cls", "key", "pod", "start")

    def __init__(self, pod: Pod, cls: PodClass) -> None:
        self.pod = pod
        self.cls = cls
        self.key: PodKey = (pod.metadata.namespace, pod.metadata.name)
        #: ``status.startTime`` as written, or the time at which the pod was assumed; None if unknown.
        self.start: int | None = None

    @property
    def terminating(self) -> bool:
        """Whether the pod has a deletionTimestamp."""
        return self.pod.metadata.deletion_timestamp is not None

    def lose_nomination(self) -> None:
        """Takes note that no node has room made for the pod any more, before its status says so."""
        status = msgspec.structs.replace(self.pod.status, nominated_node_name=None)
        self.pod = msgspec.structs.replace(self.pod, status=status)

    def start_time(self) -> int | None:
        """When the pod started, in microseconds since the epoch, as far as known."""
        written = self.pod.status.start_time
        return parse_time(written) if written else self.start


class PodClasses:
    """The classes met so far. Pods that share a spec object, or are like the one before, are told without encoding."""

    __slots__ = ("_by_content", "_by_spec", "_kept", "_last", "_made")

    def __init__(self) -> None:
        self._by_content: dict[bytes, PodClass] = {}
        self._by_spec: dict[tuple[int, int, str], tuple[PodSpec, Labels, PodClass]] = {}
        self._last: PodClass | None = None
        self._made = 0
        self._kept = 0

    def __len__(self) -> int:
        return len(self._by_content)

    @property
    def has_doubled(self) -> bool:
        """Whether there are twice as many classes as the last ``keep`` left, and enough to matter."""
        return len(self) > max(_FEW_CLASSES, 2 * self._kept)

    def keep(self, numbers: Container[int]) -> None:
        """Forgets all classes but those of these numbers. A pod of a forgotten class will be of a new one."""
        self._by_content = {content: cls for content, cls in self._by_content.items() if cls.number in numbers}
        self._by_spec.clear()
        self._last = None
        self._kept = len(self)

    def of(self, pod: Pod) -> PodClass:
        """The class of a pod; made at its first pod."""
        if _has_resized(pod):
            return self._by_encoding(pod, pod.status)
        meta, spec = pod.metadata, pod.spec
        quick = (id(spec), id(meta.labels), meta.namespace)
        known = self._by_spec.get(quick)
        same = known is not None and known[0] is spec and known[1] is meta.labels
        if known is not None and same and known[2].owner == controller_of(pod):
            return known[2]
        last = self._last
        if last is not None and last.has(pod):
            return last
        cls = self._last = self._by_encoding(pod, None)
        if len(self._by_spec) > _QUICK_LIMIT:
            self._by_spec.clear()
        self._by_spec[quick] = (spec, meta.labels, cls)
        return cls

    def _by_encoding(self, pod: Pod, resized: PodStatus | None) -> PodClass:
        meta, spec = pod.metadata, pod.spec
        gates, labels = spec.scheduling_gates, meta.labels
        if spec.node_name is not None or gates:
            spec = msgspec.structs.replace(spec, node_name=None, scheduling_gates=())
        pairs = sorted(labels.items()) if len(labels) > 1 else labels
        content = _encoder.encode((meta.namespace, pairs, controller_of(pod), spec, gates, resized))
        cls = self._by_content.get(content)
        if cls is None:
            cls = self._by_content[content] = PodClass(pod, self._made)
            self._made += 1
        return cls


#: How many (spec, labels) pairs are remembered by identity; a bound on memory, not on what works.
_QUICK_LIMIT = 100_000
#: So few classes are kept in any case.
_FEW_CLASSES = 1_000


def scheduler_of(pod: Pod) -> str:
    """The name of the scheduler that the pod asks for."""
    return pod.spec.scheduler_name or DEFAULT_SCHEDULER


def pod_key(pod: Pod) -> PodKey:
    """Namespace and name."""
    return (pod.metadata.namespace, pod.metadata.name)


def key_text(key: PodKey) -> str:
    """``namespace/name``."""
    return f"{key[0]}/{key[1]}"


def _has_resized(pod: Pod) -> bool:
    """Whether the status says something about the containers' resources that the spec doesn't."""
    status = pod.status
    if not status.container_statuses and not status.init_container_statuses:
        return False
    return any(c.resources is not None for c in status.container_statuses) or any(
        c.resources is not None for c in status.init_container_statuses
    )


def _host_ports(spec: PodSpec) -> tuple[HostPort, ...]:
    """The host ports of containers and sidecars, as util.GetHostPorts; with hostNetwork every port is one."""
    containers = [c for c in spec.init_containers if c.restart_policy == "Always"]
    containers += spec.containers
    found = []
    for container in containers:
        for port in container.ports:
            number = port.host_port or (port.container_port if spec.host_network else 0)
            if number > 0:
                found.append(HostPort(port.protocol or "TCP", number, port.host_ip or "0.0.0.0"))  # noqa: S104 - Kubernetes' wildcard
    return tuple(found)


def _full_name(image: str) -> str:
    """An image with its tag, as node status names it: ``nginx`` is ``nginx:latest``."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"


def _is_limited(volume: Volume) -> bool:
    """Whether some volume plugin has a say about the volume."""
    return any(getattr(volume, source) is not None for source in _LIMITED_SOURCES)
