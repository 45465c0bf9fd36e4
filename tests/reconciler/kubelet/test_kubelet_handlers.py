"""Probe handlers against real sockets: verdicts and wording."""

import contextlib
import http.server
import socket
import struct
import threading

import pytest

from reconciler.drivers.runtime.base import ContainerConfig, ExecResult, PodSandboxConfig
from reconciler.drivers.runtime.clock import VirtualClock
from reconciler.drivers.runtime.simulated import Behaviour, SimulatedRuntime
from reconciler.kubelet.handlers import carry_out
from reconciler.kubelet.tasks import Exec, GrpcHealth, HttpGet, Impossible, Pull, Sleep, Task, TcpConnect


def do(doing, timeout=20.0, runtime=None, instance=""):
    task = Task("uid", "c", instance, "readiness", doing, timeout)
    return carry_out(runtime or SimulatedRuntime(VirtualClock()), task, threading.Event())


@contextlib.contextmanager
def http_server():
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers["User-Agent"], self.headers["X-Who"]))
            self.send_response(int(self.path.rpartition("/")[2]))
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port, seen
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def closed_port():
    with socket.socket() as holder:  # bound, but nobody listens
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.mark.parametrize(
    ("status", "good"), [(200, True), (204, True), (302, True), (399, True), (404, False), (500, False)]
)
def test_http_status_decides(status, good):
    with http_server() as (port, seen):
        success, message = do(HttpGet("http", "127.0.0.1", port, f"/{status}", (("X-Who", "me"),)))
    assert success is good
    assert message == ("" if good else f"HTTP probe failed with statuscode: {status}")
    assert seen == [(f"/{status}", "kube-probe/1.34", "me")]


def test_nobody_listening_is_said(closed_port):
    refused = f"dial tcp 127.0.0.1:{closed_port}: connect: connection refused"
    assert do(TcpConnect("127.0.0.1", closed_port)) == (False, refused)
    url = f"http://127.0.0.1:{closed_port}/"
    assert do(HttpGet("http", "127.0.0.1", closed_port, "/")) == (False, f'Get "{url}": {refused}')
    success, message = do(GrpcHealth("127.0.0.1", closed_port, ""))
    assert not success
    assert "Connection refused" in message


def test_an_open_port_is_enough_for_tcp():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert do(TcpConnect("127.0.0.1", server.getsockname()[1])) == (True, "")


def test_a_server_that_does_not_answer_times_out():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        success, message = do(HttpGet("http", "127.0.0.1", port, "/"), timeout=0.1)
        assert (success, "context deadline exceeded" in message) == (False, True)
        success, message = do(GrpcHealth("127.0.0.1", port, ""), timeout=0.1)
        assert (success, "context deadline exceeded" in message) == (False, True)


def test_https_is_not_verified_but_spoken():
    with http_server() as (port, _):
        success, message = do(HttpGet("https", "127.0.0.1", port, "/200"))
    assert not success
    assert message.startswith(f'Get "https://127.0.0.1:{port}/200": ')


# -- gRPC: a server that speaks just enough HTTP/2 ---------------------------------------------------------------------


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def message(body):
    return b"\0" + struct.pack(">I", len(body)) + body


SERVING = [frame(4, 0, 0), frame(1, 4, 1, b"\x88"), frame(0, 0, 1, message(b"\x08\x01")), frame(1, 5, 1, b"")]
NOT_SERVING = [frame(4, 0, 0), frame(6, 0, 0, b"12345678"), frame(0, 1, 1, message(b"\x08\x02"))]
PADDED = [frame(0, 8 | 1, 1, b"\x02" + message(b"\x08\x01") + b"\0\0")]
NO_PROTOCOL = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
UNIMPLEMENTED = [frame(4, 0, 0), frame(1, 5, 1, b"\x88")]


@contextlib.contextmanager
def grpc_server(answer):
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionResetError):
                heard.append(connection.recv(65536))
                for part in answer:
                    connection.sendall(part)
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], heard
        thread.join()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SERVING, (True, "")),
        (PADDED, (True, "")),
        (NOT_SERVING, (False, 'service unhealthy (responded with "NOT_SERVING")')),
        (UNIMPLEMENTED, (False, NO_PROTOCOL)),
    ],
)
def test_grpc_health_is_asked_for(answer, expected):
    with grpc_server(answer) as (port, heard):
        assert do(GrpcHealth("127.0.0.1", port, "db")) == expected
    assert heard[0].startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert b"/grpc.health.v1.Health/Check" in heard[0]


def test_a_server_that_is_no_http_2_is_unhealthy():
    with grpc_server([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as (port, _):
        success, text = do(GrpcHealth("127.0.0.1", port, ""))
    assert (success, "no HTTP/2" in text) == (False, True)


# -- commands and the rest ---------------------------------------------------------------------------------------------


def running(handler):
    runtime = SimulatedRuntime(VirtualClock(), lambda *_: Behaviour(exec=handler))
    sandbox = runtime.run_pod_sandbox(PodSandboxConfig("u", "d", "p"))
    instance = runtime.create_container(sandbox, ContainerConfig("a", "x"))
    runtime.start_container(instance)
    return runtime, instance


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (ExecResult(0, b"fine"), (True, "fine")),
        (ExecResult(1, b"out", b"err"), (False, "outerr")),
        (ExecResult(7), (False, "command exited with code 7")),
        (ExecResult(137, timed_out=True), (False, 'command timed out: "check it" timed out after 3s')),
    ],
)
def test_a_commands_exit_code_decides(result, expected):
    runtime, instance = running(lambda *_: result)
    assert do(Exec(("check", "it")), 3, runtime, instance) == expected


def test_a_command_needs_a_running_container():
    assert do(Exec(("true",)), instance="gone") == (False, "no container gone")


def test_the_simple_tasks():
    runtime = SimulatedRuntime(VirtualClock())
    runtime.break_image("bad", "no such image")
    assert do(Pull("good"), runtime=runtime) == (True, "")
    assert do(Pull("bad"), runtime=runtime) == (False, "no such image")
    assert do(Sleep(0)) == (True, "")
    assert do(Impossible("no handler is given")) == (False, "no handler is given")
