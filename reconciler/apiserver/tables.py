"""Lists and objects as ``meta.k8s.io/v1`` Tables: what kubectl asks for when it prints for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from reconciler.apiserver import wire
from reconciler.apiserver.status import bad_request
from reconciler.apiserver.versions import Conversion
from reconciler.printers import Columns, printer_of
from state.dump import dump
from state.objects import AnyObject

#: What of an object is sent with its row.
INCLUDES = ("Metadata", "Object", "None")
_GROUP = "meta.k8s.io"


def _headers(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


#: Headers that aren't the words of kubectl's columns with a capital each.
_SPELLINGS = {
    header.upper(): header
    for header in _headers(
        "Access Modes,AddressType,Allowed Disruptions,AllowVolumeExpansion,AttachRequired,Cluster-IP,Container-Runtime,"
        "Created At,Current,DistinguisherMethod,DriverName,External-IP,Global-Default,HandSize,Internal-IP,IP,"
        "Kernel-Version,MatchingPrecedence,MaxPods,MinPods,MissingPL,NominalConcurrencyShares,OS-Image,PV,ParamKind,"
        "ParamRef,ParentRef,Pod-Selector,PodInfoOnMount,PolicyName,Port(s),PreemptionPolicy,PriorityLevel,"
        "QueueLengthLimit,ReclaimPolicy,RequestedDuration,RequiresRepublish,ServiceAccounts,SignerName,StorageCapacity,"
        "StorageClass,StorageClassName,TokenRequests,Up-to-date,VolumeAttributesClass,"
        "VolumeBindingMode,VolumeMode"
    )
}
#: Columns of numbers, whatever the kind; ``READY`` is one unless it says how many of how many.
_NUMBERS = frozenset(
    _headers(
        "ALLOWED DISRUPTIONS,AVAILABLE,COUNT,CURRENT,DATA,DESIRED,DRIVERS,MAXPODS,MINPODS,MUTATIONS,REPLICAS,REVISION,"
        "SECRETS,UP-TO-DATE,VALIDATIONS,VALUE,WEBHOOKS"
    )
)
_READY_IS_A_NUMBER = frozenset({"DaemonSet", "ReplicaSet", "ReplicationController"})
_NAMED = "Name must be unique within a namespace, and can't be changed."


class Layout(NamedTuple):
    """The columns of a resource as they are sent, and what fills them: (object, now) to cells."""

    definitions: tuple[Mapping[str, Any], ...]
    cells: Callable[[Any, int], Iterable[Any]]


@cache
def built_in_layout(kind: str) -> Layout:
    """What kubectl shows of a built-in kind (``state.objects.kind_key``)."""
    printer = printer_of(kind)
    numbers = [_is_number(kind, header) for header in printer.headers]
    definitions = tuple(
        _definition(printer, header, is_number=is_number)
        for header, is_number in zip(printer.headers, numbers, strict=True)
    )
    if not any(numbers):
        return Layout(definitions, printer.cells)

    def cells(obj: AnyObject, now: int) -> list[Any]:
        row = zip(printer.cells(obj, now), numbers, strict=True)
        return [int(cell) if is_number and cell.lstrip("-").isdecimal() else cell for cell, is_number in row]

    return Layout(definitions, cells)


def _is_number(kind: str, header: str) -> bool:
    return header in _NUMBERS or (header == "READY" and kind in _READY_IS_A_NUMBER)


def _definition(printer: Columns, header: str, *, is_number: bool) -> Mapping[str, Any]:
    name = _SPELLINGS.get(header) or header.title()
    return definition(name, "integer" if is_number else "string", is_wide=header in printer.wide)


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
        raise bad_request(f'unrecognized includeObject value: "{asked}"')
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

    return {
        "kind": "Table",
        "apiVersion": f"{_GROUP}/{version}",
        "metadata": meta,
        "columnDefinitions": layout.definitions if headers else None,
        "rows": [{"cells": list(layout.cells(obj, now)), "object": shown(obj)} for obj in objects],
    }


def partial_metadata(obj: AnyObject, version: str = "v1") -> dict[str, Any]:
    """The object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": f"{_GROUP}/{version}", "metadata": dump(obj)["metadata"]}
