"""What the kubelet asks about objects other than pods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rules.kubelet.environment import Tables
from state.objects import Node, Quantity, Service


@dataclass(slots=True)
class World:
    """What operations need to know beside the pod: the objects there are, and the time (µs)."""

    tables: Tables
    services: Callable[[str], Iterable[Service]]
    allocatable: Callable[[str], Mapping[str, Quantity]]
    now: int


class NamespaceServices:
    """The Services whose addresses a pod is told, by namespace; listed at the first question."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._by_namespace: dict[str, list[Service]] | None = None

    def __call__(self, namespace: str) -> Iterable[Service]:
        """The Services of a namespace, and ``kubernetes`` in default."""
        if self._by_namespace is None:
            self._by_namespace = {}
            for service in self._tables("Service").values():
                if isinstance(service, Service):
                    self._by_namespace.setdefault(service.metadata.namespace, []).append(service)
        mine = self._by_namespace.get(namespace, [])
        if namespace == "default":
            return mine
        return [*mine, *(s for s in self._by_namespace.get("default", []) if s.metadata.name == "kubernetes")]


class Nodes:
    """What is asked about nodes."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables("Node")

    def address(self, name: str) -> str:
        """The node's internal address; "" if it isn't known."""
        node = self._table.get(("", name))
        if not isinstance(node, Node):
            return ""
        return next((a.address for a in node.status.addresses if a.type == "InternalIP"), "")

    def allocatable(self, name: str) -> Mapping[str, Quantity]:
        """What the node has for pods."""
        node = self._table.get(("", name))
        return node.status.allocatable if isinstance(node, Node) else {}
