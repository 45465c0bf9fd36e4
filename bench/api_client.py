"""A lean HTTP/1.1 client for benchmarks of the API server: keep-alive connections over TLS, and watches.

It does as little as possible for each request, since it shares the machine's cores with the server.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httptools
import orjson
import uvloop
import yaml

JSON = "application/json"
STRATEGIC = "application/strategic-merge-patch+json"


@contextmanager
def running() -> Iterator[Callable[[Any], Any]]:
    """An event loop like the server's; coroutines are run on it one after the other. Connections end with it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            yield runner.run
        finally:
            runner.run(_abort(runner.get_loop()))


async def _abort(loop: asyncio.AbstractEventLoop) -> None:
    for connection in [each for each in Connection.all if each.loop is loop]:
        connection.abort()
    await asyncio.sleep(0.05)  # for the transports to end


def request(method: str, path: str, body: Any = None, content_type: str = JSON) -> bytes:
    """A request as it is sent."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nUser-Agent: bench/1.0\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return f"{head}Content-Type: {content_type}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


class Connection(asyncio.Protocol):
    """One connection, on which one request at a time is answered."""

    #: Those that are open.
    all: ClassVar[set[Connection]] = set()

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._parser: Any = None
        self._parts: list[bytes] = []
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._on_body: Callable[[bytes], None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Begins."""
        self._transport = transport
        self.all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fails the request that waits."""
        self.all.discard(self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Reads."""
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        """A watch is answered with that."""
        if self._on_body is not None:
            self._done(b"")

    def on_body(self, body: bytes) -> None:
        """A piece of the body has come."""
        if self._on_body is None:
            self._parts.append(body)
        else:
            self._on_body(body)

    def on_message_complete(self) -> None:
        """All has come."""
        self._done(b"".join(self._parts))

    def _done(self, body: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), body))

    def send(self, raw: bytes, on_body: Callable[[bytes], None] | None = None) -> asyncio.Future[tuple[int, bytes]]:
        """Sends a request; its code and body are the result. With ``on_body`` that is called with each piece of the
        body instead, as it comes.
        """
        self._parts, self._on_body = [], on_body
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return self._answer

    async def call(self, method: str, path: str, body: Any = None, content_type: str = JSON) -> Any:
        """Sends a request that has to succeed; its answer as plain data."""
        code, answer = await self.send(request(method, path, body, content_type))
        assert code < 300, (method, path, code, answer[:500])
        return orjson.loads(answer)

    async def watch(self, path: str, on_lines: Callable[[list[bytes]], None]) -> None:
        """Begins a watch, whose complete lines are given over as they come."""
        rest = b""

        def on_body(piece: bytes) -> None:
            nonlocal rest
            *lines, rest = (rest + piece).split(b"\n")
            if lines:
                on_lines(lines)

        code, _ = await self.send(request("GET", path), on_body)
        assert code == 200, (path, code)

    def abort(self) -> None:
        """Ends it at once."""
        self._answer = None
        self._transport.abort()


class Endpoint:
    """Where a server is, and as whom one may talk to it: what a kubeconfig says."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        address = urlsplit(cluster["server"])
        self._host, self._port = address.hostname, address.port
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as file:
            file.write(base64.b64decode(user["client-certificate-data"]))
            file.write(base64.b64decode(user["client-key-data"]))
            file.flush()
            self._tls.load_cert_chain(file.name)

    async def connect(self) -> Connection:
        """A new connection."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._host, self._port, ssl=self._tls)
        return connection

    async def connections(self, count: int) -> list[Connection]:
        """Several, made a few at a time."""
        made: list[Connection] = []
        while len(made) < count:
            made += await asyncio.gather(*(self.connect() for _ in range(min(50, count - len(made)))))
        return made


async def hammer(connections: Iterable[Connection], requests: Iterable[bytes], expected: int) -> None:
    """Sends all requests, on each connection one after the other."""
    requests = iter(requests)

    async def work(connection: Connection) -> None:
        for raw in requests:
            code, answer = await connection.send(raw)
            assert code == expected, (raw[:200], code, answer[:500])

    await asyncio.gather(*map(work, connections))


class Pool:
    """Sends requests on whichever of a few connections is free."""

    def __init__(self, connections: Iterable[Connection]) -> None:
        self.free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in connections:
            self.free.put_nowait(connection)

    async def send(self, raw: bytes, allowed: tuple[int, ...] = (200,)) -> bytes:
        """The answer to a request."""
        connection = await self.free.get()
        code, answer = await connection.send(raw)
        self.free.put_nowait(connection)
        assert code in allowed, (raw[:200], code, answer[:500])
        return answer
