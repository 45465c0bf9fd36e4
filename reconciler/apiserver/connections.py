"""Connections of clients, and what they may not do to others: dawdle, send headers without end, or never read.

Three things are looked at every few seconds, each with the bounds of kube-apiserver's HTTP server: a request's headers
have to come in time, an idle connection ends, and what is sent has to be taken. A body that doesn't come is the
application's to give up on, as it knows what to answer.
"""

from __future__ import annotations

import asyncio
import math
import re
import resource
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reconciler.apiserver.corked import Corked

#: Where the protocol leaves a client's verified certificate in a request's scope (``scope["state"]``).
PEER = "peer_certificate"
#: Seconds that a client has for the headers of a request, and those after which an idle connection ends in any case.
HEADER_SECONDS, IDLE_SECONDS = 32.0, 130.0
#: What is sent to a client that reads nothing, or less than so much, in so many seconds is given up.
STALL_SECONDS, LEAST_READ = 30.0, 1 << 14
#: Bytes of a request line and its headers; and of a body with all that chunks and trailers add to it, be it answered
#: already.
MAX_HEADER_BYTES, MAX_SENT_BYTES = 1 << 20, 16 << 20
#: Seconds between looks at a connection.
_EVERY = 5.0
_MOST_FILES = 1 << 16
_TOO_LARGE = "431 Request Header Fields Too Large"
_INVALID = "400 Bad Request"
_HOST, _BROKEN_ESCAPE = re.compile(rb"[\w!$&'()*+,\-.:;=@\[\]_~%]*"), re.compile(rb"%(?![0-9A-Fa-f]{2})")


def allow_many() -> None:
    """Lets this process have as many connections as the system does; what is usual is a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class RefusedError(Exception):
    """A request that nobody should look at any further; the text is the status, and why."""


def check_head(version: str, url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuses what Go's HTTP server refuses: what somebody before this server may understand in another way.

    Raises:
        RefusedError: the request's head is of that kind.
    """
    if version not in ("1.0", "1.1"):
        raise RefusedError("505 HTTP Version Not Supported: unsupported protocol version")
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
            if not _HOST.fullmatch(value):
                raise RefusedError(f"{_INVALID}: malformed Host header")
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise RefusedError("501 Not Implemented: unsupported transfer encoding")
        elif name == b"expect" and value.lower() != b"100-continue":
            raise RefusedError("417 Expectation Failed")
    if hosts > 1:
        raise RefusedError(f"{_INVALID}: too many Host headers")
    if not hosts and version == "1.1":
        raise RefusedError(f"{_INVALID}: missing required Host header")
    if b"%" in url and _BROKEN_ESCAPE.search(url.partition(b"?")[0]):
        raise RefusedError(_INVALID)


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds, and with the client's certificate where ``auth`` looks for it."""

    _look: asyncio.TimerHandle | None = None
    #: When the client has to have sent the headers of a request; infinite while it needn't.
    _deadline = math.inf
    _header_bytes = _sent_bytes = 0
    #: What is answered to what is no request.
    _refused = _INVALID
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
        """Reads; headers and body are counted until they end."""
        if self._is_in_body:
            self._sent_bytes += len(data)
            if self._sent_bytes > MAX_SENT_BYTES:
                self.transport.abort()
                return
        elif self._deadline < math.inf:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse(_TOO_LARGE)
                return
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """What came is no request, or one that is refused."""
        self._refuse(self._refused)

    def _refuse(self, status: str) -> None:
        """Answers in Go's form, and ends the connection."""
        head = f"HTTP/1.1 {status.partition(':')[0]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        self.transport.write(f"{head}Content-Length: {len(status)}\r\nConnection: close\r\n\r\n{status}".encode())
        self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._deadline = self.loop.time() + HEADER_SECONDS
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are there."""
        try:
            check_head(self.parser.get_http_version(), self.url, self.headers)
        except RefusedError as error:
            self._refused = str(error)
            raise
        self._deadline, self._header_bytes, self._sent_bytes, self._is_in_body = math.inf, 0, 0, True
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
