"""What is kept for long: bytes, and what was worked out of objects that many others share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

KeyT = TypeVar("KeyT")
SharedT = TypeVar("SharedT")
ResultT = TypeVar("ResultT")


def exact(text: bytes) -> bytes:
    """A copy without the room that orjson leaves behind what it writes, which is several times as long."""
    return bytes(memoryview(text))


class Remembered(dict[KeyT, ResultT]):
    """Results that can be worked out again: up to ``most``, then it begins anew. Where a key is the identity of an
    object (``id``), the result has to hold that object, so that no other can have its identity.
    """

    def __init__(self, most: int = 4096) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: KeyT, result: ResultT) -> None:
        if len(self) >= self._most:
            self.clear()
        super().__setitem__(key, result)


def by_identity(work: Callable[[SharedT], ResultT], most: int = 4096) -> Callable[[SharedT], ResultT]:
    """Has a function of an object that never changes remember its results by the object's identity: the pods of one
    template share theirs, and comparing it would cost more than the work. Up to ``most`` are remembered.
    """
    known = Remembered[int, tuple[SharedT, ResultT]](most)

    @wraps(work)
    def remembered(shared: SharedT) -> ResultT:
        found = known.get(id(shared))
        if found is not None:
            return found[1]
        result = work(shared)
        known[id(shared)] = (shared, result)
        return result

    return remembered
