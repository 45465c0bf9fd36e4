"""What is known of custom resources from their definitions, and of definitions themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.apiserver.crd_columns import json_path
from reconciler.apiserver.crd_schema import compiled, defaulted, problems, pruned
from reconciler.apiserver.resources import VERBS, Resource, Subresource
from state.errors import Problem, invalid, not_supported, required
from state.names import dns1035_label, dns1123_subdomain
from state.objects import AnyObject, CustomObject

Json = dict[str, Any]
_SCOPES = ("Cluster", "Namespaced")
_CHANGE = ("get", "patch", "update")
_DEPTH = 100


@dataclass(frozen=True)
class DefinedKind:
    """One version of a custom resource."""

    schema: Mapping[str, Any]
    columns: tuple[Mapping[str, Any], ...] = ()

    def completed(self, body: Json) -> tuple[Json, list[str]]:
        """The body pruned and defaulted, and the paths of what was unknown."""
        unknown: list[str] = []
        kept = pruned(body, self.schema, "", unknown)
        return defaulted(kept, self.schema), unknown

    def problems(self, new: AnyObject, old: AnyObject | None) -> Iterable[Problem]:
        """What the schema doesn't allow."""
        assert isinstance(new, CustomObject)
        # metadata is there, and is checked elsewhere
        return problems(
            {**new.body.value, "metadata": {}, "kind": new.kind, "apiVersion": new.api_version}, self.schema
        )


def defined(definition: CustomObject) -> list[Resource]:
    """The resources that a definition (a right one) asks for: one for each served version."""
    spec = definition.body.value["spec"]
    names = spec["names"]
    found = []
    for version in spec["versions"]:
        if not version["served"]:
            continue
        parts = version.get("subresources") or {}
        subresources = {}
        if "scale" in parts:
            subresources["scale"] = Subresource("Scale", _CHANGE, "autoscaling", "v1")
        if "status" in parts:
            subresources["status"] = Subresource(names["kind"], _CHANGE)
        schema = version["schema"]["openAPIV3Schema"]
        found.append(
            Resource(
                group=spec["group"],
                version=version["name"],
                plural=names["plural"],
                kind=names["kind"],
                namespaced=spec["scope"] == "Namespaced",
                singular=names["singular"],
                short=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                verbs=VERBS,
                subresources=subresources,
                is_custom=True,
                custom=DefinedKind(schema, tuple(version.get("additionalPrinterColumns") or ())),
            )
        )
    return found


class DefinitionKind:
    """The CustomResourceDefinitions themselves."""

    schema: Mapping[str, Any] | None = None

    def completed(self, body: Json) -> tuple[Json, list[str]]:
        """The body with what a definition may leave out."""
        spec = body.get("spec")
        names = spec.get("names") if isinstance(spec, dict) else None
        if not isinstance(spec, dict) or not isinstance(names, dict) or not isinstance(names.get("kind"), str):
            return body, []
        kind = names["kind"]
        names = {"listKind": f"{kind}List", "singular": kind.lower(), **names}
        return {**body, "spec": {"conversion": {"strategy": "None"}, **spec, "names": names}}, []

    def problems(self, new: AnyObject, old: AnyObject | None) -> Iterator[Problem]:
        """What of a definition isn't allowed."""
        assert isinstance(new, CustomObject)
        spec = new.body.value.get("spec")
        if not isinstance(spec, dict):
            yield required("spec")
            return
        yield from _spec_problems(new.metadata.name, spec)
        yield from _status_problems(new.body.value.get("status"))
        if isinstance(old, CustomObject):
            before = old.body.value.get("spec") or {}
            for field in ("group", "scope"):
                if before.get(field) != spec.get(field):
                    yield invalid(f"spec.{field}", spec.get(field), "field is immutable")


def _spec_problems(name: str, spec: Json) -> Iterator[Problem]:
    group, names, scope = spec.get("group"), spec.get("names"), spec.get("scope")
    if not isinstance(group, str) or not group:
        yield required("spec.group")
        return
    yield from (invalid("spec.group", group, message) for message in dns1123_subdomain(group))
    if "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")
    if scope not in _SCOPES:
        yield required("spec.scope") if scope is None else not_supported("spec.scope", scope, _SCOPES)
    if not isinstance(names, dict):
        yield required("spec.names")
        return
    for field in ("plural", "singular", "kind", "listKind"):
        value = names.get(field)
        if not isinstance(value, str) or not value:
            yield required(f"spec.names.{field}")
        else:
            yield from (invalid(f"spec.names.{field}", value, text) for text in dns1035_label(value.lower()))
    for field in ("shortNames", "categories"):
        if not _is_list_of(str, names.get(field) or []):
            yield invalid(f"spec.names.{field}", str(names[field]), "must be a list of strings")
    if name != f"{names.get('plural')}.{group}":
        yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    yield from _versions_problems(spec.get("versions"))


def _status_problems(status: Any) -> Iterator[Problem]:
    if status is None:
        return
    if not isinstance(status, dict):
        yield invalid("status", str(status), "must be a map")
        return
    if not _is_list_of(dict, status.get("conditions") or []) or any(
        not isinstance(each.get("type"), str) for each in status.get("conditions") or ()
    ):
        yield invalid("status.conditions", str(status["conditions"]), "must be a list of conditions")
    if not _is_list_of(str, status.get("storedVersions") or []):
        yield invalid("status.storedVersions", str(status["storedVersions"]), "must be a list of names")


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, kind) for each in value)


def _versions_problems(versions: Any) -> Iterator[Problem]:
    path = "spec.versions"
    if not versions or not _is_list_of(dict, versions):
        yield required(path, "must have at least one version")
        return
    if sum(version.get("storage") is True for version in versions) != 1:
        shown = [version.get("name") for version in versions]
        yield invalid(path, str(shown), "must have exactly one version marked as storage version")
    for index, version in enumerate(versions):
        where = f"{path}[{index}]"
        name, schema = version.get("name"), (version.get("schema") or {})
        if not isinstance(name, str) or not name:
            yield required(f"{where}.name")
        else:
            yield from (invalid(f"{where}.name", name, text) for text in dns1035_label(name))
        for field in ("served", "storage"):
            if not isinstance(version.get(field), bool):
                yield required(f"{where}.{field}")
        root = schema.get("openAPIV3Schema") if isinstance(schema, dict) else None
        if not isinstance(root, dict):
            yield required(f"{where}.schema.openAPIV3Schema", "schemas are required")
        else:
            yield from _root_problems(root, f"{where}.schema.openAPIV3Schema")
        if not isinstance(version.get("subresources") or {}, dict):
            yield invalid(f"{where}.subresources", str(version["subresources"]), "must be a map")
        yield from _columns_problems(version.get("additionalPrinterColumns") or [], where)


def _root_problems(root: Json, path: str) -> Iterator[Problem]:
    if root.get("type") != "object":
        yield invalid(f"{path}.type", root.get("type") or "", 'must be "object" at the root')
    yield from _schema_problems(root, path, _DEPTH)


_MAPS_OF_SCHEMAS, _LISTS_OF_SCHEMAS = ("properties",), ("allOf", "anyOf", "oneOf")
_NUMBERS = ("maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties")
_BOUNDS = ("maximum", "minimum", "multipleOf")
_KINDS = ("array", "boolean", "integer", "number", "object", "string")


def _schema_problems(schema: Any, path: str, depth: int) -> Iterator[Problem]:
    """What keeps a schema from being used; what it means is up to its author."""
    if not isinstance(schema, dict) or not depth:
        yield invalid(path, str(type(schema).__name__), "must be a schema, nested not too deeply")
        return
    kind, pattern = schema.get("type"), schema.get("pattern")
    if kind is not None and kind not in _KINDS:
        yield not_supported(f"{path}.type", kind, _KINDS)
    if pattern is not None:
        yield from _pattern_problems(pattern, f"{path}.pattern")
    for fields, types in ((_NUMBERS, (int,)), (_BOUNDS, (int, float))):
        for field in fields:
            value = schema.get(field)
            if value is not None and (not isinstance(value, types) or isinstance(value, bool)):
                yield invalid(f"{path}.{field}", str(value), "must be a number")
    for field in ("enum", *_LISTS_OF_SCHEMAS):
        if not isinstance(schema.get(field) or [], list):
            yield invalid(f"{path}.{field}", str(schema[field]), "must be a list")
            return
    for field in ("required", "x-kubernetes-list-map-keys"):
        if not _is_list_of(str, schema.get(field) or []):
            yield invalid(f"{path}.{field}", str(schema[field]), "must be a list of strings")
    for where, inner in _inner(schema, path):
        yield from _schema_problems(inner, where, depth - 1)


def _inner(schema: Json, path: str) -> Iterator[tuple[str, Any]]:
    properties = schema.get("properties") or {}
    if not isinstance(properties, dict):
        yield f"{path}.properties", None
        return
    yield from ((f"{path}.properties[{name}]", each) for name, each in properties.items())
    for field in _LISTS_OF_SCHEMAS:
        yield from ((f"{path}.{field}[{index}]", each) for index, each in enumerate(schema.get(field) or ()))
    for field in ("items", "not", "additionalProperties"):
        if schema.get(field) is not None and not isinstance(schema[field], bool):
            yield f"{path}.{field}", schema[field]


def _pattern_problems(pattern: Any, path: str) -> Iterator[Problem]:
    if not isinstance(pattern, str):
        yield invalid(path, str(pattern), "must be a string")
        return
    try:
        compiled(pattern)
    except re.error as error:
        yield invalid(path, pattern, f"must be a valid regular expression, but isn't: {error}")


def _columns_problems(columns: Any, path: str) -> Iterator[Problem]:
    if not _is_list_of(dict, columns):
        yield invalid(f"{path}.additionalPrinterColumns", str(columns), "must be a list")
        return
    for index, column in enumerate(columns):
        where = f"{path}.additionalPrinterColumns[{index}]"
        for field in ("name", "type", "jsonPath"):
            if not isinstance(column.get(field), str) or not column[field]:
                yield required(f"{where}.{field}")
                return
        try:
            json_path(column["jsonPath"])
        except ValueError as error:
            yield invalid(f"{where}.jsonPath", column["jsonPath"], f"is an invalid JSON path: {error}")
