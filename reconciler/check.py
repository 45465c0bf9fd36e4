"""Validation without a plan: every problem of every manifest, each with its path."""

from __future__ import annotations

from typing import Any

from reconciler.apply import place
from state.defaults import default
from state.load import Refusal, load
from state.objects import KINDS, kind_key
from state.snapshot import Key
from state.validation import validate


def check(source: Any) -> dict[str, Any]:
    """All problems of manifests in any form.

    Returns a mapping: ``valid``, ``objects`` (how many were read), ``problems`` (each with object, path, message,
    reason and value), ``carried`` (objects of kinds that nothing here interprets), ``warnings``.
    """
    loaded = load(source)
    refused = list(loaded.refused)
    carried = []
    for obj in map(place, loaded.objects):
        key = Key.of(obj)
        problems = tuple(validate(default(obj)))
        if problems:
            refused.append(Refusal(origin=str(key), key=key, problems=problems))
        if kind_key(obj) not in KINDS:
            carried.append(str(key))
    return {
        "valid": not refused,
        "objects": len(loaded.objects) + len(loaded.refused),
        "problems": [
            {"object": refusal.origin, **problem.to_dict()} for refusal in refused for problem in refusal.problems
        ],
        "carried": sorted(carried),
        "warnings": list(loaded.warnings),
    }
