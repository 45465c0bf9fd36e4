"""OpenAPI documents over HTTP."""

from __future__ import annotations

import hashlib

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from reconciler.apiserver.http import Page
from reconciler.apiserver.openapi import V2_PROTOBUF, V2_PROTOBUF_SENT, OpenApi
from reconciler.apiserver.status import method_not_allowed, no_such_resource

_JSON = "application/json"
_PREFIX = "/openapi/v3/"


def openapi_pages(documents: OpenApi) -> dict[str, Page]:
    """The pages by path, for ``Application.pages``."""

    async def v2(request: Request) -> Response:
        if V2_PROTOBUF in request.headers.get("accept", ""):
            return _response(request, await to_thread.run_sync(documents.v2_protobuf), V2_PROTOBUF_SENT)
        return _response(request, await to_thread.run_sync(documents.v2), _JSON)

    async def index(request: Request) -> Response:
        return _response(request, await to_thread.run_sync(documents.index), _JSON)

    async def v3(request: Request) -> Response:
        place = request.scope["path"].removeprefix(_PREFIX).strip("/")
        document = await to_thread.run_sync(documents.v3, place)
        if document is None:
            raise no_such_resource()
        return _response(request, document, _JSON)

    return {"/openapi/v2": v2, "/openapi/v3": index, _PREFIX: v3}


def _response(request: Request, document: bytes, media: str) -> Response:
    """The document, or (to a client that has it) only that it is still the same."""
    if request.method not in ("GET", "HEAD"):
        raise method_not_allowed()
    tag = f'"{hashlib.sha256(document).hexdigest().upper()}"'
    headers = {"ETag": tag, "Vary": "Accept"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(document, media_type=media, headers=headers)
