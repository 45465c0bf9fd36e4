"""Lists and objects as ``meta.k8s.io/v1`` Tables: what kubectl asks for when it prints for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from reconciler.apiserver import wire
from reconciler.apiserver.status import bad_request
from reconciler.apiserver.versions import Conversion
from reconciler.printers import printer_of
from state.dump import dump
from state.errors import invalid
from state.objects import AnyObject, Pod

#: What of an object is sent with its row.
INCLUDES = ("Metadata", "Object", "None")
_GROUP = "meta.k8s.io"

#: Pods that have ended have rows that say so.
_FINISHED = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}
_NAMED = "Name must be unique within a namespace, and can't be changed."


class Layout(NamedTuple):
    """The columns of a resource as they are sent, and what fills them: (object, now) to cells.

    Rows are sorted by ``order`` if there is one.
    """

    definitions: tuple[Mapping[str, Any], ...]
    cells: Callable[[Any, int], Iterable[Any]]
    order: Callable[[Any], Any] | None = None


@cache
def built_in_layout(kind: str) -> Layout:
    """What kubectl shows of a built-in kind (``state.objects.kind_key``)."""
    printer = printer_of(kind)
    definitions = tuple(definition(*column[:3], is_wide=column.is_wide) for column in printer.all)
    return Layout(definitions, printer.cells, printer.order)


def definition(name: str, kind: str, form: str = "", description: str = "", *, is_wide: bool) -> dict[str, Any]:
    """One column; ``kind`` is an OpenAPI type, and ``is_wide`` hides it from all but ``-o wide``."""
    is_name = name == "Name"
    return {
        "name": name,
        "type": kind,
        "format": "name" if is_name else form,
        "description": description or (_NAMED if is_name else name),
        "priority": int(is_wide),
    }


def included(query: Mapping[str, Any]) -> str:
    """What a request wants to see of the objects themselves (``includeObject``).

    Raises:
        ApiError: it is none of ``INCLUDES``.
    """
    asked = (query.get("includeObject") or ("",))[0] or INCLUDES[0]
    if asked not in INCLUDES:
        problem = invalid("includeObject", asked, "must be 'Metadata', 'Object', 'None', or empty")
        raise bad_request(f"Unable to convert to Table as requested: {problem}")
    return str(asked)


def table(
    layout: Layout,
    objects: Iterable[AnyObject],
    meta: Mapping[str, Any],
    *,
    now: int,
    include: str = INCLUDES[0],
    headers: bool = True,
    conversion: Conversion | None = None,
    version: str = "v1",
) -> dict[str, Any]:
    """A Table with a row for each object.

    Args:
        layout: the columns.
        objects: what is listed, with their resourceVersions.
        meta: the ListMeta: that of the list, or an object's resourceVersion.
        now: the time that ages are counted to (µs since the epoch).
        include: one of ``INCLUDES``.
        headers: whether the columns are named; a watch names them once.
        conversion: to the version in which whole objects are sent, if that isn't the stored one.
        version: of the Table itself.
    """

    def shown(obj: AnyObject) -> dict[str, Any] | None:
        if include == "Metadata":
            return partial_metadata(obj, version)
        if include == "None":
            return None
        document = wire.document(obj)
        return document if conversion is None else conversion.read(document)

    ordered = objects if layout.order is None else sorted(objects, key=layout.order)
    return {
        "kind": "Table",
        "apiVersion": f"{_GROUP}/{version}",
        "metadata": meta,
        "columnDefinitions": layout.definitions if headers else None,
        "rows": [_row(obj, layout.cells(obj, now), shown(obj)) for obj in ordered],
    }


def _row(obj: AnyObject, cells: Iterable[Any], shown: dict[str, Any] | None) -> dict[str, Any]:
    phase = obj.status.phase if isinstance(obj, Pod) else None
    if phase not in _FINISHED:
        return {"cells": list(cells), "object": shown}
    condition = {"type": "Completed", "status": "True", "reason": phase, "message": _FINISHED[phase]}
    return {"cells": list(cells), "conditions": [condition], "object": shown}


def partial_metadata(obj: AnyObject, version: str = "v1") -> dict[str, Any]:
    """The object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": f"{_GROUP}/{version}", "metadata": dump(obj)["metadata"]}
