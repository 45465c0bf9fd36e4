"""Printer columns of custom resources: JSON paths, and cells in kubectl's form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from reconciler.apiserver.tables import Layout, definition
from reconciler.printers import since
from state.objects import AnyObject, CustomObject
from state.times import TimeError, parse_time

#: One step of a path: ``.name`` (with ``\\.`` for a dot in it), ``['name']``, ``[0]``, ``[*]``, ``[?(@.a.b=="c")]``.
_STEP = re.compile(
    r"""\.(?P<name>(?:\\.|[^.\[\\])+) | \['(?P<quoted>[^']*)'\] | \[(?P<index>-?\d+|\*)\]
    | \[\?\(\s*@(?P<field>[^=!<>\s]+)\s*==\s*(?P<quote>["'])(?P<value>.*?)(?P=quote)\s*\)\]""",
    re.VERBOSE,
)
_INT64 = 2**63
#: What is shown of a kind that says nothing about it.
_USUAL: Sequence[Mapping[str, Any]] = ({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},)
_Step = Callable[[Any], Sequence[Any]]


def json_path(text: str) -> Callable[[Any], list[Any]]:
    """What finds the values at a path (``.status.conditions[?(@.type=="Ready")].status``) in a document.

    Raises:
        ValueError: it is no such path.
    """
    steps: list[_Step] = []
    at = 0
    text = text.removeprefix("$")
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise ValueError(f"{text[at:]!r} is no step of a JSON path")
        steps.append(_step(found))
        at = found.end()

    def find(document: Any) -> list[Any]:
        values = [document]
        for step in steps:
            values = [item for value in values for item in step(value)]
        return values

    return find


def _step(found: re.Match[str]) -> _Step:
    if found["field"]:
        inner, wanted = json_path(found["field"]), found["value"]
        return lambda value: [item for item in _list(value) if wanted in map(str, inner(item))]
    if found["index"] == "*":
        return lambda value: list(value.values()) if isinstance(value, dict) else _list(value)
    if found["index"]:
        index = int(found["index"])
        return lambda value: _list(value)[index : index + 1 or None]
    name = found["quoted"] if found["quoted"] is not None else re.sub(r"\\(.)", r"\1", found["name"])
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _cell(values: Sequence[Any], kind: str, now: int) -> Any:
    """The first of the values that a column found, if it has the column's type."""
    if not values or values[0] is None:
        return None
    value = values[0]
    if kind == "string":
        return _text(value)
    if kind == "date" and isinstance(value, str):
        try:
            parse_time(value)
        except TimeError:
            return "<invalid>"
        return since(value, now)
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind not in ("integer", "number") or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _integer(value) if kind == "integer" else value


def _integer(value: float) -> int:
    """A number cut off, as Go does; what no integer has room for becomes the smallest."""
    whole = int(value)
    return whole if -_INT64 <= whole < _INT64 else -_INT64


def _text(value: Any) -> str:
    """A value as Go's JSON path prints it."""
    if isinstance(value, dict | list):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _described(column: Mapping[str, Any]) -> str:
    return f"Custom resource definition column (in JSONPath format): {column['jsonPath']}"


def custom_layout(columns: Sequence[Mapping[str, Any]]) -> Layout:
    """The columns of a definition's version (``additionalPrinterColumns``).

    Only the age if it names none, or one by a path that can't be followed.
    """
    shown = columns or _USUAL
    try:
        finders = [(json_path(each["jsonPath"]), each["type"]) for each in shown]
    except ValueError:
        shown = _USUAL
        finders = [(json_path(each["jsonPath"]), each["type"]) for each in shown]
    definitions = [definition("Name", "string", is_wide=False)]
    for each in shown:
        made = definition(
            each["name"],
            each["type"],
            each.get("format", ""),
            each.get("description") or _described(each),
            is_wide=False,
        )
        definitions.append({**made, "priority": each.get("priority", 0)})

    def cells(obj: AnyObject, now: int) -> list[Any]:
        body = obj.body.value if isinstance(obj, CustomObject) else {}
        meta = obj.metadata
        known = {
            "name": meta.name,
            "namespace": meta.namespace,
            "creationTimestamp": meta.creation_timestamp,
            "deletionTimestamp": meta.deletion_timestamp,
            "generation": meta.generation,
            "labels": meta.labels,
            "annotations": meta.annotations,
            "uid": meta.uid,
        }
        document = {**body, "metadata": known}
        return [meta.name, *(_cell(find(document), kind, now) for find, kind in finders)]

    return Layout(tuple(definitions), cells)
