"""A lock that may be held while the store is written.

Where one thread works on many requests in turn (``light``), it must not turn to another one while it holds a lock: if
that one wanted the lock as well, it would wait for ever.
"""

from __future__ import annotations

import threading


class _Held(threading.local):
    count = 0


_held = _Held()


class Lock:
    """For ``with``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, timeout: float = -1) -> bool:
        """Takes it; waits for it at most some seconds, if that is said. Whether it was taken."""
        is_taken = self._lock.acquire(timeout=timeout)
        _held.count += is_taken
        return is_taken

    def release(self) -> None:
        """Gives it back."""
        _held.count -= 1
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def are_held() -> bool:
    """Whether this thread holds any."""
    return _held.count > 0
