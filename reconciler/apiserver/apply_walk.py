"""Values and sets of fields: what a value holds, what differs between two, what an applied value makes of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from reconciler.apiserver.apply_fields import Fields, is_member, node, shown
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
    return all(isinstance(value, list) and _are_distinct(value, shape) for value in present)


def _are_distinct(items: list[Any], shape: Shape) -> bool:
    steps = [shape.step(item) for item in items]
    return None not in steps and len(set(steps)) == len(steps)


def _item_shape(shape: Shape) -> Shape:
    assert shape.item is not None
    return shape.item


def _of(shape: Shape, name: str) -> Shape:
    found = shape.of(name)
    return _UNDECLARED if found is None else found


_UNDECLARED = Shape("any")


def _steps(items: Any, shape: Shape) -> dict[str, Any]:
    return {shape.step(item) or "": item for item in items} if isinstance(items, list) else {}


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
    if isinstance(live, dict) and _is_map(shape, live, applied) and applied is not None:
        merged = dict(live)
        for name, value in applied.items():
            merged[name] = merge(live[name], value, _of(shape, name)) if name in live else value
        return merged
    if isinstance(live, list) and _is_list(shape, live, applied) and applied is not None:
        return _merge_items(_steps(live, shape), _steps(applied, shape), shape)
    return applied


def _merge_items(live: Mapping[str, Any], applied: Mapping[str, Any], shape: Shape) -> list[Any]:
    """Applied items in their order; those that only the live list has stay in front of what followed them there."""
    result: list[Any] = []
    waiting = list(live)
    for step, item in applied.items():
        if step not in live:
            result.append(item)
            continue
        if step in waiting:
            at = waiting.index(step)
            result += [live[each] for each in waiting[:at] if each not in applied]
            waiting = [each for each in waiting[:at] if each in applied] + waiting[at + 1 :]
        result.append(merge(live[step], item, _item_shape(shape)))
    return result + [live[each] for each in waiting if each not in applied]


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
        return items
    return value


def faults(value: Any, shape: Shape, path: tuple[str, ...] = ()) -> Iterator[str]:
    """What keeps a value from being applied: fields that don't exist, items that can't be told apart."""
    if shape.kind in ("map", "any") and isinstance(value, dict):
        for name, item in value.items():
            inner = shape.of(name)
            if inner is None:
                yield f"{shown((*path, f'f:{name}'))}: field not declared in schema"
            else:
                yield from faults(item, inner, (*path, f"f:{name}"))
    elif shape.kind in ("list", "set") and isinstance(value, list):
        yield from _item_faults(value, shape, path)


def _item_faults(items: Sequence[Any], shape: Shape, path: tuple[str, ...]) -> Iterator[str]:
    seen = set()
    for index, item in enumerate(items):
        step = shape.step(item)
        if step is None:
            missing = next((key for key in shape.keys if not isinstance(item, dict) or item.get(key) is None), "")
            why = f'associative list with keys has an element that omits key field "{missing}"'
            yield f"{shown(path)}: element {index}: {why}"
            continue
        if step in seen:
            yield f"{shown(path)}: duplicate entries for key {shown((step,))}"
        seen.add(step)
        yield from faults(item, _item_shape(shape), (*path, step))
