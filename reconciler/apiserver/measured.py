"""What is measured of a server: its requests (as ASGI middleware), what it stores, its controllers, its process."""

from __future__ import annotations

import re
import resource
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.apiserver.api import Api
from reconciler.apiserver.auth import attributes
from reconciler.apiserver.discovery import version
from reconciler.apiserver.leadership import LEASE
from reconciler.apiserver.load import Load
from reconciler.apiserver.metrics import CONTENT_TYPE, Counter, Family, Gauge, Histogram, Labels, Sample, exposition
from reconciler.apiserver.patching import APPLY
from reconciler.apiserver.rbac import Attributes
from reconciler.apiserver.status import ApiError
from rules.actions import Action, Bind, Event
from state.objects import Pod

_SECONDS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60]
_BYTES = [10**power for power in range(3, 10)]
_TURN = [0.001 * 2**power for power in range(15)]
#: Labels of a request.
_ABOUT = ("verb", "group", "version", "resource", "subresource", "scope", "component")
_VERBS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
_KNOWN_VERBS = frozenset({"get", "list", "watch", "deletecollection", "connect", *_VERBS})
_COMPONENT = "apiserver"
#: What machines ask again and again; other paths beside the API aren't told apart.
_PROBED = frozenset({"/healthz", "/livez", "/readyz"})
#: What is told of the version.
_BUILD = ("buildDate", "compiler", "gitCommit", "gitTreeState", "gitVersion", "goVersion", "major", "minor", "platform")
_SCHEDULER = "default-scheduler"
_PROC = Path("/proc/self")


class Measurements:
    """All that is measured of one server. ``page`` serves it."""

    def __init__(self, api: Api, load: Load, leads: Callable[[], bool]) -> None:
        self._api, self._load, self._leads = api, load, leads
        self._started = time.time()
        self.requests = Counter(
            "apiserver_request_total",
            "Requests by verb, dry run, resource, scope and HTTP code.",
            ("verb", "dry_run", *_ABOUT[1:], "code"),
        )
        self.durations = Histogram(
            "apiserver_request_duration_seconds", "Seconds until a response was sent.", (*_ABOUT, "dry_run"), _SECONDS
        )
        self.sizes = Histogram("apiserver_response_sizes", "Bytes of responses.", _ABOUT, _BYTES)
        #: Open watches, by the labels of their requests.
        self.watches: Tally[Labels] = Tally()
        self.store = Histogram(
            "etcd_request_duration_seconds", "Seconds of requests to the store.", ("operation", "type"), _SECONDS
        )
        api.storage.on_request = self._asked
        self.turns = Histogram(
            "reconciler_turn_duration_seconds", "Seconds of a turn of controllers and scheduler.", (), _TURN
        )
        self.actions = Counter("reconciler_actions_total", "What controllers did, by kind.", ("action", "rule"))
        self.attempts = Counter(
            "scheduler_schedule_attempts_total", "Attempts to schedule pods, by result.", ("result", "profile")
        )

    def _asked(self, operation: str, resource: str, seconds: float) -> None:
        self.store.observe((operation, resource), seconds)

    def turned(self, actions: Iterable[Action], events: Iterable[Event], seconds: float) -> None:
        """Counts a turn of the control plane: what was done and reported, and how long it took."""
        self.turns.observe((), seconds)
        for action in actions:
            self.actions.add((action.verb, action.rule))
            if isinstance(action, Bind):
                self.attempts.add(("scheduled", _SCHEDULER))
        for event in events:
            if event.reason == "FailedScheduling":
                self.attempts.add(("unschedulable", _SCHEDULER))

    # -- the page ------------------------------------------------------------------------------------------------------

    async def page(self, _: Request) -> Response:
        """Everything, for Prometheus."""
        return Response(await to_thread.run_sync(lambda: exposition(self._families())), media_type=CONTENT_TYPE)

    def _families(self) -> Sequence[Family]:
        build = version()
        about = tuple(build[each] for each in _BUILD)
        return (
            Gauge("kubernetes_build_info", "The version.", lambda: [(about, 1)], list(map(_snake, _BUILD))),
            self.requests,
            self.durations,
            self.sizes,
            Gauge("apiserver_current_inflight_requests", "Requests in work.", self._in_flight, ("request_kind",)),
            Gauge("apiserver_longrunning_requests", "Open watches.", self._long_running, _ABOUT),
            Gauge("apiserver_storage_objects", "Stored objects, by resource.", self._objects, ("resource",)),
            self.store,
            self.turns,
            self.actions,
            self.attempts,
            Gauge("scheduler_pending_pods", "Pods without a node, by queue.", self._pending, ("queue",)),
            Gauge("leader_election_master_status", "Whether this server leads.", self._leading, ("name",)),
            *self._api.writer.configured.metrics.families,
            *_process(self._started),
        )

    def _in_flight(self) -> Iterable[Sample]:
        return [(("mutating",), self._load.now[True]), (("readOnly",), self._load.now[False])]

    def _long_running(self) -> Iterable[Sample]:
        return list(self.watches.items())

    def _objects(self) -> Iterator[Sample]:
        storage = self._api.storage
        for each in {each.prefix: each for each in self._api.registry.resources if "list" in each.verbs}.values():
            page = storage.page(each, "", limit=1)
            name = f"{each.plural}.{each.group}" if each.group else each.plural
            yield (name,), len(page.entries) + page.remaining

    def _pending(self) -> Iterable[Sample]:
        queues = dict.fromkeys(("active", "gated", "unschedulable"), 0)
        pods = self._api.registry.of_kind("v1", "Pod")
        assert pods is not None
        for stored in self._api.storage.all(pods):
            pod = stored.object
            if isinstance(pod, Pod) and not pod.spec.node_name and pod.metadata.deletion_timestamp is None:
                queues[_queue(pod)] += 1
        return [((queue,), count) for queue, count in queues.items()]

    def _leading(self) -> Iterable[Sample]:
        return [((LEASE,), int(self._leads()))]


def _snake(name: str) -> str:
    """A label from a field's name."""
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def _queue(pod: Pod) -> str:
    reasons = {each.reason for each in pod.status.conditions if each.type == "PodScheduled" and each.status == "False"}
    return "gated" if "SchedulingGated" in reasons else "unschedulable" if "Unschedulable" in reasons else "active"


class _Response:
    """What is known of a response."""

    __slots__ = ("about", "code", "size", "started")

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.code = self.size = 0
        #: The labels of its request; empty as long as nothing was sent.
        self.about: Labels = ()

    @property
    def is_watch(self) -> bool:
        return self.code == 200 and self.about[0] == "WATCH"


class Measured:
    """The middleware. It is the outermost one: what is refused counts, too."""

    def __init__(self, app: ASGIApp, measurements: Measurements, api: Api) -> None:
        self._app, self._measurements, self._registry = app, measurements, api.registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request through, and counts it when it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = _Response()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.code, seen.about = message["status"], self._about(scope)
                if seen.is_watch:
                    self._measurements.watches[seen.about] += 1
            else:
                seen.size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            if seen.about:
                self._count(seen, "All" if b"dryRun=" in scope["query_string"] else "")

    def _count(self, seen: _Response, dry_run: str) -> None:
        found, about = self._measurements, seen.about
        if seen.is_watch:
            found.watches[about] -= 1
        found.requests.add((about[0], dry_run, *about[1:], str(seen.code)))
        found.durations.observe((*about, dry_run), time.perf_counter() - seen.started)
        found.sizes.observe(about, seen.size)

    def _about(self, scope: Scope) -> Labels:
        """The labels of a request. What a client may make up is none: there would be no end of them."""
        wanted = scope.get("wanted") or _wanted(scope)
        verb = wanted.verb if wanted.verb in _KNOWN_VERBS else "other"
        if verb == "patch" and Headers(scope=scope).get("content-type", "").startswith(APPLY):
            verb = "apply"
        verb = _VERBS.get(verb, verb.upper())
        known = self._registry.find(wanted.group, wanted.version, wanted.resource) if wanted.resource else None
        if known is None:
            probed = scope["path"] if scope["path"] in _PROBED else ""
            return (verb, "", "", "", probed, "", _COMPONENT)
        part = wanted.subresource if wanted.subresource in known.subresources else ""
        reach = "resource" if wanted.name or wanted.verb == "create" else "namespace" if wanted.namespace else "cluster"
        return (verb, wanted.group, wanted.version, wanted.resource, part, reach, _COMPONENT)


def _wanted(scope: Scope) -> Attributes:
    try:
        return attributes(scope["method"], scope["path"], scope["query_string"])
    except ApiError:
        return Attributes("")


def _process(started: float) -> Iterator[Family]:
    """The usual numbers of a process, as far as the system tells them."""
    yield Gauge("process_cpu_seconds_total", "CPU seconds.", lambda: [((), time.process_time())], kind="counter")
    yield Gauge("process_start_time_seconds", "When it started.", lambda: [((), started)])
    yield Gauge("process_max_fds", "Most open files.", lambda: [((), resource.getrlimit(resource.RLIMIT_NOFILE)[0])])
    if _PROC.exists():
        yield Gauge("process_virtual_memory_bytes", "Bytes of virtual memory.", lambda: _memory(0))
        yield Gauge("process_resident_memory_bytes", "Bytes of memory.", lambda: _memory(1))
        yield Gauge("process_open_fds", "Open files.", lambda: [((), sum(1 for _ in (_PROC / "fd").iterdir()))])


def _memory(column: int) -> list[Sample]:
    return [((), int((_PROC / "statm").read_text().split()[column]) * resource.getpagesize())]
