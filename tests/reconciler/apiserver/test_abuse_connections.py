"""Clients that dawdle, flood, never read or speak nonsense: each is cut off, and nobody else notices."""

import json
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from reconciler.apiserver import connections, http
from reconciler.apiserver.server import Server
from state.store.memory import MemoryStore

MAPS = "/api/v1/namespaces/default/configmaps"
#: Longest time until a client is cut off here; the bounds themselves are some tenths of a second.
SOON = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        for name, seconds in (("_EVERY", 0.05), ("HEADER_SECONDS", 0.4), ("IDLE_SECONDS", 0.6), ("STALL_SECONDS", 0.4)):
            patch.setattr(connections, name, seconds)
        patch.setattr(http, "BODY_SECONDS", 0.4)
        with MemoryStore() as store, Server(store) as running:
            yield running


class Raw:
    """A connection that sends bytes as they are."""

    def __init__(self, server: Server, data: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=SOON)
        self.send(data)

    def send(self, data: bytes) -> None:
        if data:
            self.socket.sendall(data)

    def rest(self) -> bytes:
        """Everything up to the end; ConnectionResetError counts as one."""
        chunks = []
        try:
            while chunk := self.socket.recv(1 << 16):
                chunks.append(chunk)
        except ConnectionError:
            pass
        return b"".join(chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def request(method: str, path: str, body: bytes = b"", *headers: str, version: str = "1.1") -> bytes:
    lines = (f"{method} {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def is_well(server: Server) -> bool:
    """Whether others are served, and at once."""
    started = time.monotonic()
    with Raw(server, request("GET", "/readyz", b"", "Connection: close")) as other:
        return other.rest().endswith(b"ok") and time.monotonic() - started < 5


def test_a_client_that_says_nothing_is_cut_off(server: Server) -> None:
    """Before its first request, and after it."""
    with Raw(server) as silent, Raw(server, request("GET", "/readyz")) as idle:
        assert silent.rest() == b""
        assert idle.rest().endswith(b"ok")
    assert is_well(server)


def test_headers_have_to_come_in_time(server: Server) -> None:
    """A byte now and then doesn't prolong it; nor does an empty line after a request."""
    for start in (b"", request("GET", "/readyz")):
        with Raw(server, start) as slow:
            started = time.monotonic()
            try:
                for byte in b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000:
                    slow.send(bytes([byte]))
                    time.sleep(0.02)
            except ConnectionError:
                pass
            assert time.monotonic() - started < SOON
    assert is_well(server)


def test_a_body_has_to_come_in_time(server: Server) -> None:
    """It is told so: a Status with 504."""
    with Raw(server, request("POST", MAPS, b"").replace(b"Content-Length: 0", b"Content-Length: 99")) as slow:
        slow.send(b"{")
        head, _, body = slow.rest().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 504")
    assert json.loads(body)["reason"] == "Timeout"
    assert is_well(server)


@pytest.mark.parametrize("flood", [b"GET /" + b"a" * (2 << 20), b"GET / HTTP/1.1\r\na: " + b"b" * (2 << 20)])
def test_headers_have_an_end(server: Server, flood: bytes) -> None:
    """As long as a megabyte, and no longer."""
    with Raw(server) as client:
        try:
            client.send(flood)
        except ConnectionError:
            return
        assert client.rest()[:12] in (b"", b"HTTP/1.1 431")
    assert is_well(server)


@pytest.mark.parametrize(
    "more",
    [b"10000\r\n" + b" " * 65536 + b"\r\n", b"1\r\n \r\n" * 10_000, b"0\r\na:" + b"b" * 65536, b"1;a" + b"a" * 65536],
    ids=["chunks", "short chunks", "trailers", "extensions"],
)
def test_a_body_has_an_end(server: Server, more: bytes) -> None:
    """Also one that is answered: nobody can have it read what nobody looks at."""
    start = request("POST", MAPS, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with Raw(server, start) as client:
        client.send(more)
        again = more.removeprefix(b"0\r\na:").removeprefix(b"1;")
        with pytest.raises(ConnectionError):
            client.socket.sendall(again * (connections.MAX_SENT_BYTES // len(again) * 2))
    assert is_well(server)


def test_many_short_headers_have_an_end(server: Server) -> None:
    """Their number makes no difference."""
    with Raw(server) as client:
        try:
            client.send(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (1 << 19))
        except ConnectionError:
            return
        assert client.rest()[:12] in (b"", b"HTTP/1.1 431")


def test_a_watch_that_nobody_reads_is_cut_off(server: Server) -> None:
    """What is told it is bounded, and a watch that is read hears of everything."""
    data = {"metadata": {"name": "big"}, "data": {"a": "x" * 500_000}}
    with Raw(server, request("GET", f"{MAPS}?watch=1&timeoutSeconds=60")) as deaf:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        end = time.monotonic() + SOON
        number, before = 0, _resident()
        while server.http.measurements.watches.total() or not number:
            number += 1
            assert time.monotonic() < end, "it is still there"
            body = json.dumps({**data, "data": {**data["data"], "n": str(number)}}).encode()
            method, path = ("POST", MAPS) if number == 1 else ("PUT", f"{MAPS}/big")
            headers = ("Content-Type: application/json", "Connection: close")
            with Raw(server, request(method, path, body, *headers)) as writer:
                assert b" 20" in writer.rest()[:20]
            time.sleep(0.02)
        assert _resident() - before < 300 << 20  # the store's history among it
    assert is_well(server)


def _resident() -> int:
    """Bytes of memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_many_idle_connections_hurt_nobody(server: Server) -> None:
    """And they end."""
    clients = [Raw(server) for _ in range(300)]
    assert is_well(server)
    assert all(client.rest() == b"" for client in clients)
    for client in clients:
        client.socket.close()


def test_requests_in_one_piece_are_answered_in_order(server: Server) -> None:
    """Pipelining."""
    paths = [f"{MAPS}/n{number}" for number in range(50)]
    last = request("GET", "/readyz", b"", "Connection: close")
    with Raw(server, b"".join(request("GET", path) for path in paths) + last) as client:
        text = client.rest()
    places = [text.index(f'\\"n{number}\\" not found'.encode()) for number in range(50)]
    assert places == sorted(places)
    assert text.endswith(b"ok")


def test_old_clients_are_served(server: Server) -> None:
    """HTTP/1.0 ends with the answer."""
    with Raw(server, request("GET", "/readyz", version="1.0")) as client:
        assert client.rest().endswith(b"ok")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 200 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_nonsense_is_refused(server: Server, nonsense: bytes) -> None:
    """Nothing that two programs could read in two ways is guessed at."""
    with Raw(server, nonsense) as client:
        text = client.rest()
    assert text == b"" or text.startswith(b"HTTP/1.1 4")
    assert is_well(server)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /version HTTP/1.1", b"400 Bad Request: missing required Host header"),
        (b"GET /version HTTP/1.1\r\nHost: a\r\nHost: b", b"400 Bad Request: too many Host headers"),
        (b"GET /version HTTP/1.1\r\nHost: a b", b"400 Bad Request: malformed Host header"),
        (b"GET /version\r\nHost: x", b"505 HTTP Version Not Supported: unsupported protocol version"),
        (b"GET /version HTTP/2.0\r\nHost: x", b"505 HTTP Version Not Supported: unsupported protocol version"),
        (b"GET /api/v1/nodes/%zz HTTP/1.1\r\nHost: x", b"400 Bad Request"),
        (b"GET /api/v1/nodes/%2 HTTP/1.1\r\nHost: x", b"400 Bad Request"),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: more\r\nContent-Length: 2", b"417 Expectation Failed"),
        (
            b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked",
            b"501 Not Implemented: unsupported transfer encoding",
        ),
    ],
)
def test_heads_that_go_refuses_are_refused(server: Server, head: bytes, status: bytes) -> None:
    """Whatever body follows, it is no request of its own."""
    with Raw(server, head + b"\r\n\r\n" + request("GET", "/readyz")) as client:
        top, _, body = client.rest().partition(b"\r\n\r\n")
    assert (top.partition(b"\r\n")[0], body) == (b"HTTP/1.1 " + status.partition(b":")[0], status)
    assert is_well(server)


def test_the_server_as_a_whole_has_no_options(server: Server) -> None:
    """``OPTIONS *``, which Go's server answers by itself."""
    with Raw(server, request("OPTIONS", "*", b"", "Connection: close")) as client:
        assert client.rest().startswith(b"HTTP/1.1 200")


def test_a_client_that_leaves_in_the_middle_is_forgotten(server: Server) -> None:
    """While it sends, and while it watches."""
    for data in (request("POST", MAPS, b"{}")[:-1], request("GET", f"{MAPS}?watch=1&timeoutSeconds=60")):
        for _ in range(20):
            with Raw(server, data):
                pass
    end = time.monotonic() + SOON
    while server.http.measurements.watches.total():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert server.http.measurements._load.now == {False: 0, True: 0}
    assert is_well(server)


def test_too_many_requests_are_told_to_come_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 with a time to wait, and nothing is lost of those in work."""
    monkeypatch.setattr(server.http.measurements._load, "_bounds", {False: 0, True: 200})
    with Raw(server, request("GET", MAPS, b"", "Connection: close")) as client:
        text = client.rest()
    assert text.startswith(b"HTTP/1.1 429")
    assert b"retry-after: 1\r\n" in text.lower()
    assert is_well(server)


def test_long_answers_that_nobody_takes_are_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count until the client has them, or is cut off."""
    load = server.http.measurements._load
    secrets = "/api/v1/namespaces/default/secrets"
    for number in range(9):
        body = json.dumps({"metadata": {"name": f"s{number}"}, "stringData": {"a": "x" * 700_000}}).encode()
        headers = ("Content-Type: application/json", "Connection: close")
        with Raw(server, request("POST", secrets, body, *headers)) as writer:
            assert b" 201" in writer.rest()[:20]
    monkeypatch.setattr(load, "_most_unsent", 12 << 20)
    listing = request("GET", secrets, b"", "Connection: close")
    deaf = [Raw(server, listing) for _ in range(2)]
    end = time.monotonic() + SOON
    while not load.unsent:
        assert time.monotonic() < end
        time.sleep(0.01)
    with Raw(server, listing) as third:
        assert third.rest().startswith(b"HTTP/1.1 429")
    while load.unsent:  # they are cut off
        assert time.monotonic() < end
        time.sleep(0.01)
    with Raw(server, listing) as again:
        assert again.rest().startswith(b"HTTP/1.1 200")
    for each in deaf:
        each.socket.close()


def test_there_may_be_many_connections() -> None:
    """The usual bound of a thousand files is lifted, as far as the system lets it be."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 512), before[1]))
        connections.allow_many()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 512 or before[1] <= 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
