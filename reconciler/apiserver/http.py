"""The API over HTTP: an ASGI application that turns requests into calls of ``Api`` and their results into responses.

Authentication and authorisation are middleware around it; they find what a request is about with ``routes.target``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import orjson
import structlog
from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.apiserver import discovery, light
from reconciler.apiserver.answers import PIECE, Answer, Listing
from reconciler.apiserver.api import Api
from reconciler.apiserver.converted import Asked, as_stored
from reconciler.apiserver.decode import BODIES, JSON, YAML, parse_body
from reconciler.apiserver.health import check, health_pages
from reconciler.apiserver.load import Load
from reconciler.apiserver.options import (
    UNKNOWN,
    DeleteOptions,
    ListOptions,
    Query,
    Sender,
    WriteOptions,
    check_timeout,
    delete_body,
    read_flag,
    read_text,
    revision_of,
)
from reconciler.apiserver.patching import APPLY, CUSTOM_PATCHES, PATCHES
from reconciler.apiserver.pod_logs import log_response
from reconciler.apiserver.protobuf import as_json
from reconciler.apiserver.queries import read_query
from reconciler.apiserver.render import Form, Layouts, Renderer, built_in_layouts, data, media_of_error, negotiate
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.routes import Target, UnknownPathError, is_defined, target
from reconciler.apiserver.status import (
    ApiError,
    method_not_allowed,
    no_such_resource,
    not_found,
    unsupported_media_type,
)
from reconciler.apiserver.streams import Bell, WatchResponse
from reconciler.apiserver.subresources import SCALE
from state.objects import Service

log = structlog.get_logger("reconciler")

#: Characters of all warnings of an answer; and, if there are more of them, of each.
_ALL_WARNINGS, _ONE_WARNING = 4096, 256
#: Warnings that are told: clients in Python take no more than 100 headers.
_MOST_WARNINGS = 80
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MAX_BODY_BYTES = 3 * 1024 * 1024
#: Requests that are worked on at once; more wait.
MAX_AT_ONCE = 64
#: Seconds that a client has to send a body: kube-apiserver's ``--request-timeout``.
BODY_SECONDS = 60.0
#: What is done without a thread of its own: one object of a built-in kind, and nothing that anybody has to wait for.
_LIGHT_VERBS = frozenset({"create", "delete", "get", "patch", "update"})
_LIGHT_PARTS = frozenset({"", "binding", "status"})
_LIGHT_BYTES = 64 * 1024
#: YAML takes its time.
_SLOWLY_READ = frozenset({APPLY, YAML})
#: What makes a list one of objects that have to be looked at, or of another time.
_SELECTING = frozenset({"continue", "fieldSelector", "labelSelector"})
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
#: Serves what isn't a resource: a path to an answer.
Page = Callable[[Request], Awaitable[Response]]


class Application:
    """The ASGI application.

    Attributes:
        pages: further paths (or prefixes ending in "/") and who serves them: OpenAPI, metrics.
        layouts: the columns of tables.
        ready: whether the server takes requests; until then /readyz says no.
    """

    def __init__(self, api: Api, address: str = "", layouts: Layouts = built_in_layouts) -> None:
        self.api = api
        self.address = address
        self.layouts = layouts
        self.ready = True
        store = check(api.storage.store.revision)
        shutdown = {"shutdown": lambda: "" if self.ready else "the server is not ready, or stops"}
        checks = {"healthz": {"etcd": store}, "livez": {}, "readyz": {"etcd": store, **shutdown}}
        self.pages: dict[str, Page] = dict(health_pages(checks))
        self.load = Load()
        self._limiter: CapacityLimiter | None = None
        self._bell: Bell | None = None
        self._has_light_store = light.prepare(api.storage.store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        request = Request(scope, receive)
        response: ASGIApp
        try:
            response = self.load.bounded(await self._respond(request))
        except ApiError as error:
            response = status_response(error, media_of_error(request.headers.get("accept", "")))
        except UnknownPathError:
            response = PlainTextResponse("404 page not found\n", 404)
        except ClientDisconnect:
            return
        except Exception as error:
            log.exception("a request failed", method=request.method, path=scope["path"], cause=repr(error))
            response = status_response(ApiError(500, "InternalError", f"Internal error occurred: {error}"))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> ASGIApp:
        path = request.scope["path"].rstrip("/") or "/"
        if path == "*":  # the server as a whole
            return Response()
        page = self._page(path)
        if page is not None:
            return await page(request)
        form = negotiate(request.headers.get("accept", ""), offers_discovery=path in ("/api", "/apis"))
        document = self.described(path, form)
        if document is not None:
            if request.method != "GET" and not (request.method == "HEAD" and path == "/"):
                raise method_not_allowed()
            form.check_plain()
            return _data_response(document, form)
        if not path.startswith(("/api/", "/apis/")):
            raise UnknownPathError(path)
        return await self._on_resource(request, path, form)

    def _page(self, path: str) -> Page | None:
        found = self.pages.get(path)
        if found is not None:
            return found
        return next(
            (page for prefix, page in self.pages.items() if prefix.endswith("/") and path.startswith(prefix)), None
        )

    def described(self, path: str, form: Form) -> Any:
        """What the server says about itself under a path, None if that is something else."""
        registry = self.api.registry
        parts = path.split("/")[1:]
        if path == "/":
            return discovery.index(registry, self.pages)
        if path == "/version":
            return discovery.version()
        if path in ("/api", "/apis"):
            if form.is_discovery:
                return discovery.aggregated(registry, core=path == "/api")
            return discovery.core_versions(self.address) if path == "/api" else discovery.group_list(registry)
        if parts[0] == "apis" and len(parts) == 2:
            return discovery.one_group(registry, parts[1])
        if (parts[0], len(parts)) in (("api", 2), ("apis", 3)):
            group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])
            found = discovery.resource_list(registry, group, version)
            if found is None and (parts[0] == "api" or group in registry.group_versions):
                raise UnknownPathError(path) if is_defined(registry, group) else no_such_resource()
            return found
        return None

    async def _on_resource(self, request: Request, path: str, form: Form) -> ASGIApp:
        query = read_query(request.scope["query_string"])
        aim = target(self.api.registry, path, request.method, wants_watch=bool(read_flag(query, "watch")))
        conversion = aim.place.resource.conversion
        renderer = Renderer(form, self.api.storage, self.layouts, self.api.clock, query, conversion=conversion)
        if aim.verb == "watch":
            return await self._watch(aim, query, renderer)
        check_timeout(query)
        if aim.place.subresource == "log":
            return await self._in_thread(lambda: log_response(self.api, aim.place, query))
        body = await read_body(request) if request.method in _METHODS_WITH_BODY else b""
        content_type = _media_of(request.headers.get("content-type") or JSON)
        sender = Sender(request.headers.get("user-agent", ""), request.scope.get("user"))

        def work() -> Response:
            response = self._rendered(self.perform(aim, query, *as_json(body, content_type), sender), renderer)
            response.raw_headers.extend(_warning_headers(aim.place.resource.warnings))
            return response

        with self.load.one(is_change=aim.verb not in ("get", "list")):
            is_light = self._is_light(aim, body, content_type) or (
                renderer.is_plain and self._is_light_list(aim, query)
            )
            return await (light.run(work) if is_light else self._in_thread(work))

    def _is_light(self, aim: Target, body: bytes, content_type: str) -> bool:
        """Whether a request is soon done, and waits for nothing but the disk."""
        resource = aim.place.resource
        is_known = resource.type is not None and resource.conversion is None and resource.type is not Service
        is_short = aim.verb in _LIGHT_VERBS and aim.place.subresource in _LIGHT_PARTS and len(body) <= _LIGHT_BYTES
        is_easy = self._has_light_store and is_known and is_short and content_type not in _SLOWLY_READ
        return is_easy and not (aim.verb != "get" and self.api.writer.configured.is_slow)

    def _is_light_list(self, aim: Target, query: Query) -> bool:
        """Whether it is for a list whose objects nobody has to look at, as it is now."""
        is_now = query.get("resourceVersion", ("",))[0] in ("", "0")
        is_plain = aim.verb == "list" and is_now and not query.keys() & _SELECTING
        return self._has_light_store and is_plain and light.lists_at_once(self.api.storage.store)

    async def _in_thread(self, work: Callable[[], Response]) -> Response:
        if self._limiter is None:
            self._limiter = CapacityLimiter(MAX_AT_ONCE)
        return await to_thread.run_sync(work, limiter=self._limiter)

    def _rendered(self, answer: Answer | Listing, renderer: Renderer) -> Response:
        media = renderer.form.media
        if isinstance(answer, Listing):
            if renderer.is_plain and len(answer.entries) > PIECE:
                return StreamingResponse(_pieces(answer), media_type=media)
            return Response(renderer.listing(answer), media_type=media)
        response = Response(renderer.one(answer), answer.code, media_type=media)
        response.raw_headers.extend(_warning_headers(answer.warnings))
        return response

    async def _watch(self, aim: Target, query: Query, renderer: Renderer) -> ASGIApp:
        renderer.form.check_stream()
        if aim.place.name:
            query = {**query, "fieldSelector": (f"metadata.name={aim.place.name}",)}
        asked = as_stored(self.api, Asked(aim, query))
        options = ListOptions.read({**asked.query, "watch": ("true",)})
        if self._bell is None:
            self._bell = Bell()
        return await WatchResponse.begin(self.api, self._bell, asked.aim, options, renderer)

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def perform(
        self, aim: Target, query: Query, body: bytes, content_type: str, sender: Sender = UNKNOWN
    ) -> Answer | Listing:
        """Carries out a request that isn't a watch. Blocks.

        Raises:
            ApiError: it is refused.
        """
        aim, query, body, content_type = as_stored(self.api, Asked(aim, query, body, content_type))
        api, place = self.api, aim.place
        if place.subresource not in ("", "status"):
            return self._on_part(aim, query, body, content_type, sender)
        if aim.verb == "get":
            return api.get(place, revision_of(read_text(query, "resourceVersion")))
        if aim.verb == "list":
            return api.list(place, ListOptions.read(query))
        if aim.verb == "delete":
            return api.delete(place, _delete_options(query, body, content_type, sender))
        if aim.verb == "deletecollection":
            deletion = _delete_options(query, body, content_type, sender)
            return api.delete_collection(place, ListOptions.read(query), deletion)
        if aim.verb == "patch":
            _check_patch_media(content_type, place.resource)
            return api.patch(place, body, content_type, WriteOptions.read(query, "PatchOptions", sender))
        _check_media(content_type, BODIES, unsupported_media_type(BODIES))
        if aim.verb == "create":
            return api.create(place, body, WriteOptions.read(query, "CreateOptions", sender), content_type)
        return api.update(place, body, WriteOptions.read(query, "UpdateOptions", sender), content_type)

    def _on_part(self, aim: Target, query: Query, body: bytes, content_type: str, sender: Sender) -> Answer | Listing:
        parts, place = self.api.subresources, aim.place
        kind = {"create": "CreateOptions", "patch": "PatchOptions"}.get(aim.verb, "UpdateOptions")
        options = WriteOptions.read(query, kind, sender)
        if place.subresource == "scale":
            if aim.verb == "get":
                return _answer(parts.get_scale(place), resource=SCALE)
            change = parts.patch_scale if aim.verb == "patch" else parts.put_scale
            return change(place, body, content_type, options)
        if place.subresource in ("binding", "eviction"):
            do, name = (parts.bind, "Binding") if place.subresource == "binding" else (parts.evict, "Eviction")
            return _answer(do(place, parse_body(body, content_type, name) or {}, options), 201)
        if place.subresource == "finalize":
            return parts.finalize(place, body, content_type, options)
        if self.api.storage.entry(place.resource, place.namespace, place.name) is None:
            raise not_found(*place.about)
        if place.subresource in ("approval", "ephemeralcontainers", "resize"):
            if aim.verb == "get":
                return self.api.get(place)
            if aim.verb == "patch":
                return self.api.patch(place, body, content_type, options)
            return self.api.update(place, body, options, content_type)
        what = f"{place.resource.plural}/{place.subresource}"
        raise ApiError(501, "NotImplemented", f"{what} is not supported by this server")


async def _pieces(listing: Listing) -> AsyncIterator[bytes]:
    for piece in listing.pieces:
        yield piece


def _answer(document: Mapping[str, Any], code: int = 200, resource: Resource | None = None) -> Answer:
    return Answer(code, orjson.dumps(document), resource=resource)


def _media_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _check_media(content_type: str, known: tuple[str, ...], error: ApiError) -> None:
    if content_type not in known:
        raise error


def _check_patch_media(content_type: str, resource: Resource) -> None:
    """Custom resources say which patches they take, others only that this one isn't among them."""
    if resource.is_custom:
        _check_media(content_type, PATCHES, unsupported_media_type(CUSTOM_PATCHES))
    _check_media(content_type, PATCHES, ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {}))


def _delete_options(query: Query, body: bytes, content_type: str, sender: Sender) -> DeleteOptions:
    return DeleteOptions.read(query, delete_body(body, content_type), sender.user)


async def read_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The body, if it isn't too long, and comes in time.

    Raises:
        ApiError: it is, or doesn't.
    """
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")
                chunks.append(chunk)
    except TimeoutError as error:
        message = "Timeout: request did not complete within the allotted timeout"
        raise ApiError(504, "Timeout", message, {}, headers={"Connection": "close"}) from error
    return b"".join(chunks)


def status_response(error: ApiError, media: str = JSON) -> Response:
    """A refusal as it is sent."""
    response = Response(data(error.to_dict(), Form(media)), error.code, error.headers, media_type=media)
    response.raw_headers.extend(_warning_headers(error.warnings))
    return response


def _data_response(document: Any, form: Form) -> Response:
    media = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" if form.is_discovery else form.media
    return Response(data(document, form), media_type=media)


def _warning_headers(warnings: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """Warnings as RFC 7234 has them, each once, within the bounds of kube-apiserver: one with control characters isn't
    told, and if all are too long together, each is cut.
    """
    texts = [text for text in dict.fromkeys(warnings) if text and not _CONTROL.search(text)]
    if sum(map(len, texts)) > _ALL_WARNINGS:
        texts = [text[:_ONE_WARNING] for text in texts]
    values, told = [], 0
    for text in texts[:_MOST_WARNINGS]:
        if told >= _ALL_WARNINGS:
            break
        told += len(text)
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        values.append((b"warning", f'299 - "{escaped}"'.encode()))
    return values


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
