"""Sets of fields, as ``metadata.managedFields`` holds them (``FieldsV1``).

A set is a tree of maps. Its keys are steps of a path: ``f:NAME`` a field or a key of a map, ``k:{...}`` the item of a
list with those keys, ``v:VALUE`` an item of a set. ``{}`` is a member without members below it; of one that has some,
``.`` says that it is a member itself. The root is never one. Sets are never changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

Fields = Mapping[str, Any]
Path = tuple[str, ...]
_SELF = "."


def is_member(node: Fields) -> bool:
    """Whether the node itself, and not only something below it, is in the set."""
    return not node or _SELF in node


def node(*, member: bool, below: Mapping[str, Fields]) -> Fields | None:
    """A node of a set; None if there is nothing to it."""
    if not below:
        return {} if member else None
    return {_SELF: {}, **below} if member else below


def _below(fields: Fields) -> Iterator[tuple[str, Fields]]:
    return ((step, child) for step, child in fields.items() if step != _SELF)


def union(*sets: Fields) -> Fields:
    """What is in any of them."""
    some = [each for each in sets if each]
    if len(some) < 2:
        return some[0] if some else {}
    found: dict[str, list[Fields]] = {}
    for each in some:
        for step, child in each.items():
            found.setdefault(step, []).append(child)
    return {step: children[0] if len(children) == 1 else _joined(children) for step, children in found.items()}


def _joined(nodes: Sequence[Fields]) -> Fields:
    return node(member=any(map(is_member, nodes)), below=_strip(union(*nodes))) or {}


def _strip(fields: Fields) -> dict[str, Fields]:
    return dict(_below(fields))


def difference(left: Fields, right: Fields) -> Fields:
    """What is in the first and not in the second."""
    return _filtered(left, right, keep_common=False)


def intersection(left: Fields, right: Fields) -> Fields:
    """What is in both."""
    return _filtered(left, right, keep_common=True)


def _filtered(left: Fields, right: Fields, *, keep_common: bool) -> dict[str, Fields]:
    result: dict[str, Fields] = {}
    for step, child in _below(left):
        other = right.get(step)
        if other is None:
            if not keep_common:
                result[step] = child
            continue
        member = is_member(child) and is_member(other) == keep_common
        found = node(member=member, below=_filtered(child, other, keep_common=keep_common))
        if found is not None:
            result[step] = found
    return result


def members(fields: Fields, path: Path = ()) -> Iterator[Path]:
    """The paths in a set: on each level those that are in it themselves, then what is below; sorted."""
    ordered = sorted(_below(fields))
    yield from ((*path, step) for step, child in ordered if is_member(child))
    for step, child in ordered:
        yield from members(child, (*path, step))


def with_parents(fields: Fields) -> Fields:
    """The set with the fields (not the items) that lead to its members."""
    result: dict[str, Fields] = {}
    for step, child in _below(fields):
        found = node(member=is_member(child) or step.startswith("f:"), below=_strip(with_parents(child)))
        result[step] = found or {}
    return result


def shown(path: Path) -> str:
    """A path as messages have it: ``.spec.containers[name="c"].image``."""
    return "".join(_shown_step(step) for step in path)


def _shown_step(step: str) -> str:
    kind, _, rest = step.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "v":
        return f"[={rest}]"
    if kind == "i":
        return f"[{rest}]"
    keys = ",".join(f"{name}={orjson.dumps(value).decode()}" for name, value in sorted(orjson.loads(rest).items()))
    return f"[{keys}]"


def is_well_formed(fields: object, depth: int = 200) -> bool:
    """Whether a client's value is such a set."""
    if not isinstance(fields, dict) or not depth:
        return False
    for step, child in fields.items():
        if step != _SELF and step[:2] not in ("f:", "k:", "v:", "i:"):
            return False
        if step.startswith("k:") and not _is_keys(step[2:]):
            return False
        if not is_well_formed(child, depth - 1):
            return False
    return True


def _is_keys(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False
