"""What ``up`` shows: tables that stay on the screen of a terminal, or a line for everything that happens elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Self

import click
import structlog
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from reconciler.cli.printers import object_table
from reconciler.cli.tables import Table, escape, render
from reconciler.drivers.network.base import ServiceStatus
from reconciler.live.events import times
from reconciler.live.loop import subject
from state.objects import AnyObject, Event, Service
from state.snapshot import Key, Snapshot
from state.workspace import controller_uid

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job")
_EVENTS_SHOWN = 8
_REFRESH_SECONDS = 0.25


class Lines:
    """A line on stdout for each event, each service that opens or closes, and everything that ``up`` says."""

    def __init__(self) -> None:
        self._served: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def say(self, text: str) -> None:
        """Prints it."""
        self._print("up", text)

    def events(self, events: Sequence[Event]) -> None:
        """Prints each."""
        for event in events:
            often = f" (x{times(event)})" if times(event) > 1 else ""
            self._print(event.type or "", f"{event.reason}  {subject(event)}  {event.message}{often}")

    def state(self, snapshot: Snapshot, services: Sequence[ServiceStatus], now: int) -> None:
        """Prints what is new about services."""
        del snapshot, now
        served = {str(_service_key(status)): _served(status) for status in services}
        for name, text in served.items():
            if self._served.get(name) != text:
                self._print("up", f"{name}  {text}")
        self._served = served

    def end(self) -> None:
        """Nothing is shown that would have to go."""

    @staticmethod
    def _print(kind: str, text: str) -> None:
        sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {kind:<7}  {escape(text)}\n")
        sys.stdout.flush()


class Screen:
    """Tables that are drawn again as things change."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._events: deque[Event] = deque(maxlen=_EVENTS_SHOWN)
        self._console = Console(no_color=click.get_current_context().color is False or None)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="ellipsis")
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        # Log lines go through rich from now on, which puts them above the tables.
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))

    def say(self, text: str) -> None:
        """Shows it above the tables, where it stays."""
        self._console.print(Text(escape(text)))

    def events(self, events: Sequence[Event]) -> None:
        """Shows the last ones."""
        self._events.extend(events)

    def state(self, snapshot: Snapshot, services: Sequence[ServiceStatus], now: int) -> None:
        """Draws everything, a few times a second."""
        if time.monotonic() < self._drawn_at + _REFRESH_SECONDS:
            return
        self._drawn_at = time.monotonic()
        parts = [Text(self._title, style="bold")]
        for table in self._tables(snapshot, services, now):
            lines = render(table, width=self._console.width)
            parts += [Text(), *(Text.from_ansi(line) for line in lines)]
        self._live.update(Group(*parts), refresh=True)

    def end(self) -> None:
        """Takes the tables away."""
        self._live.stop()

    def _tables(self, snapshot: Snapshot, services: Sequence[ServiceStatus], now: int) -> list[Table]:
        shown = [[obj for obj in snapshot.objects(kind) if controller_uid(obj) is None] for kind in _WORKLOADS]
        shown += [list(snapshot.objects(kind)) for kind in ("Pod", "PersistentVolumeClaim")]
        tables = [_table(objects, now, kinds=objects[0].kind != "Pod") for objects in shown if objects]
        if services:
            tables.append(_services(snapshot, services))
        if self._events:
            tables.append(_table(list(self._events), now))
        return tables


def _table(objects: Sequence[AnyObject], now: int, *, kinds: bool = False) -> Table:
    several = len({obj.metadata.namespace for obj in objects}) > 1
    wide = objects[0].kind == "Pod"
    table = object_table(objects, now=now, wide=wide, namespaces=several, kinds=kinds)
    return _without(table, "NODE", "NOMINATED NODE", "READINESS GATES", "VOLUMEATTRIBUTESCLASS")


def _without(table: Table, *headers: str) -> Table:
    kept = [place for place, header in enumerate(table.headers) if header not in headers]
    rows = [tuple(row[place] for place in kept) for row in table.rows]
    return Table(tuple(table.headers[place] for place in kept), rows, table.coloured)


def _services(snapshot: Snapshot, services: Sequence[ServiceStatus]) -> Table:
    rows = []
    for status in services:
        service = snapshot.get(_service_key(status))
        kind = service.spec.type or "" if isinstance(service, Service) else ""
        endpoints = {backend.ip for port in status.config.ports for backend in port.backends}
        rows.append((f"service/{status.config.key.name}", kind, str(len(endpoints)), _served(status)))
    return Table(("NAME", "TYPE", "ENDPOINTS", "ADDRESS"), rows)


def _served(status: ServiceStatus) -> str:
    return " ".join([*_addresses(status), *status.problems]) or "has no ready endpoint yet"


def _addresses(status: ServiceStatus) -> list[str]:
    """Where a service is reachable, as URLs: http for TCP ports, as most of them are."""
    schemes = {"TCP": "http", "UDP": "udp", "SCTP": "sctp"}
    urls = (f"{schemes[it.protocol]}://{it.ip}:{it.port}" for it in status.listeners)
    return [url.removesuffix(":80") if url.startswith("http:") else url for url in urls]


def _service_key(status: ServiceStatus) -> Key:
    """The Service that a status is about."""
    return Key("Service", *status.config.key)
