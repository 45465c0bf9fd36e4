"""Answers in the form that a client accepts: JSON, YAML, a table, or metadata alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
import yaml

from reconciler.apiserver.answers import Answer, Listing
from reconciler.apiserver.resources import Resource
from reconciler.apiserver.status import ApiError, internal, not_acceptable
from reconciler.apiserver.storage import Storage
from reconciler.apiserver.tables import Layout, built_in_layout, included, partial_metadata, table
from reconciler.apiserver.versions import Conversion
from reconciler.apiserver.watching import WatchEvent
from state.objects import AnyObject

JSON, YAML = "application/json", "application/yaml"
_OFFERED = (JSON, YAML, "application/vnd.kubernetes.protobuf")
_META = "meta.k8s.io"
_TABLE, _PARTIAL, _PARTIAL_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"
#: Where lines of YAML are broken if they can be, as Go's library does.
_WIDTH = 80
_VERSIONS = ("v1", "v1beta1")
#: What clients accept, of which so many are kept as they were read.
_REMEMBERED = 64
_ANY = ("*", "*/*", "application/*")

#: Gives the columns of a resource.
Layouts = Callable[[Resource], Layout]


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an answer: its media type, and what the object is converted to ("" for as it is)."""

    media: str = JSON
    kind: str = ""
    #: The form of aggregated discovery.
    is_discovery: bool = False
    #: The version of what is converted.
    version: str = _VERSIONS[0]

    def check_stream(self) -> None:
        """Lets pass what watches can be written in.

        Raises:
            ApiError: it is YAML.
        """
        if self.media == YAML:
            raise not_acceptable(tuple(f"{media};stream=watch" for media in _OFFERED if media != YAML))

    def check_plain(self) -> None:
        """Lets pass what isn't to be converted.

        Raises:
            ApiError: it is.
        """
        if self.kind:
            raise not_acceptable(_OFFERED)


def negotiate(accept: str, *, offers_discovery: bool = False) -> Form:
    """The form that is liked best, the first of several.

    Raises:
        ApiError: there is none.
    """
    if not accept:
        return Form()
    found = [form for form in _forms(accept) if offers_discovery or not form.is_discovery]
    if not found:
        raise not_acceptable(_OFFERED)
    return found[0]


@lru_cache(_REMEMBERED)
def _forms(accept: str) -> tuple[Form, ...]:
    """The acceptable forms by their quality, named ones before others."""
    found: list[tuple[float, bool, Form]] = []
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        options = dict(part.split("=", 1) for part in parameters if "=" in part)
        form = _form(media, options)
        if form is not None:
            found.append((-_quality(options), media in _ANY, form))
    return tuple(form for *_, form in sorted(found, key=lambda each: each[:2]))


def _quality(options: Mapping[str, str]) -> float:
    try:
        return float(options.get("q", "1"))
    except ValueError:
        return 1.0


def _form(media: str, options: Mapping[str, str]) -> Form | None:
    """The form that one clause accepts, None if there is no such."""
    if media in _ANY:
        return Form()
    if media not in (JSON, YAML) or (media == YAML and options.get("stream")):
        return None
    kind, version = options.get("as", ""), options.get("v", "")
    if kind == "APIGroupDiscoveryList":
        return Form(JSON, is_discovery=True) if version == "v2" else None
    if not options.keys() & {"as", "g", "v"}:
        return Form(media)
    is_known = kind in (_TABLE, _PARTIAL, _PARTIAL_LIST) and options.get("g") == _META and version in _VERSIONS
    return Form(media, kind, version=version) if is_known else None


def media_of_error(accept: str) -> str:
    """The media type of a refusal: the client's own, if there is one that is written here, and it isn't converted."""
    return next((form.media for form in _forms(accept) if not (form.kind or form.is_discovery)), JSON)


def data(document: Any, form: Form) -> bytes:
    """A document that isn't converted: discovery, a Status."""
    return _yaml(document) if form.media == YAML else orjson.dumps(document)


class _Dumper(yaml.CSafeDumper):
    """Writes YAML as Go's library does: nothing is shared, text that looks like another type is in double quotes."""

    def ignore_aliases(self, data: object) -> bool:
        """No node refers to another."""
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        """Text in the style that it needs."""
        plain = self.resolve(yaml.ScalarNode, data, (True, False))  # type: ignore[no-untyped-call]
        style = "|" if "\n" in data else None if plain == _TEXT and data not in _FLAGS else '"'
        return self.represent_scalar(_TEXT, data, style)


_TEXT = "tag:yaml.org,2002:str"
#: Texts that YAML 1.1 takes for booleans, though Python's library doesn't.
_FLAGS = frozenset("NYny")
_Dumper.add_representer(str, _Dumper.text)


def _yaml(document: Any) -> bytes:
    text: str = yaml.dump(document, Dumper=_Dumper, allow_unicode=True, width=_WIDTH)
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

    @property
    def is_slow(self) -> bool:
        """Whether what is rendered may have to wait for somebody."""
        return self._conversion is not None and self._conversion.is_slow

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
        if self.form.kind == _PARTIAL_LIST:
            raise internal("content is not a list")
        return data(partial_metadata(obj, self.form.version), self.form)

    def listing(self, listing: Listing) -> bytes:
        """A list."""
        if not self.form.kind:
            if self._conversion is not None:
                return data(self._conversion.read_list(listing.document), self.form)
            return listing.body if self.form.media == JSON else _yaml(listing.document)
        meta = {name: value for name, value in listing.meta.items() if value}
        objects = [stored.object for stored in listing.stored]
        if self.form.kind == _TABLE:
            return self._table(listing.resource, objects, meta)
        version = self.form.version
        if self.form.kind == _PARTIAL:
            what = "unstructured.Unstructured" if listing.resource.is_custom else f"v1.{listing.resource.kind}"
            told = f"you requested {_PARTIAL}, but the requested object is a list (*{what}List)"
            raise ApiError(406, "NotAcceptable", told)
        items = [partial_metadata(obj, version) for obj in objects]
        api_version = f"{_META}/{version}"
        return data({"kind": _PARTIAL_LIST, "apiVersion": api_version, "metadata": meta, "items": items}, self.form)

    def _table(
        self, resource: Resource, objects: Sequence[AnyObject], meta: Mapping[str, Any], *, headers: bool = True
    ) -> bytes:
        made = table(
            self._layouts(resource),
            objects,
            meta,
            now=self._clock(),
            include=self._include,
            headers=headers,
            conversion=self._conversion,
            version=self.form.version,
        )
        return data(made, self.form)

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
                converted = orjson.dumps(partial_metadata(obj, self.form.version))
        return WatchEvent(event.type, converted).line

    def _bookmark(self, document: dict[str, Any]) -> bytes:
        api_version = f"{_META}/{self.form.version}"
        if self.form.kind == _TABLE:
            row = {"cells": [], "object": {**document, "kind": _PARTIAL, "apiVersion": api_version}}
            meta = {"resourceVersion": document["metadata"]["resourceVersion"]}
            shell = {"kind": "Table", "apiVersion": api_version, "metadata": meta, "columnDefinitions": None}
            return orjson.dumps({**shell, "rows": [row]})
        return orjson.dumps({**document, "kind": _PARTIAL, "apiVersion": api_version})


def built_in_layouts(resource: Resource) -> Layout:
    """The columns of a built-in resource, name and age for others."""
    return built_in_layout(resource.table)
