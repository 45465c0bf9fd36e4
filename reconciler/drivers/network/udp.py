"""Carries the datagrams of one service address.

A client's datagrams go to one backend for as long as they keep coming, and the answers go back to that client: an
*association*, like a connection-tracking entry in the kernel.
"""

from __future__ import annotations

import socket
import time
from collections import OrderedDict

from reconciler.drivers.network.balance import Balancer
from reconciler.drivers.network.base import Backend
from reconciler.drivers.network.loop import READ, Loop
from reconciler.drivers.network.services import Frontend
from reconciler.drivers.network.sockets import Binding, open_towards

#: Datagrams handled before other sockets get their turn.
DATAGRAMS_PER_TURN = 64
#: The largest datagram there is.
DATAGRAM_BYTES = 65_536
#: Associations per service address; beyond it the one idle longest ends. Each holds a file descriptor.
MAX_ASSOCIATIONS = 4_096

_Client = tuple[str, int]


class _Association:
    """One client's way to its backend."""

    __slots__ = ("_client", "_server", "backend", "last_used", "sock")

    def __init__(self, server: UdpServer, client: _Client, backend: Backend, sock: socket.socket) -> None:
        self._server = server
        self._client = client
        self.backend = backend
        self.sock = sock
        self.last_used = 0.0

    def on_answer(self, _events: int) -> None:
        """Datagrams of the backend have come."""
        self._server.answer(self._client, self)


class UdpServer:
    """Listens while there are backends; without any the port is closed, so that clients learn it by ICMP.

    Datagrams that a full socket would not take are dropped, as UDP may.
    """

    def __init__(self, loop: Loop, balancer: Balancer, binding: Binding, idle_seconds: float) -> None:
        self._loop = loop
        self._balancer = balancer
        self._binding = binding
        self._idle_seconds = idle_seconds
        self._socket: socket.socket | None = None
        self._trouble = ""
        self._associations: OrderedDict[_Client, _Association] = OrderedDict()

    def update(self, frontend: Frontend) -> None:
        """Serves these backends. Associations with a backend that went end, as kube-proxy clears stale UDP entries."""
        self._balancer.affinity_seconds = frontend.affinity_seconds
        self._balancer.update(frontend.backends)
        for client, association in tuple(self._associations.items()):
            if association.backend not in frontend.backends:
                self._end(client)
        if not frontend.backends:
            self.close()
        elif self._socket is None:
            self._socket = self._binding.receive()
            self._loop.watch(self._socket, 0, READ, self._on_datagram)
            self._loop.sweep_with(self._expire)

    def bound(self) -> tuple[str, int] | None:
        """Where it listens."""
        return None if self._socket is None else self._socket.getsockname()

    def trouble(self) -> str:
        """Why the last new client could not be served."""
        return self._trouble

    def close(self) -> None:
        """Stops listening and ends every association."""
        if self._socket is not None:
            for client in tuple(self._associations):
                self._end(client)
            self._loop.watch(self._socket, READ, 0, self._on_datagram)
            self._loop.sweep_no_more(self._expire)
            self._socket.close()
            self._socket = None

    def answer(self, client: _Client, association: _Association) -> None:
        """Passes a backend's datagrams on to the client."""
        for _ in range(DATAGRAMS_PER_TURN):
            if self._socket is None or self._associations.get(client) is not association:
                return  # ended by an earlier event of the same round
            try:
                data = association.sock.recv(DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self._end(client)  # the backend doesn't listen: the next datagram goes to another one
                self._balancer.forget(client[0])
                return
            self._touch(client, association)
            try:
                self._socket.sendto(data, client)
            except OSError:
                return  # the client is gone or full: this datagram is lost

    def _on_datagram(self, _events: int) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            if self._socket is None:
                return
            try:
                data, client = self._socket.recvfrom(DATAGRAM_BYTES)
            except OSError:
                return  # nothing more, or the report that an answer met no client
            association = self._associations.get(client) or self._associate(client)
            if association is None:
                continue
            self._touch(client, association)
            try:
                association.sock.send(data)
            except BlockingIOError:
                continue
            except OSError:
                self._end(client)
                self._balancer.forget(client[0])

    def _associate(self, client: _Client) -> _Association | None:
        backend = self._balancer.pick(client[0], time.monotonic())
        try:
            sock = open_towards(socket.SOCK_DGRAM, client[0], backend)
            sock.connect((backend.ip, backend.port))
        except OSError as error:
            self._trouble = f"cannot reach {backend}: {error.strerror}"
            return None
        self._trouble = ""
        if len(self._associations) >= MAX_ASSOCIATIONS:
            self._end(next(iter(self._associations)))
        association = _Association(self, client, backend, sock)
        self._associations[client] = association
        self._loop.watch(sock, 0, READ, association.on_answer)
        return association

    def _touch(self, client: _Client, association: _Association) -> None:
        association.last_used = time.monotonic()
        self._associations.move_to_end(client)

    def _expire(self, now: float) -> None:
        while self._associations:
            client, association = next(iter(self._associations.items()))
            if now - association.last_used < self._idle_seconds:
                return
            self._end(client)

    def _end(self, client: _Client) -> None:
        association = self._associations.pop(client)
        self._loop.watch(association.sock, READ, 0, association.on_answer)
        association.sock.close()
