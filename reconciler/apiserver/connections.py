"""Connections of clients, and what they may not do to others: dawdle, send headers without end, or never read.

Three things are looked at every few seconds, each with the bounds of kube-apiserver's HTTP server: a request's headers
have to come in time, an idle connection ends, and what is sent has to be taken. A body that doesn't come is the
application's to give up on, as it knows what to answer.
"""

from __future__ import annotations

import asyncio
import math
import resource

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reconciler.apiserver.corked import Corked

#: Where the protocol leaves a client's verified certificate in a request's scope (``scope["state"]``).
PEER = "peer_certificate"
#: Seconds that a client has for the headers of a request, and those after which an idle connection ends in any case.
HEADER_SECONDS, IDLE_SECONDS = 32.0, 130.0
#: What is sent to a client that reads nothing, or less than so much, in so many seconds is given up.
STALL_SECONDS, LEAST_READ = 30.0, 1 << 14
#: Bytes of a request line and its headers.
MAX_HEADER_BYTES = 1 << 20
#: Seconds between looks at a connection.
_EVERY = 5.0
_MOST_FILES = 1 << 16
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def allow_many() -> None:
    """Lets this process have as many connections as the system does; what is usual is a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds, and with the client's certificate where ``auth`` looks for it."""

    _look: asyncio.TimerHandle | None = None
    #: When the client has to have sent the headers of a request; infinite while it needn't.
    _deadline = math.inf
    _header_bytes = 0
    #: Whether a request's body is coming, be it answered already.
    _is_in_body = False
    #: Since when nothing more can be sent, and how much was left then.
    _stalled: tuple[float, int] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins a connection."""
        super().connection_made(transport)
        self.transport = Corked(transport, self.loop)  # type: ignore[assignment]
        self.app_state = {**self.app_state, PEER: transport.get_extra_info("peercert")}
        self._deadline = self.loop.time() + HEADER_SECONDS
        self._look = self.loop.call_later(_EVERY, self._look_after)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends it."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: who wants to upgrade (``kubectl exec``) is told in the answer that it can't be."""

    def shutdown(self) -> None:
        """The server stops. An idle connection just ends: the client isn't waited for to agree, as TLS has it."""
        super().shutdown()
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and not self.transport.get_write_buffer_size():
            self.transport.abort()

    def _look_after(self) -> None:
        now = self.loop.time()
        if now > self._deadline or self._is_stuck(now):
            self.transport.abort()
        else:
            self._look = self.loop.call_later(_EVERY, self._look_after)

    def _is_stuck(self, now: float) -> bool:
        """Whether the client has read next to nothing for long."""
        if self._stalled is None or now - self._stalled[0] < STALL_SECONDS:
            return False
        left = self.transport.get_write_buffer_size()
        if left > self._stalled[1] - LEAST_READ:
            return True
        self._stalled = (now, left)
        return False

    # -- what comes ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Reads; headers are counted until they end."""
        if self._deadline < math.inf and not self._is_in_body:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._deadline = self.loop.time() + HEADER_SECONDS
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are there."""
        self._deadline, self._header_bytes, self._is_in_body = math.inf, 0, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Its body is."""
        self._is_in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered; if no other has come meanwhile, the connection is idle."""
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:
            self._deadline = self.loop.time() + IDLE_SECONDS

    # -- what goes -----------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The client doesn't read as fast as it is told."""
        self._stalled = (self.loop.time(), self.transport.get_write_buffer_size())
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._stalled = None
        super().resume_writing()
