"""Objects that kubectl applied on the client's side before it applies them on the server's: what it applied last is in
an annotation, and those fields are its own if nobody changed them since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from reconciler.apiserver.apply_fields import Fields, difference, union
from reconciler.apiserver.apply_shapes import Shape
from reconciler.apiserver.apply_walk import compare, fields_of

Json = dict[str, Any]
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
#: Whose annotation it is: other managers aren't taken for kubectl.
_MANAGER = "kubectl"


def own_fields(live: Json, manager: str, shape: Shape) -> Fields:
    """The fields of a live object that its manager may take over from whoever has them."""
    last = _last(live) if manager == _MANAGER else None
    if last is None:
        return {}
    change = compare(last, live, shape)
    return difference(fields_of(last, shape), union(change.changed, change.removed))


def _last(live: Json) -> Json | None:
    annotations = (live.get("metadata") or {}).get("annotations") or {}
    try:
        found = orjson.loads(annotations.get(ANNOTATION) or "null")
    except orjson.JSONDecodeError:
        return None  # somebody else's annotation: it says nothing
    return found if isinstance(found, dict) else None


def with_annotation(result: Json, manifest: Mapping[str, Any], manager: str) -> Json:
    """The object that was applied with the annotation as it is now, if it has one."""
    meta = result.get("metadata") or {}
    annotations = meta.get("annotations") or {}
    if manager != _MANAGER or ANNOTATION not in annotations:
        return result
    applied = dict(manifest.get("metadata") or {})
    if "annotations" in applied:
        others = {name: value for name, value in (applied["annotations"] or {}).items() if name != ANNOTATION}
        applied = {name: value for name, value in applied.items() if name != "annotations"}
        applied |= {"annotations": others} if others else {}
    text = orjson.dumps({**manifest, "metadata": applied}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    return {**result, "metadata": {**meta, "annotations": {**annotations, ANNOTATION: text}}}
