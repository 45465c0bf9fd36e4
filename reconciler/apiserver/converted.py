"""Requests for a version that isn't stored, as requests for the one that is."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from reconciler.apiserver.api import Api
from reconciler.apiserver.decode import JSON, YAML, parse_body
from reconciler.apiserver.messages import message_fault, messages, name_of_message
from reconciler.apiserver.options import Query
from reconciler.apiserver.patches import json_patch, merge_patch
from reconciler.apiserver.patching import APPLY, JSON_PATCH, STRATEGIC, read_patch
from reconciler.apiserver.routes import Target
from reconciler.apiserver.status import bad_request
from reconciler.apiserver.strategic import strategic_patch
from reconciler.apiserver.versions import Conversion


class Asked(NamedTuple):
    """What a request asks for."""

    aim: Target
    query: Query
    body: bytes = b""
    content_type: str = JSON


def as_stored(api: Api, asked: Asked) -> Asked:
    """The same request for the stored version; a patch becomes the update that it leads to. May block.

    Raises:
        ApiError: the body makes no sense, or what is to be patched isn't there.
    """
    conversion = asked.aim.place.resource.conversion
    if conversion is None:
        return asked
    stored = api.registry.of_kind(*conversion.stored)
    assert stored is not None
    aim = asked.aim._replace(place=asked.aim.place._replace(resource=stored))
    query = asked.query
    if "fieldSelector" in query:
        query = {**query, "fieldSelector": tuple(map(conversion.selector, query["fieldSelector"]))}
    if aim.verb not in ("create", "update", "patch"):
        return asked._replace(aim=aim, query=query)
    if aim.verb == "patch" and asked.content_type != APPLY:
        document = _patched(api, aim, asked, conversion)
        return Asked(aim._replace(verb="update"), query, orjson.dumps(_written(document, conversion)))
    media = YAML if asked.content_type == APPLY else asked.content_type
    document = parse_body(asked.body, media, conversion.own[1])
    content_type = APPLY if asked.content_type == APPLY else JSON
    return Asked(aim, query, orjson.dumps(_written(document, conversion)), content_type)


def _written(document: Any, conversion: Conversion) -> Any:
    """What was sent as it is stored."""
    if not isinstance(document, dict):
        return document  # others say what is wrong with it
    kind = conversion.own[1]
    message = name_of_message(*conversion.own)
    fault = message_fault(message, document) if message in messages() else None
    if fault:
        version = conversion.own[0].rpartition("/")[2]
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {fault}')
    return conversion.written(document)


def _patched(api: Api, aim: Target, asked: Asked, conversion: Conversion) -> Any:
    """The live object in the asked version with the patch applied, for an update of the revision that was read."""
    patch = read_patch(asked.body, asked.content_type)
    live = conversion.read(api.get(aim.place._replace(subresource="")).document)
    if asked.content_type == JSON_PATCH:
        return json_patch(live, patch)
    if asked.content_type == STRATEGIC:
        return strategic_patch(live, patch, name_of_message(*conversion.own))
    return merge_patch(live, patch)
