"""What is known of custom resources from their definitions, and of definitions themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reconciler.apiserver.crd_columns import json_path
from reconciler.apiserver.crd_rules import REASONS, RULES, has_rules, rule_problems
from reconciler.apiserver.crd_schema import compiled, defaulted, problems, pruned
from reconciler.apiserver.resources import VERBS, Resource, Subresource
from reconciler.apiserver.versions import Conversion
from rules.scale import ScalePaths
from state.errors import Problem, invalid, not_supported, required
from state.names import dns1035_label, dns1123_subdomain
from state.objects import AnyObject, CustomObject

Json = dict[str, Any]
_SCOPES = ("Cluster", "Namespaced")
_CHANGE = ("get", "patch", "update")
_DEPTH = 100
_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)


@dataclass(frozen=True)
class DefinedKind:
    """One version of a custom resource."""

    schema: Mapping[str, Any]
    columns: tuple[Mapping[str, Any], ...] = ()

    @cached_property
    def has_rules(self) -> bool:
        """Whether there is more to be checked than types and bounds."""
        return has_rules(self.schema)

    def completed(self, body: Json) -> tuple[Json, list[str]]:
        """The body pruned and defaulted, and the paths of what was unknown."""
        unknown: list[str] = []
        kept = pruned(body, self.schema, "", unknown)
        return defaulted(kept, self.schema), unknown

    def problems(self, new: AnyObject, old: AnyObject | None) -> Iterable[Problem]:
        """What the schema doesn't allow; its rules are about objects that have nothing else wrong."""
        assert isinstance(new, CustomObject)
        whole = _identified(new)
        found = list(problems({**whole, "metadata": {}}, self.schema))
        yield from found
        if self.has_rules and found:
            yield invalid("<nil>", None, _UNCHECKED)
        elif self.has_rules:
            yield from rule_problems(whole, _identified(old) if isinstance(old, CustomObject) else None, self.schema)


def _identified(obj: CustomObject) -> Json:
    """An object as its schema's rules see it."""
    meta = {"name": obj.metadata.name, "generateName": obj.metadata.generate_name}
    told = {name: text for name, text in meta.items() if text}
    return {**obj.body.value, "metadata": told, "kind": obj.kind, "apiVersion": obj.api_version}


def defined(definition: CustomObject) -> list[Resource]:
    """The resources that a definition (a right one) asks for: one for each served version."""
    spec = definition.body.value["spec"]
    names = spec["names"]
    served = [version for version in spec["versions"] if version["served"]]
    stored = next((version for version in served if version["storage"]), served[0] if served else None)
    found = []
    for version in served:
        parts = version.get("subresources") or {}
        subresources = {}
        if "scale" in parts:
            subresources["scale"] = Subresource("Scale", _CHANGE, "autoscaling", "v1", ScalePaths.of(parts["scale"]))
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
                conversion=None if stored is version else _renamed(spec["group"], names["kind"], stored, version),
                warnings=_warnings(spec["group"], names["kind"], version),
            )
        )
    return found


def _warnings(group: str, kind: str, version: Json) -> tuple[str, ...]:
    """What is said with each answer in a version that is out of date."""
    if version.get("deprecated") is not True:
        return ()
    told = version.get("deprecationWarning")
    return (told if isinstance(told, str) and told else f"{group}/{version['name']} {kind} is deprecated",)


def _renamed(group: str, kind: str, stored: Any, version: Json) -> Conversion:
    """The conversion None: versions differ in nothing but their name."""
    return Conversion(
        stored=(f"{group}/{stored['name']}", kind),
        own=(f"{group}/{version['name']}", kind),
        to_stored=dict,
        from_stored=dict,
        fields={},
    )


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
        # as kube-apiserver, which keeps what all versions have in common outside of them
        yield from _parts_problems(
            version.get("subresources"), f"{where if len(versions) > 1 else 'spec'}.subresources"
        )
        yield from _columns_problems(version.get("additionalPrinterColumns") or [], where)


def _parts_problems(parts: Any, path: str) -> Iterator[Problem]:
    if not isinstance(parts or {}, dict):
        yield invalid(path, str(parts), "must be a map")
    elif parts and "scale" in parts:
        scale = parts["scale"] if isinstance(parts["scale"], dict) else {}
        for field, places in _SCALE_PATHS.items():
            where, value = f"{path}.scale.{field}", scale.get(field)
            if not value and len(places) == 1:
                yield required(where)
            elif value and not isinstance(value, str):
                yield invalid(where, str(value), "must be a string")
            elif value and not value.startswith(tuple(f".{place}." for place in places)):
                either = "either " if len(places) > 1 else ""
                named = " or ".join(f".{place}" for place in places)
                yield invalid(where, value, f"should be a json path under {either}{named}")


def _root_problems(root: Json, path: str) -> Iterator[Problem]:
    if root.get("type") != "object":
        yield invalid(f"{path}.type", root.get("type") or "", 'must be "object" at the root')
    yield from _schema_problems(root, path, _DEPTH)


#: Where a custom resource may keep the parts of its scale.
_SCALE_PATHS = {
    "specReplicasPath": ("spec",),
    "statusReplicasPath": ("status",),
    "labelSelectorPath": ("status", "spec"),
}
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
    yield from _rules_problems(schema.get(RULES) or [], f"{path}.{RULES}")
    for where, inner in _inner(schema, path):
        yield from _schema_problems(inner, where, depth - 1)


def _rules_problems(rules: Any, path: str) -> Iterator[Problem]:
    if not _is_list_of(dict, rules):
        yield invalid(path, str(rules), "must be a list of rules")
        return
    for index, rule in enumerate(rules):
        if not rule.get("rule"):
            yield required(f"{path}[{index}].rule")
        for field in ("rule", "message", "messageExpression", "fieldPath", "reason"):
            if not isinstance(rule.get(field) or "", str):
                yield invalid(f"{path}[{index}].{field}", str(rule[field]), "must be a string")
        reason = rule.get("reason")
        if isinstance(reason, str) and reason and reason not in REASONS:
            yield not_supported(f"{path}[{index}].reason", reason, tuple(sorted(REASONS)))


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
    except ValueError as error:
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
