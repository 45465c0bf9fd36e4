"""Validation of Events, which come through two APIs: the old one (v1) asks less than events.k8s.io/v1."""

from __future__ import annotations

from state import names
from state.objects import Event
from state.validation import _checks as checks
from state.validation._report import Report
from state.validation.metadata import object_meta

_LENGTH, _NOTE_LENGTH = 128, 1024
_UNSET = "needs to be unset"
#: Namespaces of Events about what is in none: of those without and with an ``eventTime``.
_OLD_CLUSTER_WIDE, _NEW_CLUSTER_WIDE = ("", "default"), ("", "default", "kube-system")
#: Fields that the new API never changes, in the API server's order, and the paths by which it names them.
_FIXED = {
    "involved_object": "involvedObject",
    "reason": "reason",
    "message": "message",
    "source": "source",
    "first_timestamp": "firstTimestamp",
    "last_timestamp": "lastTimestamp",
    "count": "count",
    "type": "type",
    "event_time": "eventTime",
    "action": "action",
    "related": "related",
    "reporting_component": "reportingController",
    "reporting_instance": "reportingInstance",
}


def event(found: Report, obj: Event) -> None:
    """Event (v1)."""
    object_meta(found, obj.metadata, namespaced=True)
    _event(found, obj, "reportingComponent")


def _event(found: Report, obj: Event, controller_field: str) -> None:
    """What both APIs ask for."""
    involved, own = obj.involved_object.namespace or "", obj.metadata.namespace
    path, mismatch = "involvedObject.namespace", "does not match event.namespace"
    if obj.event_time is None:
        if own and involved != own and (involved or own not in _OLD_CLUSTER_WIDE):
            found.invalid(path, involved, mismatch)
        return
    if not involved and own not in _NEW_CLUSTER_WIDE:
        found.invalid(path, involved, mismatch)
    controller = obj.reporting_component or ""
    if not controller:
        found.required(controller_field)
    checks.text(found, controller_field, controller, names.qualified_name)
    for name in ("reportingInstance", "action", "reason"):
        text = {"reportingInstance": obj.reporting_instance, "action": obj.action}.get(name, obj.reason) or ""
        if not text:
            found.required(name)
        if len(text.encode()) > _LENGTH:
            found.invalid(name, "", f"can have at most {_LENGTH} characters")
    if len((obj.message or "").encode()) > _NOTE_LENGTH:
        found.invalid("message", "", f"can have at most {_NOTE_LENGTH} characters")


def new_event(found: Report, obj: Event) -> None:
    """Event (events.k8s.io/v1), as it is created."""
    _event(found, obj, "reportingController")
    object_meta(found, obj.metadata, namespaced=True)
    _series(found, obj)
    if obj.event_time is None:
        found.required("eventTime")
    if obj.type not in {"Normal", "Warning"}:
        found.invalid("type", "", f"has invalid value: {obj.type or ''}")
    source = obj.source
    for path, is_set in (
        ("firstTimestamp", obj.first_timestamp is not None),
        ("lastTimestamp", obj.last_timestamp is not None),
        ("count", bool(obj.count)),
        ("source", source is not None and bool(source.component or source.host)),
    ):
        if is_set:
            found.invalid(path, "", _UNSET)


def _series(found: Report, obj: Event) -> None:
    series = obj.series
    if series is None:
        return
    if (series.count or 0) < 2:
        found.invalid("series.count", "", "should be at least 2")
    if series.last_observed_time is None:
        found.required("series.lastObservedTime")


def new_event_update(found: Report, new: Event, old: Event) -> None:
    """Of an Event (events.k8s.io/v1), only the series goes on."""
    _event(found, new, "reportingController")
    if new.series != old.series:
        _series(found, new)
    for field, path in _FIXED.items():
        checks.immutable(found, path, getattr(new, field), getattr(old, field))
