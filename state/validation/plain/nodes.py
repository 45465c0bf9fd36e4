"""Validation of node.k8s.io/v1."""

from __future__ import annotations

from state import names
from state.objects import ResourceRequirements, Toleration
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.plain._values import Json, as_struct, part, text
from state.validation.resources import requirements
from state.validation.scheduling import tolerations


def runtime_class(found: Report, obj: Json) -> None:
    """RuntimeClass: what it adds to its pods is checked as theirs is."""
    checks.text(found, "handler", text(obj, "handler"), names.dns1123_label)
    overhead, scheduling = obj.get("overhead"), obj.get("scheduling")
    if overhead is not None:
        requirements(found, "overhead", ResourceRequirements(limits=part(overhead, "podFixed")))
    if scheduling is not None:
        checks.labels(found, "scheduling.nodeSelector", part(scheduling, "nodeSelector"))
        seen: list[Json] = []
        given = scheduling.get("tolerations") or []
        # the API server's own slip: only these have the name twice
        tolerations(found, "scheduling.tolerations.tolerations", as_struct(given, tuple[Toleration, ...]))
        for index, toleration in enumerate(given):
            if toleration in seen:
                found.duplicate(f"scheduling.tolerations[{index}]", toleration)
            seen.append(toleration)


def runtime_class_update(found: Report, new: Json, old: Json) -> None:
    """A class keeps its handler."""
    checks.immutable(found, "handler", text(new, "handler"), text(old, "handler"))
