"""How defaulting shares structure: what needs nothing comes back as the very same object.

Snapshots compare and cache by identity, and a hundred thousand pods share one spec, so a default that is
already there must cost no copy.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

#: How many results a memo keeps: more than the pod templates of a large cluster that are worked on together.
_MEMO_SIZE = 4096


def filled(obj: S, **fields: object) -> S:
    """``obj`` with these fields; the same object if each field already holds the very value given."""
    changes = {name: value for name, value in fields.items() if getattr(obj, name) is not value}
    return msgspec.structs.replace(obj, **changes) if changes else obj


def given(value: T | None, default: T) -> T:
    """A value whose field is a pointer in Go: only absence takes the default, the zero value doesn't."""
    return default if value is None else value


def each(items: tuple[T, ...], change: Callable[[T], T]) -> tuple[T, ...]:
    """``items`` with ``change`` applied to each; the same tuple if no item changed."""
    if not items:
        return items
    changed = tuple(map(change, items))
    return items if all(map(is_, items, changed)) else changed


class Memo(Generic[T]):
    """A function of one immutable argument, remembered by the argument's identity.

    The arguments hold maps, so they cannot be hashed; an entry keeps its argument alive, which is what makes
    its ``id`` safe as a key. When full it starts over: a miss only costs the work.
    """

    def __init__(self, function: Callable[[T], T]) -> None:
        self._function = function
        self._known: dict[int, tuple[T, T]] = {}

    def __call__(self, argument: T) -> T:
        entry = self._known.get(id(argument))
        if entry is not None:
            return entry[1]
        result = self._function(argument)
        if len(self._known) >= _MEMO_SIZE:
            self._known.clear()
        self._known[id(argument)] = (argument, result)
        self._known[id(result)] = (result, result)
        return result
