"""What Kubernetes' strict decoding finds in a body: fields that are unknown, and fields that are there twice.

The words and their order are Go's, which differ between JSON and YAML, and between kinds with a Go type and custom
resources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson

from reconciler.apiserver.gojson import well_formed
from state.errors import quoted, unknown_field
from state.manifests import documents

#: How many faults are told at most, as sigs.k8s.io/json does.
_MOST = 100
#: Keys are counted by the quote and colon after them: what may stand between the two, or for them.
_MISCOUNTED = re.compile(rb'"[ \t\r\n]+:|\\u00(?:22|3[aA])')


class _Pairs(list[tuple[str, Any]]):
    """A map with all of its keys."""


class Text(NamedTuple):
    """A body that was read already."""

    body: bytes
    is_yaml: bool = False


class Faults(NamedTuple):
    """What is wrong: keys of YAML that are there twice, by line; and fields (``unknown field "spec.foo"``).

    As text it is Go's error.
    """

    lines: Sequence[str] = ()
    fields: Sequence[str] = ()

    def __str__(self) -> str:
        first = ["\n  ".join(("yaml: unmarshal errors:", *self.lines))] if self.lines else []
        return ", ".join((*first, *self.fields))


def faults_of(text: Text | None, value: Any, unknown: Sequence[str], *, is_custom: bool) -> Faults:
    """The faults of a manifest; ``unknown`` are the paths of its unknown fields."""
    if text is None:
        return Faults(fields=[unknown_field(path) for path in unknown][:_MOST])
    if text.is_yaml:
        repeated = [line for each in islice(documents(text.body), 1) for line in each.duplicates.values()]
        return Faults(repeated[:_MOST], [unknown_field(path) for path in unknown][:_MOST])
    if is_custom:  # only its schema knows fields, once it is read
        ordered = sorted(unknown, key=lambda path: (not path.startswith("metadata."), path))
        return Faults(fields=[*_json_faults(text.body, value, ()), *map(unknown_field, ordered)][:_MOST])
    return Faults(fields=_json_faults(text.body, value, unknown))


def _json_faults(body: bytes, value: Any, unknown: Sequence[str]) -> list[str]:
    """Faults in the order of the text.

    A value has fewer keys than its text if some are there twice; only then, or if the text is written so that counting
    fails, the text is read again by a parser that keeps them.
    """
    if not _may_repeat(body, value):
        return list(map(unknown_field, unknown))[:_MOST]
    tree = json.loads(well_formed(body), object_pairs_hook=_Pairs)
    found = _faults(tree, "", frozenset(unknown))
    return list(dict.fromkeys((*found, *map(unknown_field, unknown))))[:_MOST]


def _may_repeat(body: bytes, value: Any) -> bool:
    keys = orjson.dumps(value).count(b'":')
    return body.count(b'":') != keys or _MISCOUNTED.search(body) is not None


def _faults(value: Any, path: str, unknown: Collection[str]) -> Iterator[str]:
    if isinstance(value, _Pairs):
        seen = set()
        for key, item in value:
            where = f"{path}.{key}" if path else key
            if where in unknown:
                yield unknown_field(where)
                continue
            if key in seen:
                yield f"duplicate field {quoted(where)}"
            seen.add(key)
            yield from _faults(item, where, unknown)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, f"{path}[{index}]", unknown)
