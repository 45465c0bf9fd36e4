"""Fields that a policy's expressions name and that no object has: a warning in the policy's status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.apiserver.cel import CelSyntaxError, compiled
from reconciler.apiserver.cel.types import DYN, resolved
from reconciler.apiserver.openapi_schemas import name_of
from reconciler.apiserver.openapi_untyped import known_schemas
from reconciler.apiserver.resources import Registry, Resource

#: What expressions may name beside the object.
_VARIABLES = ("authorizer", "namespaceObject", "params", "request", "variables")
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
    known = known_schemas()
    names = {**dict.fromkeys(_VARIABLES, DYN), **dict.fromkeys(("object", "oldObject"), resolved(schema, known))}
    try:
        faults = "\n".join(compiled(text.strip()).checked(names).faults)
    except CelSyntaxError:
        return ""  # it was refused when it was stored
    about = f"{resource.group}/{resource.version}" if resource.group else f"/{resource.version}"
    return f"{about}, Kind={resource.kind}: {faults}\n" if faults else ""


def _schema_of(resource: Resource) -> Any:
    if resource.is_custom:
        return None if resource.custom is None else resource.custom.schema
    return known_schemas().get(name_of(resource))
