"""Carries bytes between a client and its backend, both ways, until both have finished.

A socket is read only when what was read before has been written on, so a slow reader slows its sender down instead of
filling memory: at most one chunk is held per direction. When one side finishes sending (half-close), the other is told
so and may go on sending. When one side breaks, the other is reset.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Sequence

from reconciler.drivers.network.balance import Balancer
from reconciler.drivers.network.base import Backend
from reconciler.drivers.network.loop import READ, WRITE, Loop
from reconciler.drivers.network.sockets import open_towards

#: Bytes moved at a time, and the most that is held per direction.
CHUNK = 256 * 1024

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Relays:
    """All connections of a proxy. They outlive the service they came through, as established connections do."""

    def __init__(self, loop: Loop, connect_seconds: float) -> None:
        self.loop = loop
        self.buffer = memoryview(bytearray(CHUNK))
        self.open: set[Relay] = set()
        self._connect_seconds = connect_seconds
        self._connecting: OrderedDict[Relay, float] = OrderedDict()
        loop.sweep_with(self._give_up)

    def start(self, client: socket.socket, client_ip: str, backend: Backend, balancer: Balancer) -> None:
        """Connects an accepted client to a backend, or to another one if that refuses."""
        relay = Relay(self, client, client_ip, balancer)
        self.open.add(relay)
        relay.connect((backend, *balancer.alternatives(backend)))

    def connecting(self, relay: Relay) -> None:
        """Starts the time that a backend has to answer."""
        self._connecting[relay] = time.monotonic() + self._connect_seconds
        self._connecting.move_to_end(relay)

    def connected(self, relay: Relay) -> None:
        """Stops that time."""
        self._connecting.pop(relay, None)

    def close(self) -> None:
        """Resets every connection."""
        for relay in tuple(self.open):
            relay.abort()
        self.loop.sweep_no_more(self._give_up)

    def _give_up(self, now: float) -> None:
        late = [relay for relay, deadline in self._connecting.items() if deadline <= now]
        for relay in late:
            relay.try_next()


class _End:
    """One socket of a relay: what waits to be written to it, and what it is watched for."""

    __slots__ = ("closed_for_reading", "closed_for_writing", "events", "pending", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.events = 0
        self.pending: memoryview | None = None
        self.closed_for_reading = False
        self.closed_for_writing = False


class Relay:
    """One client, one backend."""

    __slots__ = ("_balancer", "_client", "_client_ip", "_relays", "_remaining", "_server")

    def __init__(self, relays: Relays, client: socket.socket, client_ip: str, balancer: Balancer) -> None:
        self._relays = relays
        self._client = _End(client)
        self._client_ip = client_ip
        self._balancer = balancer
        self._server: _End | None = None
        self._remaining: Sequence[Backend] = ()

    def connect(self, candidates: Sequence[Backend]) -> None:
        """Connects to the first candidate that accepts; resets the client if none does."""
        self._remaining = candidates
        while self._remaining:
            backend, self._remaining = self._remaining[0], self._remaining[1:]
            server = None
            try:
                server = open_towards(socket.SOCK_STREAM, self._client_ip, backend)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                failed = server.connect_ex((backend.ip, backend.port))
            except OSError as error:
                failed = error.errno or errno.EIO
            if failed in {0, errno.EINPROGRESS} and server is not None:
                self._server = _End(server)
                self._await_connection() if failed else self._established()
                return
            if server is not None:
                server.close()
            self._balancer.forget(self._client_ip)
        self.abort()

    def try_next(self) -> None:
        """Gives the backend up that doesn't answer."""
        self._relays.connected(self)
        if self._server is not None:
            self._server.events = self._relays.loop.watch(self._server.sock, self._server.events, 0, self._on_connect)
            self._server.sock.close()
            self._server = None
        self._balancer.forget(self._client_ip)
        self.connect(self._remaining)

    def abort(self) -> None:
        """Ends both sides with a reset."""
        for end in (self._client, self._server):
            if end is not None:
                end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._close()

    def _await_connection(self) -> None:
        assert self._server is not None
        self._relays.connecting(self)
        self._server.events = self._relays.loop.watch(self._server.sock, 0, WRITE, self._on_connect)

    def _on_connect(self, _events: int) -> None:
        if self._server is None or self not in self._relays.open:
            return  # closed by an earlier event of the same round
        if self._server.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.try_next()
            return
        self._relays.connected(self)
        self._server.events = self._relays.loop.watch(self._server.sock, self._server.events, 0, self._on_connect)
        self._established()

    def _established(self) -> None:
        assert self._server is not None
        self._remaining = ()
        self._watch(self._client, READ)
        self._watch(self._server, READ)

    def _on_client(self, events: int) -> None:
        if self._server is not None:
            self._on_event(self._client, self._server, events)

    def _on_server(self, events: int) -> None:
        if self._server is not None:
            self._on_event(self._server, self._client, events)

    def _on_event(self, end: _End, other: _End, events: int) -> None:
        try:
            if events & WRITE and end.pending is not None:
                self._flush(end, other)
            if events & READ and other.pending is None and not end.closed_for_reading:
                self._move(end, other)
        except OSError:
            self.abort()  # one side is gone: the other learns of it the same way

    def _move(self, end: _End, other: _End) -> None:
        """Reads a chunk from one side and writes it to the other, as far as that takes it."""
        buffer = self._relays.buffer
        try:
            count = end.sock.recv_into(buffer)
        except BlockingIOError:
            return
        if not count:
            end.closed_for_reading = other.closed_for_writing = True
            if end.closed_for_writing:
                self._close()
                return
            other.sock.shutdown(socket.SHUT_WR)
            self._watch(end, end.events & ~READ)
            return
        try:
            sent = other.sock.send(buffer[:count])
        except BlockingIOError:
            sent = 0
        if sent < count:
            other.pending = memoryview(bytes(buffer[sent:count]))
            self._watch(end, end.events & ~READ)
            self._watch(other, other.events | WRITE)

    def _flush(self, end: _End, other: _End) -> None:
        """Writes on what was left, and reads from the other side again once all is out."""
        assert end.pending is not None
        try:
            end.pending = end.pending[end.sock.send(end.pending) :]
        except BlockingIOError:
            return
        if not end.pending:
            end.pending = None
            self._watch(end, end.events & ~WRITE)
            if not other.closed_for_reading:
                self._watch(other, other.events | READ)

    def _watch(self, end: _End, events: int) -> None:
        callback = self._on_client if end is self._client else self._on_server
        end.events = self._relays.loop.watch(end.sock, end.events, events, callback)

    def _close(self) -> None:
        for end in (self._client, self._server):
            if end is not None:
                self._watch(end, 0)
                end.sock.close()
        self._server = None
        self._relays.connected(self)
        self._relays.open.discard(self)
