"""Answers other commands about a running loop; the messages are in ``protocol``."""

from __future__ import annotations

import contextlib
import select
import socketserver
import threading
from collections.abc import Callable, Iterable

import orjson

from reconciler.apiserver.api import Api
from reconciler.apiserver.options import DeleteOptions, WriteOptions
from reconciler.apiserver.patching import MERGE_PATCH
from reconciler.apiserver.resources import Place
from reconciler.apiserver.status import ApiError
from reconciler.live.directory import StateDirectory
from reconciler.live.loop import Live
from reconciler.live.protocol import Message, receive, send
from state.dump import dump
from state.errors import StateError
from state.snapshot import Key, Snapshot

#: How often a watch looks whether its client is still there, in seconds.
WATCH_SECONDS = 1.0
_OPTIONS = WriteOptions(manager="reconciler")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves until ``close``. The socket belongs to the owner of the state directory; so does every request."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, directory: StateDirectory, live: Live) -> None:
        self.live = live
        self._socket_path = directory.path / "socket"
        self._socket_path.unlink(missing_ok=True)
        with directory.socket_address() as address:
            super().__init__(address, _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="socket", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answers nobody any more."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        self._socket_path.unlink(missing_ok=True)


class _Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        """One request after the other, until the client has no more."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client may go when it likes
            while True:
                try:
                    request = receive(self.rfile)
                    if request is None:
                        return
                    self._answer(request)
                except (StateError, ApiError) as error:
                    send(self.wfile, {"ok": False, "error": str(error)})

    def _answer(self, request: Message) -> None:
        verb = request.get("verb")
        if verb == "state":
            send(self.wfile, _state(self.server.live.snapshot, _kinds(request)))
        elif verb == "watch":
            self._watch(_kinds(request))
        elif verb in _COMMANDS:
            _COMMANDS[verb](self.server.live.api, request)
            send(self.wfile, {"ok": True})
        else:
            known = ", ".join(("state", "watch", *_COMMANDS))
            raise StateError(f"unknown verb {verb!r}: expected one of {known}")

    def _watch(self, kinds: list[str] | None) -> None:
        """Tells changes until the client hangs up."""
        seen = self.server.live.snapshot
        send(self.wfile, _state(seen, kinds))
        while not select.select([self.connection], [], [], 0)[0]:
            snapshot = self.server.live.wait_newer(seen, WATCH_SECONDS)
            delta = [c for c in seen.diff(snapshot) if kinds is None or c.key.kind in kinds]
            seen = snapshot
            if delta:
                put = [dump(change.new) for change in delta if change.new is not None]
                gone = [list(change.key) for change in delta if change.new is None]
                send(self.wfile, {"put": put, "gone": gone})


def _kinds(request: Message) -> list[str] | None:
    kinds = request.get("kinds")
    if kinds is not None and not (isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds)):
        raise StateError("kinds: expected a list of kinds")
    return kinds


def _state(snapshot: Snapshot, kinds: Iterable[str] | None) -> Message:
    wanted = snapshot.kinds if kinds is None else kinds
    objects = [dump(obj) for kind in wanted for obj in snapshot.objects(kind)]
    return {"ok": True, "revision": snapshot.revision, "objects": objects}


def _place(api: Api, request: Message) -> Place:
    """What a request is about."""
    target = request.get("target")
    if not isinstance(target, str):
        raise StateError("target: expected KIND/NAMESPACE/NAME")
    key = Key.parse(target)
    resource = next((it for it in api.registry.resources if it.table.lower() == key.kind.lower()), None)
    if resource is None:
        raise StateError(f"the server doesn't have a resource type {key.kind!r}")
    return Place(resource, key.namespace if resource.namespaced else "", key.name)


def _scale(api: Api, request: Message) -> None:
    place, replicas = _place(api, request), request.get("replicas")
    if "scale" not in place.resource.subresources:
        raise StateError(f"{place.resource.plural} can't be scaled")
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise StateError(f"replicas: expected a number from 0 on, not {replicas!r}")
    body = orjson.dumps({"spec": {"replicas": replicas}})
    api.subresources.patch_scale(place._replace(subresource="scale"), body, MERGE_PATCH, _OPTIONS)


def _delete(api: Api, request: Message) -> None:
    body = {"propagationPolicy": request.get("policy"), "gracePeriodSeconds": request.get("grace_period")}
    said = {name: value for name, value in body.items() if value is not None}
    api.delete(_place(api, request), DeleteOptions.read({}, said))


_COMMANDS: dict[str, Callable[[Api, Message], None]] = {"scale": _scale, "delete": _delete}
