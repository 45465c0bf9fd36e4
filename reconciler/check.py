"""Validation without a plan: every problem of every manifest, each with its path."""

from __future__ import annotations

from typing import Any

from reconciler.apply import place
from state.defaults import default
from state.load import Loaded, Refusal, load
from state.objects import KINDS, kind_key
from state.snapshot import Key
from state.validation import validate


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
    for obj, origin in zip(map(place, loaded.objects), loaded.origins, strict=True):
        key = Key.of(obj)
        problems = tuple(validate(default(obj)))
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
