"""How fast nodes in trouble may be emptied: per zone, and slower or not at all where it seems that the control plane is
what is cut off, as kube-controller-manager's node lifecycle controller handles disruption.

What a token bucket of one would remember is read from the nodes: when one of the zone was last given a NoExecute taint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rules.taints import NO_EXECUTE, NOT_READY, UNREACHABLE
from state.objects import Node
from state.times import SECOND, parse_time

#: Between two nodes of a zone in order (``--node-eviction-rate`` 0.1 a second) ...
_INTERVAL = 10 * SECOND
#: ... and of one in partial disruption (``--secondary-node-eviction-rate`` 0.01), if it is large; else none is emptied.
_SLOW_INTERVAL = 100 * SECOND
_LARGE = 50
#: A zone is disrupted when more nodes than these aren't ready, and at least this share of them.
_FEW, _UNHEALTHY = 2, 0.55
#: A node with this label is not counted.
EXCLUDED = "node.kubernetes.io/exclude-disruption"
_REGION_LABELS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_ZONE_LABELS = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")


def readiness(node: Node) -> str:
    """The status of the Ready condition; of a node without one "", which here counts as ready: nobody reports on it."""
    return next((c.status for c in node.status.conditions if c.type == "Ready"), "")


def is_unready(node: Node) -> bool:
    """Whether the node's own report, or its silence, says that it isn't ready."""
    return readiness(node) in ("False", "Unknown")


def zone_of(node: Node) -> str:
    """The node's region and zone, as far as its labels say."""
    labels = node.metadata.labels
    found = (next((labels[name] for name in names if name in labels), "") for names in (_REGION_LABELS, _ZONE_LABELS))
    return "/".join(found).strip("/")


@dataclass(slots=True)
class _Zone:
    ready: int = 0
    unready: int = 0
    #: When a node was last tainted, and who waits for it: since when, and name.
    last: int | None = None
    waiting: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_down(self) -> bool:
        return not self.ready and self.unready > 0

    @property
    def interval(self) -> int | None:
        """Between two nodes, µs; None: none is to be emptied."""
        size = self.ready + self.unready
        if self.is_down or self.unready <= _FEW or self.unready / size < _UNHEALTHY:
            return _INTERVAL
        return _SLOW_INTERVAL if size > _LARGE else None


class Survey:
    """What the readiness of all nodes together says about each."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._zones: dict[str, _Zone] = {}
        for node in nodes:
            self._count(self._zones.setdefault(zone_of(node), _Zone()), node)
        for zone in self._zones.values():
            zone.waiting.sort()
        states = [zone for zone in self._zones.values() if zone.ready or zone.unready]
        #: Whether no node at all is ready: then it is the control plane that is cut off.
        self.is_all_down = bool(states) and all(zone.is_down for zone in states)

    @staticmethod
    def _count(zone: _Zone, node: Node) -> None:
        unready = is_unready(node)
        if EXCLUDED not in node.metadata.labels:
            zone.unready += unready
            zone.ready += not unready
        tainted = [t for t in node.spec.taints if t.effect == NO_EXECUTE and t.key in (NOT_READY, UNREACHABLE)]
        for taint in tainted:
            if taint.time_added is not None:
                zone.last = max(zone.last or 0, parse_time(taint.time_added))
        if unready and not tainted:
            since = next(c.last_transition_time or "" for c in node.status.conditions if c.type == "Ready")
            zone.waiting.append((since, node.metadata.name))

    def turn(self, node: Node, now: int) -> int | None:
        """When a node that waits for it may be given its NoExecute taint (µs); None: not as things are."""
        zone = self._zones[zone_of(node)]
        interval = zone.interval
        if self.is_all_down or interval is None:
            return None
        place = next(place for place, (_, name) in enumerate(zone.waiting) if name == node.metadata.name)
        first = now if zone.last is None else max(now, zone.last + interval)
        return first + place * interval
