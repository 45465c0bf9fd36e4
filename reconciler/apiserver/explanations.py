"""What types and fields are for, in a sentence each: what ``kubectl explain`` says.

``explanations.txt`` has the texts, and says at its top how. It is read when an OpenAPI document is first asked for.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

Schema = dict[str, Any]
#: Where texts for fields of any type stand.
_ANY = "*"
_FIELD = re.compile(r"(\w+)(?: \(([^)]+)\))?: (.+)")
#: Schemas of Kubernetes' own types; others have words of their own.
_BUILT_IN = "io.k8s."


class Explanation(NamedTuple):
    """What a field is for, and the only values that it takes, if there are any such."""

    text: str
    values: tuple[str, ...] = ()


class Explanations(NamedTuple):
    """All texts: of types by name, of fields by type and name."""

    types: dict[str, str]
    fields: dict[tuple[str, str], Explanation]


@cache
def explanations() -> Explanations:
    """What there is."""
    found = Explanations({}, {})
    types: list[str] = []
    for line in (files("reconciler.apiserver") / "explanations.txt").read_text().splitlines():
        field = _FIELD.fullmatch(line)
        if line.startswith("["):
            types = line.strip("[]").split()
        elif field is not None:
            name, values, text = field.groups()
            for each in types:
                found.fields[each, name] = Explanation(text, tuple(values.split()) if values else ())
        elif line and not line.startswith("#"):
            found.types.update(dict.fromkeys(types, line))
    return found


def explained(name: str, schema: Schema) -> Schema:
    """A schema with what is known about its type and fields; ``name`` is the schema's."""
    if not name.startswith(_BUILT_IN) or "properties" not in schema:
        return schema
    known, kind = explanations(), name.rpartition(".")[2]
    properties = {field: _explained(kind, field, value) for field, value in schema["properties"].items()}
    return {**schema, "description": known.types.get(kind, schema.get("description", "")), "properties": properties}


def _explained(kind: str, field: str, schema: Schema) -> Schema:
    fields = explanations().fields
    found = fields.get((kind, field)) or fields.get((_ANY, field))
    if found is None:
        return schema
    values = {"enum": list(found.values)} if found.values and schema.get("type") == "string" else {}
    return {**schema, "description": found.text, **values}
