"""Probes and hooks carried out for real, with the kubelet's verdicts and wording."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading

from reconciler.drivers.runtime.base import RuntimeDriver, RuntimeDriverError
from reconciler.kubelet.grpc_health import check
from reconciler.kubelet.tasks import Exec, GrpcHealth, HttpGet, Impossible, Pull, Sleep, Task, TcpConnect

#: How much output of a probe is kept, as the kubelet does.
MAX_OUTPUT = 10 * 1024
#: What a task without a timeout of its own may take.
LONGEST = 3600.0
_USER_AGENT = "kube-probe/1.34"


def carry_out(runtime: RuntimeDriver, task: Task, closing: threading.Event) -> tuple[bool, str]:
    """Does a task; says whether it went well, and else why. ``closing`` ends sleeping."""
    doing, timeout = task.doing, task.timeout or LONGEST
    match doing:
        case Exec():
            return _exec(runtime, task.instance, doing, timeout)
        case HttpGet():
            return _http_get(doing, timeout)
        case TcpConnect():
            return _connect(doing, timeout)
        case GrpcHealth():
            return check(doing.host, doing.port, doing.service, timeout)
        case Sleep():
            closing.wait(min(doing.seconds, timeout))
            return True, ""
        case Pull():
            try:
                runtime.pull_image(doing.image)
            except RuntimeDriverError as error:
                return False, str(error)
            return True, ""
        case Impossible():
            return False, doing.why


def _exec(runtime: RuntimeDriver, instance: str, doing: Exec, timeout: float) -> tuple[bool, str]:
    try:
        result = runtime.exec_sync(instance, doing.command, timeout)
    except RuntimeDriverError as error:
        return False, str(error)
    output = (result.stdout + result.stderr)[:MAX_OUTPUT].decode(errors="replace")
    if result.timed_out:
        words = " ".join(doing.command)
        return False, f'command timed out: "{words}" timed out after {timeout:g}s'
    if result.exit_code:
        return False, output or f"command exited with code {result.exit_code}"
    return True, output


def _http_get(doing: HttpGet, timeout: float) -> tuple[bool, str]:
    """Redirects count as success and are not followed. Certificates aren't verified, as the kubelet doesn't."""
    connection: http.client.HTTPConnection
    if doing.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(doing.host, doing.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(doing.host, doing.port, timeout=timeout)
    headers = {"User-Agent": _USER_AGENT, "Accept": "*/*", "Connection": "close", **dict(doing.headers)}
    try:
        connection.request("GET", doing.path, headers=headers)
        response = connection.getresponse()
        response.read(MAX_OUTPUT)
    except TimeoutError:
        return False, f'Get "{doing.url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    except (OSError, http.client.HTTPException) as error:
        return False, f'Get "{doing.url}": {_in_words(error, doing.host, doing.port)}'
    finally:
        connection.close()
    if 200 <= response.status < 400:
        return True, ""
    return False, f"HTTP probe failed with statuscode: {response.status}"


def _connect(doing: TcpConnect, timeout: float) -> tuple[bool, str]:
    try:
        with socket.create_connection((doing.host, doing.port), timeout):
            return True, ""
    except TimeoutError:
        return False, f"dial tcp {doing.host}:{doing.port}: i/o timeout"
    except OSError as error:
        return False, _in_words(error, doing.host, doing.port)


def _in_words(error: Exception, host: str, port: int) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {host}:{port}: connect: connection refused"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return f"dial tcp {host}:{port}: {text}" if isinstance(error, OSError) else text
