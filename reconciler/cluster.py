"""A whole cluster in this process: the Kubernetes API, its controllers and scheduler, and simulated nodes, in virtual
time.

What it answers is what a server would answer, to the letter: each call is a request, without a socket. Nothing happens
by itself; ``settle`` and ``advance`` let controllers and nodes act.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self
from urllib.parse import parse_qs, unquote, urlencode

import orjson

from reconciler.api import Nodes, Time, to_micros
from reconciler.apiserver.answers import Answer
from reconciler.apiserver.api import Api
from reconciler.apiserver.apply_patch import ManagedFields
from reconciler.apiserver.bootstrap import bootstrap
from reconciler.apiserver.control import ControlPlane
from reconciler.apiserver.crd import Definitions, schema_of
from reconciler.apiserver.decode import JSON
from reconciler.apiserver.http import Application
from reconciler.apiserver.options import ListOptions, Query, Sender
from reconciler.apiserver.patching import APPLY, JSON_PATCH, MERGE_PATCH, STRATEGIC
from reconciler.apiserver.render import Form, Renderer
from reconciler.apiserver.resources import Place, Resource
from reconciler.apiserver.routes import UnknownPathError, target
from reconciler.apiserver.status import no_such_resource
from reconciler.apiserver.watching import WatchStream
from reconciler.drivers.network.simulated import SimulatedNetwork
from reconciler.drivers.runtime.clock import VirtualClock
from reconciler.drivers.runtime.simulated import Behaviours, SimulatedRuntime, run_forever
from reconciler.drivers.storage.simulated import SimulatedStorage
from reconciler.hands import Hands
from reconciler.nodes import parse_nodes
from state.dump import dump
from state.errors import StateError
from state.store.memory import MemoryStore
from state.times import format_time, parse_duration

Json = dict[str, Any]
PatchForm = Literal["json", "merge", "strategic", "apply"]
_MEDIA: dict[PatchForm, str] = {"apply": APPLY, "json": JSON_PATCH, "merge": MERGE_PATCH, "strategic": STRATEGIC}
#: Who sends the requests.
_SENDER = Sender("reconciler")
#: Rounds at one moment after which controllers and nodes are taken to undo each other.
_MAX_ROUNDS = 10_000


class Events:
    """A watch. Iterating gives what has happened since the last time, and ends there; it may be done again."""

    def __init__(self, stream: WatchStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[Json]:
        for event in self._stream.read():
            yield {"type": event.type, "object": orjson.loads(event.object)}

    def close(self) -> None:
        """Ends it."""
        self._stream.close()


class Cluster:
    """A cluster in memory and in virtual time. For one thread; ``close`` it, or use it in a ``with``.

    Objects are plain data, as they are sent. Kinds are named as for kubectl: ``pods``, ``pod``, ``po``, ``Pod``,
    ``deployments.apps``. Options of requests are those of the API, as in ``labelSelector="app=web"``, ``dryRun="All"``.
    What is refused is an ``ApiError``, with code, reason and message.

    Args:
        nodes: the nodes that it has: ``3``, ``"3x4cpu,16Gi"`` or Node objects.
        now: the time at which it begins, as RFC 3339 text or µs since the epoch.
        kubelet: whether pods are run; without, their status is the caller's to report.
        behaviours: what containers do; by default they start at once, pass their probes and run until stopped.
    """

    def __init__(
        self, nodes: Nodes = 0, *, now: Time = 0, kubelet: bool = True, behaviours: Behaviours = run_forever
    ) -> None:
        self.clock = VirtualClock(to_micros(now))
        self.api = Api(MemoryStore(), clock=self.clock.now, fields=ManagedFields(schema_of))
        bootstrap(self.api)
        self._application = Application(self.api)
        self._control = ControlPlane(self.api)
        self._definitions = Definitions(self.api)
        self._hands = Hands(
            runtime=SimulatedRuntime(self.clock, behaviours) if kubelet else None,
            network=SimulatedNetwork(),
            storage=SimulatedStorage(),
            clock=self.clock,
        )
        for node in parse_nodes(nodes, now=self.now) if isinstance(nodes, int | str) else nodes:
            self.create(dump(node))
        self.settle()

    @property
    def now(self) -> int:
        """The virtual time, µs since the epoch."""
        return self.clock.now()

    def close(self) -> None:
        """Ends it; everything in it is gone."""
        self._hands.close()
        self._control.stop()
        self._definitions.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- requests ------------------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, body: Any = None, content_type: str = JSON) -> Any:
        """Any request but a watch: its answer as plain data.

        Args:
            method, path: as sent to a server; the path with its query, as in ``/api/v1/pods?limit=1``.
            body: plain data, or what is sent as it is (bytes).

        Raises:
            ApiError: it is refused.
        """
        path, _, text = path.partition("?")
        query: Query = parse_qs(text, keep_blank_values=True)
        document = self._application.described(path.rstrip("/"), Form()) if method == "GET" else None
        if document is not None:
            return document
        sent = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        try:
            aim = target(self.api.registry, unquote(path), method)
        except UnknownPathError as error:
            raise no_such_resource() from error
        answer = self._application.perform(aim, query, sent, content_type, _SENDER)
        conversion = aim.place.resource.conversion
        renderer = Renderer(
            Form(), self.api.storage, self._application.layouts, self.clock.now, query, conversion=conversion
        )
        return orjson.loads(renderer.one(answer) if isinstance(answer, Answer) else renderer.listing(answer))

    def create(self, obj: Json, **options: Any) -> Json:
        """Creates an object, in the namespace "default" if it names none; as it is stored."""
        resource, namespace, _ = self._place(obj)
        return self._send("POST", _path(resource, namespace), options, obj)

    def get(self, kind: str, name: str, namespace: str = "default", *, subresource: str = "", **options: Any) -> Json:
        """An object, or a part of it."""
        return self._send("GET", _path(self._resource(kind), namespace, name, subresource), options)

    def list(self, kind: str, namespace: str = "", **options: Any) -> Json:
        """The objects of a kind as a list object, in one namespace or in all."""
        return self._send("GET", _path(self._resource(kind), namespace), options)

    def update(self, obj: Json, *, subresource: str = "", **options: Any) -> Json:
        """Replaces an object, or a part of it (``status``); as it is stored."""
        return self._send("PUT", _path(*self._place(obj), subresource), options, obj)

    def patch(
        self,
        kind: str,
        name: str,
        patch: Any,
        namespace: str = "default",
        *,
        form: PatchForm = "merge",
        subresource: str = "",
        **options: Any,
    ) -> Json:
        """Changes an object, or a part of it. The form ``apply`` is server-side apply, with a ``fieldManager``."""
        path = _path(self._resource(kind), namespace, name, subresource)
        return self._send("PATCH", path, options, patch, _MEDIA[form])

    def delete(self, kind: str, name: str, namespace: str = "default", **options: Any) -> Json:
        """Deletes an object, or begins to; ``options`` are the fields of a v1 DeleteOptions."""
        return self._send("DELETE", _path(self._resource(kind), namespace, name), {}, options)

    def watch(self, kind: str, namespace: str = "", **options: Any) -> Events:
        """A watch of a kind, in one namespace or in all."""
        resource = self._resource(kind)
        query = {"watch": ("true",), **{name: (str(value),) for name, value in options.items()}}
        return Events(self.api.watch(Place(resource, namespace), ListOptions.read(query)))

    def _send(self, method: str, path: str, options: Json, body: Any = None, content_type: str = JSON) -> Json:
        answer: Json = self.request(method, f"{path}?{urlencode(options)}", body, content_type)
        return answer

    def _resource(self, kind: str) -> Resource:
        """Raises ApiError: nobody serves a kind of that name."""
        name, _, group = kind.lower().partition(".")
        for resource in self.api.registry.resources:
            names = (resource.plural, resource.singular, resource.kind.lower(), *resource.short)
            if name in names and group in ("", resource.group) and resource.conversion is None:
                return resource
        raise no_such_resource()

    def _place(self, obj: Json) -> tuple[Resource, str, str]:
        """Raises ApiError: nobody serves its kind."""
        resource = self.api.registry.of_kind(obj.get("apiVersion", ""), obj.get("kind", ""))
        if resource is None:
            raise no_such_resource()
        meta = obj.get("metadata") or {}
        return resource, meta.get("namespace") or "default", meta.get("name") or ""

    # -- what happens --------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Lets controllers, scheduler and nodes do all that is to be done now.

        Raises:
            StateError: that doesn't end.
        """
        for _ in range(_MAX_ROUNDS):
            is_changed = self._definitions.catch_up() | self._control.turn()
            report = self._hands.sync(self._control.ws, self.now)
            self._control.record(report.events, self.now)
            if not (self._control.push() or is_changed or self._is_due(self.now)):
                return
        raise StateError(f"no rest at {format_time(self.now)} after {_MAX_ROUNDS} rounds")

    def _next_due(self) -> int | None:
        due = (self._control.wake_at, self._hands.next_due())
        return min((at for at in due if at is not None), default=None)

    def _is_due(self, end: int) -> bool:
        at = self._next_due()
        return at is not None and at <= end

    def advance(self, duration: str) -> None:
        """Lets time pass, as in ``30s``, and happen what happens meanwhile.

        Raises:
            StateError: it is no duration, or something doesn't end.
        """
        end = self.now + parse_duration(duration)
        self.settle()
        while (at := self._next_due()) is not None and at <= end:
            self.clock.set(max(at, self.now))
            self.settle()
        self.clock.set(max(end, self.now))


def _path(resource: Resource, namespace: str, name: str = "", subresource: str = "") -> str:
    """The path of an object, a part of it, or (without a name) of all."""
    root = "apis" if resource.group else "api"
    within = ("namespaces", namespace) if resource.namespaced and namespace else ()
    return "/".join(("", root, resource.api_version, *within, resource.plural, *filter(None, (name, subresource))))
