"""Fields that a policy's expressions name and that no object has: a warning in the policy's status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.apiserver.cel import CelSyntaxError, compiled
from reconciler.apiserver.cel.macros import bound_by
from reconciler.apiserver.cel.tree import Call, Ident, Index, Items, Node, Select, located
from reconciler.apiserver.openapi_schemas import PRESERVE, name_of
from reconciler.apiserver.openapi_untyped import known_schemas
from reconciler.apiserver.resources import Registry, Resource

Json = dict[str, Any]
#: Types of objects by the names of variables; None: anything.
_Types = Mapping[str, Any]
#: Kinds that a policy is checked with at most.
_MOST_KINDS = 10


class TypeChecks:
    """Checks policies by the schemas of what is served."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __call__(self, spec: Mapping[str, Any]) -> list[dict[str, str]]:
        """The warnings about the validations of a policy's spec."""
        resources = self._resources(spec)
        found = []
        for index, validation in enumerate(spec.get("validations") or ()):
            for name in ("expression", "messageExpression"):
                text = validation.get(name)
                warnings = [told for each in resources if (told := _warning(each, text))] if text else []
                if warnings:
                    found.append({"fieldRef": f"spec.validations[{index}].{name}", "warning": "\n".join(warnings)})
        return found

    def _resources(self, spec: Mapping[str, Any]) -> list[Resource]:
        """What the policy is about, as far as its rules name it."""
        rules = (spec.get("matchConstraints") or {}).get("resourceRules") or ()
        meant = [
            resource
            for resource in self._registry.resources
            for rule in rules
            if resource.group in (rule.get("apiGroups") or ())
            and resource.version in (rule.get("apiVersions") or ())
            and resource.plural in (rule.get("resources") or ())
        ]
        return meant[:_MOST_KINDS]


def _warning(resource: Resource, text: str) -> str:
    schema = _schema_of(resource)
    try:
        tree = compiled(text.strip()).tree
    except CelSyntaxError:
        return ""  # it was refused when it was stored
    types = {"object": schema, "oldObject": schema}
    faults = "\n".join(dict.fromkeys(_faults(tree, types, text.strip())))
    about = f"{resource.group}/{resource.version}" if resource.group else f"/{resource.version}"
    return f"{about}, Kind={resource.kind}: {faults}\n" if faults else ""


def _schema_of(resource: Resource) -> Any:
    if resource.is_custom:
        return None if resource.custom is None else resource.custom.schema
    return known_schemas().get(name_of(resource))


def _faults(node: Node, types: _Types, text: str) -> Iterator[str]:
    match node:
        case Select(at, of, name):
            yield from _faults(of, types, text)
            fields = _fields(_type(of, types))
            if fields is not None and name not in fields:
                yield located(text, at, f"undefined field '{name}'")
        case Index(_, of, key):
            yield from _all([of, key], types, text)
        case Items(_, _, entries):
            inner = [part for entry in entries for part in (entry.key, entry.value) if isinstance(part, Node)]
            yield from _all(inner, types, text)
        case Call(_, _, target, args):
            bound = bound_by(node)
            if not bound:
                yield from _all([*([] if target is None else [target]), *args], types, text)
                return
            names = [each.name for each in args[: len(bound)] if isinstance(each, Ident)]
            is_binding = isinstance(target, Ident) and target.name == "cel"
            found = _type(args[1], types) if is_binding else _item(_type(target, types))
            inner_types = {**types, **dict.fromkeys(names), names[-1]: found}
            yield from _all([] if target is None or is_binding else [target], types, text)
            yield from _all(args[len(bound) :], inner_types, text)


def _all(nodes: Iterable[Node], types: _Types, text: str) -> Iterator[str]:
    for node in nodes:
        yield from _faults(node, types, text)


def _type(node: Node | None, types: _Types) -> Any:
    """The schema of a part of an expression, None if that isn't known."""
    if isinstance(node, Ident):
        return types.get(node.name)
    if isinstance(node, Select):
        fields = _fields(_type(node.of, types))
        return None if fields is None else _resolved(fields.get(node.name))
    if isinstance(node, Index):
        return _item(_type(node.of, types))
    return None


def _resolved(schema: Any) -> Any:
    """A schema instead of a reference to it."""
    if isinstance(schema, dict) and "$ref" in schema:
        return known_schemas().get(schema["$ref"])
    return schema


def _fields(schema: Any) -> Mapping[str, Any] | None:
    """The fields that an object has; None if it may have any."""
    if not isinstance(schema, Mapping) or schema.get(PRESERVE) is True or "properties" not in schema:
        return None
    fields: Json = dict(schema["properties"])
    if "metadata" in fields:
        fields = {"apiVersion": None, "kind": None, **fields}
    return fields


def _item(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return None
    return _resolved(schema.get("items") or schema.get("additionalProperties"))
