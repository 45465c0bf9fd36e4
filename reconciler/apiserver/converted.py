"""Requests for a version that isn't stored, as requests for the one that is."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from reconciler.apiserver.api import Api
from reconciler.apiserver.decode import JSON, YAML, parse_body, read
from reconciler.apiserver.gotypes import message_fault
from reconciler.apiserver.messages import messages, name_of_message
from reconciler.apiserver.options import Query
from reconciler.apiserver.patches import json_patch, merge_patch
from reconciler.apiserver.patching import APPLY, JSON_PATCH, STRATEGIC, read_patch
from reconciler.apiserver.routes import Target
from reconciler.apiserver.status import bad_request, invalid
from reconciler.apiserver.strategic import strategic_patch
from reconciler.apiserver.versions import Conversion
from state.objects import Event, replace
from state.validation import new_event_problems


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
        aim, media, document = aim._replace(verb="update"), JSON, _patched(api, aim, asked, conversion)
    else:
        media = YAML if asked.content_type == APPLY else asked.content_type
        document = parse_body(asked.body, media, conversion.own[1])
    written = _written(document, conversion)
    if stored.type is Event:
        _check_event(api, aim, written)
    content_type = APPLY if asked.content_type == APPLY else JSON
    return Asked(aim, query, orjson.dumps(written), content_type)


def _check_event(api: Api, aim: Target, document: Any) -> None:
    """events.k8s.io asks for more than the API in which Events are stored.

    Raises:
        ApiError: it isn't given.
    """
    place = aim.place
    result = read(document, place.resource, sent=True)[0] if isinstance(document, dict) else None
    if result is None:
        return  # others say what is wrong with it
    new = result[0]
    assert isinstance(new, Event)
    new = replace(new, metadata=replace(new.metadata, namespace=place.namespace))
    live = api.storage.get(place.resource, place.namespace, place.name) if aim.verb == "update" else None
    old = None if live is None else live.object
    assert isinstance(old, Event | None)
    problems = new_event_problems(new, old)
    if problems:
        raise invalid("Event", "", new.metadata.name, problems)


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
