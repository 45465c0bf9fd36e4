"""The fields of Kubernetes' messages: what is known of built-in kinds that have no type in ``state.objects``.

``protobuf_fields.txt`` has a line for each message: its name, then ``NUMBER:JSON NAME:TYPE`` of its fields, as the
tags in Kubernetes' Go types (k8s.io/api v0.36.4) say. ``[]`` is a list, ``{}`` a map with text as keys; a field without
a name is part of its parent in JSON. ``!`` marks a field that Go writes even if it is empty, ``?`` one whose Go type is
a pointer to a scalar, or a list of which Kubernetes asks whether it was given, so that zero isn't absence; after ``=``
stands a name that the type has in Go.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

#: Packages whose name isn't the first word of their group.
_PACKAGES = {"": "core"}
#: Go's names of types, where they differ.
_GO_TYPES = {"bytes": "[]uint8", "int": "int32"}
#: What declares the fields of a kind: its struct, or the name of its message.
Merged = type[msgspec.Struct] | str


class Field(NamedTuple):
    """A field of a message; ``container`` is "", "[]" or "{}"."""

    name: str
    container: str
    type: str
    #: Whether Go writes it even if it is empty.
    is_always: bool = False
    #: Whether its zero value isn't the same as none: as a pointer to a scalar in Go.
    is_pointer: bool = False
    #: The type's own name in Go, if it has one: of a value, but of a map as a whole.
    go_name: str = ""

    @property
    def message(self) -> str | None:
        """The message that the field holds or lists."""
        return self.type if self.container != "{}" and self.type in messages() else None

    @property
    def item_type(self) -> str:
        """The type of one value as Go writes it."""
        if self.go_name and self.container != "{}":
            return self.go_name
        package, _, name = self.type.rpartition(".")
        return f"{package.rpartition('.')[2]}.{name}" if package else _GO_TYPES.get(name, name)

    @property
    def go_type(self) -> str:
        """The type as Go writes it."""
        if self.container == "{}":
            return self.go_name or f"map[string]{self.item_type}"
        return self.container + self.item_type


@cache
def messages() -> dict[str, dict[int, Field]]:
    """The fields of each message, by number."""
    table = {}
    for line in (files("reconciler.apiserver") / "protobuf_fields.txt").read_text().splitlines():
        message, *columns = line.split(" ")
        fields = {}
        for column in columns:
            number, name, marked = column.split(":")
            marked, _, go_name = marked.partition("=")
            kind = marked.rstrip("!?")
            bare, marks = kind.lstrip("[]{}"), marked[len(kind) :]
            fields[int(number)] = Field(name, kind[: len(kind) - len(bare)], bare, "!" in marks, "?" in marks, go_name)
        table[message] = fields
    return table


@cache
def fields_of(message: str) -> dict[str, Field]:
    """The fields of a message by their names in JSON, with those of its parts that have no name."""
    fields: dict[str, Field] = {}
    for field in messages()[message].values():
        if field.name:
            fields[field.name] = field
        else:
            fields |= fields_of(field.type)
    return fields


def name_of_message(api_version: str, kind: str) -> str:
    """The message of a kind, whether it is known or not."""
    group, _, version = api_version.rpartition("/")
    return f"{_PACKAGES.get(group) or group.partition('.')[0]}.{version}.{kind}"


def cleaned(message: str, value: Mapping[str, Any], unknown: list[str], path: str = "") -> dict[str, Any]:
    """A message in JSON without nulls and unknown fields; the paths of the latter are added to ``unknown``.

    Its values have the right types (``gotypes.message_fault``).
    """
    fields, result = fields_of(message), {}
    for name, item in value.items():
        field = fields.get(name)
        if field is None:
            unknown.append(f"{path}{name}")
        elif item is None:
            continue
        elif field.message is None:
            result[name] = item
        elif isinstance(item, list):
            result[name] = [
                cleaned(field.message, each or {}, unknown, f"{path}{name}[{index}].")
                for index, each in enumerate(item)
            ]
        else:
            result[name] = cleaned(field.message, item, unknown, f"{path}{name}.")
    return result
