"""One node and the pods on it, with the sums that the plugins read. Kept up to date pod by pod."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rules.scheduling import resources
from rules.scheduling.pods import HostPort, PodEntry, PodKey
from rules.scheduling.terms import Labels
from state.objects import Node

_ANY_IP = "0.0.0.0"  # noqa: S104 - Kubernetes' wildcard


class NodeInfo:
    """A node's allocatable, and what its pods hold of it, as kube-scheduler's NodeInfo.

    ``node`` is None for a name that only pods mention; such a node is never a candidate and counts nowhere.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.node: Node | None = None
        self.labels: Labels = {}
        self.allocatable: dict[str, int] = {}
        self.allowed_pods = 0
        self.requested: dict[str, int] = {}
        self.held_cpu = 0
        self.held_memory = 0
        self.pods: dict[PodKey, PodEntry] = {}
        #: How many volumes of the pods some volume plugin has a say about.
        self.volumes = 0
        self.ports: dict[HostPort, int] = {}
        self.with_affinity: dict[PodKey, PodEntry] = {}
        self.with_anti_affinity: dict[PodKey, PodEntry] = {}

    def set_node(self, node: Node | None) -> None:
        """Takes over a node object; None when it was deleted."""
        self.node = node
        self.labels = {} if node is None else node.metadata.labels
        stated = {} if node is None else node.status.allocatable
        self.allocatable = {
            name: resources.amount(name, quantity) for name, quantity in stated.items() if resources.is_counted(name)
        }
        self.allowed_pods = resources.amount(resources.PODS, stated.get(resources.PODS, 0))

    def add(self, entries: Sequence[PodEntry]) -> None:
        """Counts pods, at least one, all of one class."""
        cls, many = entries[0].cls, len(entries)
        for entry in entries:
            self.pods[entry.key] = entry
        requested = self.requested
        for name, units in cls.requests.items():
            requested[name] = requested.get(name, 0) + units * many
        self.held_cpu += cls.held_cpu * many
        self.held_memory += cls.held_memory * many
        self.volumes += len(cls.volumes) * many
        for port in cls.ports:
            self.ports[port] = self.ports.get(port, 0) + many
        if cls.affinity or cls.anti_affinity or cls.preferred_affinity or cls.preferred_anti_affinity:
            for entry in entries:
                self.with_affinity[entry.key] = entry
                if cls.anti_affinity:
                    self.with_anti_affinity[entry.key] = entry

    def remove(self, entry: PodEntry) -> None:
        """No longer counts a pod that was added."""
        cls = entry.cls
        del self.pods[entry.key]
        for name, units in cls.requests.items():
            self.requested[name] -= units
        self.held_cpu -= cls.held_cpu
        self.held_memory -= cls.held_memory
        self.volumes -= len(cls.volumes)
        for port in cls.ports:
            if self.ports.get(port, 0) > 1:
                self.ports[port] -= 1
            else:
                self.ports.pop(port, None)
        self.with_affinity.pop(entry.key, None)
        self.with_anti_affinity.pop(entry.key, None)

    def clone(self) -> NodeInfo:
        """A copy on which to try what would be if pods came or went."""
        copy = NodeInfo(self.name)
        copy.node, copy.labels = self.node, self.labels
        copy.allocatable, copy.allowed_pods = self.allocatable, self.allowed_pods
        copy.requested = dict(self.requested)
        copy.volumes = self.volumes
        copy.held_cpu, copy.held_memory = self.held_cpu, self.held_memory
        copy.pods, copy.ports = dict(self.pods), dict(self.ports)
        copy.with_affinity, copy.with_anti_affinity = dict(self.with_affinity), dict(self.with_anti_affinity)
        return copy

    def takers(self, port: HostPort) -> Iterator[HostPort]:
        """The ports taken here that collide with ``port``: same number and protocol, and an address in common."""
        for taken in self.ports:
            same = taken.port == port.port and taken.protocol == port.protocol
            if same and (taken.ip == port.ip or _ANY_IP in (taken.ip, port.ip)):
                yield taken
