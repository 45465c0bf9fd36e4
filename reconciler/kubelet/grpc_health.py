"""One call of grpc.health.v1.Health/Check, written out: that is less than a gRPC library would be.

HTTP/2 in clear text with one stream; header compression (HPACK) is used in its plainest form on the way out, and what
comes back is told from the data alone, so that no decoder is needed.
"""

from __future__ import annotations

import socket
import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 0x1, 0x1, 0x4, 0x8
_STATUSES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_MAX_FRAME = 1 << 20


def check(host: str, port: int, service: str, timeout: float) -> tuple[bool, str]:
    """Asks whether a service is SERVING; if not, says why in the kubelet's words."""
    address = f"{host}:{port}"
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + _request(address, service))
            message = _response(connection)
    except TimeoutError:
        return False, f'timeout: failed to connect service "{address}" within {timeout:g}s: context deadline exceeded'
    except OSError as error:
        return False, f'error: health rpc probe failed: connect "{address}": {error.strerror or error}'
    if message is None:
        return False, "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
    status = _status(message)
    if status == 1:
        return True, ""
    return False, f'service unhealthy (responded with "{_STATUSES.get(status, str(status))}")'


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _request(address: str, service: str) -> bytes:
    headers = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/grpc.health.v1.Health/Check"),
        (b":authority", address.encode()),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
    block = b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers)
    name = service.encode()
    body = b"\x0a" + _varint(len(name)) + name if name else b""
    message = b"\x00" + struct.pack(">I", len(body)) + body
    return _frame(_HEADERS, _END_HEADERS, 1, block) + _frame(_DATA, _END_STREAM, 1, message)


def _text(value: bytes) -> bytes:
    assert len(value) < 127, "a longer text needs HPACK's integer encoding"
    return bytes([len(value)]) + value


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _response(connection: socket.socket) -> bytes | None:
    """The response message; None if the stream ended without one."""
    data = b""
    while True:
        head = _read(connection, 9)
        length = int.from_bytes(head[:3])
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        if length > _MAX_FRAME:
            raise ConnectionError("the answer is no HTTP/2")
        payload = _read(connection, length)
        if kind == _SETTINGS and not flags & _ACK:
            connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            connection.sendall(_frame(_PING, _ACK, 0, payload))
        elif kind == _GOAWAY or (kind == _RST_STREAM and stream == 1):
            return data[5:] if len(data) >= 5 else None
        elif kind == _DATA and stream == 1:
            data += payload[1 : len(payload) - payload[0]] if flags & _PADDED else payload
        if stream == 1 and kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            return data[5:] if len(data) >= 5 else None


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise ConnectionError("the server closed the connection")
        data += chunk
    return data


def _status(message: bytes) -> int:
    """Field 1 of HealthCheckResponse, a varint; absent means 0."""
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0
