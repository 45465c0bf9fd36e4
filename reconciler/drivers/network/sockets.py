"""Makes the sockets of the userspace proxy, and says what to do when the kernel won't."""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Callable
from dataclasses import dataclass

from reconciler.drivers.network.base import Backend

#: Ports below this may need a privilege (net.ipv4.ip_unprivileged_port_start).
FIRST_FREE_PORT = 1024

#: Linux: choose the local port when connecting, so that many connections can leave from one address.
_BIND_ADDRESS_NO_PORT = 24


@dataclass(frozen=True, slots=True)
class Binding:
    """An address to listen on.

    ``fallback_offset`` is added to a port below 1024 that the user may not listen on; 0 makes that an error. One that
    ``is_shared`` can be listened on by several programs of one user, among which the kernel divides what comes.
    """

    ip: str
    port: int
    fallback_offset: int = 0
    is_shared: bool = False

    def listen(self, backlog: int) -> socket.socket:
        """A non-blocking TCP socket that listens there, or OSError with a message that helps."""

        def prepare(sock: socket.socket, port: int) -> None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self.ip, port))
            sock.listen(backlog)

        return self._open(socket.SOCK_STREAM, prepare)

    def receive(self) -> socket.socket:
        """A non-blocking UDP socket bound there, or OSError with a message that helps."""
        return self._open(socket.SOCK_DGRAM, lambda sock, port: sock.bind((self.ip, port)))

    def _open(self, kind: socket.SocketKind, prepare: Callable[[socket.socket, int], None]) -> socket.socket:
        sock = socket.socket(socket.AF_INET, kind)
        try:
            sock.setblocking(False)
            if self.is_shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                prepare(sock, self.port)
            except PermissionError:
                if not self.fallback_offset or self.port >= FIRST_FREE_PORT:
                    raise
                prepare(sock, self.port + self.fallback_offset)
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRNOTAVAIL:
                message = f"{self.ip} is not an address of this machine; allocate service addresses from 127.0.0.0/8"
                raise OSError(error.errno, message) from error
            raise
        return sock


def open_towards(kind: socket.SocketKind, client_ip: str, backend: Backend) -> socket.socket:
    """A non-blocking socket to reach a backend with, that leaves from the client's own address where it can.

    On the loopback network any 127.x.y.z may be a source, so backends see who really calls, as behind kube-proxy.
    """
    sock = socket.socket(socket.AF_INET, kind)
    try:
        sock.setblocking(False)
        if client_ip != "127.0.0.1" and client_ip.startswith("127.") and backend.ip.startswith("127."):
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            sock.bind((client_ip, 0))
    except OSError:
        sock.close()
        raise
    return sock


def raise_file_limit() -> int:
    """Raises this process' limit of open files to what it is allowed; returns it. A proxied connection takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
