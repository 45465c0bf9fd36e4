"""The API over HTTP: an ASGI application that turns requests into calls of ``Api`` and their results into responses.

Authentication and authorisation are middleware around it; they find what a request is about with ``routes.target``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson
import structlog
from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.apiserver import discovery
from reconciler.apiserver.answers import Answer, Listing
from reconciler.apiserver.api import Api
from reconciler.apiserver.decode import BODIES, JSON, parse_body
from reconciler.apiserver.options import DeleteOptions, ListOptions, Query, WriteOptions
from reconciler.apiserver.patching import PATCHES
from reconciler.apiserver.protobuf import as_json
from reconciler.apiserver.render import Form, Layouts, Renderer, built_in_layouts, data, negotiate
from reconciler.apiserver.routes import Target, UnknownPathError, target
from reconciler.apiserver.status import (
    ApiError,
    method_not_allowed,
    no_such_resource,
    not_found,
    unsupported_media_type,
)
from reconciler.apiserver.streams import WatchResponse

log = structlog.get_logger("reconciler")

MAX_BODY_BYTES = 3 * 1024 * 1024
#: Requests that are worked on at once; more wait.
MAX_AT_ONCE = 64
_HEALTH = ("/healthz", "/livez", "/readyz")
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
        self.pages: dict[str, Page] = {}
        self.ready = True
        self._limiter: CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        request = Request(scope, receive)
        response: ASGIApp
        try:
            response = await self._respond(request)
        except ApiError as error:
            response = status_response(error)
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
        page = self._page(path)
        if page is not None:
            return await page(request)
        if path in _HEALTH or path.startswith(tuple(f"{each}/" for each in _HEALTH)):
            return PlainTextResponse("ok") if self.ready else PlainTextResponse("starting", 503)
        form = negotiate(request.headers.get("accept", ""))
        document = self.described(path, form)
        if document is not None:
            if request.method not in ("GET", "HEAD"):
                raise method_not_allowed()
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
            return {
                "paths": ["/api", "/api/v1", "/apis", *(f"/apis/{name}" for name in registry.group_versions if name)]
            }
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
                raise no_such_resource()
            return found
        return None

    async def _on_resource(self, request: Request, path: str, form: Form) -> ASGIApp:
        query = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        is_watch = query.get("watch", ("",))[0].lower() not in ("", "false", "0")
        aim = target(self.api.registry, unquote(path), request.method, is_watch=is_watch)
        renderer = Renderer(form, self.api.storage, self.layouts, self.api.clock, query)
        if aim.verb == "watch":
            return await self._watch(aim, query, renderer)
        body = await _body(request) if request.method in _METHODS_WITH_BODY else b""
        content_type = request.headers.get("content-type", "").partition(";")[0].strip() or JSON
        body, content_type = as_json(body, content_type)
        work = partial(self.perform, aim, query, body, content_type, request.headers.get("user-agent", ""))
        return await self._in_thread(lambda: self._rendered(work(), renderer))

    async def _in_thread(self, work: Callable[[], Response]) -> Response:
        if self._limiter is None:
            self._limiter = CapacityLimiter(MAX_AT_ONCE)
        return await to_thread.run_sync(work, limiter=self._limiter)

    def _rendered(self, answer: Answer | Listing, renderer: Renderer) -> Response:
        media = renderer.form.content_type
        if isinstance(answer, Listing):
            return Response(renderer.listing(answer), media_type=media)
        headers = _warning_headers(answer.warnings)
        response = Response(renderer.one(answer), answer.code, media_type=media)
        for value in headers:
            response.headers.append("Warning", value)
        return response

    async def _watch(self, aim: Target, query: Query, renderer: Renderer) -> ASGIApp:
        if aim.place.name:
            query = {**query, "fieldSelector": (f"metadata.name={aim.place.name}",)}
        options = ListOptions.read({**query, "watch": ("true",)})
        return await WatchResponse.begin(self.api, aim, options, renderer)

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def perform(
        self, aim: Target, query: Query, body: bytes, content_type: str, user_agent: str = ""
    ) -> Answer | Listing:
        """Carries out a request that isn't a watch. Blocks.

        Raises:
            ApiError: it is refused.
        """
        api, place = self.api, aim.place
        if place.subresource not in ("", "status"):
            return self._on_part(aim, query, body, content_type, user_agent)
        if aim.verb == "get":
            return api.get(place)
        if aim.verb == "list":
            return api.list(place, ListOptions.read(query))
        if aim.verb == "delete":
            return api.delete(place, _delete_options(query, body, content_type))
        if aim.verb == "deletecollection":
            deletion = _delete_options(query, body, content_type)
            return api.delete_collection(place, ListOptions.read(query), deletion)
        if aim.verb == "patch":
            _check_media(
                content_type, PATCHES, ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
            )
            return api.patch(place, body, content_type, WriteOptions.read(query, "PatchOptions", user_agent))
        _check_media(content_type, BODIES, unsupported_media_type(BODIES))
        if aim.verb == "create":
            return api.create(place, body, WriteOptions.read(query, "CreateOptions", user_agent), content_type)
        return api.update(place, body, WriteOptions.read(query, "UpdateOptions", user_agent), content_type)

    def _on_part(self, aim: Target, query: Query, body: bytes, content_type: str, user_agent: str) -> Answer | Listing:
        parts, place = self.api.subresources, aim.place
        kind = {"create": "CreateOptions", "patch": "PatchOptions"}.get(aim.verb, "UpdateOptions")
        options = WriteOptions.read(query, kind, user_agent)
        if place.subresource == "scale":
            if aim.verb == "get":
                return _answer(parts.get_scale(place))
            change = parts.patch_scale if aim.verb == "patch" else parts.put_scale
            return _answer(change(place, body, content_type, options))
        if place.subresource in ("binding", "eviction"):
            do, name = (parts.bind, "Binding") if place.subresource == "binding" else (parts.evict, "Eviction")
            return _answer(do(place, parse_body(body, content_type, name) or {}, options), 201)
        if place.subresource == "finalize":
            return parts.finalize(place, body, content_type, options)
        if self.api.storage.entry(place.resource, place.namespace, place.name) is None:
            raise not_found(*place.about)
        if place.subresource == "log":
            return parts.log(place, query)
        if place.subresource in ("ephemeralcontainers", "resize"):
            if aim.verb == "get":
                return self.api.get(place)
            if aim.verb == "patch":
                return self.api.patch(place, body, content_type, options)
            return self.api.update(place, body, options, content_type)
        what = f"{place.resource.plural}/{place.subresource}"
        raise ApiError(501, "NotImplemented", f"{what} is not supported by this server")


def _answer(document: Mapping[str, Any], code: int = 200) -> Answer:
    return Answer(code, orjson.dumps(document))


def _check_media(content_type: str, known: tuple[str, ...], error: ApiError) -> None:
    if content_type not in known:
        raise error


def _delete_options(query: Query, body: bytes, content_type: str) -> DeleteOptions:
    if not body.strip():
        return DeleteOptions.read(query, None)
    _check_media(content_type, BODIES, unsupported_media_type(BODIES))
    return DeleteOptions.read(query, parse_body(body, content_type, "DeleteOptions"))


async def _body(request: Request) -> bytes:
    """The body, if it isn't too long."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            message = f"Request entity too large: limit is {MAX_BODY_BYTES}"
            raise ApiError(413, "RequestEntityTooLarge", message)
        chunks.append(chunk)
    return b"".join(chunks)


def status_response(error: ApiError) -> Response:
    """A refusal as it is sent."""
    return Response(orjson.dumps(error.to_dict()), error.code, error.headers, media_type=JSON)


def _data_response(document: Any, form: Form) -> Response:
    media = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" if form.is_discovery else form.media
    return Response(data(document, form), media_type=media)


def _warning_headers(warnings: tuple[str, ...]) -> list[str]:
    """Warnings as RFC 7234 has them."""
    return ['299 - "{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"')) for text in warnings]


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
