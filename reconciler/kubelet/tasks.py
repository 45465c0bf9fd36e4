"""What a node agent does beside its loop because it can take long: probes, lifecycle hooks, image pulls.

A task is data, so that the real thing and a simulation answer the same one. Nothing here does anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from state.objects import (
    Container,
    ContainerPort,
    ExecAction,
    HTTPGetAction,
    LifecycleHandler,
    Probe,
    SleepAction,
    TCPSocketAction,
)


@dataclass(frozen=True, slots=True)
class Exec:
    """Run a command in the container; exit code 0 is success."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HttpGet:
    """Ask for a URL; a status from 200 to 399 is success."""

    scheme: str
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        """As a browser would write it."""
        return f"{self.scheme}://{self.host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class TcpConnect:
    """Connect; being accepted is success."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class GrpcHealth:
    """Ask grpc.health.v1.Health/Check about a service; SERVING is success."""

    host: str
    port: int
    service: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Pull:
    """Have an image at hand."""

    image: str


@dataclass(frozen=True, slots=True)
class Impossible:
    """Fail: the manifest asks for nothing that can be done."""

    why: str


Doing = Exec | HttpGet | TcpConnect | GrpcHealth | Sleep | Pull | Impossible


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do for a container instance. ``purpose``: "pull", "postStart", "preStop" or a kind of probe.

    ``timeout`` is in seconds; 0 means no limit. ``attempt`` is the instance's number.
    """

    pod_uid: str
    container: str
    instance: str
    purpose: str
    doing: Doing
    timeout: float = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task went. Times are microseconds since the epoch.

    ``steady``: it would go the same way again for as long as the container runs, so a probe need not be repeated.
    """

    task: Task
    success: bool
    message: str
    started_at: int
    finished_at: int
    steady: bool = False


def of_probe(probe: Probe, container: Container, pod_ip: str) -> Doing:
    """What a probe does."""
    if probe.exec is not None:
        return Exec(probe.exec.command)
    if probe.grpc is not None:
        return GrpcHealth(pod_ip, probe.grpc.port, probe.grpc.service or "")
    return _network(probe.http_get, probe.tcp_socket, container, pod_ip)


def of_hook(handler: LifecycleHandler | None, container: Container, pod_ip: str) -> Doing:
    """What a lifecycle hook does."""
    if handler is None:
        return Impossible("there is no such hook")
    action: ExecAction | SleepAction | None = handler.exec or handler.sleep
    if isinstance(action, ExecAction):
        return Exec(action.command)
    if isinstance(action, SleepAction):
        return Sleep(action.seconds)
    return _network(handler.http_get, handler.tcp_socket, container, pod_ip)


def _network(http: HTTPGetAction | None, tcp: TCPSocketAction | None, container: Container, pod_ip: str) -> Doing:
    if http is None and tcp is None:
        return Impossible("no handler is given")
    wanted = http.port if http is not None else tcp.port if tcp is not None else None
    port = resolve_port(wanted, container.ports)
    if port is None:
        return Impossible(f"couldn't find port: {wanted}")
    if http is not None:
        path = http.path or "/"
        return HttpGet(
            scheme=(http.scheme or "HTTP").lower(),
            host=http.host or pod_ip,
            port=port,
            path=path if path.startswith("/") else f"/{path}",
            headers=tuple((header.name, header.value) for header in http.http_headers),
        )
    return TcpConnect((tcp.host if tcp is not None else None) or pod_ip, port)


def resolve_port(port: int | str | None, ports: tuple[ContainerPort, ...]) -> int | None:
    """A port by number or by name; None if there is none of that name."""
    if isinstance(port, int):
        return port
    named = next((p.container_port for p in ports if p.name == port), None)
    if named is None and port is not None and port.isdecimal():
        return int(port)
    return named
