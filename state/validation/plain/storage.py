"""Validation of the kinds of storage.k8s.io/v1 without a type."""

from __future__ import annotations

from state import names
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.classes import parameters
from state.validation.plain._values import Json, part, text


def attributes_class(found: Report, obj: Json) -> None:
    """VolumeAttributesClass."""
    driver = text(obj, "driverName")
    if not driver:
        found.required("driverName")
    else:
        checks.text(found, "driverName", driver.lower(), names.qualified_name)
    parameters(found, "parameters", part(obj, "parameters"), needed=True)


def attributes_class_update(found: Report, new: Json, old: Json) -> None:
    """A class keeps everything."""
    for name in ("driverName", "parameters"):
        checks.immutable(found, name, new.get(name), old.get(name))
