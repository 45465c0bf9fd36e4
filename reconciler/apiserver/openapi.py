"""OpenAPI documents of what is served: version 3, one for each group and version, and version 2, one for all.

They are for ``kubectl explain``, for clients that check manifests, and for clients that ask what a server can do
(whether a PATCH of a kind knows ``dryRun``, ``fieldValidation``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any

import orjson

from reconciler.apiserver import openapi_proto
from reconciler.apiserver.explanations import explained
from reconciler.apiserver.openapi_schemas import (
    Schema,
    group_version_kind,
    list_of,
    name_of,
    of_untyped,
    references,
)
from reconciler.apiserver.openapi_untyped import known_schemas
from reconciler.apiserver.resources import Registry, Resource

V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
#: What a response says to be, whatever the request spelt.
V2_PROTOBUF_SENT = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2, _V3 = "#/definitions/", "#/components/schemas/"
_JSON = "application/json"
_PATCHES = ("application/json-patch+json", "application/merge-patch+json")
_STRATEGIC, _APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
_ONE = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}
_MANY = {"get": "list", "post": "create", "delete": "deletecollection"}
_ACTIONS = {"create": "post", "update": "put"}
_WRITE = (("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"))
_LIST = (
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
)
_DELETE = (
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
)
_PARAMETERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "get": (),
    "list": _LIST,
    "create": _WRITE,
    "update": _WRITE,
    "patch": (*_WRITE, ("force", "boolean")),
    "delete": _DELETE,
    "deletecollection": (*_DELETE, *_LIST),
}
_INFO = {"title": "Kubernetes", "version": "v1.36.2"}


class OpenApi:
    """The documents of a registry. They are made when asked for, and again when definitions have come or gone.

    ``schema_of`` gives the schema of a resource that has no type, if it has one. Usable from any thread.
    """

    def __init__(
        self, registry: Registry, schema_of: Callable[[Resource], Mapping[str, Any] | None] = lambda _: None
    ) -> None:
        self._registry, self._schema_of = registry, schema_of
        self._lock = Lock()
        self._made_of: list[tuple[Resource, Mapping[str, Any] | None]] = []
        self._made: dict[str, bytes] = {}

    def index(self) -> bytes:
        """/openapi/v3: where the document of each group and version is."""
        places = {}
        for resource in self._registry.resources:
            place = _place(resource)
            if place not in places:
                digest = hashlib.sha256(self.v3(place) or b"").hexdigest()[:32].upper()
                places[place] = {"serverRelativeURL": f"/openapi/v3/{place}?hash={digest}"}
        return orjson.dumps({"paths": places})

    def v3(self, place: str) -> bytes | None:
        """The document of ``api/v1`` or ``apis/apps/v1``; None if nothing is served there."""
        served = [each for each in self._registry.resources if _place(each) == place]
        return self._once(f"v3 {place}", lambda: orjson.dumps(self._document_v3(served))) if served else None

    def v2(self) -> bytes:
        """The document of everything."""
        return self._once("v2", lambda: orjson.dumps(self._document_v2()))

    def v2_protobuf(self) -> bytes:
        """The same as protocol buffer."""
        return self._once("v2 protobuf", lambda: openapi_proto.encode(self._document_v2()))

    def _once(self, key: str, make: Callable[[], bytes]) -> bytes:
        made_of = [(each, self._schema_of(each)) for each in self._registry.resources]
        with self._lock:
            if made_of != self._made_of:
                self._made_of, self._made = made_of, {}
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]

    def _schemas(self, resources: Iterable[Resource]) -> dict[str, Schema]:
        """The schemas of resources, their lists, and everything that those refer to."""
        known = known_schemas()
        found: dict[str, Schema] = {}
        for resource in resources:
            name = name_of(resource)
            schema = known.get(name) or of_untyped(resource, self._schema_of(resource))
            tie = group_version_kind(resource)
            found[name] = {**schema, "x-kubernetes-group-version-kind": [tie]}
            plural = list_of(resource)
            found[f"{name}List"] = {
                **plural,
                "x-kubernetes-group-version-kind": [{**tie, "kind": f"{resource.kind}List"}],
            }
        missing = list(references(list(found.values())))
        while missing:
            name = missing.pop()
            if name not in found:
                found[name] = known[name]
                missing.extend(references(known[name]))
        return {name: explained(name, schema) for name, schema in sorted(found.items())}

    def _document_v3(self, served: list[Resource]) -> dict[str, Any]:
        schemas = {name: _spelt_v3(schema) for name, schema in self._schemas(served).items()}
        paths = {path: _path(path, resource, verbs, _operation_v3) for path, resource, verbs in _paths(served)}
        return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": schemas}}

    def _document_v2(self) -> dict[str, Any]:
        served = self._registry.resources
        schemas = {name: _spelt_v2(schema) for name, schema in self._schemas(served).items()}
        paths = {path: _path(path, resource, verbs, _operation_v2) for path, resource, verbs in _paths(served)}
        return {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": schemas}


def _place(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def _spelt_v3(schema: Any) -> Any:
    """A schema with references as version 3 has them: what stands beside one goes around it."""
    if isinstance(schema, list):
        return [_spelt_v3(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    target = schema.get("$ref")
    if not isinstance(target, str):
        return {name: _spelt_v3(value) for name, value in schema.items()}
    beside = {name: _spelt_v3(value) for name, value in schema.items() if name != "$ref"}
    reference = {"$ref": _V3 + target}
    return {"allOf": [reference], **beside} if beside else reference


#: Keywords that version 2 doesn't know.
_NOT_IN_V2 = frozenset({"nullable", "oneOf", "anyOf", "not"})


def _spelt_v2(schema: Any) -> Any:
    """A schema as version 2 has it; where unknown fields are kept, nothing is said of the known ones."""
    if isinstance(schema, list):
        return [_spelt_v2(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-preserve-unknown-fields") is True:
        kept = {name: value for name, value in schema.items() if name == "description" or name.startswith("x-")}
        return {"type": "object", **kept} if "properties" in schema else kept
    if schema.get("x-kubernetes-int-or-string") is True:
        return {"description": schema.get("description", ""), "x-kubernetes-int-or-string": True}
    spelt = {name: _spelt_v2(value) for name, value in schema.items() if name not in _NOT_IN_V2}
    if isinstance(schema.get("$ref"), str):
        spelt["$ref"] = _V2 + schema["$ref"]
    return spelt


def _paths(resources: Iterable[Resource]) -> Iterable[tuple[str, Resource, Mapping[str, str]]]:
    """The paths of resources, with the verb behind each HTTP method."""
    for resource in resources:
        base = f"/{_place(resource)}"
        plural = (
            f"{base}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else f"{base}/{resource.plural}"
        )
        if resource.namespaced:
            yield f"{base}/{resource.plural}", resource, {"get": "list"}
        yield plural, resource, _MANY
        yield f"{plural}/{{name}}", resource, _ONE
        for name in ("status", "scale"):
            if name in resource.subresources:
                yield f"{plural}/{{name}}/{name}", resource, {"get": "get", "put": "update", "patch": "patch"}


_Operation = Callable[[Resource, str, str], dict[str, Any]]


def _path(path: str, resource: Resource, methods: Mapping[str, str], operation: _Operation) -> dict[str, Any]:
    item: dict[str, Any] = {
        method: operation(resource, verb, path) for method, verb in methods.items() if verb in resource.verbs
    }
    is_v3 = operation is _operation_v3
    item["parameters"] = [
        _parameter(name, "string", "path", is_v3=is_v3) for name in ("namespace", "name") if f"{{{name}}}" in path
    ]
    return item


def _parameter(name: str, kind: str, place: str, *, is_v3: bool) -> dict[str, Any]:
    typed = {"schema": {"type": kind}} if is_v3 else {"type": kind}
    required = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, **typed, **required}


def _operation(resource: Resource, verb: str, path: str, *, is_v3: bool) -> dict[str, Any]:
    parts = [part.strip("{}").title() for part in path.split("/") if part not in ("apis", "namespaces")]
    kind = group_version_kind(resource)
    subresource = path.rpartition("/")[2]
    if subresource == "scale":
        kind = {"group": "autoscaling", "kind": "Scale", "version": "v1"}
    return {
        "operationId": verb + "".join("".join(filter(str.isalnum, part)) for part in parts),
        "parameters": [_parameter(name, kind, "query", is_v3=is_v3) for name, kind in _PARAMETERS[verb]],
        "x-kubernetes-action": _ACTIONS.get(verb, verb),
        "x-kubernetes-group-version-kind": kind,
    }


def _operation_v2(resource: Resource, verb: str, path: str) -> dict[str, Any]:
    return {**_operation(resource, verb, path, is_v3=False), "responses": {"200": {"description": "OK"}}}


def _operation_v3(resource: Resource, verb: str, path: str) -> dict[str, Any]:
    name = f"{name_of(resource)}List" if verb in ("list", "deletecollection") else name_of(resource)
    answer = {"description": "OK", "content": {_JSON: {"schema": {"$ref": _V3 + name}}}}
    operation = {**_operation(resource, verb, path, is_v3=True), "responses": {"200": answer}}
    if verb == "patch":
        kinds = (*_PATCHES, *(() if resource.is_custom else (_STRATEGIC,)), _APPLY)
        operation["requestBody"] = {"content": {kind: {"schema": {}} for kind in kinds}, "required": True}
    elif verb in ("create", "update"):
        operation["requestBody"] = {"content": {_JSON: {"schema": {"$ref": _V3 + name_of(resource)}}}, "required": True}
    return operation
