"""Answers in the form that a client accepts: JSON, YAML, a table, or metadata alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import yaml

from reconciler.apiserver.answers import Answer, Listing
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import not_acceptable
from reconciler.apiserver.storage import Storage
from reconciler.apiserver.tables import Layout, built_in_layout, included, partial_metadata, table
from reconciler.apiserver.versions import Conversion
from reconciler.apiserver.watching import WatchEvent
from state.objects import AnyObject

JSON, YAML = "application/json", "application/yaml"
_OFFERED = (JSON, YAML, "application/vnd.kubernetes.protobuf")
_META = "meta.k8s.io"
_TABLE, _PARTIAL, _PARTIAL_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"
_ANY = ("*/*", "application/*")

#: Gives the columns of a resource.
Layouts = Callable[[Resource], Layout]


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an answer: its media type, and what the object is converted to ("" for as it is)."""

    media: str = JSON
    kind: str = ""
    #: The form of aggregated discovery.
    is_discovery: bool = False

    @property
    def content_type(self) -> str:
        """The header of the answer."""
        return f"{self.media};g={_META};v=v1;as={self.kind}" if self.kind else self.media


def negotiate(accept: str) -> Form:
    """The first acceptable form.

    Raises:
        ApiError: there is none.
    """
    if not accept:
        return Form()
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        options = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media in _ANY:
            return Form()
        if media in (JSON, YAML):
            kind = options.get("as", "")
            if kind == "APIGroupDiscoveryList":
                if options.get("v") == "v2":
                    return Form(JSON, is_discovery=True)
                continue
            if not kind or (options.get("g") == _META and kind in (_TABLE, _PARTIAL, _PARTIAL_LIST)):
                return Form(media, kind)
    raise not_acceptable(_OFFERED)


def data(document: Any, form: Form) -> bytes:
    """A document that isn't converted: discovery, a Status."""
    return _yaml(document) if form.media == YAML else orjson.dumps(document)


def _yaml(document: Any) -> bytes:
    text: str = yaml.dump(document, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), allow_unicode=True)
    return text.encode()


class Renderer:
    """Converts answers; ``query`` is that of the request, for the options of tables.

    ``conversion`` is for a version that isn't the stored one.
    """

    def __init__(
        self,
        form: Form,
        storage: Storage,
        layouts: Layouts,
        clock: Callable[[], int],
        query: Mapping[str, Sequence[str]],
        *,
        conversion: Conversion | None = None,
    ) -> None:
        self.form = form
        self._conversion = conversion
        self._storage, self._layouts, self._clock = storage, layouts, clock
        self._include = included(query) if form.kind == _TABLE else ""

    @property
    def is_plain(self) -> bool:
        """Whether answers are sent as they are."""
        return not self.form.kind and self.form.media == JSON and self._conversion is None

    def one(self, answer: Answer) -> bytes:
        """One object, or a Status as it is."""
        if answer.resource is None or not self.form.kind or answer.code >= 400:
            body = answer.body if self._conversion is None else self._conversion.read_bytes(answer.body)
            return body if self.form.media == JSON else _yaml(orjson.loads(body))
        document = orjson.loads(answer.body)
        if document.get("kind") == "Status":
            return answer.body
        return self._converted(answer.resource, document)

    def _converted(self, resource: Resource, document: dict[str, Any]) -> bytes:
        obj = self._storage.read(resource, document)
        if self.form.kind == _TABLE:
            return self._table(resource, [obj], {"resourceVersion": obj.metadata.resource_version or ""})
        return orjson.dumps(partial_metadata(obj))

    def listing(self, listing: Listing) -> bytes:
        """A list."""
        if not self.form.kind:
            if self._conversion is not None:
                return data(self._conversion.read_list(listing.document), self.form)
            return listing.body if self.form.media == JSON else _yaml(listing.document)
        meta = listing.meta
        objects = [stored.object for stored in listing.stored]
        if self.form.kind == _TABLE:
            return self._table(listing.resource, objects, meta)
        items = [partial_metadata(obj) for obj in objects]
        return orjson.dumps({"kind": _PARTIAL_LIST, "apiVersion": f"{_META}/v1", "metadata": meta, "items": items})

    def _table(
        self, resource: Resource, objects: Sequence[AnyObject], meta: Mapping[str, Any], *, headers: bool = True
    ) -> bytes:
        return table(
            self._layouts(resource),
            objects,
            meta,
            now=self._clock(),
            include=self._include,
            headers=headers,
            conversion=self._conversion,
        )

    def event(self, resource: Resource, event: WatchEvent, *, is_first: bool) -> bytes:
        """An event of a watch as one line; of tables, only the first names its columns."""
        if event.type == "ERROR":
            return event.line
        if not self.form.kind:
            if self._conversion is not None:
                event = WatchEvent(event.type, self._conversion.read_bytes(event.object))
            return event.line
        document = orjson.loads(event.object)
        if event.type == "BOOKMARK":
            converted = self._bookmark(document)
        else:
            obj = event.stored.object if event.stored is not None else self._storage.read(resource, document)
            if self.form.kind == _TABLE:
                meta = {"resourceVersion": document["metadata"]["resourceVersion"]}
                converted = self._table(resource, [obj], meta, headers=is_first)
            else:
                converted = orjson.dumps(partial_metadata(obj))
        return WatchEvent(event.type, converted).line

    def _bookmark(self, document: dict[str, Any]) -> bytes:
        if self.form.kind == _TABLE:
            row = {"cells": [], "object": {**document, "kind": _PARTIAL, "apiVersion": f"{_META}/v1"}}
            meta = {"resourceVersion": document["metadata"]["resourceVersion"]}
            shell = {"kind": "Table", "apiVersion": f"{_META}/v1", "metadata": meta, "columnDefinitions": None}
            return orjson.dumps({**shell, "rows": [row]})
        return orjson.dumps({**document, "kind": _PARTIAL, "apiVersion": f"{_META}/v1"})


def built_in_layouts(resource: Resource) -> Layout:
    """The columns of a built-in resource, name and age for others."""
    return built_in_layout(resource.table)
