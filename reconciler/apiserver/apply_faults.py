"""What keeps a value from being applied, in the words of structured-merge-diff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reconciler.apiserver.apply_fields import shown
from reconciler.apiserver.apply_shapes import Shape
from reconciler.apiserver.govalues import printed, syntax, type_name


def faults(value: Any, shape: Shape, path: tuple[str, ...] = ()) -> Iterator[str]:
    """What keeps a value from being applied: wrong types, fields that don't exist, items that can't be told apart."""
    why = "" if value is None else _type_fault(value, shape)
    if why:
        yield f"{shown(path)}: {why}"
    elif isinstance(value, dict) and shape.type == "map":
        for name in sorted(value):
            inner, where = shape.of(name), (*path, f"f:{name}")
            if inner is None:
                yield f"{shown(where)}: field not declared in schema"
                return  # Kubernetes looks no further in this map
            yield from faults(value[name], inner, where)
    elif isinstance(value, list) and shape.type == "list":
        yield from _item_faults(value, shape, path)


def _type_fault(value: Any, shape: Shape) -> str:
    if shape.type == "map":
        return "" if isinstance(value, dict) else f"expected map, got &{{{printed(value)}}}"
    if shape.type == "list":
        return "" if isinstance(value, list) else f"expected list, got &{{{printed(value)}}}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if shape.type == "numeric":
        return "" if is_number else f"expected numeric (int or float), got {type_name(value)}"
    if shape.type == "string":
        return (
            "" if isinstance(value, str) else f"expected string, got &value.valueUnstructured{{Value:{syntax(value)}}}"
        )
    if shape.type == "boolean":
        return "" if isinstance(value, bool) else f"expected boolean, got &{{{printed(value)}}}"
    if shape.type == "scalar" and isinstance(value, dict | list):
        return f"expected any scalar, got &{{{printed(value)}}}"
    return ""


def _item_faults(items: Sequence[Any], shape: Shape, path: tuple[str, ...]) -> Iterator[str]:
    seen = set()
    for index, item in enumerate(items):
        step = f"i:{index}" if shape.kind == "atomic" else shape.step(item)
        if step is None:
            yield f"{shown(path)}: element {index}: {_nameless(item, shape)}"
            return  # Kubernetes looks no further in this list
        if step in seen:
            yield f"{shown(path)}: duplicate entries for key {shown((step,))}"
        seen.add(step)
        if shape.item is not None:
            yield from faults(item, shape.item, (*path, step))


def _nameless(item: Any, shape: Shape) -> str:
    """Why an item can't be told apart from others."""
    if shape.kind == "set":
        if isinstance(item, list):
            return "not supported: associative list with lists as elements"
        what = "an explicit null" if item is None else "a map type"
        return f"associative list without keys has an element that's {what}"
    if not isinstance(item, dict):
        return f"associative list with keys may not have {'a null element' if item is None else 'non-map elements'}"
    keys = " ".join(f'"{key}"' for key in shape.keys)
    return (
        f"associative list with keys has an element that omits all key fields [{keys}] "
        "(and doesn't have default values for any key fields)"
    )
