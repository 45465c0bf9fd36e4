"""What the kubelet asks about objects other than pods."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from rules.kubelet.environment import Tables
from state.objects import Node, Quantity, Service


class World:
    """What operations need to know beside the pod: the objects there are, and the time (µs)."""

    def __init__(self, tables: Tables, now: int) -> None:
        self.tables = tables
        self.now = now

    @cached_property
    def _services(self) -> dict[str, list[Service]]:
        by_namespace: dict[str, list[Service]] = {}
        for service in self.tables("Service").values():
            if isinstance(service, Service):
                by_namespace.setdefault(service.metadata.namespace, []).append(service)
        return by_namespace

    def services(self, namespace: str) -> list[Service]:
        """The Services whose addresses a pod is told: those of its namespace, and ``kubernetes`` in default."""
        mine = self._services.get(namespace, [])
        if namespace == "default":
            return mine
        return [*mine, *(s for s in self._services.get("default", []) if s.metadata.name == "kubernetes")]

    def address(self, node: str) -> str:
        """A node's internal address; "" if it isn't known."""
        found = self._node(node)
        addresses = () if found is None else found.status.addresses
        return next((a.address for a in addresses if a.type == "InternalIP"), "")

    def allocatable(self, node: str) -> Mapping[str, Quantity]:
        """What a node has for pods."""
        found = self._node(node)
        return {} if found is None else found.status.allocatable

    def _node(self, name: str) -> Node | None:
        found = self.tables("Node").get(("", name))
        return found if isinstance(found, Node) else None
