"""Paths of fields in the schema of a custom resource: ``.spec.parts['a b'].name``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
#: One step: a name, or a quoted name in brackets.
_STEP = re.compile(r"""\.(?P<name>[^.\[]+)|\['(?P<quoted>(?:[^'\\]|\\.)*)'\]""")


def field_at(path: str, schema: Schema, *, has_quotes: bool = True) -> tuple[tuple[str, ...], Schema] | str:
    """The steps of a path and the schema that it leads to; or why it leads nowhere."""
    steps: list[str] = []
    at, here = 0, schema
    while at < len(path):
        found = _STEP.match(path, at)
        if path[at] == "[" and not has_quotes:
            return "array notation is not allowed"
        if found is None:
            rest = re.split(r"[.\[]", path[at:])[0] or path[at]
            return f"expected [ or . but got: {rest}"
        name = found["name"] if found["quoted"] is None else re.sub(r"\\(.)", r"\1", found["quoted"])
        inner = (here.get("properties") or {}).get(name, here.get("additionalProperties"))
        if not isinstance(inner, Mapping):
            return "does not refer to a valid field"
        steps.append(name)
        here, at = inner, found.end()
    return (tuple(steps), here)
