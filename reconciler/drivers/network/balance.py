"""Chooses a backend for each new connection, as kube-proxy: equal shares, and session affinity by client address."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from random import Random
from typing import Literal

from reconciler.drivers.network.base import Backend

Policy = Literal["round-robin", "random"]

#: Clients remembered per service port; beyond it the one that was idle longest is forgotten. Bounds memory.
MAX_CLIENTS = 65_536


class Balancer:
    """The choice for one service port.

    "round-robin" gives equal shares in turn, "random" gives equal probability (as iptables mode) from a seed. With
    affinity, a client keeps its backend until it made no connection for ``affinity_seconds`` or the backend went; each
    connection starts the time again.

    Example:
        >>> balancer = Balancer("round-robin")
        >>> balancer.update([Backend("10.0.0.1", 80), Backend("10.0.0.2", 80)])
        >>> [balancer.pick("client", 0.0).ip for _ in range(3)]
        ['10.0.0.1', '10.0.0.2', '10.0.0.1']
    """

    __slots__ = ("_backends", "_clients", "_policy", "_random", "_turn", "affinity_seconds")

    def __init__(self, policy: Policy, *, seed: int = 0, affinity_seconds: int = 0) -> None:
        self.affinity_seconds = affinity_seconds
        self._policy = policy
        self._random = Random(seed)
        self._turn = 0
        self._backends: tuple[Backend, ...] = ()
        self._clients: OrderedDict[str, tuple[Backend, float]] = OrderedDict()

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Those to choose from."""
        return self._backends

    def update(self, backends: Sequence[Backend]) -> None:
        """Replaces the backends; clients of those that went are free again, the others stay where they are."""
        kept = frozenset(backends)
        if not kept.issuperset(self._backends):
            for client in [client for client, (backend, _) in self._clients.items() if backend not in kept]:
                del self._clients[client]
        self._backends = tuple(backends)

    def pick(self, client: str, now: float) -> Backend:
        """The backend for a new connection of a client address at ``now`` (seconds of any steady clock).

        Raises:
            LookupError: there is no backend.
        """
        if not self._backends:
            raise LookupError("no endpoints")
        if self.affinity_seconds <= 0:
            return self._choose()
        backend, last = self._clients.get(client, (None, 0.0))
        if backend is None or now - last >= self.affinity_seconds:
            backend = self._choose()
        self._clients[client] = (backend, now)
        self._clients.move_to_end(client)
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return backend

    def alternatives(self, failed: Backend) -> tuple[Backend, ...]:
        """The other backends, in the order in which to try them when ``failed`` refused a connection."""
        if failed not in self._backends:
            return self._backends
        at = self._backends.index(failed)
        return self._backends[at + 1 :] + self._backends[:at]

    def forget(self, client: str) -> None:
        """Ends a client's affinity: its backend doesn't answer."""
        self._clients.pop(client, None)

    def _choose(self) -> Backend:
        if self._policy == "random":
            return self._backends[self._random.randrange(len(self._backends))]
        backend = self._backends[self._turn % len(self._backends)]
        self._turn += 1
        return backend
