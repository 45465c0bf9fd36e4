"""What is known of custom resources from their definitions, and of definitions themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reconciler.apiserver.crd_rules import has_rules, rule_problems
from reconciler.apiserver.crd_schema import defaulted, pruned, whole_numbers, without_nulls
from reconciler.apiserver.crd_values import ABSENT, problems
from reconciler.apiserver.resources import Resource, Subresource
from reconciler.apiserver.versions import Conversion
from rules.scale import ScalePaths
from state.errors import Problem, invalid
from state.objects import AnyObject, CustomObject

Json = dict[str, Any]
_SCOPES = ("Cluster", "Namespaced")
_CHANGE = ("get", "patch", "update")
#: In the order of kube-apiserver's discovery of custom resources.
_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_DEPTH = 100
#: Faults that keep rules from being checked.
_BLOCKING = frozenset({"NotSupported", "Required", "TooLong", "TooMany", "TypeInvalid"})
_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)


@dataclass(frozen=True)
class DefinedKind:
    """One version of a custom resource."""

    schema: Mapping[str, Any]
    columns: tuple[Mapping[str, Any], ...] = ()
    #: Whether the status is written on its own.
    has_status: bool = False

    @cached_property
    def has_rules(self) -> bool:
        """Whether there is more to be checked than types and bounds."""
        return has_rules(self.schema)

    def completed(self, body: Json) -> tuple[Json, list[str]]:
        """The body pruned and defaulted, and the paths of what was unknown."""
        unknown: list[str] = []
        kept = pruned(whole_numbers(body), self.schema, "", unknown)
        return defaulted(without_nulls(kept, self.schema), self.schema), unknown

    def problems(self, new: AnyObject, old: AnyObject | None) -> Iterable[Problem]:
        """What the schema doesn't allow; its rules are about objects that have nothing else wrong."""
        assert isinstance(new, CustomObject)
        whole, before = _identified(new), _identified(old) if isinstance(old, CustomObject) else None
        found = list(self._value_problems(whole, before))
        yield from found
        if self.has_rules and any(each.reason in _BLOCKING for each in found):
            yield invalid("<nil>", None, _UNCHECKED)
        elif self.has_rules:
            yield from rule_problems(whole, before, self.schema)

    def warnings(self, new: AnyObject, old: AnyObject | None) -> Iterable[str]:
        """Nothing is said of them."""
        return ()

    def _value_problems(self, new: Json, old: Json | None) -> Iterator[Problem]:
        """Where the status has a path of its own, its refusals leave that out."""
        if self.has_status and old is not None and new.get("status") != old.get("status"):
            schema = (self.schema.get("properties") or {}).get("status")
            if schema is not None and "status" in new:
                yield from problems(new["status"], schema, "status", "", old.get("status", ABSENT))
            return
        before = ABSENT if old is None else {**old, "metadata": {}}
        yield from problems({**new, "metadata": {}}, self.schema, old=before)


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
        if "status" in parts:
            subresources["status"] = Subresource(names["kind"], _CHANGE)
        if "scale" in parts:
            subresources["scale"] = Subresource("Scale", _CHANGE, "autoscaling", "v1", ScalePaths.of(parts["scale"]))
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
                verbs=_VERBS,
                subresources=subresources,
                is_custom=True,
                custom=DefinedKind(
                    schema, tuple(version.get("additionalPrinterColumns") or ()), has_status="status" in subresources
                ),
                conversion=None if stored is version else _renamed(spec["group"], names["kind"], stored, version),
                selectable=tuple(each["jsonPath"].removeprefix(".") for each in version.get("selectableFields") or ()),
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
