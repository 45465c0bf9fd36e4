"""Values and sets of fields: what a value holds, what differs between two, what an applied value makes of another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from reconciler.apiserver.apply_fields import Fields, is_member, node
from reconciler.apiserver.apply_shapes import Shape

#: What isn't there at all; null is there.
_ABSENT: Any = object()


def _is_map(shape: Shape, *values: Any) -> bool:
    """Whether values (any of them may be null) are looked at field by field."""
    if shape.kind not in ("map", "any"):
        return False
    present = [value for value in values if value is not None]
    return all(isinstance(value, dict) for value in present) and bool(present or shape.kind == "map")


def _is_list(shape: Shape, *values: Any) -> bool:
    """Whether they are lists that are looked at item by item; not if an item can't be told from others."""
    if shape.kind not in ("list", "set"):
        return False
    present = [value for value in values if value is not None]
    return all(isinstance(value, list) and None not in map(shape.step, value) for value in present)


class _Repeated(list[Any]):
    """Items of one list that can't be told apart: they are owned together, and as a whole."""


def _item_shape(shape: Shape) -> Shape:
    assert shape.item is not None
    return shape.item


def _of(shape: Shape, name: str) -> Shape:
    found = shape.of(name)
    return _UNDECLARED if found is None else found


_UNDECLARED = Shape("any")


def _steps(items: Any, shape: Shape) -> dict[str, Any]:
    """The items of a list by what tells them apart."""
    found: dict[str, Any] = {}
    for item in items if isinstance(items, list) else ():
        step = shape.step(item) or ""
        if step not in found:
            found[step] = item
        elif isinstance(found[step], _Repeated):
            found[step].append(item)
        else:
            found[step] = _Repeated([found[step], item])
    return found


def _flat(items: Iterable[Any]) -> list[Any]:
    """Items as they stand in a list."""
    return [each for item in items for each in (item if isinstance(item, _Repeated) else (item,))]


def fields_of(value: Any, shape: Shape) -> Fields:
    """What is owned by who applies a value."""
    return _owned(value, shape) or {}


def _owned(value: Any, shape: Shape) -> Fields | None:
    if _is_map(shape, value) and value:
        below = {}
        for name, item in value.items():
            child = _owned(item, _of(shape, name))
            if child is None:
                continue
            if name not in shape.fields and child and shape.kind == "map":
                child = {".": {}, **child}
            below[f"f:{name}"] = child
        return node(member=False, below=below)
    if _is_list(shape, value) and value is not None:
        items = {step: _owned(item, _item_shape(shape)) for step, item in _steps(value, shape).items()}
        return node(member=False, below={step: {".": {}, **child} if child else {} for step, child in items.items()})
    return {}


class Difference(NamedTuple):
    """Fields that a new value has otherwise than the old one, and those it has no more."""

    changed: Fields
    removed: Fields


def compare(old: Any, new: Any, shape: Shape) -> Difference:
    """What differs between two values."""
    changed, removed = _compare(old, new, shape)
    return Difference(changed or {}, removed or {})


def _compare(old: Any, new: Any, shape: Shape) -> tuple[Fields | None, Fields | None]:
    if old is _ABSENT:
        return _whole(new, shape), None
    if new is _ABSENT:
        return None, _whole(old, shape)
    pairs: Iterator[tuple[str, Any, Any, Shape]] | None = None
    if old or new:
        if _is_map(shape, old, new):
            pairs = _field_pairs(old or {}, new or {}, shape)
        elif _is_list(shape, old, new):
            pairs = _item_pairs(old, new, shape)
    if pairs is None:
        return (None, None) if old == new else ({}, None)
    changed: dict[str, Fields] = {}
    removed: dict[str, Fields] = {}
    for step, before, after, inner in pairs:
        if before is after or before == after:
            continue
        more, less = _compare(before, after, inner)
        if more is not None:
            changed[step] = more
        if less is not None:
            removed[step] = less
    return changed or None, removed or None


def _whole(value: Any, shape: Shape) -> Fields:
    """All that is in a value that the other side doesn't have at all, the value itself included."""
    if isinstance(value, dict) and value and shape.kind in ("map", "any"):
        below: dict[str, Fields] = {".": {}}
        for name, item in value.items():
            below[f"f:{name}"] = _whole(item, _of(shape, name)) if isinstance(item, dict | list) else {}
        return below
    if isinstance(value, list) and value and _is_list(shape, value):
        inner = _item_shape(shape)
        return {".": {}, **{step: _whole(item, inner) for step, item in _steps(value, shape).items()}}
    return {}


def _field_pairs(old: Mapping[str, Any], new: Mapping[str, Any], shape: Shape) -> Iterator[tuple[str, Any, Any, Shape]]:
    for name, after in new.items():
        yield f"f:{name}", old.get(name, _ABSENT), after, _of(shape, name)
    for name, before in old.items():
        if name not in new:
            yield f"f:{name}", before, _ABSENT, _of(shape, name)


def _item_pairs(old: Any, new: Any, shape: Shape) -> Iterator[tuple[str, Any, Any, Shape]]:
    before, after = _steps(old, shape), _steps(new, shape)
    for step in before.keys() | after.keys():
        yield step, before.get(step, _ABSENT), after.get(step, _ABSENT), _item_shape(shape)


def merge(live: Any, applied: Any, shape: Shape) -> Any:
    """The live value with an applied one over it. Nothing is changed in place."""
    if applied is None and live and (_is_map(shape, live) or _is_list(shape, live)):
        return live  # null says nothing of what is below it
    if isinstance(live, dict) and _is_map(shape, live, applied):
        merged = dict(live)
        for name, value in (applied or {}).items():
            merged[name] = merge(live[name], value, _of(shape, name)) if name in live else value
        return merged
    if isinstance(live, list) and isinstance(applied, list) and _is_list(shape, live, applied):
        return _merge_items(live, applied, shape)
    return applied


def _merge_items(live: list[Any], applied: list[Any], shape: Shape) -> list[Any]:
    """Items of both lists in an order that suits both, as structured-merge-diff finds it."""
    left, right = [shape.step(item) for item in live], [shape.step(item) for item in applied]
    known, wanted = _steps(live, shape), _steps(applied, shape)
    shared = deque(step for step in right if step in known)
    result: list[Any] = []
    done = set()

    def take(step: str | None) -> None:
        before, after = known.get(step or "", _ABSENT), wanted[step or ""]
        is_merged = before is not _ABSENT and not isinstance(before, _Repeated)
        result.append(merge(before, after, _item_shape(shape)) if is_merged else after)
        done.add(step)
        if shared and shared[0] == step:
            shared.popleft()

    at = next_right = 0
    while at < len(left) or next_right < len(right):
        if at < len(left):
            step = left[at]
            if step not in wanted:
                result.append(live[at])
                at += 1
                continue
            if next_right < len(right):
                if step == right[next_right]:
                    take(step)
                    at, next_right = at + 1, next_right + 1
                    continue
                if shared and shared[0] != step:  # it comes where the applied list has it
                    at += 1
                    continue
            if step in done:
                at += 1
        if next_right < len(right):
            take(right[next_right])
            next_right += 1
    return result


def without(value: Any, fields: Fields, shape: Shape) -> Any:
    """A value without the members of a set, and all that they hold."""
    if not fields:
        return value
    if isinstance(value, dict) and _is_map(shape, value):
        kept = {}
        for name, item in value.items():
            child = fields.get(f"f:{name}")
            if child is None or not is_member(child):
                kept[name] = item if child is None else without(item, child, _of(shape, name))
        return kept
    if isinstance(value, list) and _is_list(shape, value):
        items = []
        for step, item in _steps(value, shape).items():
            child = fields.get(step)
            if child is None or not is_member(child):
                items.append(item if child is None else without(item, child, _item_shape(shape)))
        return _flat(items)
    return value
