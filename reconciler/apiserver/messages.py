"""The fields of Kubernetes' messages: what is known of built-in kinds that have no type in ``state.objects``.

``protobuf_fields.txt`` has a line for each message: its name, then ``NUMBER:JSON NAME:TYPE`` of its fields, as the
descriptors that kubectl v1.33 carries say, in JSON's spelling. ``[]`` is a list, ``{}`` a map with text as keys; a
field without a name is part of its parent in JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

from reconciler.apiserver.govalues import QUANTITY_FORM, found, is_quantity

#: Packages whose name isn't the first word of their group.
_PACKAGES = {"": "core"}
_SCALARS = {"bool": bool, "int": int, "string": str}
_GO_TYPES = {"int": "int32"}
#: What declares the fields of a kind: its struct, or the name of its message.
Merged = type[msgspec.Struct] | str


class Field(NamedTuple):
    """A field of a message; ``container`` is "", "[]" or "{}"."""

    name: str
    container: str
    type: str

    @property
    def message(self) -> str | None:
        """The message that the field holds or lists."""
        return self.type if self.container != "{}" and self.type in messages() else None

    @property
    def go_type(self) -> str:
        """The type as Go writes it."""
        package, _, name = self.type.rpartition(".")
        bare = f"{package.rpartition('.')[2]}.{name}" if package else _GO_TYPES.get(name, name)
        return {"": bare, "[]": f"[]{bare}", "{}": f"map[string]{bare}"}[self.container]


@cache
def messages() -> dict[str, dict[int, Field]]:
    """The fields of each message, by number."""
    table = {}
    for line in (files("reconciler.apiserver") / "protobuf_fields.txt").read_text().splitlines():
        message, *columns = line.split(" ")
        fields = {}
        for column in columns:
            number, name, kind = column.split(":")
            bare = kind.lstrip("[]{}")
            fields[int(number)] = Field(name, kind[: len(kind) - len(bare)], bare)
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

    Its values have the right types (``message_fault``).
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


def message_fault(message: str, value: Mapping[str, Any], path: str = "") -> str:
    """Go's words about the first value of a wrong type; "" if there is none."""
    fields = fields_of(message)
    for name, item in value.items():
        field = fields.get(name)
        fault = "" if field is None or item is None else _fault(field, item, message, f"{path}{name}")
        if fault:
            return fault
    return ""


def opaque_fault(struct: str, path: str, value: Any) -> str:
    """The same about a field that a struct of ``state.objects`` carries without interpreting it.

    ``struct`` is the struct's name in Go, ``path`` ends with the field's name.
    """
    name = path.rpartition(".")[2]
    for message in (f"core.v1.{struct}", f"meta.v1.{struct}"):
        field = fields_of(message).get(name) if message in messages() else None
        if field is not None:
            return _fault(field._replace(container=""), value, message, path)
    return ""


def _fault(field: Field, value: Any, message: str, path: str) -> str:
    where = f"Go struct field {message.rpartition('.')[2]}.{path} of type"
    if not field.container:
        return _item_fault(field, value, where, path, field.go_type)
    if not isinstance(value, list if field.container == "[]" else dict):
        return f"json: cannot unmarshal {found(value)} into {where} {field.go_type}"
    items = value if isinstance(value, list) else value.values()
    item_type = field._replace(container="").go_type
    faults = (_item_fault(field, item, where, path, item_type) for item in items if item is not None)
    return next(filter(None, faults), "")


def _item_fault(field: Field, value: Any, where: str, path: str, go_type: str) -> str:
    if field.type in messages():
        if isinstance(value, dict):
            return message_fault(field.type, value, f"{path}.")
    elif field.type == "Quantity":
        return "" if is_quantity(value) else QUANTITY_FORM
    else:
        kind = _SCALARS.get(field.type)
        if kind is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
            return ""
    return f"json: cannot unmarshal {found(value)} into {where} {go_type}"
