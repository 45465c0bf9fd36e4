"""Kinds without a type of their own: what an API server knows of them, for plans.

Those are the rest of Kubernetes' kinds, and what CustomResourceDefinitions among the objects define. Of other kinds
nothing is known, and their objects are taken as they come. All of it is imported when the first such object comes
along: most plans have none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace as changed
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

from state.dump import dump
from state.errors import InvalidObject, Problem, unknown_field
from state.kept import by_identity
from state.objects import AnyObject, CustomObject, Object, kind_key

if TYPE_CHECKING:
    from reconciler.apiserver.resources import Resource

#: The kind of definitions, as in a ``Key``.
DEFINITION = "CustomResourceDefinition.apiextensions.k8s.io"


@cache
def _built_in() -> dict[tuple[str, str], Resource]:
    from reconciler.apiserver.crd_definition import DefinitionKind  # noqa: PLC0415 - as the module says
    from reconciler.apiserver.resources import Registry  # noqa: PLC0415

    registry = Registry()
    definition = registry.of_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    assert definition is not None
    registry.add(changed(definition, custom=DefinitionKind()))
    return {
        (each.api_version, each.kind): each
        for each in registry.resources
        if each.type is None and each.custom is not None and each.conversion is None
    }


def resource_of(obj: AnyObject, definitions: Iterable[AnyObject] = ()) -> Resource | None:
    """What is known of an object's kind; None if nothing, or if it has a type."""
    if isinstance(obj, Object):
        return None
    built_in = _built_in().get((obj.api_version, obj.kind))
    if built_in is not None:
        return built_in
    resources = (each for definition in definitions for each in _defined_by(definition))
    return next((each for each in resources if (each.api_version, each.kind) == (obj.api_version, obj.kind)), None)


def is_namespaced(kind: str, definitions: Iterable[AnyObject] = ()) -> bool | None:
    """Whether objects of a kind (as in a ``Key``) are in namespaces; None if nobody knows."""
    resources = chain(_built_in().values(), (each for definition in definitions for each in _defined_by(definition)))
    return next((each.namespaced for each in resources if each.table == kind), None)


def definitions_of(objects: Iterable[AnyObject]) -> list[AnyObject]:
    """The CustomResourceDefinitions among objects."""
    return [obj for obj in objects if type(obj) is CustomObject and kind_key(obj) == DEFINITION]


@by_identity
def _defined_by(definition: AnyObject) -> list[Resource]:
    """What a definition defines; nothing if it isn't right."""
    from reconciler.apiserver.crd_kind import defined  # noqa: PLC0415 - as the module says

    if not isinstance(definition, CustomObject):
        return []
    resource = resource_of(definition)
    assert resource is not None
    try:
        whole = completed(definition, resource)
        assert isinstance(whole, CustomObject)
        return [] if any(resource.problems(whole)) else defined(whole)
    except InvalidObject:
        return []


def completed(obj: AnyObject, resource: Resource | None) -> AnyObject:
    """The object with its defaults; of a kind that nothing is known of, or that has a type, as it is.

    Raises:
        InvalidObject: a value has a wrong type, or a field is unknown.
    """
    if resource is None:
        return obj
    from reconciler.apiserver.decode import read  # noqa: PLC0415 - as the module says

    found, fault = read(dump(obj), resource, sent=True)
    if found is None:
        raise InvalidObject([Problem("", fault)])
    whole, unknown = found
    if unknown:
        raise InvalidObject(
            Problem(each.path, f"strict decoding error: {unknown_field(each.path)}", "Forbidden") for each in unknown
        )
    return whole
