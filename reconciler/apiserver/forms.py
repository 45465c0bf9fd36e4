"""How Go reads and writes a message in JSON: the zero values that it forgets, and what it writes though it is empty.

``paused: false`` comes back as nothing, ``automountServiceAccountToken: false`` as it was sent, and the ``resources``
of a container are there even if nobody sent them. Which is which, ``messages`` knows of each field.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from reconciler.apiserver.gotimes import canonical_time
from reconciler.apiserver.messages import Field, fields_of, messages

_Json = dict[str, Any]
_META = "meta.v1.ObjectMeta"
_TIMES = {"meta.v1.MicroTime": True, "meta.v1.Time": False}
_SCALARS = frozenset({"bool", "bytes", "int", "int64", "string"})
#: Zero values of types that aren't written as ``null``.
_ZEROS: dict[str, Any] = {"Quantity": "0", "IntOrString": 0, "bool": False, "int": 0, "int64": 0, "string": ""}


class _Reading(NamedTuple):
    """Of one message: its fields, those forgotten when they are zero, those with messages below, and its times."""

    known: frozenset[str]
    forgotten: frozenset[str]
    below: dict[str, str]
    times: dict[str, bool]


@cache
def _reading(message: str) -> _Reading:
    fields = fields_of(message)
    return _Reading(
        known=frozenset(fields),
        forgotten=frozenset(
            name
            for name, field in fields.items()
            if not field.is_pointer and (field.container or (field.type in _SCALARS and not field.is_always))
        ),
        below={name: field.type for name, field in fields.items() if field.type in messages()},
        times={name: _TIMES[field.type] for name, field in fields.items() if field.type in _TIMES},
    )


def as_read(message: str, document: _Json) -> _Json:
    """The document without nulls and what Go would not write, and with times as it writes them; the same one if it is
    so. Fields that the message doesn't have, and values of a wrong type, stay as they are.
    """
    reading = _reading(message)
    changes: _Json = {}
    gone: set[str] = set()
    for name, value in document.items():
        if value is None:
            if name in reading.known:
                gone.add(name)
        elif not value and not isinstance(value, float):
            if name in reading.forgotten:
                gone.add(name)
        elif name in reading.below:
            inner = _each_as_read(reading.below[name], value)
            if inner is not value:
                changes[name] = inner
        elif name in reading.times and isinstance(value, str):
            changes[name] = canonical_time(value, is_micro=reading.times[name])
    if not changes and not gone:
        return document
    return {name: changes.get(name, value) for name, value in document.items() if name not in gone}


def _each_as_read(message: str, value: Any) -> Any:
    if isinstance(value, list):
        items = [as_read(message, item) if isinstance(item, dict) else item for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return as_read(message, value) if isinstance(value, dict) else value


class _Writing(NamedTuple):
    """Of one message: what is written though it is empty, and fields below which there is such."""

    always: tuple[tuple[str, Any], ...]
    below: tuple[tuple[str, bool, str], ...]


def _zero(field: Field) -> Any:
    if field.container or field.is_pointer:
        return None
    return {} if field.message else _ZEROS.get(field.type)


@cache
def _incomplete() -> frozenset[str]:
    """The messages in which, or below which, something is written though it is empty."""
    found = {name for name in messages() if any(field.is_always for field in fields_of(name).values())}
    before = 0
    while before < len(found):
        before = len(found)
        found |= {name for name in messages() if any(each.message in found for each in fields_of(name).values())}
    return frozenset(found)


@cache
def _writing(message: str) -> _Writing:
    fields = fields_of(message)
    return _Writing(
        tuple((name, _zero(field)) for name, field in fields.items() if field.is_always),
        tuple(
            (name, bool(field.container), field.message)
            for name, field in fields.items()
            if field.message in _incomplete() and field.type != _META
        ),
    )


def complete(message: str, document: _Json) -> None:
    """Puts into a document what Go writes though it is empty."""
    always, below = _writing(message)
    for name, zero in always:
        if name not in document:
            document[name] = {} if zero == {} else zero
    for name, is_list, inner in below:
        value = document.get(name)
        if value is not None:
            for item in _items(value) if is_list else (value,):
                complete(inner, item)


def _items(value: Any) -> Iterable[_Json]:
    return value if isinstance(value, list) else ()
