"""Accepts the TCP connections of one service address."""

from __future__ import annotations

import errno
import socket
import time

from reconciler.drivers.network.balance import Balancer
from reconciler.drivers.network.loop import READ
from reconciler.drivers.network.relay import Relays
from reconciler.drivers.network.services import Frontend
from reconciler.drivers.network.sockets import Binding

#: Connections accepted before other sockets get their turn.
ACCEPTS_PER_TURN = 64
#: Connections that wait to be accepted; the kernel's own limit may be lower.
BACKLOG = 4096

_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class TcpServer:
    """Listens while there are backends; without any the port is closed, so that connections are refused.

    When the process has no file descriptors left it stops accepting for a moment: clients wait, they aren't cut off.
    """

    def __init__(self, relays: Relays, balancer: Balancer, binding: Binding) -> None:
        self._relays = relays
        self._balancer = balancer
        self._binding = binding
        self._socket: socket.socket | None = None
        self._events = 0
        self._trouble = ""

    def update(self, frontend: Frontend) -> None:
        """Serves these backends; opens or closes the port when there begin or cease to be any."""
        self._balancer.affinity_seconds = frontend.affinity_seconds
        self._balancer.update(frontend.backends)
        if not frontend.backends:
            self.close()
        elif self._socket is None:
            self._socket = self._binding.listen(BACKLOG)
            self._watch(READ)

    def bound(self) -> tuple[str, int] | None:
        """Where it listens."""
        return None if self._socket is None else self._socket.getsockname()

    def trouble(self) -> str:
        """Why it doesn't accept at this moment."""
        return self._trouble

    def close(self) -> None:
        """Stops listening; connections that were accepted go on."""
        if self._socket is not None:
            self._resume(0.0)
            self._watch(0)
            self._socket.close()
            self._socket = None

    def _watch(self, events: int) -> None:
        if self._socket is not None:
            self._events = self._relays.loop.watch(self._socket, self._events, events, self._accept)

    def _accept(self, _events: int) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if self._socket is None:
                return  # closed by an earlier event of the same round
            try:
                client, (client_ip, _) = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # the client went away while it waited
            except OSError as error:
                if error.errno not in _OUT_OF_FILES:
                    raise
                self._pause(error)
                return
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            backend = self._balancer.pick(client_ip, time.monotonic())
            self._relays.start(client, client_ip, backend, self._balancer)

    def _pause(self, error: OSError) -> None:
        self._trouble = f"cannot accept: {error.strerror}"
        self._watch(0)
        self._relays.loop.sweep_with(self._resume)

    def _resume(self, _now: float) -> None:
        if self._trouble:
            self._trouble = ""
            self._relays.loop.sweep_no_more(self._resume)
            self._watch(READ)
