"""Validation without a plan: every problem of every manifest, each with its path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler import untyped
from reconciler.apply import place
from reconciler.changes import creation_problems
from state.defaults import default
from state.errors import InvalidObject, Problem
from state.load import Loaded, Refusal, load
from state.objects import KINDS, AnyObject, kind_key
from state.snapshot import Key

if TYPE_CHECKING:
    from reconciler.apiserver.resources import Resource


def check(source: Any) -> dict[str, Any]:
    """All problems of manifests in any form; see ``check_loaded``."""
    return check_loaded(load(source))


def check_loaded(loaded: Loaded) -> dict[str, Any]:
    """All problems of manifests that were read.

    Returns a mapping: ``valid``, ``objects`` (how many were read), ``problems`` (each with object, origin, path,
    message, reason and value), ``carried`` (objects of kinds that nothing here interprets), ``warnings``.
    """
    refused = list(loaded.refused)
    carried = []
    definitions = untyped.definitions_of(loaded.objects)
    for each, origin in zip(loaded.objects, loaded.origins, strict=True):
        obj = place(each, definitions)
        key = Key.of(obj)
        problems = _problems(obj, untyped.resource_of(obj, definitions))
        if problems:
            refused.append(Refusal(origin=origin, key=key, problems=problems))
        if kind_key(obj) not in KINDS:
            carried.append(str(key))
    return {
        "valid": not refused,
        "objects": len(loaded.objects) + len(loaded.refused),
        "problems": [
            {"object": str(refusal.key or refusal.origin), "origin": refusal.origin, **problem.to_dict()}
            for refusal in refused
            for problem in refusal.problems
        ],
        "carried": sorted(carried),
        "warnings": list(loaded.warnings),
    }


def _problems(obj: AnyObject, resource: Resource | None) -> tuple[Problem, ...]:
    """What is wrong with one of them."""
    try:
        return creation_problems(default(untyped.completed(obj, resource)), resource)
    except InvalidObject as error:
        return error.problems
