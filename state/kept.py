"""What is kept for long: bytes, and what was worked out of objects that many others share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

SharedT = TypeVar("SharedT")
ResultT = TypeVar("ResultT")


def exact(text: bytes) -> bytes:
    """A copy without the room that orjson leaves behind what it writes, which is several times as long."""
    return bytes(memoryview(text))


def by_identity(work: Callable[[SharedT], ResultT], most: int = 4096) -> Callable[[SharedT], ResultT]:
    """Has a function of an object that never changes remember its results by the object's identity: the pods of one
    template share theirs, and comparing it would cost more than the work. Up to ``most`` objects are kept with their
    results, so that no other can have their identity; then it begins anew.
    """
    known: dict[int, tuple[SharedT, ResultT]] = {}

    @wraps(work)
    def remembered(shared: SharedT) -> ResultT:
        found = known.get(id(shared))
        if found is not None:
            return found[1]
        result = work(shared)
        if len(known) >= most:
            known.clear()
        known[id(shared)] = (shared, result)
        return result

    return remembered
